"""An audit in words: whether it held, what is at work, how far it is, earlier ones, how it is to be read. Pure; wires nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from unlearn_core.events import Failed, Progress

from .audit_view import PLAIN, REFERENCE, SUBJECTS, AuditView
from .numbers import UNIT, duration
from .problems import empty_html, failed_html
from .terms import explained

FAMILY, RECOVERED = "family", "recovered"  # how the card is sorted
MODELS = {"original": "the original", "unlearned": "the unlearned model", "reference": "the model that never saw it"}
TITLES = {"original": "Original", "unlearned": "Unlearned", "reference": "Never saw it"}
_STATUS = {"running": "Running", "done": "Done", "stopped": "Stopped", "failed": "Failed", "interrupted": "Interrupted"}
_ATTACK_AGAIN = ("Attack again", "#audit-start")
_QUESTION = '<span class="lt-tone">Does it hold?</span>'


def head_html(view: AuditView, running: bool) -> str:
    """What came of it in a sentence, and of what; without an audit, what will be here."""
    if not view.audit_id and isinstance(view.end, Failed):
        return f'<div class="lt">{failed_html(view.end, _ATTACK_AGAIN)}</div>'
    if not view.audit_id and not running:
        return empty_html("Here each attack will have a row: how much of what was forgotten it brings back, beside the original "
                          "and a model that never saw the topic.", "Choose attacks and press Attack.")
    status = "Running" if running else _STATUS.get(view.status, "")
    beside = "" if REFERENCE in view.subjects else "no model that never saw it"
    facts = [status]
    if view.audit_id:
        facts += [f"{len(view.rows)} of {_attacks(len(view.attacks))}", beside, f"seed {view.config.get('seed', 0)}",
                  "" if running else duration(view.at), view.started_at[:16].replace("T", " ")]
    line = f'<p class="lt-quiet audit-facts">{escape(" · ".join(fact for fact in facts if fact))}</p>'
    failed = failed_html(view.end, _ATTACK_AGAIN) if isinstance(view.end, Failed) else ""
    sentence = escape(unbroken(said(view, running)))
    return f'<div class="lt audit-head">{_QUESTION}<p class="lt-sentence">{sentence}</p>{line}{failed}</div>'


def said(view: AuditView, running: bool) -> str:
    """The verdict, or as much of it as is known."""
    if view.verdict:
        return view.verdict
    most = so_far(view)
    if running:
        return most or "Attacking: the first row comes with the end of the first attack."
    if isinstance(view.end, Failed):
        return " ".join(("The audit failed before its end.", most)).strip()
    return " ".join(("The program ended before the audit did; what it had measured is below.", most)).strip()


def unbroken(sentence: str) -> str:
    """A sentence whose per cents stay on the line of their number."""
    return sentence.replace(" %", UNIT)


def so_far(view: AuditView) -> str:
    """The strongest attack up to now; "" before one has a share."""
    measured = [row for row in view.rows if row.get("recovered") is not None]
    attacks = [row for row in measured if row["attack"] != PLAIN] or measured
    if not attacks:
        return ""
    worst = max(attacks, key=lambda row: row["recovered"])
    return f"So far the most that comes back is {100 * worst['recovered']:.0f}{UNIT}, by {_lower(str(worst['title']))}."


def _lower(title: str) -> str:
    """A title as it reads inside a sentence."""
    return title if title[:2].isupper() else f"{title[:1].lower()}{title[1:]}"


def _attacks(number: int) -> str:
    return f"{number} attack{'s' * (number != 1)}"


# The button, and how far it is ----------------------------------------------------------------------------------------

def action_html(running: bool, stopping: bool, again: bool = False) -> str:
    """Attack, or in the same place Stop while there is something to stop."""
    if not running:
        words = "Attack again" if again else "Attack"
        return f'<button type="button" class="audit-go" id="audit-start" data-pick="start">{words}</button>'
    off, words = (" disabled", "Stopping after this step…") if stopping else ("", "Stop")
    return f'<button type="button" class="audit-go audit-halt" id="audit-stop" data-pick="stop"{off}>{words}</button>'


def now_html(view: AuditView, now: float, running: bool) -> str:
    """Which attack is on which model, how far it is, and how far all of it is; nothing once it is over."""
    if not running:
        return ""
    turn = view.turn
    if turn is None:
        what, place = (view.phase.title if view.phase else "Waiting for the model"), ""
    else:
        title = str(view.attack(turn.attack).get("title") or turn.attack)
        what, place = f"{title}, on {MODELS.get(turn.subject, turn.subject)}", f"{turn.index} of {turn.count}"
    kept = "known from an earlier audit" if turn is not None and turn.kept else ""
    quiet = " · ".join(part for part in (place, kept, _amount(view.progress)) if part)
    done = f"{100 * view.share:.1f}"
    words = f'<span class="lt-strip-what"><b>{escape(what)}</b><span class="lt-quiet">{escape(quiet)}</span></span>'
    return (f'<div class="lt lt-strip-running audit-now"><div class="lt-strip-row" role="status">'
            f'<span class="lt-dot" aria-hidden="true"></span>{words}<span class="lt-strip-time">{duration(now)}</span></div>'
            f'<div class="lt-bar" role="progressbar" aria-label="This audit" aria-valuemin="0" aria-valuemax="100" '
            f'aria-valuenow="{done}"><span class="lt-bar-fill" style="width:{done}%"></span></div></div>')


def _amount(progress: Progress | None) -> str:
    return f"{progress.done:,} of {progress.total:,} {progress.unit}" if progress and progress.total > 0 else ""


def live_words(view: AuditView, running: bool) -> str:
    """Whose curves are drawn while it goes on; "" where none are."""
    if not running or not view.latest:
        return ""
    title = str(view.attack(view.latest).get("title") or view.latest)
    return f'<div class="lt"><h3>{escape(title)}: what comes out of each model</h3></div>'


# Before, and earlier ones ---------------------------------------------------------------------------------------------

def chosen_html(chosen: int, every: int, last: tuple[float, int] | None) -> str:
    """How many attacks are chosen; and of the last audit of any run, if there is one: its seconds and its attacks."""
    if not chosen:
        words = "Choose at least one attack."
    else:
        words = f"{_attacks(every)} chosen" if chosen == every else f"{chosen} of {_attacks(every)} chosen"
    time = f" · the last audit took {duration(last[0])} for {_attacks(last[1])}" if last is not None and chosen else ""
    return f'<p class="estimate">{escape(words + time)}</p>'


def earlier_html(records: Sequence[Any], shown: str) -> str:
    """All audits of the run to choose from, newest first; nothing where there is but one."""
    if len(records) < 2:
        return ""
    options = "".join(f'<option value="{escape(record.audit_id, quote=True)}"{" selected" * (record.audit_id == shown)}>'
                      f"{escape(_told(record))}</option>" for record in records)
    label = f'<label>Audits of this run <select id="audit-select">{options}</select></label>'
    return f'<div class="lt place" data-choose="audit">{label}</div>'


def _told(record: Any) -> str:
    summary = record.summary or {}
    number = len(summary.get("rows") or ()) or len(record.config.attacks)
    parts = [record.started_at[:19].replace("T", " "), _attacks(number) if number else "all attacks", record.status]
    return " · ".join(part for part in parts if part)


# How it is to be read -------------------------------------------------------------------------------------------------

def notes_html(view: AuditView) -> str:
    """What was said of the audit, and how the card is to be read."""
    if not view.rows:
        return ""
    notices = "".join(f'<div class="lt lt-notice">{escape(text)}</div>' for text in view.notices)
    models = " · ".join(TITLES[subject].lower() for subject in SUBJECTS if subject in view.subjects)
    how = (f"Every attack runs alike on each model ({escape(models)}); the figures are the share of judged items that came out. "
           f"{explained('Recovered', 'recovered')} compares them: n judged items, line: 95{UNIT} interval. "
           "Choose an attack by its name to see its curves and what it found.")
    return f'{notices}<div class="lt lt-quiet audit-notes">{how}</div>'
