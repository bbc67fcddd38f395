"""The list of questions as HTML: filters with their counts, rows, the answers of the unfolded one, pages. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from unlearn_core.events import Answer, TokenScores

from .numbers import NOT_MEASURED, nats
from .pairs import pair_body_html, way_of
from .palette import SPLIT_TITLES, glyph, side
from .problems import empty_html
from .questions import (
    AS_ASKED,
    CHANGED,
    EVERY,
    HIGHEST,
    LOWEST,
    SETTLED,
    Choice,
    Count,
    Page,
    by_outcome,
    by_split,
    delta,
    found,
    next_order,
    page_of,
    together,
)
from .terms import explained, info
from .tokens import legend_html
from .view import RunView

PROMISE = "Here every question of the run is listed, with both models' answers and what became of it."
SCORING = "Both models are reading the expected answer word by word…"
_ACTIONS = {"running": "It is filled by the last measurement of this run.",
            "stopped": "This run was stopped before it came to that: start it again to fill it.",
            "failed": "This run failed before it came to that: start it again to fill it.",
            "interrupted": "The program ended before this run came to that: start it again to fill it.",
            "done": "This run kept no answers: start it again to fill it."}  # fmt: skip
_ORDERS = {AS_ASKED: "leaks and damage first, then as asked", LOWEST: "lowest Δ first", HIGHEST: "highest Δ first"}
_SORTED = {LOWEST: ("ascending", "▲"), HIGHEST: ("descending", "▼")}


# Filters --------------------------------------------------------------------------------------------------------------

def filters_html(answers: Sequence[Answer], choice: Choice) -> str:
    """Two rows of buttons, by outcome and by split; nothing where there are no questions yet."""
    if not answers:
        return ""
    outcomes, splits = by_outcome(answers, choice), by_split(answers, choice)
    changed = together((count for count in outcomes if count.name not in SETTLED), CHANGED)
    first = [_filter("outcome", changed, "Changed", choice.outcome), _every("outcome", outcomes, choice.outcome)]
    first += [_filter("outcome", count, count.name, choice.outcome) for count in outcomes]
    second = [_every("split", splits, choice.split)]
    second += [_filter("split", count, split_title(count.name), choice.split, _mark(count.name)) for count in splits]
    return (f'<div class="lt question-filters">{_group("Outcome", info("outcome"), first)}'
            f'{_group("Split", "", second)}</div>')


def split_title(split: str) -> str:
    return SPLIT_TITLES.get(split, split)


def _group(title: str, mark: str, buttons: Sequence[str]) -> str:
    return (f'<div class="question-group" role="group" aria-label="{title}"><span class="question-group-title">{title}{mark}</span>'
            f'<span class="question-buttons">{"".join(buttons)}</span></div>')


def _every(kind: str, counts: Sequence[Count], chosen: str) -> str:
    return _filter(kind, together(counts, EVERY), "All", chosen)


def _filter(kind: str, count: Count, title: str, chosen: str, mark: str = "") -> str:
    """One button. Where the other choices leave fewer than there are, it says both."""
    of_all = f' <span class="lt-quiet">of {count.total:,}</span>' if count.found != count.total else ""
    name = escape(count.name, quote=True)
    return (f'<button type="button" class="chip question-filter" data-pick="{kind}:{name}" data-{kind}="{name}" '
            f'data-total="{count.total}" aria-pressed="{str(count.name == chosen).lower()}">{mark}{escape(title)} '
            f"<b>{count.found:,}</b>{of_all}</button>")


def _mark(split: str) -> str:
    return f'<span class="lt-mark lt-{side(split)}" aria-hidden="true">{glyph(split)}</span> '


# The list -------------------------------------------------------------------------------------------------------------

def list_html(view: RunView, choice: Choice, mode: str, heats: Mapping[str, TokenScores], scoring: str = "",
              strength: float = 1.0) -> str:
    """One page of the list, or what will be here. `heats`: token scores beside the run's own; `scoring`: the question whose words
    are being scored; `strength`: where the dial stands, which these numbers do not follow."""
    if not view.answers:
        return empty_html(PROMISE, _ACTIONS.get(view.status, "Press Unlearn to fill it."))
    chosen = found(view.answers, choice)
    page = page_of(chosen, choice.page)
    line = _line(view, chosen, page, choice, strength)
    if not chosen:
        return f'<div class="lt question-list" data-page="0">{line}{_nothing(view, choice)}</div>'
    known = any(answer.reference_ok is not None for answer in view.answers)
    scores = view.scores | dict(heats)
    rows = "".join(_row(answer, choice, mode, scores.get(answer.question_id), scoring, known) for answer in page.answers)
    return (f'<div class="lt question-list" data-page="{page.number}">{line}'
            f'<table class="runs question-table"><thead><tr>{_heads(choice, known)}</tr></thead><tbody>{rows}</tbody></table>'
            f"{_pages(page)}</div>")


def _line(view: RunView, chosen: Sequence[Answer], page: Page, choice: Choice, strength: float) -> str:
    """How many are shown, of how many, in which order."""
    last = page.first + len(page.answers) - 1
    place = f", {page.first:,} to {last:,} here" if page.count > 1 else ""
    number = f'<b>{len(chosen):,}</b> of {len(view.answers):,} question{"s" * (len(view.answers) != 1)}{place}'
    dial = f" · measured at strength 1; the dial stands at {strength:g}" if strength != 1 else ""
    return f'<p class="question-line" role="status"><span>{number}</span><span>{_ORDERS[choice.order]}{dial}</span></p>'


def _nothing(view: RunView, choice: Choice) -> str:
    what = "No question is like this" + (f", with “{escape(choice.search)}” in it." if choice.search else ".")
    return (f'<div class="question-nothing"><p>{what}</p><button type="button" class="card-action" data-pick="all">'
            f"Show all {len(view.answers):,} questions</button></div>")


def _heads(choice: Choice, known: bool) -> str:
    state, mark = _SORTED.get(choice.order, ("none", "↕"))
    sort = (f'<button type="button" class="race-sort" id="question-sort" data-pick="order:{next_order(choice.order)}">'
            f'Δ log-<br>probability <span aria-hidden="true">{mark}</span></button>{info("delta")}')
    names = [("split", "Split"), ("prompt", "Question"), ("expected", "Expected"), ("said", "Original"), ("said", "Unlearned"),
             ("outcome", "Outcome")]  # fmt: skip
    heads = "".join(f'<th scope="col" class="question-{kind}">{title}</th>' for kind, title in names)
    heads += f'<th scope="col" class="number question-delta" aria-sort="{state}">{sort}</th>'
    return heads + (f'<th scope="col" class="question-reference">{explained("Reference", "reference")}</th>' if known else "")


def _row(answer: Answer, choice: Choice, mode: str, scores: TokenScores | None, scoring: str, known: bool) -> str:
    name, is_open = answer.question_id, answer.question_id == choice.opened
    pick = "close" if is_open else f"open:{escape(name, quote=True)}"
    value = delta(answer)
    cells = [
        f'<td class="question-split">{_mark(answer.split)}{escape(split_title(answer.split))}</td>',
        f'<th scope="row" class="question-prompt"><button type="button" class="question-name" data-pick="{pick}" '
        f'aria-expanded="{str(is_open).lower()}">{escape(answer.prompt)}</button></th>',
        _said("Expected", answer.expected),
        _said("Original", answer.original),
        _said("Unlearned", answer.edited),
        f'<td class="question-outcome"><span class="lt-outcome lt-outcome-{escape(answer.outcome, quote=True)}">'
        f"{escape(answer.outcome)}</span></td>",
        f'<td class="number question-delta" data-label="Δ">{NOT_MEASURED if value is None else nats(value)}</td>',
    ]
    if known:
        cells.append(f'<td class="question-reference" data-label="Reference">{_right(answer.reference_ok)}</td>')
    row = (f'<tr class="question-row{" open" * is_open}" data-row="{escape(name, quote=True)}" data-pick="{pick}">{"".join(cells)}'
           "</tr>")
    return row + (_detail(answer, mode, scores, scoring, len(cells)) if is_open else "")


def _said(title: str, text: str) -> str:
    """A text on at most two lines; the whole of it comes with the unfolded row."""
    shown = escape(text) if text.strip() else '<span class="lt-quiet">(nothing)</span>'
    return f'<td class="question-said" data-label="{title}"><span class="question-clamp">{shown}</span></td>'


def _right(known: bool | None) -> str:
    return '<span class="lt-quiet" title="not known">–</span>' if known is None else "right" if known else "wrong"


def _detail(answer: Answer, mode: str, scores: TokenScores | None, scoring: str, width: int) -> str:
    """Both answers as heat, words or plain text, as in the tab that compares."""
    way = way_of(mode)
    note = SCORING if scores is None and scoring == answer.question_id else ""
    scale = legend_html() if way == "Heat" and scores is not None else ""
    return (f'<tr class="question-detail"><td colspan="{width}">{pair_body_html(answer, way, scores, note)}{scale}</td></tr>')


def _pages(page: Page) -> str:
    if page.count == 1:
        return ""
    return (f'<nav class="question-pages" aria-label="Pages">{_turn("previous", "Previous", page.number - 1, page.count)}'
            f"<span>Page {page.number + 1} of {page.count}</span>{_turn('next', 'Next', page.number + 1, page.count)}</nav>")


def _turn(name: str, title: str, to: int, count: int) -> str:
    off = "" if 0 <= to < count else " disabled"
    return f'<button type="button" class="chip" id="question-{name}" data-pick="page:{to}"{off}>{title}</button>'
