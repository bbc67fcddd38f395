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

SHOWN = 64  # singular values an event carries at most
QUICK = 2**33  # multiplications that a stop may wait for: about a second of one core
ENERGY = 0.95  # share of energy that defines "the" subspace of a matrix, for ranks and angles


def original_spectra(model: nn.Module) -> dict[str, Tensor]:
    """Singular values of every linear map's weights, descending: name -> (min(out, in),)."""
    return {name: torch.linalg.svdvals(place.weight.detach().float()) for name, place in linears(model).items()}


def describe(
    model: nn.Module,
    removed: LowRankEdit,
    tasks: dict[str, Tensor] | None = None,
    moments: dict[str, Tensor] | None = None,
    original: dict[str, Tensor] | None = None,
) -> Iterator[Spectrum | Overlap]:
    """Spectrum (and, with `moments`, Overlap) of every matrix of an edit.

    `removed`: the edit itself. `tasks`: the task matrices (out, in) before discrimination, where there are any; what
    discrimination left in place is their part outside the edit's input directions. `moments`: second moments of each
    map's inputs over kept text.
    """
    spectra = original or original_spectra(model)
    bases: dict[int, Tensor] = {}
    for name in removed.names:
        layer, matrix = matrix_place(name)
        values = removed.spectrum(name)
        task = None if tasks is None else tasks[name]
        yield _spectrum(
            layer, matrix, spectra[name], values, task, None if task is None else _outside(task, removed, name)
        )
        if moments is not None and name in moments and moments[name].any():
            kept = bases.setdefault(id(moments[name]), moment_basis(moments[name]))
            yield _overlap(layer, matrix, kept, removed.delta(name) if task is None else task, removed.delta(name))


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
    """Orthonormal columns (in, k): the leading eigenvectors of a second-moment matrix that hold `energy` of its trace."""
    values, vectors = torch.linalg.eigh(G.double().cpu())
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    return vectors[:, : max(1, energy_rank(values.sqrt(), energy))].float()


def _outside(task: Tensor, change: LowRankEdit, name: str) -> Tensor:
    """The part of a task matrix that reads no direction which the change reads."""
    _, values, right = low_rank_svd(*(factor.float() for factor in change.factors[name]))
    own = right[:, values > values.max() * 1e-6].to(task.device) if len(values) else right.to(task.device)
    return task - (task @ own) @ own.T


def _spectrum(
    layer: int, matrix: str, weights: Tensor, values: Tensor, task: Tensor | None, kept: Tensor | None
) -> Spectrum:
    before = torch.zeros(0) if task is None else torch.linalg.svdvals(task.float())
    stays = torch.zeros(0) if kept is None else torch.linalg.svdvals(kept.float())
    total = float(before.square().sum())
    energy = None if task is None or not total else 1 - float(stays.square().sum()) / total
    return Spectrum(
        layer,
        matrix,
        _shown(weights),
        _shown(before),
        _shown(values),
        _shown(stays),
        _rank(values),
        energy_rank(before, ENERGY),
        energy,
        float((values.square().sum() / weights.square().sum()).sqrt()),
    )


def _overlap(layer: int, matrix: str, kept: Tensor, task: Tensor, change: Tensor) -> Overlap:
    before, after = principal_angles(input_basis(task), kept), principal_angles(input_basis(change), kept)
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
