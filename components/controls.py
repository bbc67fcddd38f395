"""Controls made from a method's JSON schema, and the way back. Knows schemas and widgets; nothing of any method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gradio as gr

from .slider import Slider

SLIDER_STEPS = (8, 600)  # a range with fewer or more steps than this is typed, not dragged
WIDE = 1000  # a range whose ends differ by this factor is offered in powers of ten


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of a method. `kind`: integer | number | boolean | choice | text. `optional`: may be left empty."""

    name: str
    title: str
    help: str
    kind: str
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    optional: bool = False


def fields(schema: dict[str, Any]) -> list[Field]:
    """The fields of a pydantic JSON schema, in their order."""
    definitions = schema.get("$defs", {})
    return [_field(name, body, definitions) for name, body in schema.get("properties", {}).items()]


def _field(name: str, body: dict[str, Any], definitions: dict[str, Any]) -> Field:
    variants = [_resolved(part, definitions) for part in body.get("anyOf", [body])]
    optional = any(part.get("type") == "null" for part in variants)
    main = next((part for part in variants if part.get("type") != "null"), {})
    main = _resolved({**body, **main}, definitions)
    choices = tuple(main.get("enum", ()))
    kind = "choice" if choices else main.get("type", "text")
    return Field(
        name=name,
        title=_title(name),
        help=body.get("description", main.get("description", "")),
        kind=kind if kind in ("integer", "number", "boolean", "choice") else "text",
        default=body.get("default"),
        minimum=_bound(main, "minimum", "exclusiveMinimum"),
        maximum=_bound(main, "maximum", "exclusiveMaximum"),
        choices=choices,
        optional=optional,
    )


def _resolved(body: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = body.get("$ref", "").rpartition("/")[2]
    return {**body, **definitions.get(reference, {})}


def _bound(body: dict[str, Any], inclusive: str, exclusive: str) -> float | None:
    return body.get(inclusive, body.get(exclusive))


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def control(field: Field, value: Any = None) -> gr.components.Component:
    """The widget for a field, showing `value` or its default."""
    shown = field.default if value is None else value
    place = {
        "label": field.title,
        "info": field.help,
        "elem_id": f"setting-{field.name}",
        "interactive": True,
    }
    if field.kind == "boolean":
        return gr.Checkbox(bool(shown), **place)
    if field.kind == "choice":
        return gr.Dropdown([str(choice) for choice in field.choices], value=str(shown), filterable=False, **place)
    if field.kind == "text":
        return gr.Textbox("" if shown is None else _written(shown), max_lines=1, **place)
    step = _step(field)
    if step is not None:
        return Slider(field.minimum, field.maximum, value=shown, step=step, buttons=[], **place)
    if _wide(field):
        return gr.Dropdown(_decades(field), value=f"{shown:g}", allow_custom_value=True, **place)
    return gr.Textbox(
        "" if shown is None else f"{shown:g}", max_lines=1, placeholder="automatic" if field.optional else None, **place
    )


def _wide(field: Field) -> bool:
    """Whether a number spans so many powers of ten that only its magnitude is chosen at first."""
    return (
        field.kind == "number"
        and not field.optional
        and bool(field.minimum)
        and field.maximum is not None
        and field.maximum / field.minimum >= WIDE
    )


def _decades(field: Field) -> list[str]:
    """The powers of ten within the bounds, and the default among them."""
    exponents = range(math.ceil(math.log10(field.minimum)), math.floor(math.log10(field.maximum)) + 1)
    return [f"{value:g}" for value in sorted({10.0**exponent for exponent in exponents} | {float(field.default)})]


def _step(field: Field) -> float | None:
    """The step of a slider on which the default lies; None where the field is better typed."""
    if field.optional or field.minimum is None or field.maximum is None or _wide(field):
        return None
    span = field.maximum - field.minimum
    for step in (1,) if field.kind == "integer" else (1, 0.5, 0.25, 0.1, 0.05, 0.01):
        on_grid = math.isclose(
            (field.default - field.minimum) / step, round((field.default - field.minimum) / step), abs_tol=1e-9
        )
        if on_grid and SLIDER_STEPS[0] <= span / step <= SLIDER_STEPS[1]:
            return step
    return None


def _written(value: Any) -> str:
    return ",".join(str(part) for part in value) if isinstance(value, (list, tuple)) else str(value)


def read(field: Field, shown: Any) -> Any:
    """What the widget's value means; text that is no number stays text, so that the method's own check names it."""
    if field.kind == "choice":
        return next((choice for choice in field.choices if str(choice) == shown), shown)
    if field.kind not in ("integer", "number"):
        return shown
    if isinstance(shown, str):
        shown = shown.strip().replace(",", ".")
        if not shown:
            return None if field.optional else field.default
    try:
        number = float(shown)
    except (TypeError, ValueError):
        return shown
    return int(number) if number.is_integer() and field.kind == "integer" else number


def brought_back(field: Field, before: Any, now: Any) -> str:
    """What to say where a slider moved a value that it cannot show to its nearest end; nothing where it did not."""
    if field.minimum is None or field.maximum is None or now not in (field.minimum, field.maximum):
        return ""
    bounds = f"{field.title} goes from {field.minimum:g} to {field.maximum:g}"
    if before is None and not field.optional and now == field.minimum != field.default:
        return f"{bounds}: the box was left empty, so {now:g} is used. The default is {field.default:g}."
    if isinstance(before, (int, float)) and not field.minimum <= before <= field.maximum:
        return f"{bounds}: instead of {before:g}, {now:g} is used."
    return ""


def is_default(field: Field, value: Any) -> bool:
    """Whether a value read from the widget is what the method would use anyway."""
    if field.kind == "text":
        return value == ("" if field.default is None else _written(field.default))
    return value == field.default
