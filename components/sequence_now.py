"""How far a sequence of requests is: `Doing`, and `fold`, which adds one event to it; its words. Pure; knows no runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from unlearn_core.events import Failed, Finished, Phase, Progress, RequestBegun

from .numbers import duration
from .problems import failed_html

JOINT = "joint"


@dataclass(frozen=True, slots=True)
class Doing:
    """What goes on now. `request`: the one whose turn it is, None while all is measured before the first."""

    request: RequestBegun | None = None
    phase: Phase | None = None
    progress: Progress | None = None
    end: Finished | Failed | None = None


def fold(doing: Doing, event: object) -> Doing:
    """`doing` after `event`; what it does not know leaves it as it is."""
    if isinstance(event, RequestBegun):
        return replace(doing, request=event, phase=None, progress=None)
    if isinstance(event, Phase):
        return replace(doing, phase=event, progress=None)
    if isinstance(event, Progress):
        return replace(doing, progress=event)
    return replace(doing, end=event) if isinstance(event, (Finished, Failed)) else doing


def now_html(body: Mapping[str, Any] | None, doing: Doing, seconds: float, running: bool) -> str:
    """The request whose turn it is and every request's standing while the sequence goes on; then nothing, or why not."""
    if not running:
        return failed_html(doing.end) if isinstance(doing.end, Failed) else ""
    requests = body["requests"] if body else []
    begun, done = doing.request, len(body["runs"]) if body else 0
    what = f"Request {begun.index} of {begun.count}: {begun.title}" if begun else _between(done, len(requests))
    parts = [doing.phase.title if doing.phase else "", _amount(doing.progress)]
    top = (f'<div class="lt-strip-row" role="status"><span class="lt-dot" aria-hidden="true"></span>'
           f'<span class="lt-strip-what"><b>{escape(what)}</b><span class="lt-quiet">'
           f'{escape(" · ".join(part for part in parts if part))}</span></span>'
           f'<span class="lt-strip-time">{duration(seconds)}</span></div>')  # fmt: skip
    joint = bool(body) and body["mode"] == JOINT
    chips = "".join(_chip(request, done, begun, joint, doing) for request in requests)
    lanes = f'<ol class="race-lanes" aria-label="Progress by request">{chips}</ol>'
    return f'<div class="lt lt-strip-running race-now">{top}{lanes}</div>'


def stop_html(running: bool, stopping: bool) -> str:
    """The button that stops the sequence, while there is something to stop."""
    if not running:
        return ""
    off, words = (" disabled", "Stopping after this step…") if stopping else ("", "Stop sequence")
    return f'<button type="button" class="card-action" id="stop-sequence" data-pick="stop"{off}>{words}</button>'


def _between(done: int, count: int) -> str:
    return f"{done} of {count} requests done" if done else "Before the first request"


def _amount(progress: Progress | None) -> str:
    return f"{progress.done:,} of {progress.total:,} {progress.unit}" if progress and progress.total else ""


def _chip(request: Mapping[str, Any], done: int, begun: RequestBegun | None, joint: bool, doing: Doing) -> str:
    place = request["place"]
    if place <= done or (joint and done):
        status, share = "done", 1.0
    elif begun is not None and (joint or place == begun.index):
        status, share = "running", _share(doing)
    else:
        status, share = "waiting", 0.0
    return (f'<li class="race-lane race-lane-{status}"><span>{place} {escape(request["title"])}</span>'
            f'<span class="lt-quiet">{status}</span>'
            f'<span class="lt-bar" aria-hidden="true"><span class="lt-bar-fill" style="width:{100 * share:.1f}%"></span></span>'
            "</li>")  # fmt: skip


def _share(doing: Doing) -> float:
    """Done share of a request's run, every phase counting alike."""
    if doing.phase is None:
        return 0.0
    inside = min(doing.progress.done / doing.progress.total, 1.0) if doing.progress and doing.progress.total else 0.0
    return min((doing.phase.index - 1 + inside) / max(doing.phase.count, 1), 1.0)
