"""The Runs tab: the table of all runs, and what can be done with the chosen one. Wires nothing; opens no file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from unlearn_core.config import SPLITS
from unlearn_core.store import RECORDED, RunRecord

from .numbers import UNIT, duration, percent
from .picker import Picker
from .problems import empty_html
from .spreadsheet import link_html
from .strip import EXAMPLE
from .terms import explained

_NUMBER = ' class="number"'
COLUMNS = (("Run", ""), ("Status", ""), ("Method", ""), ("Forget", _NUMBER), ("Retain", _NUMBER), ("Time", _NUMBER),
           ("Started", ""), ("Note", ""))  # fmt: skip
NONE: Mapping[str, str] = {}
COLUMNS_SAVED = ("run", "name", "status", "model", "topic", "method", "seed", "settings", "seconds", "started_at", "note")
HINT = "Choose a run by its name to open it, run it again, name it, download its edit or delete it."
LONGEST_TITLE = 80
LONGEST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Runs:
    """The widgets of the tab. `panel` is shown once a run is chosen."""

    table: Picker
    undo_row: gr.Row
    deleted: gr.HTML
    undo: gr.Button
    panel: gr.Column
    heading: gr.HTML
    title: gr.Textbox
    note: gr.Textbox
    save: gr.Button
    open: gr.Button
    again: gr.Button
    download: gr.DownloadButton
    delete: gr.Button


def build_runs(first: str) -> Runs:
    """The table, which shows `first` before anything is asked of the server, and the panel of the chosen run."""
    table = Picker(first, elem_id="runs-table")
    with gr.Row(visible=False, elem_id="undo-row") as undo_row:
        deleted = gr.HTML("", elem_id="deleted")
        undo = gr.Button("Undo", size="sm", min_width=96, scale=0, elem_id="undo")
    with gr.Column(visible=False, elem_id="run-panel", elem_classes="lethe-panel") as panel:
        heading = gr.HTML("", elem_id="run-heading")
        with gr.Row():
            title = gr.Textbox(label="Name", max_lines=1, max_length=LONGEST_TITLE, elem_id="run-title", scale=2)
            note = gr.Textbox(label="Note", max_lines=3, max_length=LONGEST_NOTE, elem_id="run-note", scale=3)
        with gr.Row(elem_id="run-actions"):
            opened = gr.Button("Open", variant="primary", size="sm", elem_id="open-run", min_width=90)
            again = gr.Button("Run again with these settings", size="sm", elem_id="again", min_width=220)
            download = gr.DownloadButton("Download the edit", size="sm", elem_id="download", min_width=160)
            save = gr.Button("Save name and note", size="sm", elem_id="save-run", min_width=160)
            delete = gr.Button("Delete", size="sm", variant="stop", elem_id="delete-run", min_width=90)
    return Runs(
        table=table,
        undo_row=undo_row,
        deleted=deleted,
        undo=undo,
        panel=panel,
        heading=heading,
        title=title,
        note=note,
        save=save,
        open=opened,
        again=again,
        download=download,
        delete=delete,
    )


def table_html(records: list[RunRecord], open_run: str, chosen: str | None, titles: Mapping[str, str] = NONE) -> str:
    """Newest first. Each row's name is a button that chooses the run; the row of the open run says so. `titles`: of topics and
    methods, by name."""
    if not records:
        return empty_html("Every run will be listed here.", "Choose a topic and press Unlearn.")
    heads = "".join(f'<th scope="col"{kind}>{explained(title, title.lower())}</th>' for title, kind in COLUMNS)
    rows = "".join(_row(record, open_run, chosen, titles) for record in records)
    table = f'<table class="runs run-history"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    saved = link_html("runs-csv", "lethe-runs.csv", *saved_rows(records))
    return f'<div class="table-scroll">{table}</div><p class="lt lt-quiet">{HINT} {saved}</p>'


def saved_rows(records: list[RunRecord]) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Columns, and each run with what was asked for and every set's accuracy before and after."""
    figures = [f"{split}_{stage}" for split in SPLITS for stage in ("before", "after")]
    rows = []
    for record in records:
        scores = (record.summary or {}).get("accuracy") or {}
        found = {f"{split}_{stage}": values.get(stage) for split, values in scores.items() for stage in ("before", "after")}
        config = record.config
        asked = {name: getattr(config, name) for name in ("model", "topic", "method", "seed")}
        asked["settings"] = json.dumps(config.settings, sort_keys=True)
        known = {name: getattr(record, name) for name in ("status", "seconds", "started_at", "note")}
        rows.append({"run": record.run_id, "name": record.title, **asked, **known, **found})
    return (*COLUMNS_SAVED[:8], *figures, *COLUMNS_SAVED[8:]), rows


def _row(record: RunRecord, open_run: str, chosen: str | None, titles: Mapping[str, str]) -> str:
    classes = " ".join(
        name for name, is_so in (("open", record.run_id == open_run), ("chosen", record.run_id == chosen)) if is_so
    )
    run_id = escape(record.run_id, quote=True)
    name = escape(title_of(record, titles))
    topic = escape(_titled(Path(record.config.topic).stem, titles))
    about = f'<span class="run-topic">{topic}</span>' if topic != name else ""  # of a run that was given another name
    mark = '<span class="open-mark">open</span>' if record.run_id == open_run else ""
    cells = [
        f'<th scope="row"><button type="button" class="run-name" data-pick="{run_id}" title="{name}">{name}</button>'
        f"{mark}{about}</th>",
        f'<td><span class="status status-{record.status}">{escape(record.status)}</span></td>',
        f'<td class="run-method">{escape(_titled(record.config.method, titles))}</td>',
        _moved(record, "forget"),
        _moved(record, "retain"),
        f'<td class="number" data-label="Time">{duration(record.seconds) if record.seconds else "–"}</td>',
        f'<td class="run-started">{escape(_day(record.started_at))}</td>',
        f'<td class="note">{escape(record.note or "")}</td>',
    ]
    return f'<tr class="{classes}" data-run="{run_id}" data-pick="{run_id}">{"".join(cells)}</tr>'


def _moved(record: RunRecord, split: str) -> str:
    scores = ((record.summary or {}).get("accuracy") or {}).get(split) or {}
    before, after = scores.get("before"), scores.get("after")
    if after is None:
        return f'<td class="number" data-label="{split.capitalize()}">n/a</td>'
    start = f"{percent(before).removesuffix(UNIT)} → " if before is not None else ""
    return f'<td class="number" data-label="{split.capitalize()}">{start}{percent(after)}</td>'


def _day(started_at: str) -> str:
    return (started_at or "")[:16].replace("T", " ")


def _titled(name: str, titles: Mapping[str, str]) -> str:
    return titles.get(name, name) or "–"


def title_of(record: RunRecord, titles: Mapping[str, str]) -> str:
    """The name that a person gave it, else what was forgotten."""
    return EXAMPLE if record.run_id == RECORDED else record.title or _titled(Path(record.config.topic).stem, titles)


def heading_html(record: RunRecord, titles: Mapping[str, str]) -> str:
    """Which run is chosen, its method and its id."""
    method = _titled(record.config.method, titles)
    return f'<h2>{escape(title_of(record, titles))}</h2><p class="run-id">{escape(method)} · {escape(record.run_id)}</p>'
