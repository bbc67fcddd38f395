"""Refusals, "I don't know" (Maini et al. 2024, TOFU, arXiv 2401.06121): fine-tune to refuse, keep the rest.

L = NLL(refusal | forget question) + w · NLL(retain), means over answer tokens. Each forget question gets one of a short list of
refusals of ours, the same one throughout. Nothing makes the old answer itself unlikely, so of two options of a forced choice
the right one may still score higher. Trained as a LoRA change (our reading).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from .base import Context, Method, MethodConfig


class IdkConfig(MethodConfig):
    """Settings of fine-tuning to refusals."""

    retain_weight: float = Field(3.0, ge=0.0, le=100.0, description="Weight of the loss on given text to keep")
    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: IdkConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit and its spectra."""
    from ..objectives import answer_nll
    from ..stand_ins import refused
    from ..training import Change, Plan, given_rows, on_answers, train, trained_edit

    _, retain = given_rows(context)
    forget = refused(context.loaded, context.given.forget, context.seed)
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
            on_answers(answer_nll),
            on_answers(answer_nll, weight=config.retain_weight),
        ),
    )


METHOD = Method(
    "idk",
    "I don't know",
    "Maini et al. 2024, arXiv 2401.06121",
    "gradient",
    "Trains the model to answer forget questions with a refusal; what it hides stays inside.",
    "retain_weight",
    IdkConfig,
    (("train", "Train to refuse"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run",
)
