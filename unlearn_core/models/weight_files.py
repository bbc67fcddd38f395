"""What a model folder holds, read from file names and safetensors headers. Imports no torch and loads no tensor."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ..errors import BadInput

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_HEADER_LIMIT = 100_000_000  # bytes; the format's own limit


def check_folder(folder: Path) -> None:
    """Raise BadInput in words unless `folder` is a Hugging Face model with safetensors weights."""
    if not folder.exists():
        raise BadInput(f"There is no model folder '{folder}'.", "Nothing exists at that path.",
                       "Check the path, or use a built-in model, such as demo.", field="model")
    if not folder.is_dir():
        raise BadInput(f"{folder} is a file, not a model folder.", "A model is a folder with config.json and weights.",
                       "Give the folder that holds it.", field="model")
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder} is not a model folder.", "It has no config.json.",
                       "Give a folder saved by `save_pretrained`.", field="model")
    if not weight_files(folder):
        _refuse_without_weights(folder)


def is_encoder_decoder(folder: Path | None) -> bool:
    """Whether a folder's config.json says so; False where it cannot be read, and for no folder."""
    try:
        body = json.loads((folder / "config.json").read_text(encoding="utf-8")) if folder is not None else {}
    except (OSError, ValueError):
        return False
    return isinstance(body, dict) and bool(body.get("is_encoder_decoder", False))


def weight_files(folder: Path) -> list[Path]:
    """The model's safetensors files in order of name, adapters left out."""
    return sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("adapter"))


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor in one safetensors file; raises BadInput when the file is cut short or foreign."""
    return {name: tuple(entry["shape"]) for name, entry in _header(path).items() if name != "__metadata__"}


def count_parameters(folder: Path) -> int:
    """Number of stored parameters, tied ones once; reads the headers only."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in weight_files(folder):
        shapes |= tensor_shapes(path)
    if not shapes:
        raise BadInput(f"{folder} has no safetensors weights.", field="model")
    return sum(math.prod(shape) for shape in shapes.values())


def _header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= _HEADER_LIMIT:
                raise ValueError("impossible header size")
            header = json.loads(file.read(size))
        end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
        if path.stat().st_size < 8 + size + end:
            raise ValueError("the file ends before its tensors do")
        return header
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"The weights {path.name} cannot be read.", f"They are damaged or incomplete ({error}).",
                       "Download or save the model again.", field="model") from error


def _refuse_without_weights(folder: Path) -> None:
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        raise BadInput(f"{folder} holds only pickled weights ({pickled[0]}).",
                       "Opening a pickle can run any code it contains, so only safetensors files are loaded.",
                       "Convert it: load it where you trust it and call `save_pretrained`.", field="model")
    raise BadInput(f"{folder} has no weights.", "No .safetensors file lies in it.",
                   "Give a folder saved by `save_pretrained`.", field="model")
