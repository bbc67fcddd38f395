"""The algebra against numpy and scipy, and the limits that any discrimination must have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import eigh, subspace_angles

from unlearn_core.subspace import (
    contrast,
    discriminate_hard,
    discriminate_soft,
    effective_rank,
    energy_rank,
    gram_schmidt,
    low_rank_svd,
    orthonormal_basis,
    overlap,
    principal_angles,
    soft_filter,
    truncate,
)
from unlearn_core.subspace.contrast import (
    contrastive_directions,
    leading_directions,
    mixed,
    of_unit_moment,
    random_directions,
    undamped,
)
from unlearn_core.subspace.krylov import _widening, energy_basis, leading_eigenpairs, leading_singular_values


def matrix(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=(rows, columns)))


@pytest.mark.parametrize(("out", "rank", "into"), [(30, 4, 20), (20, 4, 30), (5, 8, 6), (7, 1, 3), (9, 12, 40)])
def test_svd_of_a_product_equals_the_dense_svd(out: int, rank: int, into: int) -> None:
    B, A = matrix(out, rank), matrix(rank, into, 1)
    U, S, V = low_rank_svd(B, A)
    size = min(out, rank, into)
    assert U.shape == (out, size) and V.shape == (into, size)
    np.testing.assert_allclose(S, np.linalg.svd((B @ A).numpy(), compute_uv=False)[:size], rtol=1e-9)
    torch.testing.assert_close((U * S) @ V.mT, B @ A)
    torch.testing.assert_close(U.mT @ U, torch.eye(size, dtype=U.dtype))
    torch.testing.assert_close(V.mT @ V, torch.eye(size, dtype=U.dtype))


def test_truncation_drops_the_smallest_singular_values() -> None:
    B, A = matrix(12, 5), matrix(5, 9, 1)
    U, S, Vh = np.linalg.svd((B @ A).numpy())
    cut_B, cut_A = truncate(B, A, 2)
    np.testing.assert_allclose((cut_B @ cut_A).numpy(), U[:, :2] * S[:2] @ Vh[:2], atol=1e-10)
    assert cut_B.shape == (12, 2) and cut_A.shape == (2, 9)
    torch.testing.assert_close(torch.linalg.norm(cut_B), torch.linalg.norm(cut_A))


@pytest.mark.parametrize(("energy", "rank"), [(0.5, 1), (0.77, 2), (0.90, 2), (0.95, 2), (0.96, 3), (1.0, 3), (0.0, 0)])
def test_energy_rank(energy: float, rank: int) -> None:
    assert energy_rank(torch.tensor([6.0, 3.0, 1.5]), energy) == rank  # shares .762, .190, .048


def test_energy_rank_of_nothing() -> None:
    assert energy_rank(torch.zeros(4), 0.9) == 0
    assert energy_rank(torch.tensor([1.0, 0.0, 0.0]), 1.0) == 1


def test_effective_rank() -> None:
    assert effective_rank(torch.ones(7)) == pytest.approx(7)
    assert effective_rank(torch.tensor([3.0, 0.0])) == pytest.approx(1)
    assert effective_rank(torch.zeros(3)) == 0.0
    share = np.array([0.75, 0.25])
    assert effective_rank(torch.tensor([3.0, 1.0])) == pytest.approx(np.exp(-(share * np.log(share)).sum()))


def test_orthonormal_basis_spans_and_drops_what_depends() -> None:
    X = matrix(10, 3)
    Q = orthonormal_basis(torch.cat([X, X @ matrix(3, 4, 1)], dim=1))
    assert Q.shape == (10, 3)
    torch.testing.assert_close(Q.mT @ Q, torch.eye(3, dtype=Q.dtype))
    torch.testing.assert_close(Q @ (Q.mT @ X), X)
    assert orthonormal_basis(torch.zeros(10, 2)).shape == (10, 0)
    assert orthonormal_basis(torch.zeros(10, 0)).shape == (10, 0)


def test_gram_schmidt_is_the_part_outside() -> None:
    V, Q = torch.linalg.qr(matrix(12, 3)).Q, torch.linalg.qr(matrix(12, 4, 1)).Q
    kept = gram_schmidt(V, Q)
    torch.testing.assert_close(kept.mT @ kept, torch.eye(3, dtype=V.dtype))
    assert float((Q.mT @ kept).abs().max()) < 1e-12
    outside = np.linalg.qr((V - Q @ (Q.mT @ V)).numpy())[0]
    np.testing.assert_allclose((kept @ kept.mT).numpy(), outside @ outside.T, atol=1e-10)


def test_gram_schmidt_against_nothing_and_against_itself() -> None:
    V = torch.linalg.qr(matrix(12, 3)).Q
    torch.testing.assert_close(gram_schmidt(V, V.new_zeros(12, 0)), V)
    assert gram_schmidt(V, V).shape == (12, 0)


def test_gram_schmidt_survives_nearly_parallel_vectors() -> None:
    Q = torch.linalg.qr(matrix(50, 5)).Q
    V = Q @ matrix(5, 3, 1) + 1e-2 * matrix(50, 3, 2)
    kept = gram_schmidt(V, Q)
    assert kept.shape[1] == 3 and float((Q.mT @ kept).abs().max()) < 1e-12


def test_an_empty_basis_changes_nothing() -> None:
    T = matrix(6, 8)
    assert torch.equal(discriminate_hard(T, T.new_zeros(8, 0)), T)
    assert torch.equal(discriminate_soft(T, T.new_zeros(8, 8), 1e-3), T)


def test_the_same_basis_removes_everything() -> None:
    T = matrix(6, 3) @ matrix(3, 8, 1)
    Q = orthonormal_basis(T.mT)
    assert float(discriminate_hard(T, Q).abs().max()) < 1e-12
    assert float(discriminate_soft(T, Q @ Q.mT, 1e-12).abs().max()) < 1e-10


def test_soft_tends_to_the_hard_projector() -> None:
    T, X = matrix(6, 8), matrix(8, 3, 1)
    hard = discriminate_hard(T, orthonormal_basis(X))
    errors = [float((discriminate_soft(T, X @ X.mT, eps) - hard).norm()) for eps in (1e-2, 1e-4, 1e-8)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-6


def test_soft_equals_the_formula() -> None:
    T, X, eps = matrix(6, 8), matrix(8, 20, 1), 0.05
    G = (X @ X.mT).numpy()
    G /= np.diag(G).mean()
    want = T.numpy() @ (eps * np.linalg.inv(G + eps * np.eye(8)))
    np.testing.assert_allclose(discriminate_soft(T, X @ X.mT, eps).numpy(), want, atol=1e-12)
    scaled = discriminate_soft(T, 1000 * X @ X.mT, eps)
    np.testing.assert_allclose(scaled.numpy(), want, atol=1e-12, err_msg="the scale of the statistics must not matter")


def test_soft_filter_has_eigenvalues_in_the_unit_interval() -> None:
    X = matrix(9, 4).float()
    values = torch.linalg.eigvalsh(soft_filter(X @ X.mT, 1e-4))
    assert float(values.min()) > -1e-6 and float(values.max()) < 1 + 1e-6
    assert soft_filter(X @ X.mT, 1e-4).dtype == torch.float32


def test_principal_angles_equal_scipy() -> None:
    A, B = torch.linalg.qr(matrix(15, 4)).Q, torch.linalg.qr(matrix(15, 6, 1)).Q
    want = np.cos(np.sort(subspace_angles(A.numpy(), B.numpy())))
    np.testing.assert_allclose(principal_angles(A, B), want, atol=1e-10)
    assert overlap(A, B) == pytest.approx(float((want ** 2).mean()))


def test_overlap_of_equal_orthogonal_and_empty_subspaces() -> None:
    Q = torch.linalg.qr(matrix(10, 6)).Q
    assert overlap(Q[:, :3], Q[:, :3]) == pytest.approx(1)
    assert overlap(Q[:, :2], Q[:, :4]) == pytest.approx(1), "a part lies wholly in the whole"
    assert overlap(Q[:, :3], Q[:, 3:]) == pytest.approx(0, abs=1e-12)
    assert overlap(Q, Q[:, :0]) == 0.0 and len(principal_angles(Q, Q[:, :0])) == 0


def moments(rng: np.random.Generator, size: int) -> torch.Tensor:
    root = torch.tensor(rng.normal(size=(size, 3 * size)))
    return root @ root.T / (3 * size)


def test_contrastive_directions_solve_the_generalised_eigenproblem_of_scipy() -> None:
    rng = np.random.default_rng(5)
    forget, kept, eps = moments(rng, 8), moments(rng, 8), 0.1
    own, other = (G / G.diagonal().mean() for G in (forget, kept))
    expected, vectors = eigh(own.numpy(), (other + eps * torch.eye(8)).numpy())
    found, ratios = contrastive_directions(forget, kept, eps, 3)
    np.testing.assert_allclose(ratios.numpy(), expected[::-1][:3], rtol=1e-8)
    for place, direction in enumerate(found):
        right = vectors[:, -1 - place]
        cosine = abs(float(direction @ torch.tensor(right))) / (float(direction.norm()) * np.linalg.norm(right))
        assert cosine == pytest.approx(1.0, abs=1e-8)
        both = own + other + eps * torch.eye(8)
        assert float(direction @ both @ direction) == pytest.approx(1.0, rel=1e-8)


def test_contrastive_directions_of_a_large_matrix_are_those_of_scipy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contrast, "WHOLE", 16)
    rng = np.random.default_rng(5)
    forget, kept, eps = moments(rng, 60), moments(rng, 60), 0.1
    forget[:, 40:] = forget[40:] = 0.0  # forget text need not use every direction
    own, other = (G / G.diagonal().mean() for G in (forget, kept))
    expected, vectors = eigh(own.numpy(), (other + eps * torch.eye(60)).numpy())
    found, ratios = contrastive_directions(forget, kept, eps, 3)
    np.testing.assert_allclose(ratios.numpy(), expected[::-1][:3], rtol=1e-8)
    for place, direction in enumerate(found):
        right = torch.tensor(vectors[:, -1 - place])
        assert abs(float(direction @ right)) / float(direction.norm() * right.norm()) == pytest.approx(1.0, abs=1e-6)
        assert float(direction @ (own + other + eps * torch.eye(60)) @ direction) == pytest.approx(1.0, rel=1e-6)


def test_directions_that_neither_text_uses_stay_bounded() -> None:
    forget, kept = torch.diag(torch.tensor([4.0, 0.0, 0.0])), torch.diag(torch.tensor([0.0, 3.0, 0.0]))
    found, ratios = contrastive_directions(forget.double(), kept.double(), 0.01, 3)
    assert float(found.norm(dim=1).max()) <= 0.01**-0.5 + 1e-9 and ratios[1:].abs().max() < 1e-9


def test_as_epsilon_vanishes_contrastive_directions_keep_off_what_kept_text_uses() -> None:
    kept = torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64))
    forget = torch.full((4, 4), 0.5, dtype=torch.float64) + torch.eye(4, dtype=torch.float64)
    found, _ = contrastive_directions(forget, kept, 1e-9, 2)
    assert float(found[:, :2].norm() / found.norm()) < 1e-4


def falling(size: int, power: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(A symmetric matrix, its eigenvalues 1, 2^-power, 3^-power, ...)."""
    axes = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).Q
    values = torch.arange(1, size + 1, dtype=torch.float64) ** -power
    return (axes * values) @ axes.mT, values


@pytest.mark.parametrize("count", [1, 7, 200])
def test_leading_eigenpairs_are_the_true_ones(count: int) -> None:
    G, expected = falling(120, 0.8)
    values, vectors = leading_eigenpairs(lambda block: G @ block, G, count)
    assert len(values) == min(count, 120)
    np.testing.assert_allclose(values, expected[: len(values)], rtol=1e-8)
    np.testing.assert_allclose(vectors.mT @ vectors, np.eye(len(values)), atol=1e-10)
    assert float((G @ vectors - vectors * values).norm(dim=0).max()) < 1e-6


def test_leading_eigenpairs_of_a_matrix_of_few_directions_end_in_zeros() -> None:
    root = matrix(90, 4)
    values, vectors = leading_eigenpairs(lambda block: root @ (root.mT @ block), root, 9)
    np.testing.assert_allclose(values[:4], np.linalg.svd(root.numpy(), compute_uv=False) ** 2, rtol=1e-9)
    assert float(values[4:].max()) < 1e-9 * float(values[0])
    np.testing.assert_allclose(vectors.mT @ vectors, np.eye(9), atol=1e-10)


@pytest.mark.parametrize(("power", "energy"), [(2.0, 0.9), (1.0, 0.5), (0.0, 0.5), (1.0, 1.0)])
def test_an_energy_basis_holds_the_share_with_few_more_directions_than_need_be(power: float, energy: float) -> None:
    G, values = falling(200, power)
    basis = energy_basis(G, energy)
    needed = int((values.cumsum(0) < (energy - 1e-12) * values.sum()).sum()) + 1
    assert needed <= basis.shape[1] <= 1.1 * needed + 2
    np.testing.assert_allclose(basis.mT @ basis, np.eye(basis.shape[1]), atol=1e-9)
    assert float((basis * (G @ basis)).sum() / values.sum()) >= energy - 1e-9


@pytest.mark.parametrize("shape", [(150, 90), (90, 150), (12, 40)])
@pytest.mark.parametrize("kind", ["even", "one that outweighs all", "few directions"])
def test_leading_singular_values_are_numpys(shape: tuple[int, int], kind: str) -> None:
    W = matrix(*shape)
    if kind == "one that outweighs all":
        W = W + 1e4 * torch.outer(W[:, 0] / W[:, 0].norm(), W[0] / W[0].norm())
    if kind == "few directions":
        W = W[:, :5] @ W[:5]
    expected = np.linalg.svd(W.float().double().numpy(), compute_uv=False)[:20]
    np.testing.assert_allclose(leading_singular_values(W.float(), 20), expected, rtol=2e-4, atol=1e-6 * expected[0])


def test_a_krylov_basis_stays_orthonormal_where_the_matrix_has_one_direction() -> None:
    root = matrix(60, 1)
    for basis, images in _widening(lambda block: root @ (root.mT @ block), root, 9):
        np.testing.assert_allclose(basis.mT @ basis, np.eye(basis.shape[1]), atol=1e-9)
        np.testing.assert_allclose(images, root @ (root.mT @ basis), atol=1e-9)
    assert basis.shape == (60, 60)


@pytest.mark.parametrize("eps", [1e-2, 1e-8])
def test_contrastive_directions_of_few_tokens_are_found_at_any_epsilon(eps: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Second moments summed in single precision over fewer tokens than inputs are a little below zero here and there."""
    kept, forget = matrix(40, 200).float(), matrix(30, 200, 1).float()
    dense = contrastive_directions(forget.mT @ forget, kept.mT @ kept, eps, 3)
    monkeypatch.setattr(contrast, "WHOLE", 16)
    found = contrastive_directions(forget.mT @ forget, kept.mT @ kept, eps, 3)
    assert found[0].isfinite().all()
    np.testing.assert_allclose(found[1], dense[1], rtol=0.02)


def test_leading_directions_are_the_principal_axes_of_numpy() -> None:
    G = moments(np.random.default_rng(7), 6)
    found = leading_directions(G, 2)
    expected = np.linalg.svd(G.numpy())[0][:, :2]
    np.testing.assert_allclose(np.abs(found.numpy() @ expected), np.eye(2), atol=1e-8)


def test_leading_directions_within_a_span_stay_in_it_and_are_the_best_there() -> None:
    G = torch.diag(torch.tensor([9.0, 5.0, 3.0, 1.0], dtype=torch.float64))
    within = torch.eye(4, dtype=torch.float64)[[3, 1, 2]]  # all but the first axis
    np.testing.assert_allclose(leading_directions(G, 2, within).abs().numpy(), np.eye(4)[[1, 2]], atol=1e-12)
    assert leading_directions(G, 9, within).shape == (3, 4)


def test_random_directions_are_orthonormal_and_the_seeds_own() -> None:
    found = random_directions(6, 3, 0)
    np.testing.assert_allclose((found @ found.T).numpy(), np.eye(3), atol=1e-6)
    assert torch.equal(found, random_directions(6, 3, 0)) and not torch.equal(found, random_directions(6, 3, 1))
    assert random_directions(2, 5, 0).shape == (2, 2)


def test_directions_of_unit_moment_keep_their_way() -> None:
    rng = np.random.default_rng(8)
    forget, kept, rows, eps = moments(rng, 5), moments(rng, 5), torch.tensor(rng.normal(size=(3, 5))), 0.1
    found = of_unit_moment(rows, forget, kept, eps)
    both = forget / forget.diagonal().mean() + kept / kept.diagonal().mean() + eps * torch.eye(5)
    np.testing.assert_allclose((found @ both @ found.T).diagonal().numpy(), np.ones(3))
    np.testing.assert_allclose(torch.nn.functional.cosine_similarity(found, rows).numpy(), np.ones(3))


def test_mixed_moments_weigh_both_texts_alike_whatever_their_size() -> None:
    first, second = torch.diag(torch.tensor([4.0, 0.0])), torch.diag(torch.tensor([0.0, 100.0]))
    assert torch.allclose(mixed(first, second, 0.25), torch.diag(torch.tensor([3.0, 1.0])))
    assert torch.equal(mixed(first, second, 0.0), first)
    assert torch.equal(mixed(first, torch.zeros(2, 2), 0.5), first)


def test_undamped_directions_give_back_what_damping_took() -> None:
    rng = np.random.default_rng(6)
    kept, raw, eps = moments(rng, 6), torch.tensor(rng.normal(size=(2, 6))), 0.05
    damped = torch.linalg.solve(kept / kept.diagonal().mean() + eps * torch.eye(6, dtype=torch.float64), raw.T).T
    found = undamped(damped, kept, eps)
    np.testing.assert_allclose(found / found.norm(dim=1, keepdim=True), raw / raw.norm(dim=1, keepdim=True), atol=1e-10)
    np.testing.assert_allclose(found.norm(dim=1), damped.norm(dim=1))
