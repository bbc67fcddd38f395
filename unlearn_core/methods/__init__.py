"""The explicit, lazy registry of methods: one line each. Imports a method's file only when it is asked for."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import BadInput, did_you_mean
from .base import Context, Method, MethodConfig, Snapshot, Stage

__all__ = [
    "METHODS",
    "Context",
    "Method",
    "MethodConfig",
    "Snapshot",
    "Stage",
    "catalogue",
    "checked",
    "find_method",
    "settings_of",
]

METHODS: dict[str, str] = {  # by family, in the order of base.FAMILIES
    "unlearn": "unlearn_core.methods.unlearn:METHOD",
    "nsru": "unlearn_core.methods.nsru:METHOD",
    "repselect": "unlearn_core.methods.repselect:METHOD",
    "learn": "unlearn_core.methods.learn:METHOD",
    "eul": "unlearn_core.methods.eul:METHOD",
    "gradient-difference": "unlearn_core.methods.gradient_difference:METHOD",
    "gradient-ascent": "unlearn_core.methods.gradient_ascent:METHOD",
    "kl-minimization": "unlearn_core.methods.kl_minimization:METHOD",
    "llmu": "unlearn_core.methods.llmu:METHOD",
    "kga": "unlearn_core.methods.kga:METHOD",
    "wga": "unlearn_core.methods.wga:METHOD",
    "satimp": "unlearn_core.methods.satimp:METHOD",
    "undial": "unlearn_core.methods.undial:METHOD",
    "ceu": "unlearn_core.methods.ceu:METHOD",
    "pdu": "unlearn_core.methods.pdu:METHOD",
    "idk": "unlearn_core.methods.idk:METHOD",
    "pcgu": "unlearn_core.methods.pcgu:METHOD",
    "npo": "unlearn_core.methods.npo:METHOD",
    "simnpo": "unlearn_core.methods.simnpo:METHOD",
    "dpo": "unlearn_core.methods.dpo:METHOD",
    "rmu": "unlearn_core.methods.rmu:METHOD",
    "demem": "unlearn_core.methods.demem:METHOD",
    "quark": "unlearn_core.methods.quark:METHOD",
    "whp": "unlearn_core.methods.whp:METHOD",
    "whp-decoding": "unlearn_core.methods.whp_decoding:METHOD",
    "task-vector": "unlearn_core.methods.task_vector:METHOD",
    "module-negation": "unlearn_core.methods.module_negation:METHOD",
    "icul": "unlearn_core.methods.icul:METHOD",
    "finetune": "unlearn_core.methods.finetune:METHOD",
    "retrain": "unlearn_core.methods.retrain:METHOD",
    "sisa": "unlearn_core.methods.sisa:METHOD",
}


ALSO_CALLED = {"neggrad": "gradient-ascent", "negativegradient": "gradient-ascent", "taskarithmetic": "task-vector",
               "ft": "finetune"}  # in papers

# A baseline of EUL's paper that is not here, and its line in the README's table.
MEND, WHY_NOT = "mend", "it trains a second network for every model before the first request."
LEFT_OUT = (f"`{MEND}`", "Baselines", f"**Left out**: {WHY_NOT}", "", "", "Mitchell et al. 2022, arXiv 2110.11309")

# What pydantic says of these speaks of parsing.
_PLAIN = {
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "It should be a number, such as 0.5 or 1e-4"),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "It should be a whole number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "It should be true or false"),
}


def find_method(name: str) -> Method:
    """The method of that name; raises BadInput naming near matches and all that there are."""
    if name == MEND:
        raise BadInput("The method 'mend' is left out.", f"{WHY_NOT[0].upper()}{WHY_NOT[1:]}", f"There are: {', '.join(METHODS)}.",
                       field="method")  # fmt: skip
    if name not in METHODS:
        raise BadInput(f"There is no method '{name}'.", "", did_you_mean(name, list(METHODS), ALSO_CALLED), field="method")
    module, attribute = METHODS[name].split(":")
    return getattr(import_module(module), attribute)


def settings_of(method: Method, settings: dict[str, Any]) -> MethodConfig:
    """The method's checked settings; raises BadInput with one sentence for the first field that does not fit."""
    return checked("method", method.name, method.config, settings)


def checked(kind: str, owner: str, config: type[BaseModel], settings: dict[str, Any]) -> Any:
    """Settings as an instance of `config`, whose owner is a method (or an attack) of that name. Raises BadInput."""
    try:
        return config(**settings)
    except ValidationError as error:
        fault = error.errors()[0]
        if not fault["loc"]:
            why = str(fault["msg"]).removeprefix("Value error, ")
            raise BadInput(f"The settings of '{owner}' do not go together.", f"{why[0].upper()}{why[1:]}.", "",
                           field="settings") from error
        name = str(fault["loc"][0])
        if fault["type"] == "extra_forbidden":
            known = did_you_mean(name, list(config.model_fields)) if config.model_fields else "It has none."
            raise BadInput(f"The {kind} '{owner}' has no setting '{name}'.", "", known, field=name) from error
        limit = _PLAIN.get(fault["type"]) or fault["msg"].replace("Input should be", "It should be")
        default = config.model_fields[name].default if name in config.model_fields else None
        raise BadInput(
            f"The setting '{name}' {_put(fault['input'])}.",
            f"{limit}.",
            f"Leave it out for the default ({default}).",
            field=name,
        ) from error


def _put(value: Any) -> str:
    return "is empty" if value is None else f"cannot be {value!r}"


def catalogue() -> list[dict[str, Any]]:
    """Plain data on every method, without loading torch."""
    return [find_method(name).describe() for name in METHODS]


def table() -> str:
    """All methods as a Markdown table, which is the README's."""
    lines = ["| name | family | what it does | needs | costs | source |", "|---|---|---|---|---|---|"]
    said = ("family_title", "summary", "access", "cost", "paper")
    rows = [(f"`{row['name']}`", *(row[key] for key in said)) for row in catalogue()]
    lines += [f"| {' | '.join((*cells, _linked(paper)))} |" for *cells, paper in (*rows, LEFT_OUT)]
    return "\n".join(lines)


def _linked(paper: str) -> str:
    """The paper with its arXiv number as a link."""
    return re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", paper)
