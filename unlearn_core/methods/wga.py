"""Weighted gradient ascent (Wang et al. 2025, arXiv 2502.19301): ascend less on tokens that are already unlikely.

L = −mean p^β · NLL(token) over forget answers + w · NLL(retain); the weight p^β, p the token's probability, carries no gradient.
Tokens as they become unlikely lose their weight, so the ascent ends by itself. The mean is taken over an answer's tokens and
then over answers (our reading; the public code takes all tokens of a batch alike). Trained as a LoRA change (our reading).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from .base import Context, Method, MethodConfig


class WgaConfig(MethodConfig):
    """Settings of weighted gradient ascent."""

    beta: float = Field(
        1.0, ge=0.0, le=20.0, description="How fast an unlikely token loses its weight; 0 is plain ascent"
    )
    retain_weight: float = Field(2.0, ge=0.0, le=100.0, description="Weight of the loss on given text to keep")
    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: WgaConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit and its spectra."""
    from ..objectives import answer_nll, weighted_ascent
    from ..training import Change, Plan, given_rows, on_answers, train, trained_edit

    forget, retain = given_rows(context)
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
            on_answers(weighted_ascent, config.beta),
            on_answers(answer_nll, weight=config.retain_weight),
        ),
    )


METHOD = Method(
    "wga",
    "Weighted gradient ascent",
    "Wang et al. 2025, arXiv 2502.19301",
    "gradient",
    "Makes forget answers unlikely, with most weight on the tokens that are still likely; neighbours suffer.",
    "beta",
    WgaConfig,
    (("train", "Train against the topic"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run",
)
