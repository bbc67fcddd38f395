"""Every loss against a plain numpy calculation, and the limits at which it must vanish."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unlearn_core import objectives

ROWS = [0, 0, 0, 1, 2, 2]  # three answers of three, one and two tokens
VOCABULARY = 7


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(logits, labels, rows) of three answers."""
    stream = np.random.default_rng(3)
    logits = torch.tensor(stream.normal(scale=2.0, size=(len(ROWS), VOCABULARY)), dtype=torch.float32)
    return logits, torch.tensor(stream.integers(0, VOCABULARY, len(ROWS))), torch.tensor(ROWS)


def log_softmax(logits: torch.Tensor) -> np.ndarray:
    values = logits.double().numpy()
    return values - np.log(np.exp(values).sum(axis=1, keepdims=True))


def token_nll(logits: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    return -log_softmax(logits)[np.arange(len(labels)), labels.numpy()]


def by_row(each: np.ndarray) -> list[np.ndarray]:
    return [each[0:3], each[3:4], each[4:6]]


def test_row_nll_adds_up_the_tokens_of_each_answer(batch) -> None:
    logits, labels, rows = batch
    expected = [part.sum() for part in by_row(token_nll(logits, labels))]
    np.testing.assert_allclose(objectives.row_nll(logits, labels, rows, 3), expected, rtol=1e-5)
    assert objectives.row_lengths(rows, 3).tolist() == [3, 1, 2]


def test_answer_nll_weighs_every_answer_alike_however_long(batch) -> None:
    logits, labels, rows = batch
    expected = np.mean([part.mean() for part in by_row(token_nll(logits, labels))])
    assert float(objectives.answer_nll(logits, labels, rows, 3)) == pytest.approx(expected, rel=1e-5)


def test_hinge_ascent_counts_only_answers_that_are_still_likely(batch) -> None:
    logits, labels, rows = batch
    means = [part.mean() for part in by_row(token_nll(logits, labels))]
    limit = float(np.median(means))
    expected = np.mean([max(0.0, limit - mean) for mean in means])
    assert float(objectives.hinge_ascent(logits, labels, rows, 3, limit)) == pytest.approx(expected, rel=1e-5)
    assert float(objectives.hinge_ascent(logits, labels, rows, 3, min(means) - 0.01)) == 0.0


def test_hinge_ascent_does_not_push_an_answer_that_is_unlikely_enough(batch) -> None:
    logits, labels, rows = batch
    logits.requires_grad_(True)
    means = [part.mean() for part in by_row(token_nll(logits.detach(), labels))]
    objectives.hinge_ascent(logits, labels, rows, 3, float(np.median(means))).backward()
    moved = [bool(part.any()) for part in by_row(logits.grad.numpy())]
    assert moved == [mean < np.median(means) for mean in means]


def test_unlikelihood_is_taken_token_by_token_without_the_end_of_an_answer(batch) -> None:
    logits, labels, rows = batch
    each = -np.log1p(-np.exp(-token_nll(logits, labels)))  # -log(1 - p)
    parts = [part[:-1] if len(part) > 1 else part for part in by_row(each)]
    found = objectives.unlikelihood(logits, labels, rows, 3, limit=50.0)
    assert float(found) == pytest.approx(np.mean([part.mean() for part in parts]), rel=1e-4)


def test_unlikelihood_leaves_an_unlikely_token_alone(batch) -> None:
    logits, labels, rows = batch
    nll = token_nll(logits, labels)
    limit = float(np.median(nll))
    logits.requires_grad_(True)
    objectives.unlikelihood(logits, labels, rows, 3, limit).backward()
    pushed = logits.grad.abs().sum(dim=1).numpy() > 0
    counted = np.array([True, True, False, True, True, False])  # the last token of a longer answer is its end
    assert pushed.tolist() == (counted & (nll < limit)).tolist() and pushed.any() and not pushed.all()


def test_unlikelihood_stays_finite_where_the_model_is_sure() -> None:
    logits = torch.tensor([[80.0, 0.0, 0.0], [0.0, 0.0, 5.0]], requires_grad=True)
    loss = objectives.unlikelihood(logits, torch.tensor([0, 1]), torch.tensor([0, 0]), 1, 3.0)
    loss.backward()
    assert 70 < loss.item() < 100 and logits.grad[0, 0].item() > 0.9


def spread(*choices: list[float]) -> float:
    scores = torch.tensor([score for choice in choices for score in choice])
    groups = torch.tensor([number for number, choice in enumerate(choices) for _ in choice])
    return float(objectives.option_spread(scores, groups))


def test_option_spread_is_zero_only_where_all_options_are_equally_likely() -> None:
    assert spread([-2.0, -2.0], [-5.0, -5.0, -5.0]) == 0.0
    assert spread([-2.0, -2.0], [-5.0, -5.1]) > 0


def test_option_spread_looks_within_each_choice_only() -> None:
    alone, other = spread([-1.0, -3.0]), spread([-4.0, -4.0, -10.0])
    assert spread([-1.0, -3.0], [-4.0, -4.0, -10.0]) == pytest.approx((2 * alone + 3 * other) / 5)
    assert spread([-21.0, -23.0]) == pytest.approx(alone)
    assert spread([-7.0]) == 0.0


def test_option_spread_grows_with_the_distance_and_pulls_towards_the_middle() -> None:
    sizes = [spread([-2.0 - gap, -2.0 + gap]) for gap in (0.01, 0.1, 0.5, 1.0, 4.0)]
    assert sizes == sorted(sizes) and len(set(sizes)) == 5
    scores = torch.tensor([-1.0, -3.0, -2.0], requires_grad=True)
    objectives.option_spread(scores, torch.zeros(3, dtype=torch.long)).backward()
    assert scores.grad[0] > 0 > scores.grad[1] and float(scores.grad.sum()) == pytest.approx(0.0, abs=1e-6)


def test_option_spread_does_not_ask_which_option_is_right() -> None:
    assert spread([-1.0, -4.0], [-2.0, -2.5]) == spread([-4.0, -1.0], [-2.5, -2.0])


def leaning(*choices: list[float]) -> float:
    scores = torch.tensor([score for choice in choices for score in choice])
    groups = torch.tensor([number for number, choice in enumerate(choices) for _ in choice])
    return float(objectives.option_spread(scores, groups, lean=2.0))


def test_a_lean_is_met_where_the_first_option_lies_that_far_above_the_others() -> None:
    assert leaning([-1.0, -3.0], [-4.0, -6.0, -6.0]) == pytest.approx(0.0, abs=1e-6)
    # Undecided with a lean of 2: both options lie 1 nat off, Huber with 0.5: 1 - 0.25.
    assert leaning([-2.0, -2.0]) == pytest.approx(0.75)
    assert leaning([-3.0, -1.0]) > leaning([-2.0, -2.0]) > leaning([-1.5, -3.0])


def test_kl_points_from_the_reference_to_the_model(batch) -> None:
    logits = batch[0]
    other = torch.tensor(np.random.default_rng(4).normal(size=logits.shape), dtype=torch.float32)
    reference, model = log_softmax(other), log_softmax(logits)
    expected = (np.exp(reference) * (reference - model)).sum(axis=1).mean()
    found = objectives.kl_to(torch.log_softmax(other, dim=-1), logits)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert float(objectives.kl_to(torch.log_softmax(logits, dim=-1), logits)) == pytest.approx(0.0, abs=1e-6)


def test_half_precision_logits_are_scored_in_single_precision(batch) -> None:
    logits, labels, rows = batch
    half = logits.half()
    assert objectives.row_nll(half, labels, rows, 3).dtype == torch.float32
    np.testing.assert_allclose(objectives.row_nll(half, labels, rows, 3),
                               objectives.row_nll(half.float(), labels, rows, 3), rtol=1e-6)
