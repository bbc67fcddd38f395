"""The model that never saw the open run's topic: the offer to train it, how far that is, what came of it. Pure; wires nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from unlearn_core.events import Failed, Finished, Progress

from .numbers import duration
from .problems import failed_html
from .sequence_now import Doing

USE = "It would answer beside both models, and what attacks and membership tests find would be compared with what they find there."
TRAINING = 0.95  # share of the whole that the training takes
SURE = 0.02  # share done from which on the rest can be told
STAGES = "What stages it finished is kept, so that the next attempt takes less."


@dataclass(frozen=True, slots=True)
class Offer:
    """What is known of that model. `seconds`: what its training takes at most, None where that is not known."""

    title: str = ""
    buildable: bool = False
    seconds: float | None = None

    @classmethod
    def of(cls, title: str, state: Mapping[str, Any]) -> Offer:
        """From what the runner says (see `Runner.reference_state`)."""
        return cls(title, bool(state.get("buildable")), state.get("seconds"))


def build_html(offer: Offer, doing: Doing, seconds: float, running: bool, stopping: bool) -> str:
    """The one thing to be said here: what goes on, what came of it, or what could be done; "" where there is nothing."""
    if running:
        return _now(doing, seconds, stopping)
    said = ""
    if isinstance(doing.end, Failed):
        said = failed_html(doing.end)
    elif isinstance(doing.end, Finished) and doing.end.status == "stopped":
        said = f'<div class="lt lt-notice" role="status">The training was stopped. {STAGES}</div>'
    elif isinstance(doing.end, Finished):  # perhaps of another topic than the open run's
        said = ('<div class="lt lt-notice" role="status">That model is at hand now: ask again, and in runs on its topic it answers '
                "beside both. Audits and metrics take it in from the next time on.</div>")
    return said + _offer(offer)


def _offer(offer: Offer) -> str:
    if not offer.buildable:
        return ""
    time = f"About {duration(offer.seconds)}; it can be stopped." if offer.seconds else "It can be stopped at any time."
    what = f"No model that never saw {escape(offer.title)} is at hand here, only its scores."
    return (f'<div class="lt build-offer"><p>{what} {USE}</p>'
            f'<p class="build-act"><button type="button" class="card-action" data-pick="build">Train it</button>'
            f'<span class="lt-quiet">{escape(time)}</span></p></div>')


def _now(doing: Doing, seconds: float, stopping: bool) -> str:
    phase = doing.phase
    what = phase.title if phase else "Waiting for the model"
    share = _share(doing)
    left = f", about {duration(seconds * (1 - share) / share)} left" if share >= SURE else ""
    quiet = f"{doing.progress.done:,} of {doing.progress.total:,} {doing.progress.unit}" if _inside(doing.progress) else ""
    off, words = (" disabled", "Stopping after this step…") if stopping else ("", "Stop")
    done = f"{100 * share:.1f}"
    return (f'<div class="lt lt-strip-running build-now"><div class="lt-strip-row" role="status">'
            f'<span class="lt-dot" aria-hidden="true"></span><span class="lt-strip-what"><b>{escape(what)}</b>'
            f'<span class="lt-quiet">{escape(quiet)}</span></span><span class="lt-strip-time">{duration(seconds)}{left}</span>'
            f'<button type="button" class="card-action" data-pick="stop"{off}>{words}</button></div>'
            f'<div class="lt-bar" role="progressbar" aria-label="This training" aria-valuemin="0" aria-valuemax="100" '
            f'aria-valuenow="{done}"><span class="lt-bar-fill" style="width:{done}%"></span></div></div>')


def _share(doing: Doing) -> float:
    """How much of it is done: next to all of the time goes into the first phase."""
    if doing.phase is None:
        return 0.0
    inside = _inside(doing.progress)
    return TRAINING * inside if doing.phase.index == 1 else TRAINING + (1 - TRAINING) * inside


def _inside(progress: Progress | None) -> float:
    return min(progress.done / progress.total, 1.0) if progress and progress.total else 0.0
