"""Intervals against scipy and against counting by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from unlearn_core.evaluation.intervals import paired_interval, wilson


@pytest.mark.parametrize(("correct", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (393, 400), (1, 1), (200, 400)])
def test_wilson_equals_scipy(correct: int, n: int) -> None:
    found = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    assert wilson(correct, n) == pytest.approx((found.low, found.high), abs=1e-9)


def test_wilson_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_paired_difference_and_agresti_min_by_hand() -> None:
    before = [True] * 30 + [False] * 10
    after = [True] * 20 + [False] * 10 + [True] * 4 + [False] * 6  # ten lost, four gained
    difference, low, high = paired_interval(before, after)
    assert difference == pytest.approx(-6 / 40)
    centre, spread = (4.5 - 10.5) / 42, 1.959963984540054 * np.sqrt(15 - 36 / 42) / 42
    assert (low, high) == pytest.approx((centre - spread, centre + spread))


def test_paired_interval_covers_about_95_per_cent() -> None:
    stream, truth, inside = np.random.default_rng(0), 0.08 - 0.2, 0
    for _ in range(1000):
        draws = stream.random(80)
        before, after = draws < 0.6, (draws < 0.4) | (draws > 0.92)  # .2 lost, .08 gained
        _, low, high = paired_interval(before.tolist(), after.tolist())
        inside += low <= truth <= high
    assert 0.93 <= inside / 1000 <= 0.98


def test_equal_answers_straddle_zero() -> None:
    difference, low, high = paired_interval([True] * 50, [True] * 50)
    assert difference == 0 and low < 0 < high


def test_no_pairs() -> None:
    assert paired_interval([], []) == (0.0, -1.0, 1.0)
    with pytest.raises(ValueError):
        paired_interval([True], [])
