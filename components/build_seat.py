"""Which training of a model that never saw a topic a browser tab looks at. Knows no widgets, no runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from .build_words import Offer
from .sequence_now import Doing
from .series_seat import SeriesSeat


@dataclass
class BuildSeat(SeriesSeat):
    """The training in sight and how far it is; and, of the open run, what could be trained."""

    offer: Offer = field(default_factory=Offer)
    doing: Doing = field(default_factory=Doing)
    since: float = 0.0  # time.monotonic() at its start
    running: bool = False
    pictures: int = 0  # how often it was drawn

    def reset(self) -> None:
        self.doing, self.running = Doing(), False
