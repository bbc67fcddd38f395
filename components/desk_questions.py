"""Using the Questions tab: filters, search, order, pages, unfolding a row, and the download. Wires nothing.

Every handler is told what stands in the search box: what was typed last counts, whichever event comes first.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from unlearn_core.errors import LetheError

from .desk import Desk
from .pairs import way_of
from .questions import (
    AS_ASKED,
    EVERY,
    HIGHEST,
    LONGEST_SEARCH,
    LOWEST,
    Choice,
    csv_text,
    found,
)
from .screen import Drawn
from .seats import Seat
from .spreadsheet import BYTE_ORDER_MARK


class QuestionsDesk:
    """Handlers of the Questions tab."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.runner = desk, desk.runner

    def pick(self, seat: Seat, picked: dict[str, Any], search: str) -> Drawn:
        """A filter, the heading of Δ, a page, or a row."""
        self._search(seat, search)
        kind, _, value = str(picked["value"]).partition(":")
        drawn: Drawn = {}
        with seat.lock:
            if self._late(seat, kind, picked.get("at")):
                return {}
            now = seat.listed
            if kind == "all":
                seat.listed, drawn = Choice(outcome=EVERY, order=now.order), {"questions_search": ""}
            elif kind == "outcome":
                seat.listed = now.but(outcome=value)
            elif kind == "split":
                seat.listed = now.but(split=value)
            elif kind == "order" and value in (AS_ASKED, LOWEST, HIGHEST):
                seat.listed = now.but(order=value)
            elif kind == "page" and value.isdecimal():
                seat.listed = replace(now, page=int(value), opened="")
            elif kind in ("open", "close"):
                seat.listed = replace(now, opened=value)
        self._want_scores(seat)
        return self.desk.redraw(seat) | drawn

    def _late(self, seat: Seat, kind: str, at: Any) -> bool:
        """Whether something of that kind was picked later already: two requests may overtake each other on their way."""
        kind, at = "open" if kind == "close" else kind, float(at or 0)
        before, seat.picked_at = seat.picked_at.get(kind, 0.0), seat.picked_at | {kind: max(at, seat.picked_at.get(kind, 0.0))}
        return at < before

    def search(self, seat: Seat, text: str) -> Drawn:
        self._search(seat, text)
        return self.desk.redraw(seat)

    def _search(self, seat: Seat, text: str) -> None:
        text = str(text or "")[:LONGEST_SEARCH].strip()
        with seat.lock:
            if text != seat.listed.search:
                seat.listed = seat.listed.but(search=text)

    # --- the unfolded row ---------------------------------------------------------------------------------------------

    def set_mode(self, seat: Seat, mode: str) -> Drawn:
        """Another way of looking, here and in the tab that compares."""
        seat.mode = mode
        self._want_scores(seat)
        return self.desk.redraw(seat) | {"mode": mode}

    def _want_scores(self, seat: Seat) -> None:
        """Heat of a question whose words the run did not score: to be scored next, where there is an edit to score them with."""
        view, name = self.desk.view(seat), seat.listed.opened
        missing = name and name not in view.scores and name not in seat.heats and view.edit is not None
        seat.scoring = name if missing and way_of(seat.mode) == "Heat" else ""

    def score(self, seat: Seat) -> Drawn:
        """Let both models read the unfolded question's expected answer; `show` draws what came of it."""
        name, generation = seat.scoring, seat.generation
        if not name:
            return {}
        try:
            scores = {item.question_id: item for item in self.runner.heat(seat.run_id, [name], 1.0)}
        except LetheError:  # a run that cannot be asked: the row stays without the heat
            scores = {}
        with seat.lock:
            if seat.generation == generation:
                seat.heats = seat.heats | scores
                seat.scoring = "" if seat.scoring == name else seat.scoring
        return {}

    def show(self, seat: Seat) -> Drawn:
        return self.desk.redraw(seat)

    # --- the download -------------------------------------------------------------------------------------------------

    def save(self, seat: Seat, search: str) -> Drawn:
        """The questions of the list, all pages of it, as a file that the browser saves."""
        self._search(seat, search)
        seat.saved += 1
        choice = seat.listed
        kinds = [part for part in (choice.split, choice.outcome if choice.outcome != EVERY else "all") if part]
        body = {"number": seat.saved, "name": f"lethe-questions-{'-'.join([seat.run_id, *map(_plain, kinds)])}.csv",
                "text": BYTE_ORDER_MARK + csv_text(found(self.desk.view(seat).answers, choice))}  # fmt: skip
        return self.desk.redraw(seat) | {"questions_file": json.dumps(body)}


def _plain(name: str) -> str:
    """A name that may stand in a file's name."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)[:40]
