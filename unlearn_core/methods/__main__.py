"""Writes the table of methods into the README: python -m unlearn_core.methods"""

from __future__ import annotations

import re
from pathlib import Path

from . import table

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- methods: written by python -m unlearn_core.methods -->", "<!-- end of methods -->"


def with_table(text: str) -> str:
    """The README with the table as it should be."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{table()}\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
