"""PCGU, partial contrastive gradient unlearning (Yu et al. 2023, Findings of ACL; no arXiv id known): change few weight vectors.

For a pair of answers to one question, advantaged a and disadvantaged b: g_a, g_b = gradients of their logits at the place
where they are told apart. Every weight matrix is split into row vectors; the share k of all of them whose g_a and g_b have
the least cosine is chosen, and only these are updated, W_r ← W_r − rate · g_a,r, so that the advantaged answer loses its lead.

Our reading: a causal model's next token after the prompt takes the place of a masked one (after what both answers begin
with alike); a is the expected answer and b another option of a forced choice, for an open question the answer of another
forget question. A pair takes part only while a leads b by more than `margin` nats, since without an end the logit falls
for ever and a forced choice would only be reversed. Steps are plain gradient steps of `rate` times the Frobenius norm of
all weights, with the vectors chosen anew for each batch as in the authors' code. There is no term for what is to be kept:
training stops once KL(original || model) on given text to keep reaches `budget`; the last step is shortened to it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..events import Loss, Notice
from .base import Context, Method, MethodConfig, Snapshot, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..edits.low_rank import LowRankEdit
    from ..training import Row



class PcguConfig(MethodConfig):
    """Settings of PCGU."""

    share: float = Field(
        0.12, gt=0.0, le=1.0, description="Share of all weight vectors, those used least alike, that a step may change"
    )
    steps: int = Field(60, ge=1, le=5000, description="Most steps, each on one batch of pairs")
    rate: float = Field(0.001, gt=0, le=1.0, description="Size of a step, as a share of all weights")
    batch: int = Field(32, ge=1, le=1024, description="Pairs of answers in a step")
    margin: float = Field(
        0.0, ge=-20.0, le=20.0, description="Lead of the expected answer that ends a pair's part (nats)"
    )
    budget: float = Field(
        0.05, gt=0.0, le=10.0, description="Damage at which it stops: KL from the original on given text to keep (nats)"
    )


def fit(context: Context, config: PcguConfig) -> Iterator[Any]:
    """Yield losses, snapshots, the edit and its spectra."""
    from ..edits.attach import attached
    from ..edits.low_rank import LowRankEdit
    from ..spectra import describe
    from ..training import damage_meter, encode_rows, step_within

    loaded, given = context.loaded, context.given
    pairs = _pairs(context)
    if not pairs:
        yield Notice("No two answers can be told apart: nothing is changed.")
    kept = encode_rows(loaded, given.neighbor + given.retain)
    damage = damage_meter(context, kept)
    deltas: dict[str, Tensor] = {}
    spent = 0.0
    yield Stage("remove")
    for step, batch in zip(range(config.steps), _batches(pairs, config.batch, context.seed), strict=False):
        if context.cancelled():
            break
        lead, change = _step(context, config, batch, LowRankEdit.whole(deltas))
        last = step + 1 == config.steps
        if change:
            deltas, spent, short = step_within(config.budget, damage, deltas, change)
            last = last or short
        yield Loss(step + 1, step + 1 if last else config.steps, lead, spent if kept else None)
        if last or (step + 1) % max(1, config.steps // 8) == 0:
            with attached(loaded.model, LowRankEdit.whole(deltas)):
                yield Snapshot(step + 1, config.steps)
        if last:
            break
    context.trained.append(sum(int(delta.count_nonzero()) for delta in deltas.values()))
    edit = LowRankEdit.from_deltas(deltas)
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit)


def _pairs(context: Context) -> list[tuple[Row, int]]:
    """For each question its tokens up to the first by which the expected answer differs from the other one, and that
    other's token there."""
    from ..training import Row, encode_rows

    forget, generator = context.given.forget, random.Random(context.seed)
    pool = sorted({question.answer for question in forget})

    def other(question: Any) -> str:
        found = [answer for answer in sorted(question.options) or pool if answer != question.answer]
        return generator.choice(found) if found else question.answer

    expected = encode_rows(context.loaded, forget)
    others = encode_rows(context.loaded, [replace(question, answer=other(question)) for question in forget])
    pairs: list[tuple[Row, int]] = []
    for first, second in zip(expected, others, strict=True):
        parts = (at for at, (a, b) in enumerate(zip(first.ids, second.ids, strict=False)) if a != b)
        if (place := next(parts, None)) is not None:
            pairs.append((Row(first.ids[: place + 1], place), second.ids[place]))
    return pairs


def _batches(pairs: list[tuple[Row, int]], size: int, seed: int) -> Iterator[list[tuple[Row, int]]]:
    """Endless batches in shuffled rounds."""
    generator = random.Random(seed)
    while pairs:
        order = generator.sample(pairs, len(pairs))
        for start in range(0, len(order), size):
            yield order[start : start + size]


def _step(
    context: Context, config: PcguConfig, batch: list[tuple[Row, int]], edit: LowRankEdit
) -> tuple[float, dict[str, Tensor]]:
    """How far the expected answers lead in the mean, and the change of one step: empty where none leads any more."""
    import torch

    from ..activations import WeightGradients
    from ..edits.attach import attached
    from ..subspace.similarity import least_similar_rows
    from ..training import score

    model = context.loaded.model
    with attached(model, edit), WeightGradients(model) as gradients:
        scored = score(context.loaded, [row for row, _ in batch])
        rivals = torch.tensor([token for _, token in batch], device=scored.labels.device)
        advantaged, rival = (scored.logits.float().gather(1, ids[:, None])[:, 0] for ids in (scored.labels, rivals))
        lead = (advantaged - rival).detach() - config.margin
        leading = lead > 0
        mean = float(lead.clamp_min(0).mean())
        if not leading.any():
            return mean, {}
        first = gradients.of(advantaged[leading].sum(), again=True)
        second = gradients.of(rival[leading].sum())
    chosen = least_similar_rows(first, second, config.share)
    step = {name: G * chosen[name][:, None] for name, G in first.items()}
    weights = sum(float(p.weight.float().square().sum()) for name, p in model.named_modules() if name in first)
    length = sum(float(G.square().sum()) for G in step.values())
    size = config.rate * (weights / length) ** 0.5 if length else 0.0
    return mean, {name: -size * G for name, G in step.items()}


METHOD = Method(
    "pcgu",
    "PCGU",
    "Yu et al. 2023, Findings of ACL (no arXiv id known)",
    "gradient",
    "Changes only the weight vectors that two answers use least alike; nothing holds what is to be kept.",
    "share",
    PcguConfig,
    (("remove", "Take the lead from the answer"), ("describe", "Compare the spectra")),
    fit,
    cost="some passes over given text, two gradients each",
)
