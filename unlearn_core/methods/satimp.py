"""SatImp (Yang et al. 2025, arXiv 2505.11953): gradient ascent weighted by saturation and importance of every token.

L = −γ · mean p^β₁ · (1 − p)^β₂ · NLL(token) over forget answers + w · NLL(retain); the weights carry no gradient. p^β₁ lets go of
tokens that are unlikely already (saturation), (1 − p)^β₂ holds back where the model is entirely sure. Our reading: the mean
is over an answer's tokens and then over answers; a LoRA change; milder defaults than public code's β₁ 5, β₂ 1, γ 0.1, under
which answers that a model has by heart (p above 0.99) are all but left alone and nothing is forgotten in so few steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from .base import Context, Method, MethodConfig


class SatimpConfig(MethodConfig):
    """Settings of SatImp."""

    beta1: float = Field(2.0, ge=0.0, le=20.0, description="How fast an unlikely token loses its weight")
    beta2: float = Field(0.25, ge=0.0, le=20.0, description="How much tokens are held back of which the model is sure")
    forget_weight: float = Field(1.0, gt=0.0, le=1000.0, description="Weight of the loss on answers to forget")
    retain_weight: float = Field(1.0, ge=0.0, le=100.0, description="Weight of the loss on given text to keep")
    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: SatimpConfig) -> Iterator[Any]:
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
            on_answers(weighted_ascent, config.beta1, config.beta2, weight=config.forget_weight),
            on_answers(answer_nll, weight=config.retain_weight),
        ),
    )


METHOD = Method(
    "satimp",
    "SatImp",
    "Yang et al. 2025, arXiv 2505.11953",
    "gradient",
    "Makes forget answers unlikely, with most weight on tokens neither sure nor unlikely.",
    "forget_weight",
    SatimpConfig,
    (("train", "Train against the topic"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run",
)
