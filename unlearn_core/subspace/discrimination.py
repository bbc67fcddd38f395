"""Taking from a task's matrix what others use too: Gram-Schmidt, hard projector and soft filter. Pure tensors.

Our reading of UNLEARN (arXiv 2408.04140), whose exact formulas are not public.
"""

from __future__ import annotations

import torch
from torch import Tensor


def orthonormal_basis(X: Tensor, eps: float = 1e-6) -> Tensor:
    """Orthonormal columns (d, k) spanning the columns of X (d, n); directions under `eps` times the largest singular
    value are dropped, so an empty or zero X gives (d, 0)."""
    if X.numel() == 0:
        return X.new_zeros(X.shape[0], 0)
    U, S, _ = torch.linalg.svd(X, full_matrices=False)
    return U[:, S > eps * S[0]] if S[0] > 0 else X.new_zeros(X.shape[0], 0)


def gram_schmidt(V: Tensor, Q: Tensor, tau: float = 1e-3) -> Tensor:
    """Sequential Gram-Schmidt of the columns of V (d, k, most important first) against Q (d, m, orthonormal).

    v' = v - Q Q^T v, then orthogonal to the columns already kept; kept, at unit length, when |v'| > tau |v|, dropped
    as pure overlap otherwise. Both projections are done twice against rounding. Returns (d, at most k).
    """
    kept = V.new_zeros(V.shape[0], 0)
    for v in V.mT:
        rest = v
        for _ in range(2):
            rest = rest - Q @ (Q.mT @ rest)
            rest = rest - kept @ (kept.mT @ rest)
        length = rest.norm()
        if length > tau * v.norm():
            kept = torch.cat([kept, (rest / length)[:, None]], dim=1)
    return kept


def discriminate_hard(T: Tensor, Q: Tensor) -> Tensor:
    """T (out, in) without its part that reads the directions Q (in, m, orthonormal): T (I - Q Q^T)."""
    return T - (T @ Q) @ Q.mT


def discriminate_soft(T: Tensor, G: Tensor, eps: float) -> Tensor:
    """T (out, in) with every input direction damped by how much G uses it: T eps (G + eps I)^-1.

    G (in, in) is a second-moment matrix, normalised here by its mean diagonal entry. The ridge form of the hard
    step: directions with variance s are scaled by eps / (s + eps), so eps -> 0 gives T off the range of G.
    """
    return T @ soft_filter(G, eps).to(T.dtype)


def soft_filter(G: Tensor, eps: float, power: float = 1.0) -> Tensor:
    """(eps (G / mean diagonal + eps I)^-1)^power, symmetric (in, in) with eigenvalues in [0, 1]; the identity where G is zero.

    Computed from the eigenvalues in double precision: the inverse itself is ill-conditioned for small eps.
    """
    exact = G.float() if G.device.type == "mps" else G.double()  # Apple's GPU has no 64 bits
    scale = exact.diagonal().mean()
    if scale <= 0:
        return torch.eye(len(G), dtype=G.dtype, device=G.device)
    values, vectors = torch.linalg.eigh((exact + exact.mT) / (2 * scale))
    gain = (eps / (values.clamp_min(0) + eps)) ** power
    return ((vectors * gain) @ vectors.mT).to(G.dtype)
