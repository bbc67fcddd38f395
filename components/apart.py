"""UNLEARN taken apart, as measured once by `benchmarks.apart`: forget × neighbour curves. Knows the file; no run, no widget."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from .numbers import NOT_MEASURED, percent
from .palette import PLOT_FORGET, PLOT_GREY, PLOT_RETAIN, SPLIT_TITLES
from .plots import axis, frame
from .spreadsheet import link_html
from .terms import remarked

MEASURED = Path(__file__).parent.parent / "assets" / "unlearn_apart.json"
GROUPS = {"parts": "Its parts", "ranks": "Its rank", "shared": "Shared values"}
_WORDS = {
    "parts": "Each part left out or exchanged. Up and to the right is better: forgotten, and neighbours kept.",
    "ranks": "The same with fewer or more directions to forget in every matrix.",
    "shared": "From none to all of the questions to forget have an answer that a neighbour has too; filled with discrimination, "
    "open without.",
}
_MEANT = {
    "as it is": "UNLEARN with its default settings.",
    "hard projection instead of damping": "Directions that kept text uses are cut off altogether, instead of damped by how much it "
    "uses them.",
    "identified, not discriminated": "The directions that the topic uses most, whether or not kept text uses them too.",
    "random subspace of equal rank": "As many directions, drawn at random.",
    "no stand-ins": "Without the copies of kept questions, with other names and words, that stand for what is kept but not given.",
    "no loss on kept text": "Nothing holds the answers on kept text in place while the change is trained; discrimination alone "
    "protects them.",
    "literal reading": "As the paper's text has it: train a task matrix layer by layer, make its directions orthogonal to those of "
    "similar tasks (Gram-Schmidt), subtract what is left.",
}
_SHARED_MEANT = {"discrimination": "The step that turns the change away from directions which kept text uses."}
_RANK_MEANT = {"directions": "The rank: the number of independent directions in the change of a matrix."}
_SYMBOLS = ("square", "triangle-up", "triangle-down", "cross", "x", "pentagon", "hourglass")
_DASHES = ("dash", "dot", "dashdot", "longdash", "dash", "dot", "dashdot")
_ALONE = "not discriminated"


def measured(file: Path = MEASURED) -> dict[str, Any] | None:
    """What the benchmark wrote, or None where there is none that can be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def origin_words(found: dict[str, Any]) -> str:
    """What was measured on what, as HTML."""
    return (f'<p class="lt lt-words">Measured once on <b>{escape(found["title"])}</b> with the built-in model (seed '
            f'{found["seed"]}), not on the open run: every curve is one edit at rising strength, '
            f'its large mark strength 1. '
            f'<code>python -m benchmarks.apart --topic {escape(found["topic"])}</code> repeats it, and other topics are done '
            "the same way.</p>")


def group_words(found: dict[str, Any], group: str) -> str:
    """What a figure shows, and what its curves are called after, as HTML."""
    names = [case["name"] for case in found["cases"] if case["group"] == group]
    meant = {"ranks": _RANK_MEANT, "shared": _SHARED_MEANT}.get(group) or {name: _MEANT[name] for name in names if name in _MEANT}
    terms = " · ".join(remarked(name, text) for name, text in meant.items())
    return f'<p class="lt lt-words">{_WORDS[group]}{f" What is meant by {terms}." if terms else ""}</p>'


def apart_figure(found: dict[str, Any], group: str) -> go.Figure:
    """The curves of one group: forget questions no longer answered across, neighbours still answered upwards, in per cent."""
    cases = [case for case in found["cases"] if case["group"] == group]
    whole = next(case for case in found["cases"] if case["group"] == "parts")  # the first is UNLEARN as it is
    shown = cases if group == "parts" else [whole, *cases] if group == "ranks" else cases
    traces, turn = [], 0
    for case in shown:
        if case is whole:
            style = {"line": {"color": PLOT_FORGET, "width": 3}, "symbol": "star"}
        elif group == "shared":
            alone = _ALONE in case["name"]
            pair = sum(_ALONE in other["name"] for other in shown[: shown.index(case)])
            style = {"line": {"color": PLOT_GREY if alone else PLOT_RETAIN, "width": 1.5 if alone else 2.5,
                              "dash": "dot" if alone else "solid"},
                     "symbol": _SYMBOLS[pair % len(_SYMBOLS)] + ("-open" if alone else "")}
        else:
            style = {"line": {"color": PLOT_GREY, "width": 1.5, "dash": _DASHES[turn % len(_DASHES)]},
                     "symbol": _SYMBOLS[turn % len(_SYMBOLS)]}
            turn += 1
        traces.append(_trace(case, style))
    lowest = min(value for trace in traces for value in trace["y"])
    layout = frame(axis("◆ Forget questions no longer answered, %", range=[-4, 104], tickvals=[0, 25, 50, 75, 100]),
                   axis("● Neighbours still answered, %", range=[10 * (lowest // 10) - 2, 102]), height=440)
    return go.Figure({"data": traces, "layout": layout})


def group_table_html(found: dict[str, Any], group: str) -> str:
    """Strength 1 of every curve as a table, with the sets that the picture leaves out."""
    splits = [split for split in SPLIT_TITLES if any(split in point for case in found["cases"] for point in case["points"])]
    head = "".join(f'<th scope="col">{name}</th>' for name in ("rank", "change", *(SPLIT_TITLES[split] for split in splits)))
    rows = ""
    for case in (case for case in found["cases"] if case["group"] == group):
        point = next(point for point in case["points"] if point["strength"] == 1)
        cells = [str(case["rank"]), percent(case["relative_change"])]
        cells += [f"{_share(point, split):.1f} %" if split in point else NOT_MEASURED for split in splits]
        rows += f'<tr><th scope="row">{escape(case["name"])}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
    return ('<details class="lt lt-table"><summary>Strength 1 as a table: right answers of every set</summary>'
            f'<div class="lt-scroll"><table><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
            f"{link_html(f'apart-{group}-csv', f'lethe-apart-{group}.csv', *point_rows(found, group, splits))}</details>")


def point_rows(found: dict[str, Any], group: str, splits: list[str]) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Columns, and every point of every curve of a group: the share of right answers of each set."""
    rows = [{"setting": case["name"], "rank": case["rank"], "relative_change": case["relative_change"],
             "strength": point["strength"], **{split: _share(point, split) / 100 for split in splits if split in point}}
            for case in found["cases"] if case["group"] == group for point in case["points"]]
    return ("setting", "rank", "relative_change", "strength", *splits), rows


def _trace(case: dict[str, Any], style: dict[str, Any]) -> dict[str, Any]:
    """One setting: a line through its strengths, a mark where the strength is 1 and dots elsewhere."""
    points = sorted(case["points"], key=lambda point: point["strength"])
    colour = style["line"]["color"]
    told = [f"strength {point['strength']:g}, rank {case['rank']}, change {100 * case['relative_change']:.0f} % of the weights"
            for point in points]
    return {"type": "scatter", "mode": "lines+markers", "name": case["name"], "line": style["line"], "cliponaxis": False,
            "x": [round(100 - _share(point, "forget"), 1) for point in points],
            "y": [round(_share(point, "neighbor"), 1) for point in points], "customdata": told,
            "marker": {"symbol": style["symbol"], "color": colour,
                       "size": [13 if point["strength"] == 1 else 5 for point in points]},
            "hovertemplate": f"<b>{case['name']}</b><br>%{{customdata}}<br>forgotten %{{x:.0f}} %, neighbours %{{y:.0f}} %"
                             "<extra></extra>"}


def _share(point: dict[str, Any], split: str) -> float:
    right, asked = point[split]
    return 100 * right / asked
