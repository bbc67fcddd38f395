"""An attack's curves: how much came out of each model along what the attack runs over. Pure.

The unlearned model has the colour of text, which is another in dark mode: style.css turns INK, of which it knows, into it.
"""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from unlearn_core.events import AttackPoint

from .audit_view import ORIGINAL, REFERENCE, SUBJECTS, UNLEARNED, AuditView
from .audit_words import TITLES
from .palette import LIGHT, PLOT_GREY
from .plots import axis, frame

INK = LIGHT.ink
HEIGHT, LIVE_HEIGHT = 340, 240
MOST_TICKS = 12
_LINES = {
    ORIGINAL: {"color": PLOT_GREY, "dash": "solid", "width": 2},
    UNLEARNED: {"color": INK, "dash": "solid", "width": 2.5},
    REFERENCE: {"color": PLOT_GREY, "dash": "dot", "width": 1.5},
}
# Shapes of the first curve of each model, as elsewhere on the page, and of further curves of the same attack, also as characters.
_FIRST = {ORIGINAL: "circle-open", UNLEARNED: "square", REFERENCE: "x"}
_FIRST_MARKS = "○ ■ ✖"
_FURTHER = {"triangle-up": "▲", "triangle-down": "▼", "star": "★", "cross": "✚", "pentagon": "⬟", "hexagon": "⬢", "hourglass": "⧗"}
Curve = list[tuple[float, float]]


def curves(points: tuple[AttackPoint, ...]) -> dict[tuple[str, str], Curve]:
    """(x, knowledge) along x by series and model, in the order in which the series came and the models stand."""
    found: dict[tuple[str, str], Curve] = {}
    order = list(dict.fromkeys(point.series for point in points))
    for series in order:
        for subject in SUBJECTS:
            line = sorted((point.x, point.knowledge) for point in points if (point.series, point.subject) == (series, subject)
                          and point.x is not None and point.knowledge is not None)
            if line:
                found[series, subject] = line
    return found


def curves_figure(view: AuditView, attack: str, height: int = HEIGHT) -> go.Figure | None:
    """All curves of an attack, None where it has none. `layout.meta.points` counts the places drawn."""
    lines = curves(view.points.get(attack, ()))
    if not lines:
        return None
    names = list(dict.fromkeys(series for series, _ in lines))
    first = {subject: next(series for series, other in lines if other == subject) for _, subject in lines}
    traces = [_trace(subject, series, line, names.index(series)) | {"showlegend": series == first[subject]}
              for (series, subject), line in lines.items()]  # with several curves, a model stands in the legend once
    places = sorted({x for line in lines.values() for x, _ in line})
    layout = frame(axis(escape(str(view.attack(attack).get("x") or "")), **_across(places)),
                   axis("Came out, % of judged items", range=[-4, 104], tickvals=[0, 25, 50, 75, 100]), height=height,
                   uirevision=attack, meta={"points": sum(len(line) for line in lines.values()), "attack": attack})
    return go.Figure({"data": traces, "layout": layout})


def marks(points: tuple[AttackPoint, ...]) -> str:
    """Which mark is which curve, where an attack has several on one model."""
    names = list(dict.fromkeys(series for series, _ in curves(points)))
    shapes = [_FIRST_MARKS, *(list(_FURTHER.values())[place % len(_FURTHER)] for place in range(len(names) - 1))]
    return " · ".join(f"{shape} {name}" for shape, name in zip(shapes, names, strict=True)) if len(names) > 1 else ""


def _across(places: list[float]) -> dict[str, Any]:
    """The range, said outright: a figure that once had one would keep it. Few places are ticks of their own."""
    span = places[-1] - places[0]
    pad = 0.04 * span if span else 0.5
    few = {"tickvals": places} if len(places) <= MOST_TICKS and _apart(places, span) else {}
    return {"range": [places[0] - pad, places[-1] + pad]} | few


def _apart(places: list[float], span: float) -> bool:
    """Whether no two places are so near that their numbers would meet."""
    return all(right - left >= 0.05 * span for left, right in pairwise(places))


def _trace(subject: str, series: str, line: Curve, place: int) -> dict[str, Any]:
    told = escape(f"{TITLES[subject]}: {series}" if series else TITLES[subject])
    style = _LINES[subject]
    symbol = _FIRST[subject] if place == 0 else list(_FURTHER)[(place - 1) % len(_FURTHER)]
    return {"type": "scatter", "mode": "lines+markers", "name": TITLES[subject], "legendgroup": subject, "x": [x for x, _ in line],
            "y": [round(100 * knowledge, 2) for _, knowledge in line], "line": style,
            "marker": {"symbol": symbol, "size": 8, "color": style["color"]}, "cliponaxis": False,
            "hovertemplate": "%{x:.4g}: %{y:.0f} %<extra>" + told + "</extra>"}
