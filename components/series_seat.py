"""Which race, or which sequence, a browser tab looks at. Knows no widgets, no runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from .pictures import numbered


@dataclass
class SeriesSeat:
    """`generation` grows with every one that is opened in the tab; a follower of an older generation ends."""

    name: str = ""
    generation: int = 0
    pending: bool = False  # one was opened that nobody follows yet
    shown: bool = False  # whether its view is the one that the Runs tab shows
    stopping: bool = False
    told: str = ""  # the one that was last opened, or offered to be watched
    seen: dict[str, Any] = field(default_factory=dict)  # the parts as they are on the page
    pictures: int = 0  # how many numbered ones there were
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def open(self, name: str) -> None:
        """Look at another one from now on."""
        with self.lock:
            self._open(name)

    def join(self, name: str) -> bool:
        """Look at that one where none stands here; whether it does now."""
        with self.lock:
            if not self.name:
                self._open(name)
                return True
            return False

    def _open(self, name: str) -> None:
        self.generation += 1
        self.name, self.told, self.pending, self.stopping = name, name, True, False
        self.reset()
        self.seen.clear()

    def reset(self) -> None:
        """Forget what was known of the one before."""

    def begin(self) -> int | None:
        """The generation of a new follower, or None when nothing was opened since the last one began."""
        with self.lock:
            begun, self.pending = self.pending, False
            return self.generation if begun else None

    def changed(self, parts: dict[str, Any], actions: str | None = None) -> dict[str, Any]:
        """Those of `parts` that are not as they are on the page, which they will be; to be called with the lock.

        `actions` names the part with the Stop button, a `KeptPicker`: what Stop answers may come after the last picture, so that
        each has a number, and the page lets no earlier one replace a later.
        """
        new = {name: value for name, value in parts.items() if name not in self.seen or self.seen[name] != value}
        self.seen.update(new)
        if actions in new:
            self.pictures += 1
            new[actions] = numbered(new[actions], self.pictures)
        return new
