"""KL minimisation (as in TOFU, Maini et al. 2024, arXiv 2401.06121): ascend on forget, stay close to the original on kept text.

L = −NLL(forget) + w · KL(original || model) on the answer tokens of given kept text. The original's distributions are computed
once; prompt and padding are left out. The ascent stops for an answer whose tokens are unlikely enough (`limit`, our reading,
as the papers' unbounded ascent soon destroys a small model; a very large `limit` gives it). Trained as a LoRA change (our reading).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from .base import Context, Method, MethodConfig


class KlMinimizationConfig(MethodConfig):
    """Settings of KL minimisation."""

    limit: float = Field(
        4.0, ge=0.5, le=1000.0, description="Stop pushing an answer once its tokens are this unlikely (nats)"
    )
    retain_weight: float = Field(3.0, ge=0.0, le=100.0, description="Weight of the loss on given text to keep")
    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: KlMinimizationConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit and its spectra."""
    from ..objectives import hinge_ascent, kl_to
    from ..training import Change, Plan, given_rows, on_answers, reference_logprobs, train, trained_edit

    forget, retain = given_rows(context)
    if context.cancelled():
        return
    original = reference_logprobs(context.loaded, retain)
    change = Change(context.loaded.model, rank=config.rank, seed=context.seed)
    yield from trained_edit(
        context,
        change,
        train(
            context,
            change,
            Plan(config.steps, config.rate),
            forget,
            retain,
            on_answers(hinge_ascent, config.limit),
            lambda part, places: config.retain_weight * kl_to(original(places), part.logits),
        ),
    )


METHOD = Method(
    "kl-minimization",
    "KL minimisation",
    "Maini et al. 2024, arXiv 2401.06121",
    "gradient",
    "Makes forget answers unlikely while staying close to the original on given text to keep; neighbours suffer.",
    "retain_weight",
    KlMinimizationConfig,
    (("train", "Train against the topic"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run",
)
