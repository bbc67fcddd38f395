"""Cards that say what went wrong and what to do, and what stands where nothing is yet. Pure; knows no run."""

from __future__ import annotations

from html import escape

from unlearn_core.errors import LetheError
from unlearn_core.events import Failed

AWAY = "away"  # what is picked where a notice is put away
AGAIN = "again"  # what is picked where a run is to be started once more

Action = tuple[str, str]  # what a button says, and where it leads: a selector of the page, or what is picked
BY_FIELD: dict[str, Action] = {
    "model": ("Choose another model", "#model"),
    "topic": ("Choose another topic", "#topic"),
    "method": ("Choose another method", "#method"),
    "device": ("Choose another device", "#advanced"),
    "seed": ("Go to the seed", "#advanced"),
    "question": ("Go to the question", "#question"),
    "methods": ("Choose the methods", "#race-methods"),
    "attacks": ("Choose the attacks", "#audit-choosing"),
    "mode": ("Choose another way", "#sequence-mode"),
    "requests": ("Choose how many", "#sequence-count"),
}
OTHER_FILE: Action = ("Choose another file", "#topic-file")
RUN_AGAIN: Action = ("Run it again", AGAIN)


def problem_html(what: str, why: str = "", remedy: str = "", trace: str = "", action: Action | None = None) -> str:
    """An error card: what happened, why, what to do, a button that does it; the traceback folded away. All of it is escaped."""
    rows = [f'<p class="lt-problem-what">{escape(_sentence(what) or "Something went wrong.")}</p>']
    if why:
        rows.append(f'<p><span class="lt-key">Why</span>{escape(why)}</p>')
    if remedy:
        rows.append(f'<p><span class="lt-key">What to do</span>{escape(remedy)}</p>')
    if action:
        rows.append(action_html(*action))
    if trace.strip():
        rows.append(f'<details><summary>Technical details</summary><pre>{escape(trace.strip())}</pre></details>')
    return f'<div class="lt lt-problem" role="alert">{"".join(rows)}</div>'


def action_html(words: str, target: str) -> str:
    """A card's button: leads to a place of the page (`keys.js` opens what is folded around it), or is picked."""
    kind = "go" if target.startswith("#") else "pick"
    return f'<button type="button" class="card-action" data-{kind}="{escape(target, quote=True)}">{escape(words)}</button>'


def card(error: LetheError, action: Action | None = None) -> str:
    """A refusal as a card; without an action of its own, its button leads to the field to blame, where the page has one."""
    return problem_html(error.what, error.why, error.remedy, action=action or BY_FIELD.get(error.field or ""))


def _sentence(what: str) -> str:
    """A heading of its own: what leads on to the reason in one line of text ends here."""
    return f"{what[:-1]}." if what.endswith(":") else what


def failed_html(event: Failed, action: Action | None = None) -> str:
    """The card of what failed on its way."""
    return problem_html(event.what, event.why, event.remedy, event.trace, action)


def empty_html(what: str, action: str = "") -> str:
    """An empty state: what will be here, and the one action that fills it."""
    tail = f'<p class="lt-empty-action">{escape(action)}</p>' if action else ""
    return f'<div class="lt lt-empty"><p>{escape(what)}</p>{tail}</div>'


def notice_html(text: str, action: Action | None = None) -> str:
    """A quiet sentence: not an error, nothing to do at once, but perhaps something that can be done. It can be put away where a
    picker holds it."""
    away = f'<button type="button" class="lt-away" data-pick="{AWAY}" aria-label="Put this notice away">×</button>'
    return f'<div class="lt lt-notice" role="status">{escape(text)} {action_html(*action) if action else ""}{away}</div>'
