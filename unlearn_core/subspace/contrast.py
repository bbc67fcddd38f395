"""Directions that one text uses and another does not. Pure tensors; knows no model."""

from __future__ import annotations

import torch
from torch import Tensor

from .krylov import WHOLE, leading_eigenpairs


def contrastive_directions(forget: Tensor, kept: Tensor, eps: float, count: int) -> tuple[Tensor, Tensor]:
    """The `count` input directions in which forget text varies most for what kept text does there.

    `forget`, `kept`: second moments (in, in), each normalised here by its mean diagonal entry. The directions v solve the
    generalised eigenproblem G_f v = s (G + eps I) v and are scaled to unit second moment on both texts together,
    v' (G_f + G + eps I) v = 1, which bounds them also where neither varies. Since
    v = (G + eps I)^-1 G_f v / s, they are forget text's own directions g = G_f v after soft discrimination
    (discrimination.soft_filter): damped where kept text varies, free where it does not. Returns (count, in) directions and
    their ratios s (count,), descending. Above krylov.WHOLE inputs only these are computed, by a factor of G + eps I and a
    Krylov subspace.
    """
    exact = torch.float64 if forget.device.type != "mps" else torch.float32
    own, other = (_normalised(G.to(exact)) for G in (forget, kept))
    ratios, directions = (_whitened if len(own) <= WHOLE else _factored)(own, other, eps, count)
    return (directions / (1 + ratios).sqrt()).mT.to(forget.dtype).contiguous(), ratios.to(forget.dtype)


def _whitened(own: Tensor, other: Tensor, eps: float, count: int) -> tuple[Tensor, Tensor]:
    """The leading s (count,) and v (in, count), of unit length in G + eps I, by two dense decompositions."""
    values, vectors = torch.linalg.eigh(other)
    whitening = (vectors * (values.clamp_min(0) + eps).rsqrt()) @ vectors.mT
    ratios, rotated = torch.linalg.eigh(whitening @ own @ whitening)
    return ratios.flip(0)[:count].clamp_min(0), whitening @ rotated.flip(1)[:, :count]


def _factored(own: Tensor, other: Tensor, eps: float, count: int) -> tuple[Tensor, Tensor]:
    """The same without decomposing anything whole: G + eps I = L L', and the leading eigenvectors of L^-1 G_f L'^-1. Where
    rounding has left G so far below zero that no L is, decomposed whole after all."""
    lower, failed = torch.linalg.cholesky_ex(other + eps * torch.eye(len(other), dtype=other.dtype, device=other.device))
    if failed:
        return _whitened(own, other, eps, count)

    def multiply(block: Tensor) -> Tensor:
        raised = torch.linalg.solve_triangular(lower.mT, block, upper=True)
        return torch.linalg.solve_triangular(lower, own @ raised, upper=False)

    ratios, vectors = leading_eigenpairs(multiply, own, count)
    return ratios, torch.linalg.solve_triangular(lower.mT, vectors, upper=True)


def leading_directions(forget: Tensor, count: int, within: Tensor | None = None) -> Tensor:
    """The `count` orthonormal input directions (count, in) in which forget text varies most, whatever kept text does.

    `forget`: its second moments (in, in). With `within`, orthonormal rows (m, in), only directions in their span, at most m.
    """
    exact = forget.to(torch.float64 if forget.device.type != "mps" else torch.float32)
    rows = torch.eye(len(forget), dtype=exact.dtype, device=exact.device) if within is None else within.to(exact.dtype)
    vectors = torch.linalg.eigh(rows @ ((exact + exact.mT) / 2) @ rows.mT)[1].flip(1)[:, :count]
    return (vectors.mT @ rows).to(forget.dtype).contiguous()


def random_directions(size: int, count: int, seed: int) -> Tensor:
    """`count` orthonormal directions (count, size) spread evenly over all that there are, at most `size`: a control."""
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, min(count, size), generator=generator))[0].mT.contiguous()


def of_unit_moment(directions: Tensor, forget: Tensor, kept: Tensor, eps: float) -> Tensor:
    """The directions (k, in), each scaled so that v' (G_f + G + eps I) v = 1 as those of `contrastive_directions` are."""
    exact = torch.float64 if forget.device.type != "mps" else torch.float32
    both = _normalised(forget.to(exact)) + _normalised(kept.to(exact))
    rows = directions.to(both)
    moments = ((rows @ both) * rows).sum(dim=1) + eps * rows.square().sum(dim=1)
    return (rows / moments.sqrt()[:, None]).to(forget.dtype)


def mixed(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Second moments (in, in) of which a `share` is the second's, brought to the first's mean diagonal: what either text uses
    counts, whichever has the larger numbers. The first where one of them is zero."""
    scales = [float(G.diagonal().mean()) for G in (first, second)]
    return (1 - share) * first + share * scales[0] / scales[1] * second if min(scales) > 0 else first


def undamped(directions: Tensor, kept: Tensor, eps: float) -> Tensor:
    """What the directions (k, in) were before discrimination: (G + eps I) v, each scaled to the length of its v."""
    raw = directions.to(kept.dtype) @ _normalised(kept) + eps * directions
    return raw * (directions.norm(dim=1) / raw.norm(dim=1).clamp_min(1e-30))[:, None]


def _normalised(G: Tensor) -> Tensor:
    scale = G.diagonal().mean()
    return (G + G.mT) / (2 * scale) if scale > 0 else G
