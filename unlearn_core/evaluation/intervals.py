"""95 % intervals of a share and of a paired difference. Pure numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z = 1.959963984540054  # the normal distribution's 97.5 % point


def wilson(correct: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of correct / n (Wilson 1927); (0, 1) when nothing was measured."""
    if n <= 0:
        return 0.0, 1.0
    share, spread = correct / n, Z * Z / n
    centre = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return (0.0 if correct <= 0 else max(0.0, centre - half)), (1.0 if correct >= n else min(1.0, centre + half))


def paired_interval(before: Sequence[bool], after: Sequence[bool]) -> tuple[float, float, float]:
    """(difference, low, high) of the share after minus before, over the same questions.

    The difference is the plain one; the interval is the adjusted Wald interval for matched pairs of Agresti and Min
    (2005): half an observation is added to each cell of the table. (0, -1, 1) when nothing was measured.
    """
    n = len(before)
    if n != len(after):
        raise ValueError(f"{n} answers before, {len(after)} after: these are no pairs")
    if n == 0:
        return 0.0, -1.0, 1.0
    gained = sum(1 for old, new in zip(before, after, strict=True) if new and not old)
    lost = sum(1 for old, new in zip(before, after, strict=True) if old and not new)
    up, down, total = gained + 0.5, lost + 0.5, n + 2
    centre = (up - down) / total
    half = Z * math.sqrt(max(0.0, up + down - (up - down) ** 2 / total)) / total
    return (gained - lost) / n, max(-1.0, centre - half), min(1.0, centre + half)
