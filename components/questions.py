"""The questions of one run: which are shown and in which order, how many there are of each, all as CSV. Pure; knows no HTML."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from unlearn_core.config import SPLITS
from unlearn_core.events import Answer

from . import spreadsheet

OUTCOMES = ("forgotten", "leaked", "damaged", "kept", "unchanged")
SETTLED = ("kept", "unchanged")  # as it was: what the list leaves out at first
CHANGED, EVERY = "changed", ""
TELLING = ("leaked", "damaged")  # what did not go as wanted stands first
AS_ASKED, LOWEST, HIGHEST = "", "lowest", "highest"
PAGE = 50  # questions at a time
LONGEST_SEARCH = 200
COLUMNS = ("question_id", "split", "question", "expected", "original", "unlearned", "original_right", "unlearned_right", "outcome",
           "delta_logprob_nats", "original_logprob_nats", "unlearned_logprob_nats", "reference_right")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """What the list shows. `split` and `outcome`: EVERY, CHANGED or a name; `order`: AS_ASKED, LOWEST or HIGHEST (Δ first);
    `page` counts from 0; `opened` is the question whose answers are unfolded."""

    split: str = EVERY
    outcome: str = CHANGED
    search: str = ""
    order: str = AS_ASKED
    page: int = 0
    opened: str = ""

    def but(self, **more: str) -> Choice:
        """Another list: it begins on its first page, with nothing unfolded."""
        return replace(self, page=0, opened="", **more)


@dataclass(frozen=True, slots=True)
class Count:
    """Questions of one kind: `total` in the run, `found` among those that the other choices leave."""

    name: str
    total: int
    found: int


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of the list. `number` counts from 0; `first` is the place of its first question, from 1."""

    answers: Sequence[Answer]
    number: int
    count: int
    first: int


def delta(answer: Answer) -> float | None:
    """Log-probability of the expected answer, unlearned − original, in nats; None where one of them is not a number."""
    before, after = answer.original_logprob, answer.edited_logprob
    return None if before is None or after is None else after - before


def found(answers: Iterable[Answer], choice: Choice) -> list[Answer]:
    """The questions that the choice lets through, in its order."""
    words = _folded(choice.search).split()
    kept = [answer for answer in answers if _of_split(answer, choice.split) and _of_outcome(answer, choice.outcome)
            and _says(answer, words)]
    return _ordered(kept, choice.order)


def by_outcome(answers: Sequence[Answer], choice: Choice) -> list[Count]:
    """How many there are of each outcome; the totals add up to all questions of the run."""
    left = Counter(answer.outcome for answer in found(answers, replace(choice, outcome=EVERY)))
    return _counts(Counter(answer.outcome for answer in answers), left, OUTCOMES)


def by_split(answers: Sequence[Answer], choice: Choice) -> list[Count]:
    """How many there are of each split that was asked; the totals add up to all questions of the run."""
    left = Counter(answer.split for answer in found(answers, replace(choice, split=EVERY)))
    return [count for count in _counts(Counter(answer.split for answer in answers), left, SPLITS) if count.total]


def together(counts: Iterable[Count], name: str) -> Count:
    """Several kinds as one."""
    chosen = list(counts)
    return Count(name, sum(count.total for count in chosen), sum(count.found for count in chosen))


def page_of(answers: Sequence[Answer], number: int, size: int = PAGE) -> Page:
    """One page; a number beyond the ends gives the nearest page."""
    count = max(1, -(-len(answers) // size))
    number = min(max(number, 0), count - 1)
    return Page(answers[number * size:(number + 1) * size], number, count, number * size + 1)


def next_order(order: str) -> str:
    """What another press on the heading of Δ brings."""
    return {AS_ASKED: LOWEST, LOWEST: HIGHEST}.get(order, AS_ASKED)


def csv_text(answers: Iterable[Answer]) -> str:
    """The questions as CSV, one row each under a heading (see spreadsheet)."""
    return spreadsheet.csv_text(COLUMNS, (dict(zip(COLUMNS, _cells(answer), strict=True)) for answer in answers))


def _of_split(answer: Answer, split: str) -> bool:
    return split == EVERY or answer.split == split


def _of_outcome(answer: Answer, outcome: str) -> bool:
    return outcome == EVERY or (answer.outcome not in SETTLED if outcome == CHANGED else answer.outcome == outcome)


def _says(answer: Answer, words: Sequence[str]) -> bool:
    """Whether every word is found somewhere in the question or in one of its answers."""
    if not words:
        return True
    text = _folded("\n".join((answer.prompt, answer.expected, answer.original, answer.edited)))
    return all(word in text for word in words)


def _folded(text: str) -> str:
    """Text as it is compared: neither case nor accents count, so that "donde" finds "Dónde"."""
    if text.isascii():
        return text.casefold()
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in spread if not unicodedata.combining(letter))


def _ordered(answers: list[Answer], order: str) -> list[Answer]:
    if order == AS_ASKED:
        return sorted(answers, key=lambda answer: answer.outcome not in TELLING)
    valued = [(value, answer) for answer in answers if (value := delta(answer)) is not None]
    valued.sort(key=lambda pair: pair[0], reverse=order == HIGHEST)
    return [answer for _, answer in valued] + [answer for answer in answers if delta(answer) is None]


def _counts(total: Counter[str], left: Counter[str], names: Sequence[str]) -> list[Count]:
    """In the order of `names`; what has another name (a newer version's) comes after."""
    return [Count(name, total[name], left[name]) for name in [*names, *(name for name in total if name not in names)]]


def _cells(answer: Answer) -> list[object]:
    return [answer.question_id, answer.split, answer.prompt, answer.expected, answer.original, answer.edited, answer.original_ok,
            answer.edited_ok, answer.outcome, delta(answer), answer.original_logprob, answer.edited_logprob, answer.reference_ok]
