"""CE-U (Yang 2025, arXiv 2503.01224): train towards the model's own distribution without the answer's token.

L = mean CE(softmax(z with the answer token at −∞), softmax(z)) over forget answers + w · NLL(retain); the target carries no
gradient. The gradient is largest where the model is sure and fades with the token's probability. Public code leaves out the
first answer token and keeps nothing (`skip` 1, w = 0). With short answers the first token says it all: here none is left
out and kept text is trained on (our reading). Trained as a LoRA change (our reading).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from .base import Context, Method, MethodConfig


class CeuConfig(MethodConfig):
    """Settings of CE-U."""

    skip: int = Field(
        0, ge=0, le=100, description="First tokens of every answer that are left alone; a whole answer never is"
    )
    retain_weight: float = Field(5.0, ge=0.0, le=100.0, description="Weight of the loss on given text to keep")
    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: CeuConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit and its spectra."""
    from ..objectives import answer_nll, other_tokens
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
            on_answers(other_tokens, config.skip),
            on_answers(answer_nll, weight=config.retain_weight),
        ),
    )


METHOD = Method(
    "ceu",
    "CE-U",
    "Yang 2025, arXiv 2503.01224",
    "gradient",
    "Teaches the model what it would say if the forget answer's tokens were impossible; neighbours suffer.",
    "retain_weight",
    CeuConfig,
    (("train", "Train against the topic"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run",
)
