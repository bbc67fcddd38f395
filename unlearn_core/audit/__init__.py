"""The explicit, lazy registry of attacks: one line each. Imports an attack's file only when it is asked for.

To add an attack: a file with an `Attack` (or a few more lines in one of its family), which imports torch and models inside its
functions only, and a line here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import BadInput, did_you_mean
from ..methods import checked
from .attack import FAMILIES, Attack, AttackConfig

__all__ = ["ATTACKS", "FAMILIES", "Attack", "AttackConfig", "catalogue", "find_attack", "settings_of"]

ATTACKS: dict[str, str] = {  # by family, in the order of attack.FAMILIES
    "plain": "asking:PLAIN",
    "paraphrase": "asking:PARAPHRASE",
    "worst-wording": "asking:WORST_WORDING",
    "spanish": "asking:SPANISH",
    "hints": "hints:HINTS",
    "continuation": "hints:CONTINUATION",
    "choice": "choosing:CHOICE",
    "shown-choice": "choosing:SHOWN_CHOICE",
    "disguise": "disguise:DISGUISE",
    "drop-context": "asking:DROP_CONTEXT",
    "sampling": "sampling:SAMPLING",
    "int8": "quantisation:INT8",
    "int4": "quantisation:INT4",
    "nf4": "quantisation:NORMAL",
    "soft-prompt": "soft_prompt:SOFT_PROMPT",
    "strength": "strength:STRENGTH",
    "edit-directions": "edit_directions:EDIT_DIRECTIONS",
    "logit-lens": "lens:LENS",
    "probe": "probe:PROBE",
    "ablation": "directions:ABLATION",
    "steering": "directions:STEERING",
    "relearn-forget": "relearning:FORGET",
    "relearn-shapes": "relearning:SHAPES",
    "relearn-neighbor": "relearning:NEIGHBOR",
    "relearn-unrelated": "relearning:UNRELATED",
    "relearn-task": "relearning:TASK",
}


def find_attack(name: str) -> Attack:
    """The attack of that name; raises BadInput naming near matches and all that there are."""
    if name not in ATTACKS:
        raise BadInput(f"There is no attack '{name}'.", "", did_you_mean(name, list(ATTACKS)), field="attacks")
    module, attribute = ATTACKS[name].split(":")
    return getattr(import_module(f".{module}", __package__), attribute)


def settings_of(attack: Attack, settings: dict[str, Any]) -> AttackConfig:
    """The attack's checked settings; raises BadInput with one sentence for the first field that does not fit."""
    return checked("attack", attack.name, attack.config, settings)


def catalogue() -> list[dict[str, Any]]:
    """Plain data on every attack, without loading torch."""
    return [find_attack(name).describe() for name in ATTACKS]
