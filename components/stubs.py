"""Import Gradio without its type stubs. Knows nothing of what is imported.

For every component class that comes into being, Gradio parses the source of its module and writes a .pyi file beside
it, also when that is there already: half of the time that its import takes, and files in folders that are not its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_stub_files() -> Iterator[None]:
    """While this lasts, component classes have no source file, which Gradio takes as a reason to write no stub."""
    original = inspect.getfile

    def getfile(thing: Any) -> str:
        if type(thing).__name__ == "ComponentMeta":
            raise OSError("no stub is wanted for this class")
        return original(thing)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = original
