"""Blocks of like length: every position once, little padding, no tiny blocks."""

from __future__ import annotations

import random

import pytest

from unlearn_core.batching import like_lengths


@pytest.mark.parametrize("count", [0, 1, 5, 12, 13, 72, 400])
def test_every_position_is_in_one_block(count: int) -> None:
    lengths = [random.Random(count + place).randrange(3, 60) for place in range(count)]
    blocks = like_lengths(lengths)
    assert sorted(place for block in blocks for place in block) == list(range(count))
    assert all(len(block) >= 12 for block in blocks) or len(blocks) == 1


def test_two_lengths_make_two_blocks_and_one_length_makes_one() -> None:
    assert [len(block) for block in like_lengths([40] * 20 + [5] * 30)] == [30, 20]
    assert len(like_lengths([7] * 300)) == 1


def test_padding_is_bounded_where_no_block_was_too_small() -> None:
    lengths = list(range(10, 60)) * 8
    for block in like_lengths(lengths, 0.15, 12):
        longest = max(lengths[place] for place in block)
        assert 1 - sum(lengths[place] for place in block) / (longest * len(block)) <= 0.15
