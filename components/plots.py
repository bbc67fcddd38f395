"""A view's data as Plotly figures: accuracy while unlearning, spectra, the map of change, principal angles. Pure.

Each figure is drawn once for light and dark: transparent ground, hues that read on both, text coloured by style.css.
Figures are put together as plain data and handed to Plotly in one piece: changing a finished figure step by step costs
ten times as much, and the accuracy plot is drawn anew at every measurement.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from unlearn_core.events import Measured

from .palette import PLOT_BAND, PLOT_FORGET, PLOT_GREY, PLOT_GRID, PLOT_RETAIN, SPLIT_TITLES, side
from .view import RunView

HEIGHT = 320
MOST_TICKS = 16  # whole numbers along an axis
NAMED = (0.28, 10)  # what the name of the floor may take, air included: a share of a phone's axis, and points of accuracy
ON_IT = 0.5  # points by which a curve may leave the line of the floor and still lie on it, rather than on its name
DEEPEST = 1e-4  # singular values are shown down to this share of the largest
FEWEST_MARKS = 3  # on a logarithmic axis
FONT = "Source Sans Pro, ui-sans-serif, system-ui, sans-serif"
_LINES = {
    "forget": {"dash": "dash", "symbol": "diamond", "width": 2.5},
    "forget_paraphrase": {"dash": "dot", "symbol": "diamond-open", "width": 1.5},
    "neighbor": {"dash": "solid", "symbol": "circle-open", "width": 1.5},
    "retain": {"dash": "solid", "symbol": "circle", "width": 2.5},
}
_BLOCK_ORDER = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_NO_CURVE = "Nothing was measured while this run worked."
_SOON = "The first measurements come with training."
_AT_THE_END = "Not measured yet: a method that takes off what it learns is measured at its end."
MANY = 12  # training steps by which a method that is measured on its way has been
Trace = dict[str, Any]


def accuracy_figure(view: RunView) -> go.Figure:
    """Accuracy in per cent against the optimiser step, from the original's (all questions) on, then on the live sample, with
    the floor of the forget set.

    `layout.meta.points` counts the measurements drawn.
    """
    splits = [split for split in _LINES if any(item.split == split for item in view.live)]
    traces = [_curve(split, [*_start(view, split), *(item for item in view.live if item.split == split)]) for split in splits]
    # an explicit range: with `uirevision` a figure that once had one would keep it when the next leaves it open
    across: dict[str, Any] = {"range": [0, 1.04 * max((item.step for item in view.live), default=1) or 1]}
    if not splits:
        across = {"range": [0, 1], "showticklabels": False}
    floor, bottom, shapes = view.before.get("forget"), -4.0, []
    notes = [] if splits else [note(_NO_CURVE if view.over else _AT_THE_END if len(view.losses) > MANY else _SOON)]
    if floor is not None and floor.reference is not None and splits:
        shapes, notes, lowest = _floor(floor, traces, across["range"][1])
        bottom = min(bottom, lowest)
    layout = frame(axis("Optimiser step", **across), axis("Right answers, %", range=[bottom, 104],
                     tickvals=[0, 25, 50, 75, 100]), shapes=shapes, annotations=notes, meta={"points": len(view.live)})
    return go.Figure({"data": traces, "layout": layout})


def spectrum_figure(view: RunView, layer: int, matrix: str) -> go.Figure:
    """Singular values of one matrix on a logarithmic scale: weights, task matrix, what is subtracted, what is left."""
    across, up = "Direction, strongest first", "Singular value"
    item = view.spectra.get((layer, matrix))
    if item is None:
        return _nothing(across, up, "This matrix was not changed." if view.spectra
                        else "Spectra come with the end of a run.")
    traces = [*_values("Original weights", item.original, {"color": PLOT_GREY, "width": 1.5}),
              *_values("Left in place", item.kept, {"color": PLOT_RETAIN, "width": 2, "dash": "solid"}, "circle"),
              *_values("Subtracted", item.removed, {"color": PLOT_FORGET, "width": 2.5, "dash": "dash"}, "diamond",
                       hatched=True),
              # Last, on top of the others: where little is subtracted it lies on what is left.
              *_values("Task matrix", item.task, {"color": PLOT_GREY, "width": 2.5, "dash": "dot"})]
    real = [v for values in (item.original, item.task, item.removed, item.kept) for v in values if v and v > 0]
    scale = _log_scale(min(real), max(real)) if real else {}
    return go.Figure({"data": traces, "layout": frame(axis(across), axis(up, **scale))})


def change_map_figure(view: RunView) -> go.Figure:
    """Layers by matrices, coloured by the relative size of the change, in per cent of the matrix' own norm."""
    if not view.spectra:
        return _nothing("", "Layer", "The map of change comes with the end of a run.")
    layers, matrices = sorted({layer for layer, _ in view.spectra}), matrix_order(view)
    names = [short_matrix(matrix) for matrix in matrices]
    trace = {
        "type": "heatmap", "z": [[_change(view, layer, matrix) for matrix in matrices] for layer in layers],
        "x": names, "y": [str(layer) for layer in layers],
        "colorscale": [[0, "rgba(234,88,12,0.05)"], [1, "rgba(234,88,12,0.95)"]], "zmin": 0, "xgap": 3, "ygap": 3,
        "hovertemplate": "layer %{y}, %{x}: change %{z:.1f} % of the weights<extra></extra>",
        "colorbar": {"title": {"text": "change, %", "side": "right", "font": {"size": 13}}, "thickness": 10,
                     "outlinewidth": 0}}
    stems = [name.removesuffix("_proj") for name in names]  # room for seven on a phone
    layout = frame(axis("", type="category", showgrid=False, tickvals=names, ticktext=stems, tickangle=0),
                     axis("Layer", type="category", autorange="reversed", showgrid=False))
    return go.Figure({"data": [trace], "layout": layout})


def angles_figure(view: RunView, layer: int, matrix: str) -> go.Figure:
    """Cosines of the principal angles with the retain subspace, before and after discrimination."""
    across, up = "Principal angle", "Cosine with the retain subspace"
    item = view.overlaps.get((layer, matrix))
    if item is None:
        return _nothing(across, up, "No angles were measured for this matrix." if view.overlaps
                        else "This method looks at no subspaces, so there are no angles.")
    traces = [_dots("Forget inputs, before discrimination", item.cosines, PLOT_GREY, "circle-open", "solid"),
              _dots("Subtracted part, after discrimination", item.cosines_after, PLOT_FORGET, "diamond", "dash")]
    ticks = {"tick0": 1, "dtick": max(1, math.ceil(len(item.cosines) / MOST_TICKS))}
    layout = frame(axis(across, **ticks), axis(up, range=[-0.03, 1.05], tickvals=[0, 0.25, 0.5, 0.75, 1]))
    return go.Figure({"data": traces, "layout": layout})


def matrix_order(view: RunView) -> list[str]:
    """The matrices that occur, in the order in which a block applies them."""
    first = {name: index for index, name in enumerate(_BLOCK_ORDER)}
    return sorted({matrix for _, matrix in view.spectra}, key=lambda m: (first.get(short_matrix(m), 99), m))


def short_matrix(matrix: str) -> str:
    """"self_attn.q_proj" -> "q_proj"."""
    return matrix.rsplit(".", 1)[-1]


# Frame --------------------------------------------------------------------------------------------------------------

def axis(title: str, **more: Any) -> dict[str, Any]:
    """One axis of any figure."""
    return {"gridcolor": PLOT_GRID, "zeroline": False, "linecolor": PLOT_GRID, "tickfont": {"size": 12},
            "title": {"text": title, "standoff": 8, "font": {"size": 13}}} | more


def frame(xaxis: dict[str, Any], yaxis: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The layout of any figure."""
    return {"template": "none", "height": HEIGHT, "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
            "uirevision": "keep", "font": {"color": PLOT_GREY, "size": 13, "family": FONT},
            "margin": {"l": 56, "r": 16, "t": 36, "b": 44}, "hovermode": "closest",
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
            "hoverlabel": {"bgcolor": "#1e293b", "font": {"color": "#f8fafc", "family": FONT}},
            "showlegend": True, "xaxis": xaxis, "yaxis": yaxis} | more


def _nothing(across: str, up: str, text: str) -> go.Figure:
    bare = {"range": [0, 1], "showticklabels": False}
    layout = frame(axis(across, **bare), axis(up, **bare), annotations=[note(text)])
    return go.Figure({"data": [], "layout": layout})


def note(text: str, **more: Any) -> dict[str, Any]:
    """Words on a figure; in its middle, where nothing else is said."""
    return {"text": text, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False,
            "font": {"color": PLOT_GREY, "size": 14}} | more


def _floor(floor: Measured, traces: list[Trace], steps: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]], float]:
    """The line of the floor, its name at the end and on the side of it where fewest curves run, and how far down that reaches."""
    y, (wide, high) = 100 * (floor.reference or 0.0), NAMED
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y,
            "line": {"color": PLOT_GREY, "dash": "dot", "width": 1}}

    def lain_on(x: int, above: bool) -> int:
        left, low = steps * (1 - wide) * x, y + ON_IT if above else y - ON_IT - high
        return sum(_runs_through(trace, left, left + steps * wide, low, low + high) for trace in traces)

    x, above = min(((x, above) for above in (True, False) for x in (0, 1)), key=lambda place: lain_on(*place))
    name = note("chance" if floor.reference_kind == "chance" else "never saw it", x=x, y=y, yref="y",
                xanchor=("left", "right")[x], yanchor="bottom" if above else "top", yshift=3 if above else -3,
                font={"color": PLOT_GREY, "size": 12})
    return [line], [name], y if above else y - high


def _runs_through(trace: Trace, left: float, right: float, low: float, high: float) -> bool:
    """Whether a curve, whose x grow, comes into that rectangle."""
    points = list(zip(trace["x"], trace["y"], strict=True))
    for (x0, y0), (x1, y1) in pairwise([*points[:1], *points]):
        if x1 < left or x0 > right:
            continue
        slope = (y1 - y0) / (x1 - x0) if x1 > x0 else 0.0
        ends = (y0 + slope * max(0.0, left - x0), y1 - slope * max(0.0, x1 - right))
        if min(ends) <= high and max(ends) >= low:
            return True
    return False


def _log_scale(least: float, most: float) -> dict[str, Any]:
    """A logarithmic axis with marks at powers of ten, and as far between them as it takes to have FEWEST_MARKS."""
    bottom, top = math.log10(max(least, most * DEEPEST)) - 0.1, math.log10(most) + 0.15
    powers = range(math.floor(bottom), math.ceil(top) + 1)
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        marks = [step * 10.0**power for power in powers for step in steps if bottom <= math.log10(step) + power <= top]
        if len(marks) >= FEWEST_MARKS:
            break
    return {"type": "log", "tickvals": marks, "ticktext": [f"{mark:g}" for mark in marks], "range": [bottom, top]}


# Traces -------------------------------------------------------------------------------------------------------------

def _start(view: RunView, split: str) -> list[Measured]:
    """What the original answers right, all questions, at step 0."""
    before = view.before.get(split)
    return [] if before is None else [before]


def _curve(split: str, items: list[Measured]) -> Trace:
    style, name = _LINES[split], SPLIT_TITLES[split]
    colour = PLOT_FORGET if side(split) == "forget" else PLOT_RETAIN
    return {"type": "scatter", "mode": "lines+markers", "name": name, "x": [item.step for item in items],
            "y": [round(100 * item.accuracy, 2) for item in items],
            "line": {"color": colour, "dash": style["dash"], "width": style["width"]},
            "marker": {"symbol": style["symbol"], "size": 7, "color": colour},
            "customdata": [f"{item.correct} of {item.n}" for item in items],
            "hovertemplate": f"step %{{x}}: %{{y:.0f}} % (%{{customdata}})<extra>{name}</extra>"}


def _values(name: str, values: list[float], line: dict[str, Any], symbol: str = "",
            hatched: bool = False) -> list[Trace]:
    """One spectrum as a trace, or none; zeros, which a logarithmic scale cannot show, are gaps."""
    real = [value if value and value > 0 else None for value in values]
    if not any(real):
        return []
    band = {"fill": "tozeroy", "fillcolor": PLOT_BAND, "fillpattern": {
        "shape": "/", "size": 8, "solidity": 0.15, "fgcolor": PLOT_FORGET, "bgcolor": PLOT_BAND}} if hatched else {}
    return [{"type": "scatter", "mode": "lines+markers" if symbol else "lines", "name": name, "connectgaps": False,
             "x": list(range(1, len(real) + 1)), "y": real, "line": line,
             "marker": {"symbol": symbol or "circle", "size": 6, "color": line["color"]},
             "hovertemplate": f"{name}, direction %{{x}}: %{{y:.3g}}<extra></extra>"} | band]


def _dots(name: str, cosines: list[float], colour: str, symbol: str, dash: str) -> Trace:
    return {"type": "scatter", "mode": "lines+markers", "name": name, "x": list(range(1, len(cosines) + 1)),
            "y": list(cosines), "line": {"color": colour, "dash": dash, "width": 2},
            "marker": {"symbol": symbol, "size": 7, "color": colour},
            "hovertemplate": "angle %{x}: cosine %{y:.2f}<extra></extra>"}


def _change(view: RunView, layer: int, matrix: str) -> float | None:
    item = view.spectra.get((layer, matrix))
    return None if item is None or item.relative_change is None else 100 * item.relative_change
