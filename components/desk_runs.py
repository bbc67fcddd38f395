"""Using the Runs tab: choosing, opening, repeating, naming and deleting runs. Wires nothing."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from unlearn_core.store import RECORDED, RunRecord

from . import runs
from .desk import Desk
from .screen import Drawn
from .seats import Seat


class RunsDesk:
    """Handlers of the Runs tab."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.store = desk, desk.store

    def choose(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """A row of the table."""
        record = self.store.find(str(picked["value"]))
        seat.chosen = record.run_id
        return self._panel(record) | self.desk.listing(seat)

    def _panel(self, record: RunRecord) -> Drawn:
        free = not record.read_only
        edit = self.store.offered_edit(record.run_id)
        return {
            "run_panel": gr.Column(visible=True),
            "run_heading": runs.heading_html(record, self.desk.titles()),
            "run_title": gr.Textbox(value=runs.title_of(record, self.desk.titles()), visible=free),
            "run_note": gr.Textbox(value=record.note, visible=free),
            "save_run": gr.Button(visible=free),
            "delete_run": gr.Button(visible=free and record.status != "running"),
            "download": gr.DownloadButton(value=str(edit) if edit else None, visible=edit is not None),
        }

    def open(self, seat: Seat) -> Drawn:
        return self.desk.open(seat, seat.chosen) if seat.chosen else {}

    def save(self, seat: Seat, title: str, note: str) -> Drawn:
        """Keep the name and the note."""
        if not seat.chosen:
            return {}
        chosen = self.store.find(seat.chosen)
        if title != runs.title_of(chosen, self.desk.titles()):  # a name that is only shown is not kept as somebody's own
            self.store.rename(seat.chosen, title)
        self.store.note(seat.chosen, note)
        return self._panel(self.store.find(seat.chosen)) | self.desk.listing(seat)

    def delete(self, seat: Seat) -> Drawn:
        """Move the chosen run to the trash; the row above the panel offers to bring it back."""
        if not seat.chosen:
            return {}
        name = runs.title_of(self.store.find(seat.chosen), self.desk.titles())
        self.store.delete(seat.chosen)
        seat.deleted, seat.chosen = seat.chosen, None
        left = self.desk.open(seat, RECORDED, tab="runs") if seat.deleted == seat.run_id else {}
        return (
            left
            | {
                "run_panel": gr.Column(visible=False),
                "undo_row": gr.Row(visible=True),
                "deleted": f"<p>Deleted: {escape(name)}</p>",
            }
            | self.desk.listing(seat)
        )

    def undo(self, seat: Seat) -> Drawn:
        """Bring the last deleted run back."""
        if not seat.deleted:
            return {}
        run_id, seat.deleted = seat.deleted, None
        self.store.restore(run_id)
        return {"undo_row": gr.Row(visible=False)} | self.choose(seat, {"value": run_id})
