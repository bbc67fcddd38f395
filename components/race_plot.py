"""A race as a picture: how much each method forgot, across, and how much it kept, upwards. Pure.

Hues belong to the sets, so that methods have none: their family is told by the shape of the mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go

from .palette import PLOT_GREY, SPLIT_TITLES
from .plots import axis, frame, note
from .race_view import Lane, RaceView

HEIGHT = 440
# Shape of a family's mark in the figure, and the same as a character, never as a coloured picture. Diamond and circle belong to
# forget and retain.
MARKS = {
    "subspace": ("star", "★"),
    "layers": ("cross", "✚"),
    "gradient": ("triangle-up", "▲"),
    "preference": ("triangle-down", "▼"),
    "representation": ("pentagon", "⬟"),
    "reinforcement": ("hexagon", "⬢"),
    "rewriting": ("triangle-right", "▶\ufe0e"),
    "merging": ("x", "✖"),
    "context": ("square", "■"),
    "baseline": ("triangle-left", "◀\ufe0e"),
}
OTHER = ("square", "■")
# Room that a name takes, judged on a plot of this many CSS pixels.
_WIDE, _HIGH, _LETTER, _LINE = 640, 340, 7.5, 17
_PLACES = {"middle right": (1, 0), "middle left": (-1, 0), "top center": (0, -1), "bottom center": (0, 1),
           "bottom left": (-1, 1), "bottom right": (1, 1), "top left": (-1, -1), "top right": (1, -1)}
_ABOVE = 0.09  # of the height, for names above the marks at the top
_HEIGHTS, _FREE = (0.5, 0.35, 0.65, 0.2, 0.8), 0.15  # where the floor's name may stand, and how far from a mark is far enough
Spot = tuple[float, float]


def race_figure(view: RaceView, split: str) -> go.Figure:
    """A filled mark for each method that was measured, an open one with its way so far for each that was only looked at.

    `layout.meta.points` counts the filled ones, `layout.meta.live` the live measurements.
    """
    spots = {lane.method: spot for lane in view.lanes if (spot := _spot(lane.after("forget"), lane.after(split)))}
    partial = [lane for lane in view.lanes if lane.method not in spots and lane.trail(split)]
    trails = {lane.method: [(100 - 100 * x, 100 * y) for x, y in lane.trail(split)] for lane in partial}
    lowest = min([y for _, y in spots.values()] + [y for trail in trails.values() for _, y in trail] + _start(view, split),
                 default=0.0)
    bottom = max(-4.0, min(86.0, 10 * (lowest // 10) - 4)) if spots or trails else 0.0
    places = _named(view, spots, split, bottom)
    traces = [_family([lane for lane in view.lanes if lane.family == family and lane.method in spots], spots, places)
              for family in dict.fromkeys(lane.family for lane in view.lanes if lane.method in spots)]
    traces += [_way(lane, trails[lane.method]) for lane in partial]
    shapes, notes = _levels(view, split, list(spots.values()), bottom)
    if not traces:
        notes = [*notes, note("The first points come with the first method." if view.lanes else "")]
    up = {"range": [bottom, 100 + (100 - bottom) * _ABOVE]} | ({"tickvals": [0, 25, 50, 75, 100]} if bottom < 20 else {})
    layout = frame(axis("◆ Forget questions no longer answered, %", range=[-4, 104], tickvals=[0, 25, 50, 75, 100]),
                   axis(f"● {SPLIT_TITLES[split]} still answered, %", **up), shapes=shapes, annotations=notes, height=HEIGHT,
                   meta={"points": len(spots), "live": sum(len(trail) for trail in trails.values())})
    return go.Figure({"data": traces, "layout": layout})


def _spot(forget: float | None, kept: float | None) -> Spot | None:
    return None if forget is None or kept is None else (100 - 100 * forget, 100 * kept)


def _start(view: RaceView, split: str) -> list[float]:
    return [100 * view.before[split].accuracy] if split in view.before else []


def _family(lanes: list[Lane], spots: dict[str, Spot], places: dict[str, str]) -> dict[str, Any]:
    symbol, _ = MARKS.get(lanes[0].family, OTHER)
    return {"type": "scatter", "mode": "markers+text", "name": lanes[0].family_title or lanes[0].family,
            "x": [round(spots[lane.method][0], 2) for lane in lanes], "y": [round(spots[lane.method][1], 2) for lane in lanes],
            "marker": {"symbol": symbol, "size": 13, "color": PLOT_GREY, "line": {"width": 0}},
            "text": [lane.title if lane.method in places else "" for lane in lanes], "cliponaxis": False,
            "textposition": [places.get(lane.method, "middle right") for lane in lanes],
            "textfont": {"size": 12, "color": PLOT_GREY}, "customdata": [lane.run_id for lane in lanes],
            "hovertext": [_told(lane, *spots[lane.method]) for lane in lanes], "hovertemplate": "%{hovertext}<extra></extra>"}


def _way(lane: Lane, trail: list[Spot]) -> dict[str, Any]:
    """The live sample's way of a method at work, or of one that was stopped before all was measured."""
    symbol, _ = MARKS.get(lane.family, OTHER)
    return {"type": "scatter", "mode": "lines+markers", "name": f"{lane.title}: live sample",
            "x": [round(x, 2) for x, _ in trail], "y": [round(y, 2) for _, y in trail],
            "line": {"color": PLOT_GREY, "dash": "dot", "width": 1.5}, "cliponaxis": False,
            "marker": {"symbol": f"{symbol}-open", "color": PLOT_GREY, "size": [4] * (len(trail) - 1) + [14],
                       "line": {"width": 2}},
            "customdata": [lane.run_id] * len(trail),
            "hovertemplate": f"{lane.title}, live sample<br>forgotten %{{x:.0f}} %, kept %{{y:.0f}} %<extra></extra>"}


def _told(lane: Lane, x: float, y: float) -> str:
    row = lane.row or {}
    parts = [f"<b>{lane.title}</b>", f"forgotten {x:.1f} %, kept {y:.1f} %"]
    parts += [f"KL {row['kl']:.4f} nats"] if row.get("kl") is not None else []
    parts += [f"{row['seconds']:.0f} s"] if row.get("seconds") is not None else []
    return "<br>".join([*parts, "click to open the run"])


def _levels(view: RaceView, split: str, spots: list[Spot], bottom: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the original keeps, and what a model that never saw the topic does not answer, said beside no mark."""
    shapes, notes = [], []
    line = {"color": PLOT_GREY, "dash": "dot", "width": 1}
    kept, forget = view.before.get(split), view.before.get("forget")
    small = {"font": {"color": PLOT_GREY, "size": 12}}
    if kept is not None:
        y = 100 * kept.accuracy
        shapes.append({"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line})
        notes.append(note("the original keeps", x=0.25, y=y, yref="y", xanchor="left", yanchor="top", **small))
    if forget is not None and forget.reference is not None:
        x = 100 - 100 * forget.reference
        word = "chance" if forget.reference_kind == "chance" else "never knew"
        shapes.append({"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x, "line": line})
        beside = [(y - bottom) / ((100 - bottom) * (1 + _ABOVE)) for at, y in spots if -6 < at - x < 3]
        height = max(_HEIGHTS, key=lambda height: min([abs(height - mark) for mark in beside] + [_FREE]))
        notes.append(note(word, x=x, xref="x", y=height, xanchor="right", textangle=-90, **small))
    return shapes, notes


# Names beside the marks: only where one has room, the others are told by pointing -------------------------------------

def _named(view: RaceView, spots: dict[str, Spot], split: str, bottom: float) -> dict[str, str]:
    """Where the name of each mark stands, for those whose name covers no mark, no line and no other name."""
    def place(x: float, y: float) -> Spot:
        return (x + 4) / 108 * _WIDE, -y / ((100 - bottom) * (1 + _ABOVE)) * _HIGH

    at = {method: place(*spot) for method, spot in spots.items()}
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in at.values()]
    taken += [(0, place(0, y)[1] - 4, _WIDE, place(0, y)[1] + 4) for y in _start(view, split)]
    found: dict[str, str] = {}
    for lane in (lane for lane in view.lanes if lane.method in at):
        for word, box in _boxes(*at[lane.method], _LETTER * len(lane.title)):
            if -4 <= box[0] and box[2] <= _WIDE and not any(_meet(box, other) for other in taken):
                found[lane.method] = word
                taken.append(box)
                break
    return found


def _boxes(x: float, y: float, width: float) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """Where a name of that width may stand beside a mark."""
    for word, (across, down) in _PLACES.items():
        left, top = x + across * (width / 2 + 10) - width / 2, y + down * (_LINE / 2 + 9) - _LINE / 2
        yield word, (left, top, left + width, top + _LINE)


def _meet(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]
