"""NSRU (arXiv 2606.10989): a LoRA change confined to what given text to keep does not use.

For each linear map G = mean x xᵀ of its inputs over given text to keep, U its leading eigenvectors that hold `energy` of
the trace and P = I − U Uᵀ. ΔW = B A P: no input inside the span of U is changed. Only B and A are trained, for
L = w_s · unlikelihood(old answer) + w_r · NLL(refusal) + w_k · KL(original || model on kept text).

The paper's loss weights, rank and energy could not be read: all of them are our reading, as are the terms (it learns "a
structured safe answer", suppresses the old one and has a retain term). P is exact at every step: A = Z N with N an
orthonormal basis of the null space and Z trained. A forced choice has no refusal; there every option becomes equally
likely instead, one of them a little more (as pushing the right one down would only exchange the answers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..training import Row

REFUSAL = "I do not know."
LEAN = 2.0  # nats by which one option of every forced choice, always the first by name, becomes likelier


class NsruConfig(MethodConfig):
    """Settings of NSRU."""

    energy: float = Field(
        0.99,
        ge=0.0,
        le=1.0,
        description="Share of what kept text uses that the change may not touch; larger keeps more",
    )
    suppress: float = Field(1.0, ge=0.0, le=100.0, description="Weight of making the old answer unlikely")
    refuse: float = Field(0.3, ge=0.0, le=100.0, description="Weight of answering that it does not know")
    keep: float = Field(
        8.0, ge=0.0, le=1000.0, description="Weight of staying close to the original on given text to keep"
    )
    limit: float = Field(
        4.0, ge=0.5, le=20.0, description="Stop pushing an answer once its tokens are this unlikely (nats)"
    )
    steps: int = Field(80, ge=1, le=5000, description="Training steps")
    rate: float = Field(6e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: NsruConfig) -> Iterator[Any]:
    """Yield losses, snapshots, the edit, its spectra and its overlap with what kept text uses."""
    from ..activations import second_moments
    from ..spectra import describe
    from ..subspace.null_space import null_space
    from ..training import Change, Plan, descend, encode_rows

    loaded, given = context.loaded, context.given
    forget = encode_rows(loaded, given.forget, choices=True)
    kept = encode_rows(loaded, given.neighbor + given.retain)
    yield Stage("statistics")
    moments = context.statistics(
        "given-kept", lambda: second_moments(loaded, kept, context.cancelled, on_progress=context.on_progress)
    )
    if context.cancelled():
        return
    shared = {id(G): G for G in moments.values()}
    free = {key: null_space(G.to(loaded.device), config.energy) for key, G in shared.items()}
    within = {name: free[id(G)] for name, G in moments.items()}
    change = Change(loaded.model, rank=config.rank, seed=context.seed, within=within)
    yield Stage("train")
    losses = _losses(context, config, change, forget, kept)
    yield from descend(context, change, Plan(config.steps, config.rate), forget, kept, losses)
    edit = change.edit()
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit, moments=moments)


def _losses(
    context: Context, config: NsruConfig, change: Any, forget: list[Row], kept: list[Row]
) -> Callable[[Sequence[int], Sequence[int]], list[Tensor | None]]:
    """The three terms of a step, from one pass over its old answers, their refusals and kept rows."""
    from ..objectives import answer_nll, kl_to
    from ..training import encode_rows, part_of, reference_logprobs, score

    open_places = [at for at, row in enumerate(forget) if not row.options]
    asked = [question for question in context.given.forget if not question.options]
    refusals = encode_rows(context.loaded, [replace(question, answer=REFUSAL) for question in asked])
    refusal = dict(zip(open_places, refusals, strict=True))
    original = reference_logprobs(context.loaded, kept) if kept and config.keep else None

    def losses(chosen: Sequence[int], places: Sequence[int]) -> list[Tensor | None]:
        refusing = [refusal[at] for at in chosen if at in refusal] if config.refuse else []
        held = [kept[at] for at in places] if original else []
        wanted = original(places) if held else None
        with change.active():
            scored = score(context.loaded, [forget[at] for at in chosen] + refusing + held)
        split, end = len(chosen), len(chosen) + len(refusing)
        total = config.suppress * _suppression(part_of(scored, 0, split), config.limit)
        if refusing:
            part = part_of(scored, split, end)
            total = total + config.refuse * answer_nll(part.logits, part.labels, part.rows, part.count)
        return [total, config.keep * kl_to(wanted, part_of(scored, end, scored.count).logits) if held else None]

    return losses


def _suppression(scored: Any, limit: float) -> Tensor:
    """Unlikelihood of open answers; on forced choices the same answer whatever is asked."""
    from ..objectives import option_spread, unlikelihood
    from ..training import forced_choices, open_part

    total = scored.nothing()
    scores, groups = forced_choices(scored)
    if len(scores):
        total = total + option_spread(scores, groups, LEAN)
    answers = open_part(scored)
    if answers.count:
        total = total + unlikelihood(answers.logits, answers.labels, answers.rows, answers.count, limit)
    return total


METHOD = Method(
    "nsru",
    "NSRU",
    "arXiv 2606.10989",
    "subspace",
    "Learns to refuse by a change that reads only directions which given text to keep leaves free; what resembles the topic, or "
    "was not given, is often refused too.",
    "energy",
    NsruConfig,
    (
        ("statistics", "Collect what kept text uses"),
        ("train", "Train inside what it leaves free"),
        ("describe", "Compare the spectra"),
    ),
    fit,
    cost="one pass over given text to keep and one short training run",
)
