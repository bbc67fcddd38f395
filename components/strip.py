"""The run strip: what is happening now, how far it is, and how long it will take. Pure; is told what time it is."""

from __future__ import annotations

from html import escape

from unlearn_core.events import Failed

from .numbers import duration
from .view import RunView

EXAMPLE = "Recorded example"
_EXAMPLE_ENDING = '<span class="lt-quiet lt-wide">a real run of this program on the built-in model; Replay plays it again</span>'
_WORDS = {"empty": "Nothing is running", "done": "Done", "stopped": "Stopped", "failed": "Failed"}


def strip_html(
    view: RunView, now: float, running: bool, recorded: bool = False, replayed: bool = False, run_id: str = ""
) -> str:
    """The strip. `now`: seconds since the run started, on the clock of the events; `running`: a worker is at it;
    `recorded`: it is the example that ships with the program; `replayed`: nobody waits for it, so no time is left;
    `run_id`: what was opened, "" before the page has asked (`first_paint.js` waits for it)."""
    if running:
        return _frame("running", _running_row(view, now, replayed), share(view), run_id)
    status = "interrupted" if view.status == "running" else view.status
    word, ending = (EXAMPLE, _EXAMPLE_ENDING) if recorded else (_WORDS.get(status, "Interrupted"), _ending(view, status))
    return _frame(status, f'<span class="lt-strip-what"><b>{word}</b>{ending}</span>'
                          f'<span class="lt-strip-time">{duration(view.at) if view.run_id else ""}</span>', None, run_id)


def share(view: RunView) -> float | None:
    """Done share of the current phase in [0, 1], None while the phase has not counted anything."""
    progress = view.progress
    return None if progress is None or progress.total <= 0 else min(max(progress.done / progress.total, 0.0), 1.0)


def remaining(view: RunView, now: float) -> float | None:
    """Seconds left in the current phase at the rate of this very phase; None as long as that rate is a guess."""
    done = share(view)
    spent = now - view.phase_at
    return None if done is None or done < 0.03 or spent < 0.5 else spent * (1 - done) / done


def _running_row(view: RunView, now: float, replayed: bool) -> str:
    phase = view.phase
    title = escape(phase.title) if phase else "Starting"
    place = f'<span class="lt-quiet">phase {phase.index} of {phase.count}</span>' if phase else ""
    progress = view.progress
    amount = (f'<span class="lt-quiet">{progress.done:,} of {progress.total:,} {escape(progress.unit)}</span>'
              if progress else "")
    left = None if replayed else remaining(view, now)
    ahead = f" · about {duration(left)} left in this phase" if left is not None else ""
    return (f'<span class="lt-strip-what"><b>{title}</b>{place}{amount}</span>'
            f'<span class="lt-strip-time">{duration(now)}{ahead}</span>')


def _ending(view: RunView, status: str) -> str:
    if isinstance(view.end, Failed):
        return f'<span class="lt-quiet">{escape(view.end.what)}</span>'
    if status == "stopped":
        partial = "the partial result is open below" if view.edit else "before there was an edit"
        return f'<span class="lt-quiet">{partial}</span>'
    if status == "interrupted":
        return '<span class="lt-quiet">the program ended before the run did; what it had written is open below</span>'
    if status == "empty":
        return '<span class="lt-quiet">choose a topic and press Unlearn</span>'
    return f'<span class="lt-quiet">{escape(view.run_id)}</span>'


def _frame(status: str, row: str, done: float | None, run_id: str) -> str:
    bar = _bar(done) if status == "running" else ""
    opened = f' data-run="{escape(run_id)}"' if run_id else ""
    return (f'<div class="lt lt-strip lt-strip-{status}"{opened}><div class="lt-strip-row" role="status" aria-live="polite">'
            f'<span class="lt-dot" aria-hidden="true"></span>{row}</div>{bar}</div>')


def _bar(done: float | None) -> str:
    """The bar of the current phase; where nothing was counted yet it only says that work goes on."""
    opening = '<div class="lt-bar" role="progressbar" aria-label="This phase" aria-valuemin="0" aria-valuemax="100"'
    if done is None:
        return f'{opening}><span class="lt-bar-fill lt-bar-unknown"></span></div>'
    value = f"{100 * done:.1f}"
    return f'{opening} aria-valuenow="{value}"><span class="lt-bar-fill" style="width:{value}%"></span></div>'
