"""Fine-tuning on kept text only: the baseline that hopes the rest is forgotten by itself (as in EUL, arXiv 2310.20150).

L = NLL(retain), the mean over answer tokens of given neighbour and retain text; no forget question is used. What a model
knows by heart hardly fades so; the figures show how little. Trained as a LoRA change (our reading).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from ..events import Notice
from .base import Context, Method, MethodConfig


class FinetuneConfig(MethodConfig):
    """Settings of fine-tuning on kept text."""

    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: FinetuneConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit and its spectra."""
    from ..objectives import answer_nll
    from ..training import Change, Plan, given_rows, on_answers, train, trained_edit

    _, retain = given_rows(context)
    change = Change(context.loaded.model, rank=config.rank, seed=context.seed)
    if not retain:
        yield Notice("No given text to keep, so there is nothing to train on: the model stays as it was.")
    plan = Plan(config.steps, config.rate)
    training = train(context, change, plan, [], retain, None, on_answers(answer_nll)) if retain else ()
    yield from trained_edit(context, change, training)


METHOD = Method(
    "finetune",
    "Fine-tuning on kept text",
    "Chen and Yang 2023, arXiv 2310.20150",
    "baseline",
    "Trains on given text to keep and hopes the topic fades; it hardly does.",
    "steps",
    FinetuneConfig,
    (("train", "Train on kept text"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run on kept text",
)
