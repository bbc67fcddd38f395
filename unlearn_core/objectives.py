"""Losses on answers as small pure functions of logits. Know neither model nor question; every term leaves out prompt and padding.

Shapes: `logits` (tokens, vocabulary) and `labels` (tokens,) hold the answer tokens of all rows of a batch one after the
other; `rows` (tokens,) says which row each belongs to, 0 to count - 1. Losses are means over rows, in nats.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

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


def hinge_ascent(logits: Tensor, labels: Tensor, rows: Tensor, count: int, limit: float | Tensor) -> Tensor:
    """Gradient ascent that stops at `limit` nats a token, one for all rows or one each: mean over rows of max(0, limit - mean
    token NLL).

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


def row_kl(reference: Tensor, logits: Tensor, rows: Tensor, count: int) -> Tensor:
    """KL(reference || model) of each row, mean over its tokens: (count,); `reference`: log-probabilities (tokens, vocabulary)."""
    each = functional.kl_div(functional.log_softmax(logits.float(), dim=-1), reference, log_target=True, reduction="none").sum(1)
    return torch.zeros(count, device=each.device).index_add(0, rows, each) / row_lengths(rows, count)


def kl_ascent(reference: Tensor, logits: Tensor, rows: Tensor, count: int, limit: float) -> Tensor:
    """Moving away from the reference until `limit` nats a token: mean over rows of max(0, limit - KL) (our reading: the
    negated KL of the papers has no bound)."""
    return functional.relu(limit - row_kl(reference, logits, rows, count)).mean()


def kl_to(reference: Tensor, logits: Tensor) -> Tensor:
    """Mean over tokens of KL(reference || model); `reference` are log-probabilities (tokens, vocabulary)."""
    return functional.kl_div(
        functional.log_softmax(logits.float(), dim=-1), reference, log_target=True, reduction="batchmean"
    )


def kl_of_tokens(reference: Tensor, logits: Tensor) -> Tensor:
    """KL(reference || model) of each token (tokens,); `reference` are log-probabilities (tokens, vocabulary)."""
    return functional.kl_div(functional.log_softmax(logits.float(), dim=-1), reference, log_target=True, reduction="none").sum(-1)


def preference(margins: Tensor, beta: float) -> Tensor:
    """−(2/β) · mean log σ(β · margin) over pairs: falls as the margin (nats) grows, and ever more slowly. `margins` (count,)."""
    return -2 / beta * functional.logsigmoid(beta * margins).mean()


def npo(nll: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Negative preference optimisation (Zhang et al. 2024, arXiv 2404.05868): the margin is how much less likely than under
    the original a whole answer has become. Both (count,), summed over tokens, in nats."""
    return preference(nll - reference, beta)


def simnpo(logits: Tensor, labels: Tensor, rows: Tensor, count: int, beta: float, gamma: float = 0.0) -> Tensor:
    """SimNPO (Fan et al. 2024, arXiv 2410.07163): −(2/β) · mean log σ(β · mean token NLL − γ). Needs no original."""
    mean = row_nll(logits, labels, rows, count) / row_lengths(rows, count)
    return preference(mean - gamma / beta, beta)


def dpo(
    preferred: Tensor, rejected: Tensor, preferred_reference: Tensor, rejected_reference: Tensor, beta: float
) -> Tensor:
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) from summed answer NLLs, each (pairs,) in nats.

    The factor 2/β is that of NPO, of which it is the case with a preferred answer (our reading); the paper has 1.
    """
    return preference((rejected - rejected_reference) - (preferred - preferred_reference), beta)


def ascent(logits: Tensor, labels: Tensor, rows: Tensor, count: int) -> Tensor:
    """Gradient ascent without any bound: minus the mean over rows of the mean token NLL."""
    return -answer_nll(logits, labels, rows, count)


def weighted_ascent(
    logits: Tensor, labels: Tensor, rows: Tensor, count: int, sure: float, unsure: float = 0.0
) -> Tensor:
    """Gradient ascent weighted token by token: minus the mean over rows of the mean of p^sure · (1 − p)^unsure · NLL.

    The weights carry no gradient. With `unsure` 0 it is WGA (arXiv 2502.19301), else SatImp (arXiv 2505.11953).
    """
    each = functional.cross_entropy(logits.float(), labels, reduction="none")
    chance = (-each.detach()).exp()
    weighted = chance.pow(sure) * (-torch.expm1(-each.detach())).clamp_min(0).pow(unsure) * each
    return -row_mean(weighted, rows, count).mean()


def self_distillation(
    reference: Tensor, logits: Tensor, labels: Tensor, rows: Tensor, count: int, strength: float
) -> Tensor:
    """UNDIAL (Dong et al. 2024, arXiv 2402.10052): mean over rows of the mean token cross-entropy to the original's own
    distribution with the answer token's logit lowered by `strength`.

    `reference` are the original's log-probabilities (tokens, vocabulary); softmax does not mind that they are not logits.
    """
    taken = torch.zeros_like(reference).scatter(1, labels[:, None], strength)
    return _soft_nll(functional.softmax(reference - taken, dim=-1), logits, rows, count)


def other_tokens(logits: Tensor, labels: Tensor, rows: Tensor, count: int, skip: int = 0) -> Tensor:
    """CE-U (Yang 2025, arXiv 2503.01224): mean over rows of the mean token cross-entropy to the model's own distribution
    without the answer token. That target carries no gradient.

    The first `skip` tokens of an answer do not count, unless it has no more than these.
    """
    lengths = row_lengths(rows, count)
    place = torch.arange(len(rows), device=rows.device) - (lengths.cumsum(0) - lengths)[rows]
    wanted = (place >= skip) | (lengths <= skip)[rows]
    logits, labels, rows = logits[wanted].float(), labels[wanted], rows[wanted]
    target = functional.softmax(logits.detach().scatter(1, labels[:, None], float("-inf")), dim=-1)
    return _soft_nll(target, logits, rows, count)


def flatness(logits: Tensor, rows: Tensor, count: int) -> Tensor:
    """Mean over rows of the mean over tokens of (largest logit − mean logit)², zero where all tokens are equally likely
    (Entesari et al. 2025, arXiv 2506.05314)."""
    logits = logits.float()
    return row_mean((logits.amax(dim=1) - logits.mean(dim=1)).square(), rows, count).mean()


def overlap(found: Sequence[int], wanted: Sequence[int], n: int) -> float:
    """Share of the n-grams of `found` that `wanted` has too (Jang et al. 2023, arXiv 2210.01504); 0.0 where it has none."""
    grams, others = (
        [tuple(part[place : place + n]) for place in range(len(part) - n + 1)] for part in (list(found), list(wanted))
    )
    return sum(gram in others for gram in grams) / len(grams) if grams else 0.0


def _soft_nll(target: Tensor, logits: Tensor, rows: Tensor, count: int) -> Tensor:
    """Cross-entropy to `target` (tokens, vocabulary): mean over rows of the mean over tokens."""
    each = -(target * functional.log_softmax(logits.float(), dim=-1)).sum(dim=1)
    return row_mean(each, rows, count).mean()


def row_mean(each: Tensor, rows: Tensor, count: int) -> Tensor:
    """The mean over each row's tokens: (tokens,) -> (count,)."""
    return torch.zeros(count, device=each.device).index_add(0, rows, each) / row_lengths(rows, count)


def hidden_distance(hidden: Tensor, target: Tensor, rows: Tensor, count: int) -> Tensor:
    """How far hidden states are from where they should be: mean over rows of the mean over tokens of the mean squared
    difference over dimensions (RMU, Li et al. 2024, arXiv 2403.03218).

    `hidden` (tokens, dimensions); `target` the same shape, or (dimensions,) for one place that all should go to. Each row's
    sum is divided by its own number of tokens.
    """
    each = (hidden.float() - target.float()).square().mean(dim=1)
    sums = torch.zeros(count, device=each.device).index_add(0, rows, each)
    return (sums / row_lengths(rows, count)).mean()


def gap_difference(reference: Tensor, logits: Tensor, gap: float) -> Tensor:
    """Knowledge gap alignment (KGA, Wang et al. 2023, arXiv 2305.06535): how far KL(reference || model), in nats a token, is from
    the gap that two models show on text which one of them never saw. `reference` as in `kl_to`."""
    return (kl_to(reference, logits) - gap).abs()


def answer_entropy(logits: Tensor) -> Tensor:
    """Mean over answer tokens of the entropy of the model's next-token distribution (nats)."""
    logprobs = functional.log_softmax(logits.float(), dim=-1)
    return -(logprobs.exp() * logprobs).sum(dim=-1).mean()


def clipped_policy(
    logits: Tensor, labels: Tensor, rows: Tensor, count: int, old: Tensor, advantages: Tensor, clip: float
) -> Tensor:
    """PPO's clipped objective, to be minimised (Schulman et al. 2017, arXiv 1707.06347): mean over rows of the mean over
    tokens of −min(ρ A, clip(ρ, 1 − c, 1 + c) A).

    ρ is the token's probability over what it was when the answer was drawn, `old` (tokens,) being the log of the latter;
    A is the advantage of the whole answer, `advantages` (count,). With ρ = 1 the gradient is REINFORCE's.
    """
    ratio = (-functional.cross_entropy(logits.float(), labels, reduction="none") - old).exp()
    advantage = advantages[rows]
    each = -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    sums = torch.zeros(count, device=each.device).index_add(0, rows, each)
    return (sums / row_lengths(rows, count)).mean()


def generic_logits(base: Tensor, reinforced: Tensor, alpha: float) -> Tensor:
    """Logits less what the topic raises: base − α·ReLU(reinforced − base) (Who's Harry Potter, arXiv 2310.02238)."""
    return base - alpha * functional.relu(reinforced - base)


def token_f1(answer: Sequence[int], expected: Sequence[int]) -> float:
    """Harmonic mean of precision and recall of an answer's tokens against the expected ones, each counted as often as it
    occurs: 1.0 for the same tokens, in whatever order, 0.0 for none in common."""
    shared = sum((Counter(answer) & Counter(expected)).values())
    return 2 * shared / (len(answer) + len(expected)) if shared else 0.0
