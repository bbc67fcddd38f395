"""Singular values of a product of two thin factors, and how many of them matter. Pure; knows no model."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def low_rank_svd(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """SVD of B @ A without forming the product: B (out, r), A (r, in) -> U (out, k), S (k,) descending, V (in, k).

    QR of B and of A transposed leave an r x r core (Halko et al. 2011, section 5); k = min(out, r, in).
    B @ A = U diag(S) V^T. Cost O((out + in) r^2).
    """
    QB, RB = torch.linalg.qr(B)
    QA, RA = torch.linalg.qr(A.mT)
    U, S, Vh = torch.linalg.svd(RB @ RA.mT, full_matrices=False)
    return QB @ U, S, QA @ Vh.mT


def truncate(B: Tensor, A: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Best approximation of B @ A of at most `rank`, as factors (out, k) and (k, in) that share the singular values."""
    U, S, V = low_rank_svd(B, A)
    root = S[:rank].sqrt()
    return U[:, :rank] * root, root[:, None] * V[:, :rank].mT


def energy_rank(S: Tensor, energy: float) -> int:
    """The smallest k whose leading singular values hold `energy` (0..1) of the sum of squares; 0 for a zero matrix."""
    squares = S.cpu().double().square()
    total = squares.sum()
    if total <= 0 or energy <= 0:
        return 0
    held = squares.cumsum(0) / total
    return min(int((held < energy - 1e-12).sum()) + 1, len(S))


def effective_rank(S: Tensor) -> float:
    """exp of the entropy of the normalised singular values (Roy and Vetterli 2007): how many directions carry it."""
    values = S.cpu().double()
    total = values.sum()
    if total <= 0:
        return 0.0
    share = values[values > 0] / total
    return math.exp(float(-(share * share.log()).sum()))
