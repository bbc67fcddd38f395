"""What a metric gives: its value with the values of the single items, or why there is none; and what is to be said of it.

Knows numbers and words; neither models nor topics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class About:
    """What a reader has to know of a metric, a sentence each. `better`: which value says that knowledge is gone or kept."""

    judges: str
    better: str
    misleads: str
    source: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured value. `items`: the values of the single items in their order, of which `value` is the aggregate; empty
    where none belong to single items. `reason`: why `value` is None. `low`, `high`: a 95 % interval where one is known."""

    value: float | None
    items: tuple[float, ...] = ()
    reason: str | None = None
    low: float | None = None
    high: float | None = None


def mean_of(items: Sequence[float], nothing: str = "There is nothing to measure here.") -> Metric:
    """The mean of the items, or `nothing` as the reason where there are none."""
    values = tuple(float(item) for item in items)
    return Metric(sum(values) / len(values), values) if values else Metric(None, (), nothing)


def unmeasured(reason: str) -> Metric:
    """No value, and why."""
    return Metric(None, (), reason)
