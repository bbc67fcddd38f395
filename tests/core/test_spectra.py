"""Spectra, ranks, energies and angles of an edit's events, against numpy and scipy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from tiny_models import random_edit

from unlearn_core import spectra
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.events import Overlap, Spectrum
from unlearn_core.models.loading import LoadedModel, linears, matrix_place

RANK = 3
ROUNDING = 2e-4  # events carry five digits of single precision


def weights_of(loaded: LoadedModel, name: str) -> np.ndarray:
    return linears(loaded.model)[name].weight.detach().double().numpy()


def values_of(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.svd(matrix, compute_uv=False)


def rank_of(values: np.ndarray, energy: float) -> int:
    held = np.cumsum(values**2) / np.sum(values**2)
    return int(np.argmax(held >= energy)) + 1


def basis_of(matrix: np.ndarray, energy: float = 0.95) -> np.ndarray:
    """Leading right singular vectors as columns."""
    _, values, right = np.linalg.svd(matrix)
    return right[:rank_of(values, energy)].T


def outside(task: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The task matrix without what it does with the RANK input directions that the change reads."""
    own = np.linalg.svd(change)[2][:RANK]
    return task - task @ own.T @ own


def moment_basis_of(G: np.ndarray, energy: float = 0.95) -> np.ndarray:
    values, vectors = np.linalg.eigh(G)
    values, vectors = values[::-1], vectors[:, ::-1]
    return vectors[:, :int(np.argmax(np.cumsum(values) / values.sum() >= energy)) + 1]


@pytest.fixture(scope="module")
def case(tiny: LoadedModel) -> tuple[LowRankEdit, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """(edit, task matrices, second moments of unequal directions)."""
    edit = random_edit(tiny, RANK, scale=0.1)
    stream = torch.Generator().manual_seed(5)
    tasks, moments = {}, {}
    for name, place in linears(tiny.model).items():
        tasks[name] = torch.randn(place.out_features, place.in_features, generator=stream) * 0.2
        x = torch.randn(200, place.in_features, generator=stream) * torch.logspace(0, -2, place.in_features)
        moments[name] = x.T @ x / 200
    return edit, tasks, moments


@pytest.fixture(scope="module")
def events(tiny: LoadedModel, case) -> list[Spectrum | Overlap]:
    return list(described(tiny, *case))


def described(tiny: LoadedModel, edit: LowRankEdit, tasks: dict[str, torch.Tensor], moments: dict[str, torch.Tensor]):
    return spectra.describe(tiny.model, edit, LowRankEdit.whole(tasks), moments)


def at(events: list, kind: type, name: str):
    place = matrix_place(name)
    [found] = [event for event in events if isinstance(event, kind) and (event.layer, event.matrix) == place]
    return found


def test_every_matrix_has_one_spectrum_and_one_overlap(tiny: LoadedModel, events: list) -> None:
    places = sorted(matrix_place(name) for name in linears(tiny.model))
    for kind in (Spectrum, Overlap):
        assert sorted((event.layer, event.matrix) for event in events if isinstance(event, kind)) == places


def test_singular_values_are_those_of_the_dense_matrices(tiny: LoadedModel, case, events: list) -> None:
    edit, tasks, _ = case
    for name in edit.names:
        found, W = at(events, Spectrum, name), weights_of(tiny, name)
        task, change = tasks[name].double().numpy(), edit.delta(name).double().numpy()
        np.testing.assert_allclose(found.original, values_of(W)[:64], rtol=ROUNDING, atol=1e-5)
        np.testing.assert_allclose(found.task, values_of(task)[:64], rtol=ROUNDING, atol=1e-5)
        np.testing.assert_allclose(found.kept, values_of(outside(task, change))[:64], rtol=ROUNDING, atol=1e-5)
        np.testing.assert_allclose(found.removed, values_of(change)[:RANK], rtol=ROUNDING)


def test_ranks_energies_and_relative_change(tiny: LoadedModel, case, events: list) -> None:
    edit, tasks, _ = case
    for name in edit.names:
        found, task = at(events, Spectrum, name), tasks[name].double().numpy()
        change = edit.delta(name).double().numpy()
        left = np.linalg.norm(outside(task, change)) ** 2 / np.linalg.norm(task) ** 2
        assert found.rank == RANK
        assert found.task_rank == rank_of(values_of(task), 0.95)
        assert found.energy_removed == pytest.approx(1 - left, rel=1e-4)
        expected = np.linalg.norm(change) / np.linalg.norm(weights_of(tiny, name))
        assert found.relative_change == pytest.approx(expected, rel=1e-4)


def test_angles_are_those_of_scipy(case, events: list) -> None:
    edit, tasks, moments = case
    for name in edit.names:
        found, kept = at(events, Overlap, name), moment_basis_of(moments[name].double().numpy())
        for cosines, mean, matrix in ((found.cosines, found.overlap, tasks[name]),
                                      (found.cosines_after, found.overlap_after, edit.delta(name))):
            expected = np.cos(subspace_angles(basis_of(matrix.double().numpy()), kept))[::-1]
            np.testing.assert_allclose(cosines, expected, atol=2e-4)
            assert mean == pytest.approx(np.mean(expected**2), abs=2e-4)


def test_shared_moments_give_the_same_subspace_to_all_their_maps(tiny: LoadedModel, case) -> None:
    edit, tasks, moments = case
    same = moments[edit.names[0]]
    narrow = {name: same for name in edit.names if edit.delta(name).shape[1] == len(same)}
    found = [event for event in described(tiny, edit, tasks, narrow) if isinstance(event, Overlap)]
    assert len(found) == len(narrow)
    kept = moment_basis_of(same.double().numpy())
    for name in narrow:
        expected = np.cos(subspace_angles(basis_of(tasks[name].double().numpy()), kept))[::-1]
        np.testing.assert_allclose(at(found, Overlap, name).cosines, expected, atol=2e-4)


def test_an_edit_without_task_matrices_has_a_spectrum_only(tiny: LoadedModel, case) -> None:
    edit = case[0]
    found = list(spectra.describe(tiny.model, edit))
    assert all(isinstance(event, Spectrum) for event in found) and len(found) == len(edit.names)
    assert all((event.task, event.kept, event.energy_removed, event.task_rank) == ([], [], None, 0) for event in found)
    assert all(len(event.removed) == RANK for event in found)


def test_an_edit_that_changes_nothing_says_so(tiny: LoadedModel, case) -> None:
    _, tasks, moments = case
    found = list(described(tiny, random_edit(tiny, RANK).scaled(0.0), tasks, moments))
    for event in found:
        if isinstance(event, Spectrum):
            assert (event.rank, event.relative_change) == (0, 0.0)
            assert event.energy_removed == pytest.approx(0.0, abs=1e-6)
            np.testing.assert_allclose(event.kept, event.task, rtol=ROUNDING)
        else:
            assert (event.cosines_after, event.overlap_after) == ([], 0.0)


def test_events_carry_no_more_values_than_the_page_shows(tiny: LoadedModel, case, monkeypatch) -> None:
    monkeypatch.setattr(spectra, "SHOWN", 5)
    for event in described(tiny, *case):
        lists = ((event.original, event.task, event.removed, event.kept) if isinstance(event, Spectrum)
                 else (event.cosines, event.cosines_after))
        assert all(len(values) <= 5 for values in lists)
        assert all(values == sorted(values, reverse=True) for values in lists)


@pytest.mark.parametrize(("energy", "size"), [(0.5, 1), (0.89, 1), (0.95, 2), (0.999, 3)])
def test_moment_basis_holds_the_share_of_the_trace(energy: float, size: int) -> None:
    G = torch.diag(torch.tensor([0.4, 9.0, 0.0, 0.6]))  # of a trace of 10: 9, then 0.6, then 0.4
    basis = spectra.moment_basis(G, energy)
    assert basis.shape == (4, size)
    order = [1, 3, 0][:size]
    np.testing.assert_allclose(basis.abs().numpy(), np.eye(4)[:, order], atol=1e-6)


@pytest.mark.parametrize("shape", [(30, 20), (1030, 1100)])
def test_the_spectrum_of_a_weight_matrix_is_numpys_as_far_as_it_is_shown(shape: tuple[int, int]) -> None:
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(3)).to(torch.bfloat16)
    found = spectra.weight_spectrum(weight)
    assert len(found) >= min(spectra.SHOWN, *shape)
    np.testing.assert_allclose(found[:64], values_of(weight.double().numpy())[:64], rtol=1e-4)


@pytest.mark.parametrize("width", [192, 1024])
def test_rounding_of_a_low_rank_change_is_no_direction_of_its_own(width: int) -> None:
    """What two directions leave in place is the same whether the matrix is small or large."""
    stream = torch.Generator().manual_seed(1)
    left, right = torch.randn(width, 2, generator=stream), torch.randn(2, width, generator=stream)
    model = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.ModuleDict(
        {"mlp": torch.nn.ModuleDict({"up_proj": torch.nn.Linear(width, width, bias=False)})})])})
    name = "layers.0.mlp.up_proj"
    task = torch.randn(width, width, generator=stream)
    found = next(spectra.describe(model, LowRankEdit({name: (left, right)}), LowRankEdit.whole({name: task})))
    own = np.linalg.qr(right.double().numpy().T)[0]
    expected = np.linalg.norm(task.double().numpy() @ own) ** 2 / float(task.double().square().sum())
    assert found.energy_removed == pytest.approx(expected, rel=0.02)


def test_a_stopped_edit_is_described_by_its_factors_as_far_as_that_is_quick(tiny, case, monkeypatch):
    edit = case[0]
    whole = list(spectra.describe(tiny.model, edit))
    alike = [replace(item, relative_change=pytest.approx(item.relative_change, rel=1e-4)) for item in whole]
    assert list(spectra.describe_partial(tiny.model, edit)) == alike
    monkeypatch.setattr(spectra, "QUICK", 50_000)
    bare = list(spectra.describe_partial(tiny.model, edit))
    assert [item.removed for item in bare] == [item.removed for item in whole] and not any(item.original for item in bare)
    assert [item.relative_change for item in bare] == pytest.approx([item.relative_change for item in whole], rel=1e-4)
    monkeypatch.setattr(spectra, "QUICK", 10)
    assert list(spectra.describe_partial(tiny.model, edit)) == []
