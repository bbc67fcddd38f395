"""Weights rounded to few levels, and back: pure functions of tensors. Knows no model and no edit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# NormalFloat with 4 bits: the levels of Dettmers et al. 2023 (QLoRA, arXiv 2305.14314, appendix E), exact at -1, 0 and 1
NF4 = (-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
       -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
       0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0)


@dataclass(frozen=True)
class Rounded:
    """A rounded matrix (out, in): `levels`, the number of each weight's level, and `values`, what the levels stand for."""

    levels: Tensor
    values: Tensor


def rounded_evenly(weight: Tensor, bits: int, group: int | None = None) -> Rounded:
    """Each weight (out, in) at the nearest of 2^bits − 1 evenly spaced levels, symmetric around 0 (round to nearest).

    `group` weights next to each other along a row share a scale, its largest magnitude over 2^(bits−1) − 1; None: a whole row
    does. The last group of a row may be shorter. A group of zeros stays zero.
    """
    highest = 2 ** (bits - 1) - 1
    grouped = _grouped(weight, group)
    step = _whole(grouped.abs().amax(-1, keepdim=True)) / highest
    levels = (grouped / step).round().clamp(-highest, highest)
    return Rounded(_joined(levels, weight).to(torch.int16), _joined(levels * step, weight))


def rounded_normally(weight: Tensor, block: int = 64) -> Rounded:
    """Each weight (out, in) at the nearest of the 16 levels of NF4, times the largest magnitude of its block along a row."""
    book = torch.tensor(NF4, device=weight.device)
    grouped = _grouped(weight, block)
    scale = _whole(grouped.abs().amax(-1, keepdim=True))
    levels = torch.bucketize((grouped / scale).contiguous(), (book[1:] + book[:-1]) / 2)
    return Rounded(_joined(levels, weight).to(torch.int16), _joined(book[levels] * scale, weight))


def differing(first: Tensor, second: Tensor) -> int:
    """How many weights lie at another level in the one than in the other."""
    return int((first != second).sum())


def _grouped(weight: Tensor, group: int | None) -> Tensor:
    """(out, groups, size), float32, filled up with zeros."""
    size = weight.shape[1] if group is None else min(group, weight.shape[1])
    filled = functional.pad(weight.float(), (0, -weight.shape[1] % size))
    return filled.reshape(len(weight), -1, size)


def _joined(grouped: Tensor, weight: Tensor) -> Tensor:
    return grouped.reshape(len(weight), -1)[:, : weight.shape[1]]


def _whole(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, torch.ones_like(scale))
