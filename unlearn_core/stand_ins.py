"""Altered copies of given questions that stand for text of the same kind that was not given. Knows rows of token ids only.

A method sees few of the questions that must stay. What it must not do to the others it can learn from copies in which
something else is asked: the same words with other names in them, or with any of their words exchanged (our addition).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence, Set

from .models.loading import LoadedModel
from .training import Row, question_starts

RARE = 0.1  # a prompt token in fewer of the questions says what a question is about
COMMON = 0.5  # one in more of them says how it is asked


def foreign_tokens(loaded: LoadedModel, forget: Sequence[Row], kept: Sequence[Row]) -> list[int]:
    """Every token of the vocabulary but the special ones and those that only forget prompts contain."""
    own = set(prompt_tokens(forget)) - set(prompt_tokens(kept))
    special = set(loaded.tokenizer.all_special_ids) | set(loaded.tokenizer.get_added_vocab().values())
    return [token for token in range(len(loaded.tokenizer)) if token not in own and token not in special]


def renamed(rows: Sequence[Row], share: float, pool: Sequence[int], marks: Set[int], seed: int) -> list[Row]:
    """The rows asked about something else: a share of the rare tokens of each prompt exchanged for tokens of `pool`."""
    rare = {token for token, part in _shares(rows).items() if part <= RARE} - marks
    return _exchanged(rows, share, pool, seed, rare.__contains__)


def reworded(rows: Sequence[Row], share: float, pool: Sequence[int], marks: Set[int], seed: int) -> list[Row]:
    """The rows asked in other words: a share of the common tokens exchanged for tokens of `pool`."""
    common = {token for token, part in _shares(rows).items() if part > COMMON} - marks
    return _exchanged(rows, share, pool, seed, common.__contains__)


def scrambled(rows: Sequence[Row], share: float, pool: Sequence[int], marks: Set[int], seed: int) -> list[Row]:
    """The rows with a share of all prompt tokens exchanged for tokens of `pool`."""
    return _exchanged(rows, share, pool, seed, lambda token: token not in marks)


def template_marks(rows: Sequence[Row]) -> set[int]:
    """The tokens of every prompt: those of the chat template, which stay where they are."""
    prompts = [set(_prompt(rows[start])) for start in question_starts(rows)]
    return set.intersection(*prompts) if prompts else set()


def prompt_tokens(rows: Sequence[Row]) -> list[int]:
    """The tokens of all prompts, as often as they occur."""
    return [token for start in question_starts(rows) for token in _prompt(rows[start])]


def _exchanged(
    rows: Sequence[Row], share: float, pool: Sequence[int], seed: int, may_go: Callable[[int], bool]
) -> list[Row]:
    """The options of one forced choice keep one prompt."""
    generator = random.Random(seed)
    result: list[Row] = []
    for start in question_starts(rows):
        prompt = tuple(
            generator.choice(pool) if may_go(token) and generator.random() < share else token
            for token in _prompt(rows[start])
        )
        for row in rows[start : start + max(1, rows[start].options)]:
            result.append(Row((*prompt, *row.ids[row.start :]), row.start, row.options))
    return result


def _shares(rows: Sequence[Row]) -> dict[int, float]:
    """The share of questions that contain each prompt token."""
    starts = list(question_starts(rows))
    counts = Counter(token for start in starts for token in set(_prompt(rows[start])))
    return {token: count / len(starts) for token, count in counts.items()}


def _prompt(row: Row) -> tuple[int, ...]:
    return row.ids[: row.start]
