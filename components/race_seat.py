"""Which race a browser tab looks at, and how. Knows no widgets, no runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from .race_view import RaceView


@dataclass
class RaceSeat:
    """`generation` grows with every race that is opened in the tab; a follower of an older generation ends."""

    race_id: str = ""
    generation: int = 0
    pending: bool = False  # a race was opened that nobody follows yet
    shown: bool = False  # whether Race is the view that the Runs tab shows
    stopping: bool = False
    upward: str = "retain"
    sort: str = ""
    falling: bool = False
    view: RaceView = field(default_factory=RaceView)
    now: float = 0.0
    running: bool = False
    seen: dict[str, Any] = field(default_factory=dict)  # the parts as they are on the page
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def open(self, race_id: str) -> None:
        """Look at another race from now on."""
        with self.lock:
            self.generation += 1
            self.race_id, self.pending, self.stopping = race_id, True, False
            self.view, self.now, self.running = RaceView(), 0.0, False
            self.seen.clear()

    def begin(self) -> int | None:
        """The generation of a new follower, or None when nothing was opened since the last one began."""
        with self.lock:
            begun, self.pending = self.pending, False
            return self.generation if begun else None

    def sort_by(self, key: str) -> None:
        """Another column; the same one again turns the order round."""
        self.falling = not self.falling if key == self.sort else False
        self.sort = key
