"""A made-up training of a model that never saw a topic, for the scripted runner: it goes on until it is stopped, or ends at once.
Knows no torch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from unlearn_core.config import ReferenceConfig
from unlearn_core.events import TERMINAL, Event, Finished, Phase, Progress

STEPS = 400


class ScriptedBuilds:
    """The part of the scripted runner that trains references. Needs its pace and its `_refuse`. `missing`: the topics without one;
    the training of a topic in `short` ends by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._build_logs: dict[str, list[tuple[Event, float]]] = {}
        self._build_stop, self._building = threading.Event(), ""
        self.missing: set[str] = set()
        self.short: set[str] = set()

    def reference_state(self, config: ReferenceConfig) -> dict[str, Any]:
        if config.topic in self.missing:
            return {"at_hand": False, "buildable": True, "seconds": 330.0}
        return {"at_hand": True, "buildable": False, "seconds": None}

    def building(self) -> str | None:
        return self._building or None

    def stop_series(self, series_id: str) -> None:
        if series_id and series_id == self._building:
            self._build_stop.set()
        else:
            super().stop_series(series_id)

    def start_build(self, config: ReferenceConfig) -> str:
        self._refuse()
        name = f"build-{config.topic}-{len(self._build_logs)}"
        self._build_stop, self._build_logs[name] = threading.Event(), []
        self._building, self._since = name, time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        threading.Thread(target=self._train, args=(name, config), daemon=True).start()
        return name

    def follow_build(self, build_id: str, every: float = 0.25) -> Iterator[list[tuple[Event, float]]]:
        seen = 0
        while build_id in self._build_logs:
            batch = self._build_logs[build_id][seen:]
            seen += len(batch)
            yield batch
            if batch and isinstance(batch[-1][0], TERMINAL):
                return
            time.sleep(every)

    def _train(self, name: str, config: ReferenceConfig) -> None:
        began = time.monotonic()

        def write(event: Event) -> None:
            self._build_logs[name].append((event, time.monotonic() - began))

        write(Phase("train", f"Train a model that never sees <the> {config.topic}", 1, 2))
        for step in range(1, STEPS + 1):
            write(Progress(step, STEPS, "steps"))
            if self._build_stop.wait(0 if config.topic in self.short else 0.3 * self.pace):
                break
        status = "stopped" if self._build_stop.is_set() else "done"
        if status == "done":
            self.missing.discard(config.topic)
        self._building = ""
        write(Finished(status, time.monotonic() - began, {}))
