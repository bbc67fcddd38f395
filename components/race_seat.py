"""How a browser tab looks at a race. Knows no widgets, no runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from .race_view import RaceView
from .series_seat import SeriesSeat


@dataclass
class RaceSeat(SeriesSeat):
    """The race in sight, and how its picture and table stand."""

    upward: str = "retain"
    sort: str = ""
    falling: bool = False
    view: RaceView = field(default_factory=RaceView)
    now: float = 0.0
    running: bool = False

    def reset(self) -> None:
        self.view, self.now, self.running = RaceView(), 0.0, False

    def sort_by(self, key: str) -> None:
        """Another column; the same one again turns the order round."""
        self.falling = not self.falling if key == self.sort else False
        self.sort = key
