"""Damping of what dominates a gradient, on both sides. Pure tensors; knows no model.

Source: RepSelect (Sondej et al. 2026, arXiv 2606.17168), whose filter divides principal components by their size.
"""

from __future__ import annotations

import torch
from torch import Tensor


def damped(gradient: Tensor, count: int, power: float = 1.0) -> Tensor:
    """`gradient` (out, in) with its `count` leading principal components damped on the output and on the input side.

    With the SVD Σ s_i u_i v_iᵀ, each side scales component i by (s_min / s_i)^power, s_min being the least of the `count`, so
    that both together leave s_i · (s_min / s_i)^(2·power); what lies beyond them stays. Power 1 is the soft filter
    (Mahalanobis), 2 the quadratic one; infinity would remove them.
    """
    U, S, Vh = torch.linalg.svd(gradient, full_matrices=False)
    count = min(count, int((S > S[0] * 1e-6).sum()))
    if count == 0:
        return gradient
    gain = torch.ones_like(S)
    gain[:count] = (S[count - 1] / S[:count]) ** (2 * power)
    return (U * (S * gain)) @ Vh
