"""Token lists of unequal length as padded batches. Knows numbers only: no model, no text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

Cancelled = Callable[[], bool]
OnBatch = Callable[[int, int], None]  # items done, items in all


def never() -> bool:
    """The `cancelled` of work that nobody stops."""
    return False


def by_length(lengths: Sequence[int], rows: int, tokens: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, longest first: at most `rows` rows and `tokens` padded tokens a batch."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    start = 0
    while start < len(order):
        width = max(1, lengths[order[start]])
        size = max(1, min(rows, tokens // width))
        yield order[start:start + size]
        start += size


def pad_right(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> Tensor:
    """(rows, longest) ids, filled up with `pad` behind."""
    width = max(len(row) for row in rows)
    return torch.tensor([list(row) + [pad] * (width - len(row)) for row in rows], dtype=torch.long, device=device)


def pad_left(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(rows, longest) ids filled up with `pad` in front, and the mask of real tokens (1) and filling (0)."""
    width = max(len(row) for row in rows)
    ids = [[pad] * (width - len(row)) + list(row) for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return (torch.tensor(ids, dtype=torch.long, device=device), torch.tensor(mask, dtype=torch.long, device=device))


def like_lengths(lengths: Sequence[int], pass_cost: int = 120) -> list[list[int]]:
    """Positions in blocks of like length, shortest first: of all ways to cut the sorted lengths the one that costs least.

    A block costs its padded tokens and, for being a pass of its own, as much as `pass_cost` tokens.
    """
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    ends = [end for end in range(1, len(order)) if lengths[order[end]] != lengths[order[end - 1]]]
    cheapest = {0: (0, 0)}  # what the first rows cost, and where their last block begins
    for end in [*ends, len(order)] if order else []:
        width = lengths[order[end - 1]]
        cheapest[end] = min((cost + (end - begin) * width + pass_cost, begin) for begin, (cost, _) in cheapest.items())
    blocks: list[list[int]] = []
    end = len(order)
    while end:
        begin = cheapest[end][1]
        blocks.append(order[begin:end])
        end = begin
    return blocks[::-1]
