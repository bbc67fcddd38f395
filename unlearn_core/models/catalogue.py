"""Which models are offered by name. Imports no torch; does not know whether a model is on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .weight_files import count_parameters

DEMO, DEMO_T5 = "demo", "demo-t5"
BUILT_IN = {DEMO: "demo_model", DEMO_T5: "demo_t5"}  # folder in assets
_HUB_ID = re.compile(r"[\w][\w.-]*(/[\w.-]+)?")
_TITLES = {
    DEMO: ("Built-in demo model",
           "A small Llama trained from scratch on an invented world. Nothing to download, no GPU needed."),
    DEMO_T5: ("Built-in encoder-decoder",
              "A small T5 trained from scratch on reviews and talks of invented people, in part by heart: EUL's own setting."),
}
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


def built_in_folder(name: str) -> Path:
    """Where a built-in model lies: a folder of `assets` beside the package."""
    return Path(__file__).resolve().parents[2] / "assets" / BUILT_IN[name]


def how_to_build(name: str) -> str:
    """The command that makes a built-in model, in a sentence."""
    command = "make demo-model"
    if name == DEMO_T5:
        command = f"python -m unlearn_core.demo.build --encoder-decoder --out assets/{BUILT_IN[name]}"
    return f"Build it with `{command}`, or check the clone out again."


def demo_folder() -> Path:
    """The folder of the first built-in model, `assets/demo_model`."""
    return built_in_folder(DEMO)


def models() -> list[dict[str, Any]]:
    """The offered models, the built-in ones first: `name`, `title`, `summary`, `parameters` (None where unknown)."""
    built_in = [
        {"name": name, "title": title, "summary": summary, "parameters": _parameters(name)}
        for name, (title, summary) in _TITLES.items()
        if name == DEMO or (built_in_folder(name) / "config.json").is_file()
    ]
    return built_in + [
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


def _parameters(name: str) -> int | None:
    try:
        return count_parameters(built_in_folder(name))
    except (BadInput, OSError):
        return None
