"""Gradient difference (Liu et al. 2022, arXiv 2203.12817; as in TOFU, arXiv 2401.06121): ascend on forget, descend on retain.

L = −NLL(forget) + w · NLL(retain), both means over answer tokens, trained as a LoRA change of every linear map. The ascent is
unbounded in the papers; here it stops for an answer whose tokens are unlikely enough (`limit`, our reading), since
without a bound a small model is soon destroyed. A very large `limit` gives the papers' loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from .base import Context, Method, MethodConfig, Stage


class GradientDifferenceConfig(MethodConfig):
    """Settings of gradient difference."""

    retain_weight: float = Field(1.0, ge=0.0, le=100.0, description="Weight of the loss on given text to keep")
    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")
    limit: float = Field(
        4.0, ge=0.5, le=1000.0, description="Stop pushing an answer once its tokens are this unlikely (nats)"
    )


def fit(context: Context, config: GradientDifferenceConfig) -> Iterator[Any]:
    """Yield losses, snapshots, the edit and its spectra."""
    from ..objectives import answer_nll, hinge_ascent
    from ..spectra import describe
    from ..training import Change, Plan, encode_rows, train

    given = context.given
    forget, retain = (
        encode_rows(context.loaded, given.forget),
        encode_rows(context.loaded, given.neighbor + given.retain),
    )
    change = Change(context.loaded.model, rank=config.rank, seed=context.seed)
    yield Stage("train")
    yield from train(
        context,
        change,
        Plan(config.steps, config.rate),
        forget,
        retain,
        lambda part, places: hinge_ascent(part.logits, part.labels, part.rows, part.count, config.limit),
        lambda part, places: config.retain_weight * answer_nll(part.logits, part.labels, part.rows, part.count),
    )
    edit = change.edit()
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(context.loaded.model, edit)


METHOD = Method(
    "gradient-difference",
    "Gradient difference",
    "Liu et al. 2022, arXiv 2203.12817",
    "gradient",
    "Makes forget answers unlikely while training on given text to keep; much that resembles the topic goes with them.",
    "retain_weight",
    GradientDifferenceConfig,
    (("train", "Train against the topic"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run",
)
