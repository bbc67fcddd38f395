"""Several linear maps as one (EUL's fusion, arXiv 2310.20150 section 3.3). Pure tensors; knows no model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def fuse(maps: Sequence[Tensor], grams: Sequence[Tensor], ridge: float = 1e-6) -> Tensor:
    """The map W (out, in) that is nearest to each of `maps` (out, in) on its own inputs: least Σ ‖X_i Wᵀ − X_i W_iᵀ‖².

    `grams`: X_iᵀ X_i (in, in) of the inputs that each was made for; the inputs themselves are not needed. W = (Σ W_i G_i + ε M)
    (Σ G_i + ε I)⁻¹ with M the mean of the maps and ε = `ridge` · trace / in: along directions that no input has, W is that mean
    (our reading; the paper's inverse does not exist there).
    """
    exact = torch.float64 if maps[0].device.type != "mps" else torch.float32
    every, weights = [each.to(exact) for each in maps], [gram.to(exact) for gram in grams]
    total = torch.stack(weights).sum(0)
    size = len(total)
    bound = max(float(total.diagonal().sum()) * ridge / size, torch.finfo(exact).tiny)
    wanted = sum(each @ gram for each, gram in zip(every, weights, strict=True)) + bound * torch.stack(every).mean(0)
    return torch.linalg.solve(total + bound * torch.eye(size, dtype=exact, device=total.device), wanted.mT).mT.to(maps[0].dtype)
