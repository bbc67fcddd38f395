"""What the page knows of one race: `RaceView`, and `fold`, which adds one event to it. Pure; knows no HTML, no engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from unlearn_core.events import (
    Failed,
    Finished,
    LaneBegun,
    LaneEnded,
    Measured,
    Phase,
    Progress,
    RaceStarted,
    TopicReady,
)

from .story import Story


@dataclass(frozen=True, slots=True)
class Lane:
    """One method's part in a race. `status`: waiting | running | done | stopped | failed; `live`: its measurements on the
    fixed sample, in order; `row`: its row of the table once its turn is over."""

    method: str
    title: str
    family: str
    family_title: str
    teaches: bool = False
    run_id: str = ""
    status: str = "waiting"
    phase: Phase | None = None
    progress: Progress | None = None
    live: tuple[Measured, ...] = ()
    row: dict[str, Any] | None = None

    def after(self, split: str) -> float | None:
        """The accuracy measured on all questions of a split; None before."""
        return self.row["accuracy"].get(split) if self.row else None

    def trail(self, split: str) -> list[tuple[float, float]]:
        """(forget, split) accuracies on the live sample, step by step where both were measured."""
        steps: dict[int, dict[str, float]] = {}
        for item in self.live:
            steps.setdefault(item.step, {})[item.split] = item.accuracy
        return [(found["forget"], found[split]) for _, found in sorted(steps.items()) if "forget" in found and split in found]


@dataclass(frozen=True, slots=True)
class RaceView(Story):
    """All that a race has said so far. `before`: the original's scores by split, with their floors; `left_out`: method, title
    and why; `phase` and `progress` are those of what comes before the first method's turn."""

    race_id: str = ""
    lanes: tuple[Lane, ...] = ()
    left_out: tuple[dict[str, Any], ...] = ()

    @property
    def name(self) -> str:
        return self.race_id

    @property
    def running(self) -> Lane | None:
        """The method whose turn it is."""
        return next((lane for lane in self.lanes if lane.status == "running"), None)

    @property
    def ended(self) -> int:
        """How many had their turn."""
        return sum(lane.row is not None for lane in self.lanes)


def fold(view: RaceView, event: object, at: float) -> RaceView:
    """`view` after `event`, which happened `at` seconds into the race; what it does not know leaves it as it is."""
    step = _STEPS.get(type(event))
    if step is None or view.over:
        return view
    return replace(view, at=max(view.at, at), **step(view, event))


def replay(events: Iterable[tuple[object, float]], view: RaceView | None = None) -> RaceView:
    """The view after all `events`, starting from `view`."""
    current = view or RaceView()
    for event, at in events:
        current = fold(current, event, at)
    return current


# One small function a kind: the fields that change ------------------------------------------------------------------

def _started(view: RaceView, event: RaceStarted) -> dict[str, Any]:
    words = ("method", "title", "family", "family_title")
    lanes = tuple(Lane(**{name: str(entry.get(name, "")) for name in words}, teaches=bool(entry.get("teaches")))
                  for entry in event.lanes)
    return {"race_id": event.race_id, "config": event.config, "started_at": event.started_at, "lanes": lanes,
            "left_out": tuple(event.left_out)}


def _begun(view: RaceView, event: LaneBegun) -> dict[str, Any]:
    return {"lanes": _with(view, event.method, run_id=event.run_id, status="running")}


def _ended(view: RaceView, event: LaneEnded) -> dict[str, Any]:
    row = event.row
    return {"lanes": _with(view, row["method"], row=row, status=str(row["status"]), run_id=row["run_id"] or "")}


def _measured(view: RaceView, event: Measured) -> dict[str, Any]:
    lane = view.running
    if event.stage == "before":
        return {"before": view.before | {event.split: event}}
    return {"lanes": _with(view, lane.method, live=(*lane.live, event))} if lane and event.stage == "during" else {}


def _now(name: str) -> Callable[[RaceView, Any], dict[str, Any]]:
    """What goes on now: of the method whose turn it is, or of the race before the first."""
    def keep(view: RaceView, event: Any) -> dict[str, Any]:
        lane, parts = view.running, {name: event} | ({"progress": None} if name == "phase" else {})
        return {"lanes": _with(view, lane.method, **parts)} if lane else parts

    return keep


def _with(view: RaceView, method: str, **parts: Any) -> tuple[Lane, ...]:
    return tuple(replace(lane, **parts) if lane.method == method else lane for lane in view.lanes)


_STEPS: dict[type, Callable[[RaceView, Any], dict[str, Any]]] = {
    RaceStarted: _started,
    TopicReady: lambda view, event: {"topic": event},
    LaneBegun: _begun,
    LaneEnded: _ended,
    Measured: _measured,
    Phase: _now("phase"),
    Progress: _now("progress"),
    Finished: lambda view, event: {"end": event},
    Failed: lambda view, event: {"end": event},
}
