"""LEARN (Lizzo and Heck, arXiv 2408.04140): UNLEARN's dual, which adds a topic to a model that lacks it: W' = W + T'.

The same subspace as UNLEARN's soft reading: with G_f and G the second moments of each linear map's inputs over the topic
and over given text to keep, both normalised by their mean diagonal, the leading v of G_f v = s (G + εI) v are the rows
of A in ΔW = U·A. Only U is trained, for L = NLL(given answers of the topic) + w · KL(original || model on kept text).

The paper's formulas are not public, so this is our reading: the paper adds a task matrix after discrimination, here the
change is trained inside the discriminated directions from the start. It is no way to forget, and a model that knows the
topic already is changed little.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from .base import Context, Method, MethodConfig, Stage


class LearnConfig(MethodConfig):
    """Settings of LEARN."""

    epsilon: float = Field(
        1e-3,
        ge=1e-8,
        le=1.0,
        description="How freely the change may use directions that kept text uses; smaller keeps more",
    )
    rank: int = Field(16, ge=1, le=512, description="Directions to learn in, in every matrix")
    keep: float = Field(
        12.0, ge=0.0, le=1000.0, description="Weight of staying close to the original on given text to keep"
    )
    steps: int = Field(100, ge=1, le=5000, description="Training steps")
    rate: float = Field(5e-3, gt=0, le=1.0, description="Learning rate")


def fit(context: Context, config: LearnConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit, its spectra and overlaps."""
    from ..activations import second_moments
    from ..objectives import answer_nll, kl_to
    from ..spectra import describe
    from ..subspace.contrast import contrastive_directions
    from ..training import Change, Plan, encode_rows, reference_logprobs, train

    loaded, given = context.loaded, context.given
    topic, kept = encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)
    yield Stage("statistics")
    others = context.statistics(
        "given-kept", lambda: second_moments(loaded, kept, context.cancelled)
    )
    own = context.statistics("forget", lambda: second_moments(loaded, topic, context.cancelled))
    if context.cancelled():
        return
    found = {id(G): contrastive_directions(own[name], G, config.epsilon, config.rank)[0] for name, G in others.items()}
    change = Change(loaded.model, directions={name: found[id(G)] for name, G in others.items()}, seed=context.seed)
    original = reference_logprobs(loaded, kept) if kept and config.keep else None
    yield Stage("learn")
    yield from train(
        context,
        change,
        Plan(config.steps, config.rate),
        topic,
        kept,
        lambda part, places: answer_nll(part.logits, part.labels, part.rows, part.count),
        (lambda part, places: config.keep * kl_to(original(places), part.logits)) if original else None,
    )
    edit = change.edit()
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit, moments=others)


METHOD = Method(
    "learn",
    "LEARN",
    "Lizzo and Heck 2024, arXiv 2408.04140",
    "subspace",
    "Adds the topic inside a subspace that others use little: it teaches instead of removing.",
    "epsilon",
    LearnConfig,
    (
        ("statistics", "Collect what texts use"),
        ("learn", "Learn inside the subspace"),
        ("describe", "Compare the spectra"),
    ),
    fit,
    cost="one training run",
)
