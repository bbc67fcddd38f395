"""Answer pairs: the same question to the original and to the unlearned model, as heat, words or plain text. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape

from unlearn_core.config import FORGET_SPLITS, KEEP_SPLITS
from unlearn_core.events import Answer, TokenScores

from .numbers import factor
from .palette import SPLIT_TITLES, glyph, side
from .problems import empty_html
from .terms import info
from .tokens import heat_html, legend_html, plain_html, words_html
from .view import RunView

MODES = ("Heat", "Words", "Plain")
FEW, MANY = 6, 24  # pairs shown at first, and where more are asked for
KEEP_SHARE = 3  # one pair in three shows what was kept
_TELLING = ("leaked", "damaged")


def shown(view: RunView, limit: int = FEW) -> list[Answer]:
    """The pairs to show: forget first, then what was kept; at least one leak and one damage where there are any.

    Questions with token scores go first, because all three ways of looking work for them.
    """
    forget = _ordered(view, FORGET_SPLITS)
    kept = _ordered(view, KEEP_SPLITS)
    room_for_kept = min(len(kept), max(1, limit // KEEP_SHARE)) if limit > 1 else 0
    first = _pick(forget, limit - room_for_kept)
    return first + _pick(kept, limit - len(first))


_NO_ANSWERS = {"empty": "Press Unlearn: the answers come with the last measurement.",
               "running": "The answers come with the last measurement of this run.",
               "stopped": "This run was stopped before its answers were measured: start it again to fill it.",
               "failed": "This run failed before its answers were measured: run it again, above, to fill this.",
               "interrupted": "The program ended before the answers were measured: run it again, above, to fill this."}  # fmt: skip


def pairs_html(view: RunView, mode: str = "Heat", limit: int = FEW, strength: float = 1.0,
               scores: Mapping[str, TokenScores] | None = None, answers: Mapping[str, Answer] | None = None) -> str:
    """All shown pairs. `mode`: Heat, Words or Plain; `scores` and `answers` by question: what was measured at `strength`; at
    strength 1 they stand beside the run's own."""
    chosen = shown(view, limit)
    if not chosen:
        action = _NO_ANSWERS.get(view.status, "This run ended before its answers were measured.")
        return empty_html("Here the same questions are answered by both models.", action)
    heats = (view.scores if strength == 1 else {}) | dict(scores or {})
    way = way_of(mode)
    now = [(answers or {}).get(answer.question_id, answer) for answer in chosen]
    body = "".join(_pair(answer, way, heats.get(answer.question_id)) for answer in now)
    scale = legend_html() if way == "Heat" else ""
    moved = (f'<p class="lt-quiet">These answers at strength {strength:g}; the counts are those of the saved result.</p>'
             if strength != 1 else "")
    whole = " lt-pairs-whole" if len(view.answers) <= FEW else ""  # there are no more to ask for
    return f'<div class="lt lt-pairs{whole}">{_counts(view, len(chosen))}{moved}{scale}{body}</div>'


def way_of(mode: str) -> str:
    """The way of looking that a mode names; the first where it names none."""
    return next((name for name in MODES if name.lower() == str(mode).lower()), MODES[0])


def pair_body_html(answer: Answer, mode: str, scores: TokenScores | None, note: str = "") -> str:
    """Both answers in one of the `MODES`, and what was expected. `note`: what is said while the heat has no `scores`."""
    both = words_html if mode == "Words" else plain_html
    title = SPLIT_TITLES.get(answer.split, answer.split)
    return (f'{both(answer.original, answer.edited, answer.expected)}<div class="lt-pair-base">'
            f'{_heat(answer, scores, note) if mode == "Heat" else ""}{_foot(answer, title)}</div>')


def _ordered(view: RunView, splits: Iterable[str]) -> list[Answer]:
    """Answers of `splits`: one split after the other in turns, those with token scores first."""
    ordered: list[Answer] = []
    for split in splits:
        of_split = view.answers_of(split)
        ordered += sorted(of_split, key=lambda answer: answer.question_id not in view.scores)
    return sorted(ordered, key=lambda answer: answer.question_id not in view.scores)


def _pick(answers: list[Answer], room: int) -> list[Answer]:
    """The first `room` answers; if none of them shows a leak or a damage that exists, the last makes way for one."""
    picked = answers[:max(room, 0)]
    telling = next((a for a in answers if a.outcome in _TELLING), None)
    if len(picked) > 1 and telling and not any(a.outcome in _TELLING for a in picked):
        picked[-1] = telling
    return picked


def _counts(view: RunView, shown_count: int) -> str:
    tally = Counter(answer.outcome for answer in view.answers)
    order = ("forgotten", "leaked", "kept", "damaged", "unchanged")
    parts = [f"<b>{tally[name]:,}</b> {name}" for name in order if tally[name]]
    return (f'<p class="lt-counts"><span>{shown_count} of {len(view.answers):,} question{"s" * (len(view.answers) != 1)}</span>'
            f'<span>{" · ".join(parts)}{info("outcome")}</span></p>')


def _pair(answer: Answer, mode: str, scores: TokenScores | None) -> str:
    kind = side(answer.split)
    title = SPLIT_TITLES.get(answer.split, answer.split)
    head = (f'<header class="lt-pair-head"><span class="lt-mark lt-{kind}" title="{escape(title, quote=True)}">'
            f'{glyph(answer.split)}</span><span class="lt-question">{escape(answer.prompt)}</span>'
            f'<span class="lt-outcome lt-outcome-{escape(answer.outcome, quote=True)}">{escape(answer.outcome)}</span>'
            '</header>')
    return (f'<article class="lt-pair" data-question="{escape(answer.question_id, quote=True)}">{head}'
            f"{pair_body_html(answer, mode, scores)}</article>")


def _heat(answer: Answer, scores: TokenScores | None, note: str) -> str:
    """The heat of the expected answer, or only its total where its tokens were not scored."""
    if scores is not None:
        return heat_html(scores)
    before, after = answer.original_logprob, answer.edited_logprob
    if before is None or after is None:
        return ""
    more = f" {escape(note)}" if note else ""
    return f'<p class="lt-heat-total">The expected answer is <strong>{factor(before - after)}</strong>.{more}</p>'


def _foot(answer: Answer, title: str) -> str:
    parts = [escape(title), f"expected: {escape(answer.expected)}"]
    if answer.reference_ok:
        parts.append("a model that never saw it answers this too")
    return f'<p class="lt-pair-foot">{" · ".join(parts)}</p>'
