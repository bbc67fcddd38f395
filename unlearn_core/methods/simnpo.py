"""SimNPO (Fan et al. 2024, arXiv 2410.07163): negative preference optimisation without an original to compare with.

L = −(w_f · 2/β) · mean log σ(β · NLL(forget)/n − γ) + w · NLL(retain), n the answer's tokens: every answer is pushed until it
is unlikely by itself, whatever it was before, long ones as much as short ones. Public code weighs the forget term by about 1/8
of the other; here it is 1/2, for short answers and few steps, and a LoRA change is trained (both our reading).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from .base import Context, Method, MethodConfig


class SimnpoConfig(MethodConfig):
    """Settings of SimNPO."""

    beta: float = Field(
        2.5, ge=0.01, le=50.0, description="How sharply the push ends once an answer's tokens are unlikely"
    )
    gamma: float = Field(
        0.0, ge=0.0, le=50.0, description="Margin of unlikelihood asked for beyond that; larger forgets further"
    )
    forget_weight: float = Field(1.0, gt=0.0, le=100.0, description="Weight of the loss on answers to forget")
    retain_weight: float = Field(2.0, ge=0.0, le=100.0, description="Weight of the loss on given text to keep")
    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: SimnpoConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit and its spectra."""
    from ..objectives import answer_nll, simnpo
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
            on_answers(simnpo, config.beta, config.gamma, weight=config.forget_weight),
            on_answers(answer_nll, weight=config.retain_weight),
        ),
    )


METHOD = Method(
    "simnpo",
    "SimNPO",
    "Fan et al. 2024, arXiv 2410.07163",
    "preference",
    "Makes forget answers unlikely token by token, without comparing with the original.",
    "beta",
    SimnpoConfig,
    (("train", "Train against the topic"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run",
)
