"""Directions that one text uses and another does not. Pure tensors; knows no model."""

from __future__ import annotations

import torch
from torch import Tensor


def contrastive_directions(forget: Tensor, kept: Tensor, eps: float, count: int) -> tuple[Tensor, Tensor]:
    """The `count` input directions in which forget text varies most for what kept text does there.

    `forget`, `kept`: second moments (in, in), each normalised here by its mean diagonal entry. The directions v solve the
    generalised eigenproblem G_f v = s (G + eps I) v and are scaled to unit second moment on both texts together,
    v' (G_f + G + eps I) v = 1, which bounds them also where neither varies. Since
    v = (G + eps I)^-1 G_f v / s, they are forget text's own directions g = G_f v after soft discrimination
    (discrimination.soft_filter): damped where kept text varies, free where it does not. Returns (count, in) directions and
    their ratios s (count,), descending.
    """
    exact = torch.float64 if forget.device.type != "mps" else torch.float32
    own, other = (_normalised(G.to(exact)) for G in (forget, kept))
    values, vectors = torch.linalg.eigh(other)
    whitening = (vectors * (values.clamp_min(0) + eps).rsqrt()) @ vectors.mT
    ratios, rotated = torch.linalg.eigh(whitening @ own @ whitening)
    ratios, rotated = ratios.flip(0)[:count].clamp_min(0), rotated.flip(1)[:, :count]
    return ((whitening @ rotated) / (1 + ratios).sqrt()).mT.to(forget.dtype).contiguous(), ratios.to(forget.dtype)


def undamped(directions: Tensor, kept: Tensor, eps: float) -> Tensor:
    """What the directions (k, in) were before discrimination: (G + eps I) v, each scaled to the length of its v."""
    raw = directions.to(kept.dtype) @ _normalised(kept) + eps * directions
    return raw * (directions.norm(dim=1) / raw.norm(dim=1).clamp_min(1e-30))[:, None]


def _normalised(G: Tensor) -> Tensor:
    scale = G.diagonal().mean()
    return (G + G.mT) / (2 * scale) if scale > 0 else G
