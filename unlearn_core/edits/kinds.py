"""Which kinds of edits there are, and how a file becomes one."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from .edit import Edit, foreign, read

KINDS = {
    "low-rank": "low_rank:LowRankEdit",
    "layers": "layers:LayerEdit",
    "dense": "dense:DenseEdit",
    "prompt": "prompt:PromptEdit",
    "decoding": "decoding:DecodingEdit",
    "stack": "stack:StackedEdit",
}


def kind_of(name: str, path: str | Path) -> type[Edit]:
    """The class of that kind; BadInput naming the file where there is none."""
    if name not in KINDS:
        raise foreign(path, f"edits of the kind '{name[:40]}' are unknown here")
    module, cls = KINDS[name].split(":")
    return getattr(import_module(f".{module}", __package__), cls)


def load_edit(path: str | Path) -> Edit:
    """The edit in a file, whatever its kind; BadInput when it is absent, damaged or something else."""
    kind, tensors, head = read(path)
    return kind_of(kind, path).restored(tensors, head, str(path))
