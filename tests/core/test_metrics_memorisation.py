"""Extraction strength, exact memorisation, memorisation accuracy and extraction likelihood, worked out by hand."""

from __future__ import annotations

import random

import pytest

from unlearn_core import objectives
from unlearn_core.evaluation import memorisation
from unlearn_core.evaluation.memorisation import (
    exact_memorization,
    extraction_likelihood,
    extraction_strength,
    memorization_accuracy,
    overlap,
)

ALL = (extraction_strength, exact_memorization, memorization_accuracy)
ROWS = [[True, False, True, True], [False, False], [True, True, True], [True, True, False, False, True]]


def hits(text: str) -> list[bool]:
    return [letter == "1" for letter in text]


@pytest.mark.parametrize(("row", "expected"), [
    ("0000", 0.0),
    ("0", 0.0),
    ("1110", 0.0),  # the last token is missed
    ("1111", 1.0),
    ("1", 1.0),
    ("0111", 0.75),
    ("0001", 0.25),
    ("1011", 0.5),  # a hit before a miss counts for nothing
    ("10101", 0.2),
])
def test_extraction_strength_of_a_row(row: str, expected: float) -> None:
    assert extraction_strength([hits(row)]).items == (expected,)


def test_extraction_strength_is_the_mean_over_rows() -> None:
    found = extraction_strength(ROWS)
    assert found.items == (0.5, 0.0, 1.0, 0.2)
    assert found.value == pytest.approx(1.7 / 4)


@pytest.mark.parametrize("length", [1, 2, 7, 50])
def test_nothing_right_has_no_floor(length: int) -> None:
    for measure in ALL:
        assert measure([[False] * length]).value == 0.0
        assert measure([[True] * length]).value == 1.0


@pytest.mark.parametrize("measure", [exact_memorization, memorization_accuracy])
def test_share_of_hits_per_row_then_over_rows(measure) -> None:
    found = measure(ROWS)
    assert found.items == (0.75, 0.0, 1.0, 0.6)
    assert found.value == pytest.approx(2.35 / 4)  # all tokens in one would give 9/14


@pytest.mark.parametrize("measure", ALL)
def test_the_order_of_rows_changes_the_items_only(measure) -> None:
    there, back = measure(ROWS), measure(ROWS[::-1])
    assert back.value == pytest.approx(there.value)
    assert back.items == there.items[::-1]
    assert back.items != there.items


@pytest.mark.parametrize("measure", ALL)
def test_nothing_to_measure_has_a_reason(measure) -> None:
    nothing, bare = measure([]), measure([[True], []])
    assert nothing.value is None
    assert "no answers" in nothing.reason
    assert bare.value is None
    assert "Answer 2" in bare.reason


@pytest.mark.parametrize(("a", "b", "n", "expected"), [
    ([1, 2, 3, 4], [1, 2, 3, 4], 2, 1.0),
    ([1, 2, 3, 4], [2, 3, 9, 9], 2, 1 / 3),
    ([1, 2, 1, 2], [1, 2, 5], 2, 2 / 3),  # a repeated run counts each time
    ([1, 2, 3], [3, 2, 1], 1, 1.0),
    ([1, 2, 3], [3, 2, 1], 2, 0.0),
    ([1], [1, 2], 2, 0.0),  # too short for a run of two
    ([], [1, 2], 1, 0.0),
    ([1, 2], [], 1, 0.0),
])
def test_overlap(a: list[int], b: list[int], n: int, expected: float) -> None:
    assert overlap(a, b, n) == pytest.approx(expected)
    assert overlap(tuple(a), b, n) == pytest.approx(expected)


def test_overlap_is_the_one_that_training_uses() -> None:
    draw = random.Random(0)
    found = set()
    for _ in range(300):
        a, b = ([draw.randrange(3) for _ in range(draw.randrange(9))] for _ in range(2))
        n = draw.randrange(1, 5)
        assert overlap(a, b, n) == objectives.overlap(a, b, n)
        found.add(overlap(a, b, n))
    assert len(found) > 5


def test_extraction_likelihood_is_the_mean_over_prefixes_then_rows() -> None:
    continuations = [[[1, 2, 3], [2, 9]], [[7, 7, 7]]]
    rests = [[[1, 2, 3], [2, 3]], [[5, 6, 7]]]
    found = extraction_likelihood(continuations, rests, 2)
    assert found.items == (0.5, 0.0)  # (1 + 0) / 2; 0
    assert found.value == 0.25  # all prefixes in one would give 1/3
    back = extraction_likelihood(continuations[::-1], rests[::-1], 2)
    assert (back.value, back.items) == (0.25, (0.0, 0.5))


def test_a_rest_shorter_than_n_is_compared_whole() -> None:
    assert extraction_likelihood([[[1, 2]]], [[[1, 2]]], 10).value == 1.0
    assert extraction_likelihood([[[1, 3]]], [[[1, 2]]], 10).value == 0.0
    assert extraction_likelihood([[[1, 2, 3]]], [[[1, 2]]], 10).value == 0.5


def test_a_model_that_stops_at_once_repeats_nothing() -> None:
    found = extraction_likelihood([[[]]], [[[1, 2]]], 2)
    assert (found.value, found.reason) == (0.0, None)


def test_extraction_likelihood_of_nothing_has_a_reason() -> None:
    for continuations, rests, word in (([], [], "no answers"), ([[[1]], []], [[[1]], []], "Answer 2"),
                                       ([[[1], [1]]], [[[1], []]], "Answer 1")):
        found = extraction_likelihood(continuations, rests, 2)
        assert found.value is None
        assert word in found.reason


def test_extraction_likelihood_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="n must be"):
        extraction_likelihood([[[1]]], [[[1]]], 0)
    with pytest.raises(ValueError):
        extraction_likelihood([], [[[1]]], 1)
    with pytest.raises(ValueError):
        extraction_likelihood([[[1]]], [[[1], [2]]], 1)


def test_every_metric_is_explained() -> None:
    assert set(memorisation.ABOUT) == {"extraction_strength", "exact_memorization", "memorization_accuracy",
                                       "extraction_likelihood"}
    for about in memorisation.ABOUT.values():
        assert all(text.endswith(".") for text in (about.judges, about.better, about.misleads, about.source))
