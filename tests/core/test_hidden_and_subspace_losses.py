"""Losses on hidden states and gaps, and the algebra behind null spaces, damping and similarity, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unlearn_core import objectives
from unlearn_core.subspace.damping import damped
from unlearn_core.subspace.null_space import null_space
from unlearn_core.subspace.similarity import least_similar_rows

ROWS = torch.tensor([0, 0, 0, 1, 2, 2])  # three answers of three, one and two tokens


def matrix(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


# losses


def test_hidden_distance_divides_each_row_by_its_own_tokens() -> None:
    hidden, target = matrix(6, 5), matrix(6, 5, seed=1)
    each = ((hidden.float() - target.float()) ** 2).mean(dim=1).numpy()
    expected = np.mean([each[0:3].mean(), each[3], each[4:6].mean()])
    assert float(objectives.hidden_distance(hidden, target, ROWS, 3)) == pytest.approx(expected, rel=1e-6)
    assert expected != pytest.approx(each.mean(), rel=1e-3)  # as a mean over all tokens would be


def test_hidden_distance_takes_one_place_for_all_and_vanishes_there() -> None:
    place = matrix(5)
    hidden = place.expand(6, 5) + 2.0
    assert float(objectives.hidden_distance(hidden, place, ROWS, 3)) == pytest.approx(4.0, rel=1e-6)
    assert float(objectives.hidden_distance(place.expand(6, 5), place, ROWS, 3)) == 0.0


def test_gap_difference_is_the_distance_of_a_kl_from_the_gap_on_either_side() -> None:
    logits, known = matrix(6, 7).float(), torch.log_softmax(matrix(6, 7, seed=1).float(), dim=-1)
    mine = torch.log_softmax(logits, dim=-1).double().numpy()
    kl = (np.exp(known.double().numpy()) * (known.double().numpy() - mine)).sum(axis=1).mean()
    for gap in (0.0, kl - 0.5, kl + 0.5):
        assert float(objectives.gap_difference(known, logits, gap)) == pytest.approx(abs(kl - gap), rel=1e-4)


def test_the_gap_pushes_away_from_what_is_known_and_back_when_too_far() -> None:
    known = torch.log_softmax(torch.tensor([[4.0, 0.0, 0.0]]), dim=-1)
    signs = []
    for gap in (3.0, 0.0):
        logits = torch.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
        objectives.gap_difference(known, logits, gap).backward()
        signs.append(float(logits.grad[0, 0]))
    assert signs[0] > 0 > signs[1]


def test_ascent_may_stop_at_another_limit_for_each_row() -> None:
    logits, labels = matrix(6, 7).float(), torch.tensor([0, 1, 2, 3, 4, 5])
    each = -torch.log_softmax(logits, dim=-1).numpy()[np.arange(6), labels.numpy()]
    means = np.array([each[0:3].mean(), each[3], each[4:6].mean()])
    limits = means + np.array([0.5, -0.5, 2.0])
    found = objectives.hinge_ascent(logits, labels, ROWS, 3, torch.tensor(limits))
    assert float(found) == pytest.approx(2.5 / 3, rel=1e-5)


# algebra


def moments(size: int, values: list[float]) -> tuple[torch.Tensor, np.ndarray]:
    """A second-moment matrix with these eigenvalues, and its eigenvectors as columns."""
    vectors = np.linalg.qr(np.random.default_rng(5).normal(size=(size, size)))[0]
    return torch.tensor((vectors * np.array(values)) @ vectors.T), vectors


def test_the_null_space_leaves_out_the_leading_directions() -> None:
    G, vectors = moments(5, [6.0, 3.0, 0.6, 0.3, 0.1])  # shares .6 .9 .96 .99 1
    for energy, used in ((0.5, 1), (0.9, 2), (0.95, 3)):
        rows = null_space(G, energy).numpy()
        assert rows.shape == (5 - used, 5)
        U = vectors[:, :used]
        np.testing.assert_allclose(rows.T @ rows, np.eye(5) - U @ U.T, atol=1e-9)
        np.testing.assert_allclose(rows @ rows.T, np.eye(5 - used), atol=1e-9)


def test_the_null_space_has_all_or_at_least_one_direction() -> None:
    assert null_space(torch.zeros(4, 4), 0.9).shape == (4, 4)
    G, vectors = moments(4, [4.0, 3.0, 2.0, 1.0])
    assert null_space(G, 0.0).shape == (4, 4)
    least = null_space(G, 1.0).numpy()
    assert least.shape == (1, 4) and abs(least[0] @ vectors[:, 3]) == pytest.approx(1.0)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_damping_divides_leading_components_on_both_sides(power: float) -> None:
    G = matrix(6, 4)
    U, S, Vh = np.linalg.svd(G.numpy(), full_matrices=False)
    gain = np.ones(4)
    gain[:3] = (S[2] / S[:3]) ** power
    outer = np.eye(6) + (U[:, :3] * (gain[:3] - 1)) @ U[:, :3].T
    inner = np.eye(4) + (Vh[:3].T * (gain[:3] - 1)) @ Vh[:3]
    np.testing.assert_allclose(damped(G, 3, power).numpy(), outer @ G.numpy() @ inner, atol=1e-9)


def test_damping_of_nothing_or_of_one_component_changes_nothing() -> None:
    G = matrix(6, 4)
    np.testing.assert_allclose(damped(G, 0).numpy(), G.numpy())
    np.testing.assert_allclose(damped(G, 1).numpy(), G.numpy(), atol=1e-12)
    assert not damped(torch.zeros(6, 4), 3).any()


def test_damping_stays_finite_where_components_are_missing() -> None:
    G = matrix(6, 2) @ matrix(2, 4, seed=1)  # rank 2: s_min of the rest would be rounding
    S = np.linalg.svd(G.numpy(), compute_uv=False)
    found = np.linalg.svd(damped(G, 4).numpy(), compute_uv=False)
    np.testing.assert_allclose(found, sorted([S[1], S[1] ** 2 / S[0], 0, 0], reverse=True), atol=1e-9)


def test_the_least_similar_rows_of_all_matrices_are_chosen() -> None:
    first = {"a": matrix(5, 4), "b": matrix(3, 6, seed=1)}
    second = {"a": matrix(5, 4, seed=2), "b": matrix(3, 6, seed=3)}
    cosines = np.concatenate([
        (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
        for x, y in ((first[name].numpy(), second[name].numpy()) for name in first)
    ])
    for share, count in ((0.25, 2), (0.5, 4), (1.0, 8), (0.001, 1)):
        chosen = torch.cat(list(least_similar_rows(first, second, share).values())).numpy()
        assert set(np.flatnonzero(chosen)) == set(np.argsort(cosines)[:count])


def test_rows_without_a_gradient_are_never_chosen() -> None:
    first, second = {"a": matrix(4, 3)}, {"a": matrix(4, 3, seed=1)}
    first["a"][0] = 0
    second["a"][1] = 0
    assert least_similar_rows(first, second, 1.0)["a"].tolist() == [False, False, True, True]
    assert not least_similar_rows({"a": torch.zeros(4, 3)}, second, 1.0)["a"].any()
