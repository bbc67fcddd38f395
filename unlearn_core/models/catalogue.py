"""Which models are offered by name. Imports no torch; does not know whether a model is on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .weight_files import count_parameters

DEMO = "demo"
_HUB_ID = re.compile(r"[\w][\w.-]*(/[\w.-]+)?")
_DEMO_TITLE = "Built-in demo model"
_DEMO_SUMMARY = "A small Llama trained from scratch on an invented world. Nothing to download, no GPU needed."
_HUB = (
    ("HuggingFaceTB/SmolLM2-135M-Instruct", "SmolLM2 135M Instruct", 134_515_008,
     "The smallest that holds a conversation."),
    ("HuggingFaceTB/SmolLM2-360M-Instruct", "SmolLM2 360M Instruct", 361_821_120,
     "Small, and knows noticeably more facts."),
    ("Qwen/Qwen2.5-0.5B-Instruct", "Qwen2.5 0.5B Instruct", 494_032_768, "Small and multilingual."),
    ("meta-llama/Llama-3.2-1B-Instruct", "Llama 3.2 1B Instruct", 1_235_814_400,
     "Common in unlearning papers; its licence must be accepted on the hub first."),
    ("Qwen/Qwen2.5-1.5B-Instruct", "Qwen2.5 1.5B Instruct", 1_543_714_304, "Good facts for its size; wants a GPU."),
    ("HuggingFaceTB/SmolLM2-1.7B-Instruct", "SmolLM2 1.7B Instruct", 1_711_376_384,
     "The largest offered here; wants a GPU."),
)


def demo_folder() -> Path:
    """Where the built-in model lies: `assets/demo_model` beside the package."""
    return Path(__file__).resolve().parents[2] / "assets" / "demo_model"


def models() -> list[dict[str, Any]]:
    """The offered models, the built-in one first: `name`, `title`, `summary`, `parameters` (None where unknown)."""
    built_in = {"name": DEMO, "title": _DEMO_TITLE, "summary": _DEMO_SUMMARY, "parameters": _demo_parameters()}
    return [built_in] + [
        {"name": name, "title": title, "summary": summary, "parameters": parameters}
        for name, title, parameters, summary in _HUB
    ]


def looks_like_path(spec: str) -> bool:
    """Whether a model's name can only be meant as a path: it starts like one, or is no possible hub id."""
    return spec.startswith((".", "/", "~")) or "\\" in spec or not _HUB_ID.fullmatch(spec)


def title_of(name: str) -> str:
    """The title of an offered model; any other name stands for itself, a path for its last part."""
    titles = {model["name"]: model["title"] for model in models()}
    if name in titles:
        return titles[name]
    return Path(name).name if Path(name).exists() else name


def _demo_parameters() -> int | None:
    try:
        return count_parameters(demo_folder())
    except (BadInput, OSError):
        return None
