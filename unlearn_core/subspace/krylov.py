"""Leading eigenpairs and singular values of matrices too large to be decomposed whole. Pure tensors; knows no model.

Block Krylov subspaces (Golub and Underwood 1977; Musco and Musco 2015, arXiv 1504.05477), orthogonalised in full: one product
with the matrix widens the subspace by a block, and a small eigenproblem in it (Rayleigh-Ritz) gives the pairs. What comes out
depends on no seed: the first block is drawn from a fixed one, and the subspace grows until the answer stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

WHOLE = 1024  # size up to which a dense decomposition is as quick
ROUNDING = 1e-6  # of the largest singular value: what is below is none
SPARE = 8  # columns of a block beside those that are wanted
EXHAUSTED = 1e-5  # share of a column that is rounding
_START = 0  # seed of the first block


def leading_eigenpairs(
    multiply: Callable[[Tensor], Tensor], like: Tensor, count: int, tolerance: float = 1e-6
) -> tuple[Tensor, Tensor]:
    """The `count` largest eigenvalues, descending (count,), and their vectors (n, count) of a symmetric positive semidefinite
    operator.

    `multiply`: (n, b) -> (n, b). `like`: any tensor with n rows, whose dtype and device are used. A pair (s, v) counts as found
    once |A v - s v| is at most `tolerance` times the largest eigenvalue.
    """
    count = min(count, len(like))
    for basis, images in _widening(multiply, like, count + SPARE):
        values, inside = _ritz(basis, images)
        values, inside = values[:count], inside[:, :count]
        left = (images @ inside - basis @ (inside * values)).norm(dim=0)
        if basis.shape[1] == len(like) or float(left.max()) <= tolerance * float(values[0].clamp_min(0)):
            break
    return values.clamp_min(0), basis @ inside


def energy_basis(G: Tensor, energy: float) -> Tensor:
    """Orthonormal columns (n, k) that hold the share `energy` of the trace of a second-moment matrix G (n, n).

    Ritz vectors of the first Krylov subspace that holds as much: k is the least number of eigenvectors that do, or a little
    more where the last of them have not settled.
    """
    trace = G.diagonal().double().sum()
    for basis, images in _widening(lambda block: G @ block, G, max(SPARE, len(G) // 32)):
        if basis.shape[1] == len(G) or (basis * images).double().sum() >= energy * trace:
            break
    values, inside = _ritz(basis, images)
    held = values.double().cumsum(0)
    used = int((held < energy * trace - 1e-12 * trace).sum()) + 1
    return basis @ inside[:, :used]


def leading_singular_values(W: Tensor, count: int, tolerance: float = 1e-4) -> Tensor:
    """The `count` largest singular values of W (out, in), descending: widened until a block changes none of them by more than
    `tolerance` of it, or by more than rounding. In double precision, where a device has it: squared, small values beside a large
    one would be lost to rounding."""
    exact = W.to(torch.float64 if W.device.type != "mps" else torch.float32)
    exact = exact if exact.shape[0] >= exact.shape[1] else exact.mT
    count, before = min(count, exact.shape[1]), None
    for basis, images in _widening(lambda block: exact.mT @ (exact @ block), exact.mT, count + SPARE):
        values = _ritz(basis, images)[0][:count].clamp_min(0).sqrt()
        settled = before is not None and bool((values - before <= tolerance * values + ROUNDING * values[0]).all())
        if settled or basis.shape[1] == exact.shape[1]:
            break
        before = values
    return values.to(W.dtype)


def _widening(multiply: Callable[[Tensor], Tensor], like: Tensor, width: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Orthonormal bases Q (n, m) of growing Krylov subspaces with the images A Q, the last of them all of the space."""
    stream = torch.Generator().manual_seed(_START)
    start = torch.randn(len(like), min(width, len(like)), generator=stream)
    block = torch.linalg.qr(start.to(like))[0]
    basis, images = like.new_zeros(len(like), 0), like.new_zeros(len(like), 0)
    while block.shape[1]:
        image = multiply(block)
        basis, images = torch.cat([basis, block], 1), torch.cat([images, image], 1)
        yield basis, images
        block = image[:, : len(like) - basis.shape[1]]
        for _ in range(4):
            left = block - basis @ (basis.mT @ block)
            lost = left.norm(dim=0) <= EXHAUSTED * block.norm(dim=0)  # the subspace holds it: any other direction will do
            if lost.any():
                fresh = torch.randn(len(like), int(lost.sum()), generator=stream).to(like)
                left[:, lost] = fresh - basis @ (basis.mT @ fresh)
            block = torch.linalg.qr(left)[0]


def _ritz(basis: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues of A within a subspace, descending, and their vectors in its basis."""
    inner = basis.mT @ images
    values, vectors = torch.linalg.eigh((inner + inner.mT) / 2)
    return values.flip(0), vectors.flip(1)
