"""Training in parts: a forget set split by entity, and several trainings one after another told as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..edits.low_rank import LowRankEdit
from ..events import Loss
from ..methods.base import Snapshot
from ..topics.topic import Question


def parts_by_entity(questions: Sequence[Question], count: int) -> list[list[int]]:
    """The places of the questions in at most `count` parts of like size, none of them empty.

    Questions of one entity are in one part; where fewer entities are named than that, every `count`-th question is.
    """
    names = list(dict.fromkeys(question.entity for question in questions))
    turn = {name: place % count for place, name in enumerate(names)}
    parts: list[list[int]] = [[] for _ in range(count)]
    for place, question in enumerate(questions):
        parts[turn[question.entity] if len(names) >= count else place % count].append(place)
    return [part for part in parts if part]


class Tally:
    """Counts the steps of several trainings as those of one of `total` steps, of which some are `done`."""

    def __init__(self, total: int, done: int = 0) -> None:
        self._done, self._total = done, total

    def told(self, training: Iterable[Loss | Snapshot], before: Sequence[LowRankEdit] = ()) -> Iterator[Loss | Snapshot]:
        """What a training yields, in those steps; its snapshots with the edits that came `before` it."""
        length = 0
        for item in training:
            step, length = self._done + item.step, item.total
            yield (replace(item, step=step, total=self._total) if isinstance(item, Loss) else
                   Snapshot(step, self._total, LowRankEdit.stack([*before, item.edit])))
        self._done += length
