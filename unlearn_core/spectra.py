"""What an edit did to each matrix, as events: spectra, ranks, energies and angles. Knows matrices; no method, no page."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .edits.edit import Edit
from .edits.low_rank import LowRankEdit
from .events import Overlap, Spectrum
from .models.loading import linears, matrix_place
from .subspace.angles import principal_angles
from .subspace.factors import energy_rank, low_rank_svd
from .subspace.krylov import WHOLE, energy_basis, leading_singular_values

SHOWN = 64  # singular values an event carries at most
QUICK = 2**33  # multiplications that a stop may wait for: about a second of one core
ENERGY = 0.95  # share of energy that defines "the" subspace of a matrix, for ranks and angles


def weight_spectrum(weight: Tensor) -> Tensor:
    """Singular values of a weight matrix, descending; of one whose sides are both above krylov.WHOLE the SHOWN largest."""
    weight = weight.detach().float()
    return torch.linalg.svdvals(weight) if min(weight.shape) <= WHOLE else leading_singular_values(weight, SHOWN)


def describe(
    model: nn.Module,
    removed: LowRankEdit,
    tasks: LowRankEdit | None = None,
    moments: dict[str, Tensor] | None = None,
) -> Iterator[Spectrum | Overlap]:
    """Spectrum (and, with `moments`, Overlap) of every matrix of an edit.

    `removed`: the edit itself. `tasks`: the task matrices before discrimination, where there are any, as factors; what
    discrimination left in place is their part outside the edit's input directions. `moments`: second moments of each
    map's inputs over kept text. No product of factors is formed.
    """
    places = linears(model)
    bases: dict[int, Tensor] = {}
    for name in removed.names:
        layer, matrix = matrix_place(name)
        change = _Decomposed(*removed.factors[name])
        task = None if tasks is None else _Decomposed(*tasks.factors[name])
        yield _spectrum(layer, matrix, places[name].weight.detach(), change, task)
        if moments is not None and name in moments and moments[name].any():
            key = id(moments[name])
            if key not in bases:
                bases[key] = moment_basis(moments[name].to(places[name].weight.device))
            yield _overlap(layer, matrix, bases[key], task or change, change)


class _Decomposed:
    """A product B @ A (out, in) by its factors, its singular values and the right singular vectors (in, k)."""

    def __init__(self, B: Tensor, A: Tensor) -> None:
        self.B, self.A = B.float(), A.float()
        _, self.values, self.right = low_rank_svd(self.B, self.A)

    def outside(self, other: _Decomposed) -> Tensor:
        """Singular values of the part that reads no direction which the other reads."""
        values, right = other.values, other.right
        own = (right[:, values > values.max() * 1e-6] if len(values) else right).to(self.A.device)
        return low_rank_svd(self.B, self.A - (self.A @ own) @ own.mT)[1]

    def reads(self, energy: float = ENERGY) -> Tensor:
        """The leading right singular vectors that hold `energy` of the squared norm, on the CPU."""
        return self.right[:, : energy_rank(self.values, energy)].cpu()


def describe_partial(model: nn.Module, removed: Edit) -> Iterator[Spectrum]:
    """Spectra of the edit of a run that was stopped, as far as they are quick: what is subtracted, by the edit's own factors,
    and the weights' own where they are small enough. Nothing of an edit without factors, or with too large ones."""
    if not isinstance(removed, LowRankEdit):
        return
    places = linears(model)
    shapes = {name: tuple(places[name].weight.shape) for name in removed.names}
    if sum(sum(shapes[name]) * A.shape[0] ** 2 for name, (_, A) in removed.factors.items()) > QUICK:
        return
    small = sum(12 * rows * columns * min(rows, columns) for rows, columns in shapes.values()) <= QUICK
    for name in removed.names:
        weight = places[name].weight.detach().float()
        values = removed.spectrum(name)
        spectrum = torch.linalg.svdvals(weight) if small else torch.zeros(0)
        change = float((values.square().sum() / weight.square().sum()).sqrt())
        yield Spectrum(*matrix_place(name), _shown(spectrum), [], _shown(values), [], _rank(values), 0, None, change)


def moment_basis(G: Tensor, energy: float = ENERGY) -> Tensor:
    """Orthonormal columns (in, k): the leading eigenvectors of a second-moment matrix that hold `energy` of its trace; above
    krylov.WHOLE inputs a subspace that holds as much."""
    if len(G) > WHOLE:
        return energy_basis(G.float(), energy).cpu()
    values, vectors = torch.linalg.eigh(G.double().cpu())
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    return vectors[:, : max(1, energy_rank(values.sqrt(), energy))].float()


def _spectrum(layer: int, matrix: str, weight: Tensor, change: _Decomposed, task: _Decomposed | None) -> Spectrum:
    before = torch.zeros(0) if task is None else task.values
    stays = torch.zeros(0) if task is None else task.outside(change)
    total = float(before.square().sum())
    energy = None if task is None or not total else 1 - float(stays.square().sum()) / total
    return Spectrum(
        layer,
        matrix,
        _shown(weight_spectrum(weight)),
        _shown(before),
        _shown(change.values),
        _shown(stays),
        _rank(change.values),
        energy_rank(before, ENERGY),
        energy,
        float((change.values.square().sum() / weight.float().square().sum()).sqrt()),
    )


def _overlap(layer: int, matrix: str, kept: Tensor, task: _Decomposed, change: _Decomposed) -> Overlap:
    before, after = principal_angles(task.reads(), kept), principal_angles(change.reads(), kept)
    return Overlap(layer, matrix, _shown(before), _shown(after), _mean_square(before), _mean_square(after))


def input_basis(matrix: Tensor, energy: float = ENERGY) -> Tensor:
    """Orthonormal columns (in, k): the leading right singular vectors that hold `energy` of the squared norm."""
    _, values, right = torch.linalg.svd(matrix.float().cpu(), full_matrices=False)
    return right[: energy_rank(values, energy)].T


def _mean_square(cosines: Tensor) -> float:
    return float(cosines.square().mean()) if len(cosines) else 0.0


def _rank(values: Tensor) -> int:
    return int((values > 1e-6).sum())


def _shown(values: Tensor) -> list[float]:
    return [float(f"{value:.5g}") for value in values[:SHOWN].tolist()]
