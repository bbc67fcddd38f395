"""The search for the smallest rank, against trying every rank in turn."""

from __future__ import annotations

import pytest

from unlearn_core.subspace.shrink import LADDER, smallest


def by_trying(keeps, full: int, ladder=LADDER) -> int:
    return next(rank for rank in [*(step for step in ladder if step < full), full] if rank == full or keeps(rank))


@pytest.mark.parametrize("full", [1, 2, 3, 7, 64, 100, 256, 400])
def test_every_threshold_gives_what_trying_gives(full: int) -> None:
    for needed in (1, 2, 3, 5, 8, 9, 33, 99, 100, 255, 256, 300, full):
        assert smallest(needed.__le__, full) == by_trying(needed.__le__, full), needed


def test_the_full_rank_is_the_answer_where_nothing_smaller_does() -> None:
    assert smallest(lambda rank: False, 50) == 50


def test_rank_one_is_found() -> None:
    assert smallest(lambda rank: True, 192) == 1


def test_a_ladder_of_ones_own() -> None:
    assert smallest(lambda rank: rank >= 11, 100, ladder=(5, 10, 20, 40)) == 20


def test_few_ranks_are_tried_and_none_above_full() -> None:
    tried: list[int] = []

    def keeps(rank: int) -> bool:
        tried.append(rank)
        return rank >= 20

    assert smallest(keeps, 200) == 24
    assert len(tried) <= 4 and len(set(tried)) == len(tried) and max(tried) <= 200
