"""The explicit, lazy registry of methods: one line each. Imports a method's file only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pydantic import ValidationError

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
    "find_method",
    "settings_of",
]

METHODS: dict[str, str] = {
    "unlearn": "unlearn_core.methods.unlearn:METHOD",
    "gradient-difference": "unlearn_core.methods.gradient_difference:METHOD",
    "task-vector": "unlearn_core.methods.task_vector:METHOD",
}


# What pydantic says of these speaks of parsing.
_PLAIN = {
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "It should be a number, such as 0.5 or 1e-4"),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "It should be a whole number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "It should be true or false"),
}


def find_method(name: str) -> Method:
    """The method of that name; raises BadInput naming near matches and all that there are."""
    if name not in METHODS:
        raise BadInput(f"There is no method '{name}'.", "", did_you_mean(name, list(METHODS)), field="method")
    module, attribute = METHODS[name].split(":")
    return getattr(import_module(module), attribute)


def settings_of(method: Method, settings: dict[str, Any]) -> MethodConfig:
    """The method's checked settings; raises BadInput with one sentence for the first field that does not fit."""
    try:
        return method.config(**settings)
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0]) if fault["loc"] else "settings"
        if fault["type"] == "extra_forbidden":
            raise BadInput(
                f"The method '{method.name}' has no setting '{name}'.",
                "",
                did_you_mean(name, list(method.config.model_fields)),
                field=name,
            ) from error
        limit = _PLAIN.get(fault["type"]) or fault["msg"].replace("Input should be", "It should be")
        default = method.config.model_fields[name].default if name in method.config.model_fields else None
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
