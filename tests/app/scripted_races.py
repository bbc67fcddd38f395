"""A made-up race for the scripted runner: its events, its stop, and a method that cannot run. Knows no torch."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from typing import Any

from unlearn_core.config import RaceConfig, RunConfig
from unlearn_core.events import (
    TERMINAL,
    Event,
    Finished,
    LaneBegun,
    LaneEnded,
    Measured,
    Phase,
    Progress,
    RaceStarted,
)

UNABLE, WHY = "eul", "It needs an encoder–decoder, and this is a causal model."
TITLES = {"unlearn": ("UNLEARN", "subspace", "Subspaces"), "task-vector": ("Task vector", "merging", "Parameter merging"),
          UNABLE: ("EUL", "layers", "Added layers")}  # fmt: skip
LAST = "task-vector"  # whose turn lasts until the race is stopped, on the topic whose runs do
# forget, neighbours, retain after each method
ENDS = {"unlearn": (0.02, 0.98, 0.99), LAST: (0.4, 0.7, 0.9)}
SPLITS = ("forget", "neighbor", "retain")


class ScriptedRaces:
    """The part of the scripted runner that races. Needs its store, its pace and its `_refuse` and `_made_up`."""

    def __init__(self) -> None:
        self._race_logs: dict[str, list[tuple[Event, float]]] = {}
        self._race_stop, self._racing = threading.Event(), ""

    def unable(self, config: RaceConfig) -> dict[str, str]:
        return {UNABLE: WHY} if UNABLE in (config.methods or TITLES) else {}

    def sequencing(self) -> str | None:
        return None

    def allowed(self, config: RunConfig) -> dict[str, Any]:
        return {"entities": [], "unable": {}}

    def racing(self) -> str | None:
        return self._racing or None

    def stop_series(self, race_id: str) -> None:
        if race_id and race_id == self._racing:
            self._race_stop.set()

    def start_race(self, config: RaceConfig) -> str:
        self._refuse()
        folder = self.store.create_race(config)
        self._race_stop, self._race_logs[folder.run_id] = threading.Event(), []
        self._racing, self._since = folder.run_id, folder.started_at
        threading.Thread(target=self._race, args=(folder, config), daemon=True).start()
        return folder.run_id

    def follow_race(self, race_id: str, every: float = 0.25) -> Iterator[list[tuple[Event, float]]]:
        if race_id not in self._race_logs:
            yield self.store.race_events(race_id)
            return
        seen = 0
        while True:
            batch = self._race_logs[race_id][seen:]
            seen += len(batch)
            yield batch
            if batch and isinstance(batch[-1][0], TERMINAL):
                return
            time.sleep(every)

    def _race(self, folder: Any, config: RaceConfig) -> None:
        began, rows = time.monotonic(), []
        asked = [name for name in TITLES if name in (config.methods or TITLES)]
        able = [name for name in asked if name != UNABLE]

        def write(event: Event) -> None:
            folder.append(event, time.monotonic() - began)
            self._race_logs[folder.run_id].append((event, time.monotonic() - began))

        left = [_lane(UNABLE) | {"why": WHY}] if UNABLE in asked else []
        write(RaceStarted(folder.run_id, config.model_dump(mode="json"), folder.started_at, [_lane(name) for name in able], left))
        for split, floor in zip(SPLITS, (0.02, None, None), strict=True):
            write(Measured("before", 0, split, 1.0, 100, 100, 0.96, 1.0, floor, "retrained" if floor else None))
        for place, name in enumerate(able, start=1):
            if not self._race_stop.is_set():
                rows.append(self._turn(config, name, place, len(able), write))
        status = "stopped" if self._race_stop.is_set() else "done"
        summary = {"race_id": folder.run_id, "status": status, "methods": able, "rows": rows}
        folder.finish(summary)
        self._racing = ""
        write_end = Finished(status, time.monotonic() - began, summary)
        self._race_logs[folder.run_id].append((write_end, time.monotonic() - began))

    def _turn(self, config: RaceConfig, name: str, place: int, count: int, write: Any) -> dict[str, Any]:
        run_id = self._made_up(config.run(name))
        write(LaneBegun(name, run_id, place, count))
        write(Phase("train", "Train", 1, 2))
        steps = 10**6 if config.topic == "private-people" and name == LAST else 8
        for step in range(1, steps + 1):
            if self._race_stop.wait(0.15 * self.pace):
                break
            write(Progress(step, steps, "steps"))
            if step % 4:
                continue
            for split, end in zip(SPLITS, ENDS[name], strict=True):
                share = end + (1 - end) * math.exp(-step / 4)
                write(Measured("during", step, split, share, round(24 * share), 24, 0.0, 1.0))
        row = _row(config, name, run_id, self._race_stop.is_set())
        write(LaneEnded(row))
        return row


def _lane(name: str) -> dict[str, Any]:
    title, family, family_title = TITLES[name]
    return {"method": name, "title": title, "family": family, "family_title": family_title}


def _row(config: RaceConfig, name: str, run_id: str, stopped: bool) -> dict[str, Any]:
    figures = ("removed", "perplexity", "kl", "seconds", "trained")
    values = (None,) * 5 if stopped else (1 - ENDS[name][0], 9.2, 0.0123, 1.0, 40_000)
    damage = {"how": "whole", "words": "ran to its end within the budget", "kl": 0.01} if config.budget or (
        config.mode == "equal-damage" and not stopped) else None
    return {"method": name, "title": TITLES[name][0], "family": TITLES[name][1], "status": "stopped" if stopped else "done",
            "run_id": run_id, "accuracy": {} if stopped else dict(zip(SPLITS, ENDS[name], strict=True)), "damage": damage,
            "error": None, **dict(zip(figures, values, strict=True))}  # fmt: skip
