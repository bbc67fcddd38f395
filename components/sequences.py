"""Saved sequences of requests as tables of heat: a line for each request and for all that is kept, a column for each step.

Pure; knows only the saved tables. Hue says which set, as everywhere; the brighter, the more is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .numbers import duration, interval, percent
from .palette import HEAT_ALPHA, glyph
from .problems import empty_html, problem_html
from .spreadsheet import link_html

MODES = {
    "stack": "each edit trained on top of the earlier ones",
    "fuse": "added layers, fused in closed form from what each reads: exact for layers of one matrix (width 0), near it for two",
    "apart": "each edit kept off the earlier ones",
    "joint": "one run over all requests",
}
MODE_TITLES = {"stack": "Stacked", "fuse": "Fused", "apart": "Kept apart", "joint": "All at once"}
POOLED = {"forget": "All forgotten so far", "forget_paraphrase": "… in other words", "forget_spanish": "… in Spanish",
          "forget_choice": "… among options"}  # fmt: skip
KEPT = {"neighbor": "Neighbours", "retain": "Retain", "general": "General knowledge"}
UNDO, OPEN = "undo", "open"
CELL = ("accuracy", "correct", "n", "low", "high", "removed")
COLUMNS = ("step", "request", "line", "split", "asked", *CELL)


def picked(value: str) -> tuple[str, str, int]:
    """What a button stands for: (UNDO, sequence, request), or (OPEN, run, 0); ("", "", 0) for anything else."""
    what, _, rest = value.partition(":")
    place, _, name = rest.partition(":")
    if what == UNDO and place.isdecimal() and name:
        return UNDO, name, int(place)
    return (OPEN, rest, 0) if what == OPEN and rest else ("", "", 0)


def mode_words_html(mode: str, unable: Mapping[str, str]) -> str:
    """What a mode does, and why others cannot be chosen."""
    why = "".join(f"<li>{escape(MODE_TITLES[name])}: {escape(words)}</li>" for name, words in unable.items())
    cannot = f'<ul class="estimate sequence-unable">{why}</ul>' if why else ""
    return f'<p class="estimate">{escape(MODES[mode].capitalize())}.</p>{cannot}'


def sequences_html(
    bodies: Sequence[Mapping[str, Any]], undoing: tuple[str, int] | None = None, shown: str = "", undone: str = ""
) -> str:
    """All saved sequences, newest first; open is the one that is `shown`, or the newest, and the one in which a request was last
    `undone`. `undoing`: the request (of a sequence) that is being undone right now."""
    if not bodies:
        said = empty_html("Here each request will be a line and each step a column: how much is still known of what was to be "
                          "forgotten, and of all that is kept.", "Choose who asks and press Start sequence.")  # fmt: skip
        return f'<section class="lt sequences"><h2>Sequences of requests</h2>{said}</section>'
    names = [body["sequence_id"] for body in bodies]
    first = shown if shown in names else names[0]
    parts = "".join(_sequence(body, undoing, body["sequence_id"] in (first, undone)) for body in bodies)
    return f'<section class="lt sequences"><h2>Sequences of requests</h2>{parts}</section>'


def _sequence(body: Mapping[str, Any], undoing: tuple[str, int] | None, first: bool) -> str:
    sequence_id, mode = body["sequence_id"], body["mode"]
    waits = undoing[1] if undoing and undoing[0] == sequence_id else 0
    about = f"{body['status']} · {duration(body['seconds'])} · {sequence_id}"
    count = len(body["requests"])
    head = (f"<strong>{escape(body['method'])}, {count} request{'s' * (count != 1)}</strong>: {escape(MODES.get(mode, mode))}"
            f'<span class="sequence-about">{escape(about)}</span>')  # fmt: skip
    conflicts = _listed("Contradictions:", [conflict["words"] for conflict in body["conflicts"]])
    besides = [line for step in body["undone"] for line in step.get("unexpected", ())]
    conflicts += _listed("The undo did more, or less, than it was asked:", besides)
    error = body.get("error")
    failed = problem_html(error["what"], error["why"], error.get("remedy", ""), error.get("trace", "")) if error else ""
    waiting = f'<p role="status">Measuring without request {waits} …</p>' if waits else ""
    opened = " open" if first or waits else ""
    return (f'<details class="sequence" data-sequence="{escape(sequence_id, quote=True)}"{opened}><summary>{head}</summary>'
            f"{_table(body, waits)}{waiting}{failed}{conflicts}</details>")  # fmt: skip


def _listed(title: str, lines: Sequence[str]) -> str:
    said = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<p>{title}</p><ul class="conflicts">{said}</ul>' if said else ""


def _table(body: Mapping[str, Any], waits: int) -> str:
    steps = [*body["steps"], *body["undone"]]
    if not steps:
        return ""
    titles = ["Floor", *(step["title"] for step in steps)]
    heads = "".join(f'<th scope="col" class="number">{escape(title)}</th>' for title in titles)
    rows = [_request(body, row, steps, waits) for row in body["rows"] if row["kind"] == "request" and row["split"] == "forget"]
    rows += [_line(words, split, None, [step["pooled"].get(split) for step in steps])
             for split, words in POOLED.items() if any(split in step["pooled"] for step in steps)]  # fmt: skip
    rows += [_line(_kept_words(row), row["split"] or "retain", row.get("reference"),
                   [step["cells"].get(row["key"]) for step in steps])
             for row in body["rows"] if row["kind"] != "request"]  # fmt: skip
    name = body["sequence_id"]
    saved = link_html(f"csv-{name}", f"lethe-{name}.csv", COLUMNS, saved_rows(body))
    return (f'<div class="table-scroll"><table class="runs heat-table"><thead><tr><th scope="col">Request</th>{heads}<th></th></tr>'
            f"</thead><tbody>{''.join(rows)}</tbody></table></div>{saved}")  # fmt: skip


def saved_rows(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every line at every step, of all sets."""
    rows = []
    for step in [*body["steps"], *body["undone"]]:
        for row in body["rows"]:
            if (cell := step["cells"].get(row["key"])) is not None:
                asked = row["request"] in step["asked"] if row["request"] else None
                rows.append({"step": step["title"], "request": row["request"] or None, "line": row["title"], "split": row["split"],
                             "asked": asked, **{name: cell.get(name) for name in CELL}})
    return rows


def _request(body: Mapping[str, Any], row: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], waits: int) -> str:
    place = row["request"]
    run = next((run["run_id"] for run in body["runs"] if run["place"] == place), None)
    words = escape(f"{place} {row['title']}")
    if run is not None and body["mode"] != "joint":
        target = escape(f"{OPEN}:{run}", quote=True)
        words = f'<button type="button" class="run-name" data-pick="{target}">{words}</button>'
    cells = "".join(_cell(step["cells"].get(row["key"]), "forget" if place in step["asked"] else "retain",
                          place in step["asked"]) for step in steps)  # fmt: skip
    button = ""
    if any(step.get("without") == [place] for step in body["undone"]):
        button = '<span class="lt-quiet">undone in its own column</span>'
    elif run is not None and body["mode"] != "joint":
        target = escape(f"{UNDO}:{place}:{body['sequence_id']}", quote=True)
        off = " disabled" if waits or body["status"] == "running" else ""
        button = (f'<button type="button" class="undo-request" data-pick="{target}"{off} '
                  f'aria-label="Undo request {place}">Undo</button>')  # fmt: skip
    return f'<tr><th scope="row">{words}</th>{_floor(row.get("reference"))}{cells}<td>{button}</td></tr>'


def _line(words: str, split: str, floor: float | None, cells: Sequence[Mapping[str, Any] | None]) -> str:
    shown = "".join(_cell(cell, "forget" if split.startswith("forget") else "retain") for cell in cells)
    return f'<tr class="whole"><th scope="row">{escape(words)}</th>{_floor(floor)}{shown}<td></td></tr>'


def _floor(share: float | None) -> str:
    """What a model scores that never saw any of it."""
    return f'<td class="number">{"–" if share is None else percent(share)}</td>'


def _kept_words(row: Mapping[str, Any]) -> str:
    if row["kind"] == "others":
        return "Others that nobody asks to forget"
    return "Contested questions" if row["kind"] == "contested" else KEPT.get(row["title"], row["title"])


def _cell(cell: Mapping[str, Any] | None, side: str, asked: bool = True) -> str:
    """An accuracy on its hue: that of what is to be forgotten once it was asked for, that of what is kept before."""
    if cell is None:
        return '<td class="number">–</td>'
    share = round(100 * HEAT_ALPHA * cell["accuracy"], 1)
    hint = f"{cell['correct']} of {cell['n']} right, {interval(cell['low'], cell['high'])}"
    hint += "" if asked else "; not asked to be forgotten here"
    return (f'<td class="number" style="background: color-mix(in srgb, var(--lt-{side}) {share}%, transparent)" '
            f'title="{escape(hint, quote=True)}"><span aria-hidden="true">{glyph(side)}</span> '
            f"{percent(cell['accuracy'])}</td>")  # fmt: skip
