"""Losses on drawn answers and generic labels against plain numpy; padding cannot reach them, for they see answer tokens only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unlearn_core import objectives
from unlearn_core.models.loading import LoadedModel
from unlearn_core.training import Row, score

ROWS = [0, 0, 0, 1, 2, 2]  # three answers of three, one and two tokens
BY_ROW = [slice(0, 3), slice(3, 4), slice(4, 6)]


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    stream = np.random.default_rng(5)
    logits = torch.tensor(stream.normal(scale=2.0, size=(len(ROWS), 7)), dtype=torch.float32)
    return logits, torch.tensor(stream.integers(0, 7, len(ROWS))), torch.tensor(ROWS)


def logprobs(logits: torch.Tensor) -> np.ndarray:
    values = logits.detach().double().numpy()
    return values - np.log(np.exp(values).sum(axis=1, keepdims=True))


def own(logits: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    return logprobs(logits)[np.arange(len(labels)), labels.numpy()]


def test_entropy_is_the_mean_over_tokens(batch) -> None:
    logits = batch[0]
    values = logprobs(logits)
    expected = -(np.exp(values) * values).sum(axis=1).mean()
    assert float(objectives.answer_entropy(logits)) == pytest.approx(expected, rel=1e-5)
    assert float(objectives.answer_entropy(torch.zeros(2, 7))) == pytest.approx(np.log(7), rel=1e-6)


@pytest.mark.parametrize("clip", [0.05, 0.2])
def test_the_clipped_policy_is_the_lesser_of_both_by_token(batch, clip: float) -> None:
    logits, labels, rows = batch
    old = own(logits, labels) + np.array([0.5, -0.5, 0.1, 0.3, -0.3, 0.0])
    gains = np.array([1.5, -2.0, 0.7])
    ratio = np.exp(own(logits, labels) - old)
    each = [-min(r * gains[row], min(max(r, 1 - clip), 1 + clip) * gains[row]) for r, row in zip(ratio, ROWS, strict=True)]
    expected = np.mean([np.mean(each[part]) for part in BY_ROW])
    found = objectives.clipped_policy(logits, labels, rows, 3, torch.tensor(old).float(), torch.tensor(gains).float(), clip)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_at_the_drawing_policy_the_gradient_is_that_of_reinforce(batch) -> None:
    logits, labels, rows = batch
    gains = torch.tensor([1.5, -2.0, 0.7])
    grads = []
    for loss in (
        lambda x: objectives.clipped_policy(x, labels, rows, 3, torch.tensor(own(logits, labels)).float(), gains, 0.2),
        lambda x: (gains * objectives.row_nll(x, labels, rows, 3) / torch.tensor([3.0, 1.0, 2.0])).mean(),
    ):
        leaf = logits.clone().requires_grad_(True)
        loss(leaf).backward()
        grads.append(leaf.grad)
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-6)


def test_a_probability_that_moved_far_enough_is_no_longer_pushed(batch) -> None:
    logits, labels, rows = batch
    leaf = logits.clone().requires_grad_(True)
    old = torch.tensor(own(logits, labels) - 1.0).float()  # now e times as likely as when drawn
    objectives.clipped_policy(leaf, labels, rows, 3, old, torch.ones(3), 0.2).backward()
    assert not leaf.grad.any()
    objectives.clipped_policy(leaf, labels, rows, 3, old, -torch.ones(3), 0.2).backward()
    assert leaf.grad.abs().max() > 0.01


def test_generic_logits_take_out_only_what_was_raised() -> None:
    base, strong = torch.tensor([[1.0, 2.0, -1.0]]), torch.tensor([[3.0, 1.0, -1.0]])
    assert objectives.generic_logits(base, strong, 5.0).tolist() == [[-9.0, 2.0, -1.0]]
    assert objectives.generic_logits(base, strong, 0.0).tolist() == base.tolist()


@pytest.mark.parametrize(("answer", "expected", "value"), [
    ([1, 2, 3], [1, 2, 3], 1.0), ([3, 1, 2], [1, 2, 3], 1.0), ([4, 5], [1, 2], 0.0), ([], [1], 0.0), ([], [], 0.0),
    ([1, 1, 1], [1, 2], 0.4), ([1, 2, 9, 9], [1, 2], 2 / 3), ([1, 1], [1, 1, 2], 0.8),
])
def test_token_f1_counts_each_token_as_often_as_both_have_it(answer, expected, value: float) -> None:
    assert objectives.token_f1(answer, expected) == pytest.approx(value)


def test_padding_adds_nothing(tiny: LoadedModel) -> None:
    """The same row alone and beside a much longer one: the same logits at the same answer tokens, so the same losses."""
    short, long = Row((2, 40, 41, 3, 50, 51, 1), 4), Row((2, *range(60, 90), 3, 50, 1), 32)
    with torch.no_grad():
        alone, beside = score(tiny, [short]), score(tiny, [short, long])
    mine = beside.rows == 0
    old, gain = torch.full((3,), -2.0), torch.tensor([1.3])
    losses = [
        (objectives.clipped_policy(logits, labels, torch.zeros(3, dtype=torch.long), 1, old, gain, 0.2),
         objectives.answer_entropy(logits))
        for logits, labels in ((alone.logits, alone.labels), (beside.logits[mine], beside.labels[mine]))
    ]
    for first, second in zip(*losses, strict=True):
        assert float(first) == pytest.approx(float(second), rel=1e-4)
