"""The directions that given text does not use. Pure tensors; knows no model."""

from __future__ import annotations

import torch
from torch import Tensor

from .factors import energy_rank


def null_space(G: Tensor, energy: float) -> Tensor:
    """Orthonormal rows (m, in) spanning the complement of the leading eigenvectors of a second-moment matrix G (in, in)
    which hold `energy` of its trace: the rows of I − U Uᵀ in a basis of its own range.

    All of the space where G is zero; the direction of the least eigenvalue where nothing else is left.
    """
    exact = G.float() if G.device.type == "mps" else G.double()
    values, vectors = torch.linalg.eigh((exact + exact.mT) / 2)
    used = energy_rank(values.flip(0).clamp_min(0).sqrt(), energy)
    return vectors[:, : max(1, len(values) - used)].mT.to(G.dtype).contiguous()
