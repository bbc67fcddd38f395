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


def like_lengths(lengths: Sequence[int], waste: float = 0.15, smallest: int = 12) -> list[list[int]]:
    """Positions in blocks of like length, shortest first: padding makes up at most about `waste` of a block's tokens, and
    no block but the only one has fewer than `smallest` rows."""
    blocks: list[list[int]] = []
    filled = 0
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        padded = lengths[place] * (len(blocks[-1]) + 1) if blocks else 0
        if blocks and (len(blocks[-1]) < smallest or filled + lengths[place] >= (1 - waste) * padded):
            blocks[-1].append(place)
            filled += lengths[place]
        else:
            blocks.append([place])
            filled = lengths[place]
    if len(blocks) > 1 and len(blocks[-1]) < smallest:
        last = blocks.pop()
        blocks[-1] += last
    return blocks
