"""Losses on answers as small pure functions of logits. Know neither model nor question; every term leaves out prompt and padding.

Shapes: `logits` (tokens, vocabulary) and `labels` (tokens,) hold the answer tokens of all rows of a batch one after the
other; `rows` (tokens,) says which row each belongs to, 0 to count - 1. Losses are means over rows, in nats.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def row_nll(logits: Tensor, labels: Tensor, rows: Tensor, count: int) -> Tensor:
    """Negative log-likelihood of each row's answer, summed over its tokens: (count,)."""
    each = functional.cross_entropy(logits.float(), labels, reduction="none")
    return torch.zeros(count, device=each.device).index_add(0, rows, each)


def row_lengths(rows: Tensor, count: int) -> Tensor:
    """Answer tokens of each row: (count,)."""
    return torch.bincount(rows, minlength=count)


def answer_nll(logits: Tensor, labels: Tensor, rows: Tensor, count: int) -> Tensor:
    """Mean over rows of the mean token NLL: what fine-tuning minimises."""
    return (row_nll(logits, labels, rows, count) / row_lengths(rows, count)).mean()


def hinge_ascent(logits: Tensor, labels: Tensor, rows: Tensor, count: int, limit: float) -> Tensor:
    """Gradient ascent that stops at `limit` nats a token: mean over rows of max(0, limit - mean token NLL).

    An answer that is unlikely enough is no longer pushed, so finished items stop doing harm (our reading).
    """
    mean = row_nll(logits, labels, rows, count) / row_lengths(rows, count)
    return functional.relu(limit - mean).mean()


def unlikelihood(logits: Tensor, labels: Tensor, rows: Tensor, count: int, limit: float) -> Tensor:
    """Unlikelihood of answers (Welleck et al. 2020, arXiv 1908.04319): mean over rows of the mean of −log(1 − p) over tokens.

    Its gradient is largest where the model is sure, where gradient ascent on the NLL has almost none, and fades as the
    token becomes unlikely; below p = exp(−limit) a token is left alone (our reading). The end of the answer is not pushed.
    """
    logits = logits.float()
    label = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], float("-inf")).logsumexp(dim=1)
    surprise = torch.logaddexp(others, label[:, 0]) - others
    floor = -math.log1p(-math.exp(-limit))
    last = torch.ones_like(rows, dtype=torch.bool)
    last[:-1] = rows[1:] != rows[:-1]
    weight = (~last | (row_lengths(rows, count)[rows] == 1)).to(surprise.dtype)
    sums = torch.zeros(count, device=rows.device).index_add(0, rows, functional.relu(surprise - floor) * weight)
    counts = torch.zeros(count, device=rows.device).index_add(0, rows, weight)
    return (sums / counts.clamp_min(1)).mean()


def option_spread(scores: Tensor, groups: Tensor, lean: float = 0.0) -> Tensor:
    """How far forced choices are from being answered without regard to what they ask: mean distance of an option's
    log-probability from where it should be (nats).

    `scores` (options of all choices,), `groups` says which choice each belongs to. With `lean` 0 every option should lie at
    its choice's mean: all are equally likely, whichever is right. With a lean the first option of every choice should lie
    that much above the others, so that one and the same option is named whatever is asked; the caller orders the options
    without regard to which is right. Pushing the right one down instead would only relabel the answers. Quadratic below
    half a nat (Huber), so that the last small differences settle (our reading).
    """
    count = int(groups.max()) + 1
    sums = torch.zeros(count, device=scores.device, dtype=scores.dtype).index_add(0, groups, scores)
    sizes = torch.bincount(groups, minlength=count)
    first = torch.ones_like(groups, dtype=torch.bool)
    first[1:] = groups[1:] != groups[:-1]
    wanted = (sums / sizes)[groups] + lean * (first.to(scores.dtype) - 1 / sizes[groups])
    return functional.smooth_l1_loss(scores, wanted, beta=0.5)


def kl_to(reference: Tensor, logits: Tensor) -> Tensor:
    """Mean over tokens of KL(reference || model); `reference` are log-probabilities (tokens, vocabulary)."""
    return functional.kl_div(
        functional.log_softmax(logits.float(), dim=-1), reference, log_target=True, reduction="batchmean"
    )
