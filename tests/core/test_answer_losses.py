"""The losses of methods that train on answers, each against plain numpy, and free of whatever a batch is padded with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_models import random_edit
from torch import Tensor

from unlearn_core import objectives
from unlearn_core.edits.attach import attached
from unlearn_core.models.loading import LoadedModel
from unlearn_core.topics.topic import Topic
from unlearn_core.training import encode_rows, on_answers, reference_logprobs, row_nlls, score

ROWS = [0, 0, 0, 1, 2, 2]  # three answers of three, one and two tokens
PARTS = (slice(0, 3), slice(3, 4), slice(4, 6))
VOCABULARY = 7
Batch = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def batch() -> Batch:
    """(logits, labels, rows) of three answers."""
    stream = np.random.default_rng(5)
    logits = torch.tensor(stream.normal(scale=2.0, size=(len(ROWS), VOCABULARY)), dtype=torch.float32)
    return logits, torch.tensor(stream.integers(0, VOCABULARY, len(ROWS))), torch.tensor(ROWS)


def log_softmax(values: np.ndarray) -> np.ndarray:
    return values - np.log(np.exp(values).sum(axis=1, keepdims=True))


def numbers(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """(log-probabilities (tokens, vocabulary), NLL of each answer token)."""
    logprobs = log_softmax(batch[0].double().numpy())
    return logprobs, -logprobs[np.arange(len(ROWS)), batch[1].numpy()]


def mean_of_means(each: np.ndarray) -> float:
    return float(np.mean([each[part].mean() for part in PARTS]))


def minus_log_sigmoid(values: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(-values))


# preference


def test_npo_compares_whole_answers_with_the_original(batch: Batch) -> None:
    nll = np.array([numbers(batch)[1][part].sum() for part in PARTS])
    reference, beta = np.array([0.5, 4.0, 2.0]), 0.7
    expected = 2 / beta * minus_log_sigmoid(beta * (nll - reference)).mean()
    found = objectives.npo(objectives.row_nll(*batch, 3), torch.tensor(reference), beta)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_npo_starts_at_two_logs_of_two_and_tends_to_ascent(batch: Batch) -> None:
    nll = torch.tensor([3.0, 1.0], requires_grad=True)
    start = objectives.npo(nll, nll.detach(), 0.5)
    assert start.item() == pytest.approx(4 * np.log(2))
    objectives.npo(nll, torch.zeros(2), 1e-4).backward()
    assert nll.grad.tolist() == pytest.approx([-0.5, -0.5], rel=1e-3)  # that of minus the mean NLL


def test_npo_lets_go_of_what_is_forgotten(batch: Batch) -> None:
    nll = torch.tensor([0.0, 30.0], requires_grad=True)
    objectives.npo(nll, torch.zeros(2), 1.0).backward()
    assert nll.grad[0].item() == pytest.approx(-0.5) and abs(nll.grad[1].item()) < 1e-9


@pytest.mark.parametrize("gamma", [0.0, 1.5])
def test_simnpo_goes_by_the_mean_token_and_a_margin(batch: Batch, gamma: float) -> None:
    means, beta = np.array([numbers(batch)[1][part].mean() for part in PARTS]), 2.5
    expected = 2 / beta * minus_log_sigmoid(beta * means - gamma).mean()
    assert float(objectives.simnpo(*batch, 3, beta, gamma)) == pytest.approx(expected, rel=1e-5)


def test_dpo_raises_the_preferred_against_the_rejected() -> None:
    preferred, rejected = np.array([9.0, 2.0]), np.array([1.0, 6.0])
    preferred_0, rejected_0, beta = np.array([12.0, 8.0]), np.array([0.5, 0.25]), 0.3
    margins = (preferred_0 - preferred) - (rejected_0 - rejected)
    expected = 2 / beta * minus_log_sigmoid(beta * margins).mean()
    given = [torch.tensor(part, requires_grad=True) for part in (preferred, rejected)]
    found = objectives.dpo(*given, torch.tensor(preferred_0), torch.tensor(rejected_0), beta)
    assert found.item() == pytest.approx(expected, rel=1e-6)
    found.backward()
    assert (given[0].grad > 0).all() and (given[1].grad < 0).all()


# ascent


def test_ascent_is_minus_the_mean_nll(batch: Batch) -> None:
    assert float(objectives.ascent(*batch, 3)) == pytest.approx(-mean_of_means(numbers(batch)[1]), rel=1e-5)


@pytest.mark.parametrize("sure, unsure", [(1.0, 0.0), (5.0, 1.0), (0.0, 0.0), (2.0, 0.5)])
def test_weighted_ascent_weighs_every_token_by_its_probability(batch: Batch, sure: float, unsure: float) -> None:
    nll = numbers(batch)[1]
    chance = np.exp(-nll)
    expected = -mean_of_means(chance**sure * (1 - chance) ** unsure * nll)
    assert float(objectives.weighted_ascent(*batch, 3, sure, unsure)) == pytest.approx(expected, rel=1e-4)


def test_the_weights_of_ascent_carry_no_gradient(batch: Batch) -> None:
    logits = batch[0].clone().requires_grad_(True)
    objectives.weighted_ascent(logits, *batch[1:], 3, 1.0).backward()
    logprobs, nll = numbers(batch)
    counts = np.array([3, 3, 3, 1, 2, 2])
    expected = -(np.exp(logprobs) - np.eye(VOCABULARY)[batch[1].numpy()]) * np.exp(-nll)[:, None] / counts[:, None] / 3
    np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_weighted_ascent_is_finite_where_the_model_is_sure() -> None:
    logits = torch.tensor([[90.0, 0.0], [0.0, 90.0]], requires_grad=True)
    loss = objectives.weighted_ascent(logits, torch.tensor([0, 0]), torch.tensor([0, 1]), 2, 5.0, 1.0)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


# distillation


def soft_nll(target: np.ndarray, logprobs: np.ndarray) -> float:
    return mean_of_means(-(target * logprobs).sum(axis=1))


def test_self_distillation_takes_the_original_with_the_answer_lowered(batch: Batch) -> None:
    original = np.random.default_rng(6).normal(size=(len(ROWS), VOCABULARY))
    lowered = original - 3.0 * np.eye(VOCABULARY)[batch[1].numpy()]
    expected = soft_nll(np.exp(log_softmax(lowered)), numbers(batch)[0])
    found = objectives.self_distillation(torch.tensor(log_softmax(original)).float(), *batch, 3, 3.0)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_self_distillation_rests_where_the_target_is_reached(batch: Batch) -> None:
    reference = torch.log_softmax(batch[0], dim=-1)
    reached = (reference - 3.0 * torch.nn.functional.one_hot(batch[1], VOCABULARY)).requires_grad_(True)
    objectives.self_distillation(reference, reached, *batch[1:], 3, 3.0).backward()
    assert reached.grad.abs().max().item() < 1e-6


def test_other_tokens_share_what_the_answer_loses(batch: Batch) -> None:
    logprobs, nll = numbers(batch)
    label = np.eye(VOCABULARY)[batch[1].numpy()]
    target = np.exp(logprobs) * (1 - label) / (1 - np.exp(-nll))[:, None]
    logits = batch[0].clone().requires_grad_(True)
    found = objectives.other_tokens(logits, *batch[1:], 3)
    assert float(found.detach()) == pytest.approx(soft_nll(target, logprobs), rel=1e-5)
    found.backward()
    counts = np.array([3, 3, 3, 1, 2, 2])[:, None]
    np.testing.assert_allclose(logits.grad.numpy(), (np.exp(logprobs) - target) / counts / 3, rtol=1e-4, atol=1e-6)


def test_other_tokens_may_leave_out_the_first_but_never_a_whole_answer(batch: Batch) -> None:
    logits = batch[0].clone().requires_grad_(True)
    objectives.other_tokens(logits, *batch[1:], 3, skip=1).backward()
    assert (logits.grad.abs().sum(dim=1) > 0).tolist() == [False, True, True, True, False, True]
    second = batch[0].clone().requires_grad_(True)
    objectives.other_tokens(second, *batch[1:], 3, skip=2).backward()
    assert (second.grad.abs().sum(dim=1) > 0).tolist() == [False, False, True, True, True, True]


@pytest.fixture
def reference() -> Tensor:
    """Log-probabilities of another model at the same tokens."""
    logits = np.random.default_rng(6).normal(scale=2.0, size=(len(ROWS), VOCABULARY))
    return torch.tensor(log_softmax(logits), dtype=torch.float32)


def token_kls(reference: Tensor, batch: Batch) -> np.ndarray:
    known = reference.double().numpy()
    return (np.exp(known) * (known - numbers(batch)[0])).sum(axis=1)


def test_the_kl_of_tokens_and_of_rows_points_from_the_reference_to_the_model(batch: Batch, reference: Tensor) -> None:
    each, rows = token_kls(reference, batch), (batch[0], batch[2], 3)
    np.testing.assert_allclose(objectives.kl_of_tokens(reference, batch[0]), each, rtol=1e-4)
    np.testing.assert_allclose(objectives.row_kl(reference, *rows), [each[part].mean() for part in PARTS], rtol=1e-4)
    same = torch.log_softmax(batch[0], dim=-1)
    assert objectives.kl_of_tokens(same, batch[0]).abs().max() < 1e-6 > objectives.row_kl(same, *rows).abs().max()


def test_kl_ascent_pushes_only_answers_that_are_still_near_the_reference(batch: Batch, reference: Tensor) -> None:
    means = np.array([token_kls(reference, batch)[part].mean() for part in PARTS])
    limit = float(np.median(means)) + 0.01
    logits = batch[0].clone().requires_grad_(True)
    found = objectives.kl_ascent(reference, logits, batch[2], 3, limit)
    assert float(found.detach()) == pytest.approx(np.maximum(0, limit - means).mean(), rel=1e-4)
    assert float(objectives.kl_ascent(reference, batch[0], batch[2], 3, float(means.min()) - 0.01)) == 0.0
    found.backward()
    assert [bool(logits.grad[part].any()) for part in PARTS] == (means < limit).tolist()


def test_flatness_is_the_squared_height_of_the_largest_logit(batch: Batch) -> None:
    values = batch[0].double().numpy()
    expected = mean_of_means((values.max(axis=1) - values.mean(axis=1)) ** 2)
    assert float(objectives.flatness(batch[0], batch[2], 3)) == pytest.approx(expected, rel=1e-5)
    assert float(objectives.flatness(torch.full((6, VOCABULARY), 4.0), batch[2], 3)) == 0.0


# memory


def test_overlap_is_the_share_of_n_grams_found_again() -> None:
    assert objectives.overlap([1, 2, 3, 4], [0, 2, 3, 1, 2], 2) == pytest.approx(2 / 3)
    assert objectives.overlap([1, 2, 3], [3, 2, 1], 1) == 1.0
    assert objectives.overlap([1, 2, 3], [3, 2, 1], 2) == 0.0
    assert objectives.overlap([1], [1, 2], 2) == 0.0 == objectives.overlap([], [1], 1)


# padding

LOSSES: dict[str, Callable[..., Tensor]] = {
    "npo": lambda part, reference: objectives.npo(row_nlls(part), torch.zeros(part.count), 0.5),
    "simnpo": lambda part, reference: on_answers(objectives.simnpo, 2.5, 1.0)(part, ()),
    "dpo, preferred": lambda part, reference: dpo_against(row_nlls(part), torch.full((part.count,), 50.0)),
    "dpo, rejected": lambda part, reference: dpo_against(torch.full((part.count,), 50.0), row_nlls(part)),
    "ascent": lambda part, reference: on_answers(objectives.ascent)(part, ()),
    "hinge": lambda part, reference: on_answers(objectives.hinge_ascent, 20.0)(part, ()),
    "unlikelihood": lambda part, reference: on_answers(objectives.unlikelihood, 20.0)(part, ()),
    "weighted": lambda part, reference: on_answers(objectives.weighted_ascent, 5.0, 1.0)(part, ()),
    "distilled": lambda part, reference: objectives.self_distillation(
        reference, part.logits, part.labels, part.rows, part.count, 10.0
    ),
    "other": lambda part, reference: on_answers(objectives.other_tokens, 1)(part, ()),
    "flat": lambda part, reference: objectives.flatness(part.logits, part.rows, part.count),
    "row kl": lambda part, reference: objectives.row_kl(reference, part.logits, part.rows, part.count).mean(),
    "kl ascent": lambda part, reference: objectives.kl_ascent(reference, part.logits, part.rows, part.count, 20.0),
    "kl": lambda part, reference: objectives.kl_to(reference, part.logits),
    "gap": lambda part, reference: objectives.gap_difference(reference, part.logits, 20.0),
}
BY_TOKEN = {"kl", "gap"}  # these weigh all tokens alike, the others all answers


def dpo_against(preferred: Tensor, rejected: Tensor) -> Tensor:
    return objectives.dpo(preferred, rejected, torch.full_like(preferred, 40.0), torch.full_like(rejected, 45.0), 0.05)


@pytest.mark.parametrize("name", LOSSES)
@torch.no_grad()
def test_prompt_and_padding_do_not_count(name: str, tiny: LoadedModel, tiny_topic: Topic) -> None:
    """The loss of rows scored together, padded to the longest, is the mean of the loss of each alone."""
    rows = [encode_rows(tiny, tiny_topic.questions)[place] for place in (0, 1, 2, 9, 17)]
    rows[1] = type(rows[1])(rows[1].ids[: rows[1].start] * 3 + rows[1].ids[rows[1].start :], 3 * rows[1].start)
    original, lengths = reference_logprobs(tiny, rows), [len(row.ids) - row.start for row in rows]
    assert len({len(row.ids) for row in rows}) > 2 and len(set(lengths)) > 1
    with attached(tiny.model, random_edit(tiny, scale=0.1)):
        alone = [float(LOSSES[name](score(tiny, [row]), original([place]))) for place, row in enumerate(rows)]
        together = LOSSES[name](score(tiny, rows), original(range(len(rows))))
    assert len(set(alone)) == len(alone) and 0 not in alone
    expected = np.average(alone, weights=lengths if name in BY_TOKEN else None)
    assert float(together) == pytest.approx(expected, rel=1e-4)
