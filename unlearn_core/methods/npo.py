"""Negative preference optimisation (Zhang et al. 2024, arXiv 2404.05868): preference learning with losers only.

L = −(2/β) · mean log σ(β · (NLL(forget) − NLL₀(forget))) + w · NLL(retain). The forget NLLs are sums over an answer's tokens,
NLL₀ is the original's, computed once. β → 0 gives gradient ascent; an answer that is much less likely than it was is pushed
ever less, so the model is not destroyed as by ascent. Our reading: a LoRA change (the paper trains all weights); β is
0.5, not the paper's 0.1, since short answers have small sums and would be pushed far past the point where a question like
them suffers; w is 5, about what a sum over an answer's tokens weighs against a mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from .base import Context, Method, MethodConfig


class NpoConfig(MethodConfig):
    """Settings of negative preference optimisation."""

    beta: float = Field(
        0.5, ge=1e-3, le=10.0, description="How early a forgotten answer is let go; small is near plain ascent"
    )
    retain_weight: float = Field(5.0, ge=0.0, le=100.0, description="Weight of the loss on given text to keep")
    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: NpoConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit and its spectra."""
    from ..objectives import answer_nll, npo
    from ..training import Change, Plan, answer_nlls, given_rows, on_answers, row_nlls, train, trained_edit

    forget, retain = given_rows(context)
    reference = answer_nlls(context.loaded, forget, cancelled=context.cancelled)
    if context.cancelled():
        return
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
            lambda part, places: npo(row_nlls(part), reference[list(places)], config.beta),
            on_answers(answer_nll, weight=config.retain_weight),
        ),
    )


METHOD = Method(
    "npo",
    "NPO",
    "Zhang et al. 2024, arXiv 2404.05868",
    "preference",
    "Makes forget answers less preferred than under the original, ever more gently.",
    "beta",
    NpoConfig,
    (("train", "Train against the topic"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run",
)
