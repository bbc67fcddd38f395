"""Blocks of like length: every position once, and no way to cut that costs less."""

from __future__ import annotations

import itertools
import random

import pytest

from unlearn_core.batching import like_lengths


@pytest.mark.parametrize("count", [0, 1, 5, 12, 13, 72, 400])
def test_every_position_is_in_one_block_shortest_first(count: int) -> None:
    lengths = [random.Random(count + place).randrange(3, 60) for place in range(count)]
    blocks = like_lengths(lengths)
    assert sorted(place for block in blocks for place in block) == list(range(count))
    read = [lengths[place] for block in blocks for place in block]
    assert read == sorted(lengths)


def test_two_lengths_make_two_blocks_and_one_length_makes_one() -> None:
    assert [len(block) for block in like_lengths([40] * 20 + [5] * 30)] == [30, 20]
    assert len(like_lengths([7] * 300)) == 1


def test_few_longer_rows_join_the_rest_where_a_pass_of_their_own_costs_more() -> None:
    lengths = [20] * 10 + [25]  # 11 × 25 = 275 tokens together; 200 + 25 + a pass apart
    assert len(like_lengths(lengths, pass_cost=51)) == 1
    assert len(like_lengths(lengths, pass_cost=49)) == 2


@pytest.mark.parametrize("seed", range(20))
def test_no_way_to_cut_costs_less(seed: int) -> None:
    generator = random.Random(seed)
    lengths = [generator.randrange(1, 40) for _ in range(generator.randrange(1, 10))]
    pass_cost = generator.choice([0, 5, 20, 80])
    ordered = sorted(lengths)
    costs = []
    for cuts in itertools.product([False, True], repeat=len(ordered) - 1):
        edges = [0, *(place + 1 for place, cut in enumerate(cuts) if cut), len(ordered)]
        costs.append(sum((end - begin) * ordered[end - 1] + pass_cost for begin, end in itertools.pairwise(edges)))
    blocks = like_lengths(lengths, pass_cost)
    assert sum(len(block) * max(lengths[place] for place in block) + pass_cost for block in blocks) == min(costs)
