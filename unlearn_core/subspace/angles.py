"""How far two subspaces share directions: principal angles and overlap. Pure tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def principal_angles(A: Tensor, B: Tensor) -> Tensor:
    """Cosines, descending, of the principal angles between two subspaces given by orthonormal columns.

    A (d, k), B (d, m) -> (min(k, m),): the singular values of A^T B (Bjorck and Golub 1973), clipped to [0, 1].
    """
    if A.shape[1] == 0 or B.shape[1] == 0:
        return A.new_zeros(0)
    return torch.linalg.svdvals(A.mT @ B).clamp(0, 1)


def overlap(A: Tensor, B: Tensor) -> float:
    """Share of the smaller subspace that lies in the other: mean squared cosine, in [0, 1]; 0 where one is empty."""
    cosines = principal_angles(A, B)
    return float(cosines.square().mean()) if len(cosines) else 0.0
