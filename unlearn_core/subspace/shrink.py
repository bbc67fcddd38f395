"""The smallest rank that keeps a result. Pure search; knows neither edit nor model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

LADDER = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


def smallest(keeps: Callable[[int], bool], full: int, ladder: Sequence[int] = LADDER) -> int:
    """The smallest rank of the ladder for which `keeps` is true, by bisection; `full` where none below it does.

    Assumes that a larger rank keeps at least as much, which the caller's measure should satisfy up to noise.
    """
    ranks = [rank for rank in ladder if rank < full] + [full]
    low, high = 0, len(ranks) - 1
    while low < high:
        middle = (low + high) // 2
        if keeps(ranks[middle]):
            high = middle
        else:
            low = middle + 1
    return ranks[low]
