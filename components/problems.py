"""Cards that say what went wrong and what to do, and what stands where nothing is yet. Pure; knows no run."""

from __future__ import annotations

from html import escape

from unlearn_core.events import Failed

AWAY = "away"  # what is picked where a notice is put away


def problem_html(what: str, why: str = "", remedy: str = "", trace: str = "") -> str:
    """An error card: what happened, why, what to do; the traceback folded away. All of it is escaped."""
    rows = [f'<p class="lt-problem-what">{escape(_sentence(what) or "Something went wrong.")}</p>']
    if why:
        rows.append(f'<p><span class="lt-key">Why</span>{escape(why)}</p>')
    if remedy:
        rows.append(f'<p><span class="lt-key">What to do</span>{escape(remedy)}</p>')
    if trace.strip():
        rows.append(f'<details><summary>Technical details</summary><pre>{escape(trace.strip())}</pre></details>')
    return f'<div class="lt lt-problem" role="alert">{"".join(rows)}</div>'


def _sentence(what: str) -> str:
    """A heading of its own: what leads on to the reason in one line of text ends here."""
    return f"{what[:-1]}." if what.endswith(":") else what


def failed_html(event: Failed) -> str:
    """The card of a run that failed."""
    return problem_html(event.what, event.why, event.remedy, event.trace)


def empty_html(what: str, action: str = "") -> str:
    """An empty state: what will be here, and the one action that fills it."""
    tail = f'<p class="lt-empty-action">{escape(action)}</p>' if action else ""
    return f'<div class="lt lt-empty"><p>{escape(what)}</p>{tail}</div>'


def notice_html(text: str) -> str:
    """A quiet sentence: not an error, nothing to do at once. It can be put away where a picker holds it."""
    away = f'<button type="button" class="lt-away" data-pick="{AWAY}" aria-label="Put this notice away">×</button>'
    return f'<div class="lt lt-notice" role="status">{escape(text)}{away}</div>'
