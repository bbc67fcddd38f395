"""Using the sequences under Runs: opening a request's run, undoing a request. Wires nothing."""

from __future__ import annotations

from typing import Any

from unlearn_core.errors import LetheError

from .desk import Desk, card
from .screen import Drawn
from .seats import Seat
from .sequences import OPEN, UNDO, picked, sequences_html


class SequencesDesk:
    """Handlers of the sequences."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def choose(self, seat: Seat, event: dict[str, Any]) -> Drawn:
        """A button in a table: the run is opened, or the undo announced, which `undo` then carries out."""
        what, name, place = picked(str(event["value"]))
        if what == OPEN:
            return self.desk.open(seat, name)
        if what == UNDO and seat.undoing is None:
            seat.undoing = name, place
        return self._shown(seat)

    def undo(self, seat: Seat) -> Drawn:
        """Measure without the request that was announced; waits for the model."""
        if seat.undoing is None:
            return {}
        try:
            self.desk.runner.undo_request(seat.undoing[0], [seat.undoing[1]])
            said = ""
        except LetheError as error:
            said = card(error)
        finally:
            seat.undoing = None
        return {"messages": said} | self._shown(seat)

    def _shown(self, seat: Seat) -> Drawn:
        return {"sequences": sequences_html(self.desk.store.sequences(), seat.undoing)}
