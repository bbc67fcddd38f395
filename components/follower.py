"""Follow one run in one browser tab: events in, changed parts of the page out. Knows no widgets and wires nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from unlearn_core.errors import BadInput
from unlearn_core.events import Event
from unlearn_core.store import RECORDED, Store

from .screen import Drawn, draw
from .seats import Turn
from .strip import strip_html
from .view import RunView, fold

REPLAY_SECONDS = 10.0
REPLAY_TICK = 0.2  # seconds between two pictures of a replay


class Following(Protocol):
    """What this module needs of the runner."""

    def follow(self, run_id: str, every: float = 0.25) -> Iterator[list[tuple[Event, float]]]: ...

    def running(self) -> str | None: ...

    def racing(self) -> str | None: ...

    def sequencing(self) -> str | None: ...


def watched(runner: Following) -> str | None:
    """The run that a page opens when its address names nothing: the one in progress, unless it is one of many."""
    return None if runner.racing() or runner.sequencing() else runner.running()


def follow(turn: Turn, runner: Following, store: Store) -> Iterator[Drawn]:
    """The parts of the page that change, as they change, until the run is over or the tab looks at something else.

    A heartbeat brings the strip (its clock) and nothing else. The first picture is drawn once more when the tab's
    earlier follower is known to have ended, so that a late word of that one cannot stay on the page.
    """
    pictures = _replayed(turn, store) if turn.how == "replay" else _followed(turn, runner)
    settled = turn.alone
    try:
        for view, now, running in pictures:
            if not turn.current:
                return
            if not settled and turn.alone:
                settled = True
                turn.seat.seen.clear()
            yield _picture(turn, view, now, running)
        while not settled and turn.current:
            time.sleep(REPLAY_TICK)
            settled = turn.alone
            turn.seat.seen.clear()
        if turn.current:
            _close(turn, view, store)
            left = replace(view, interrupted=bool(view.run_id) and not view.over)
            yield _picture(turn, left, left.at, False, ended=True)
    finally:
        turn.end()


def _close(turn: Turn, view: RunView, store: Store) -> None:
    """A run that failed before it measured anything is not kept. All of a failed run is drawn once more, so that
    nothing of the run that was open before can stand beside the failure."""
    if view.status == "failed":
        turn.seat.kept = _is_kept(turn.run_id, store)
        turn.seat.seen.clear()


def _is_kept(run_id: str, store: Store) -> bool:
    try:
        store.find(run_id)
    except BadInput:
        return False
    return True


def _picture(turn: Turn, view: RunView, now: float, running: bool, ended: bool = False) -> Drawn:
    turn.seat.view, turn.seat.running = view, running
    over = ended and view.over and turn.seat.kept
    standing = ("replay" if turn.how == "replay" else "live") if running else "over" if over else "idle"
    strip = strip_html(view, now, running, turn.run_id == RECORDED, turn.how == "replay", turn.run_id)
    return {"strip": strip, "standing": standing} | draw(view, turn.seat, running)


def _followed(turn: Turn, runner: Following) -> Iterator[tuple[RunView, float, bool]]:
    view = RunView()
    for batch in runner.follow(turn.run_id):
        for event, at in batch:
            view = fold(view, event, at)
        running = not view.over and runner.running() == turn.run_id
        yield view, elapsed(view) if running else view.at, running


def _replayed(turn: Turn, store: Store) -> Iterator[tuple[RunView, float, bool]]:
    """The same events again, the whole run in `REPLAY_SECONDS`; every part of it at its own pace."""
    events = store.events(turn.run_id)
    length = max((at for _, at in events), default=0.0) or 1.0
    view, done, started = RunView(), 0, time.monotonic()
    while done < len(events) and turn.current:
        now = (time.monotonic() - started) / REPLAY_SECONDS * length
        while done < len(events) and events[done][1] <= now:
            view = fold(view, *events[done])
            done += 1
        yield view, min(now, length), not view.over
        time.sleep(REPLAY_TICK)


def elapsed(view: RunView) -> float:
    """Seconds since the run started, on this machine's clock."""
    return max(view.at, seconds_since(view.started_at))


def seconds_since(moment: str) -> float:
    """Seconds since an ISO 8601 time (UTC where it names no zone); 0 where it is none."""
    try:
        started = datetime.fromisoformat(moment)
    except ValueError:
        return 0.0
    started = started if started.tzinfo else started.replace(tzinfo=UTC)
    return max(0.0, (datetime.now(UTC) - started).total_seconds())
