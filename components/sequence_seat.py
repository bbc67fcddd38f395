"""How a browser tab looks at a sequence of requests. Knows no widgets, no runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from .sequence_now import Doing
from .series_seat import SeriesSeat


@dataclass
class SequenceSeat(SeriesSeat):
    """The sequence in sight, how far it is, and what its form offers: topics as (title, name), and modes."""

    doing: Doing = field(default_factory=Doing)
    running: bool = False
    topics: list[tuple[str, str]] | None = None
    modes: list[str] | None = None

    def reset(self) -> None:
        self.doing, self.running = Doing(), False
