"""Task vectors (Ilharco et al. 2023, arXiv 2212.04089): learn the topic better, then go the other way.

τ = θ(fine-tuned on the forget set) − θ; the unlearned model is θ − λτ. τ is a LoRA change here. λ is the largest of a
grid at which given text to keep stays at 95 % of its accuracy (the paper's control rule, section 3, on given items).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from ..events import Notice
from .base import Context, Method, MethodConfig, Stage

GRID = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
CONTROL = 0.95


class TaskVectorConfig(MethodConfig):
    """Settings of task vectors."""

    scale: float = Field(
        0.0,
        ge=0.0,
        le=50.0,
        description="How many times the task vector is subtracted; 0 searches the largest that keeps given text at 95 %",
    )
    steps: int = Field(60, ge=1, le=5000, description="Fine-tuning steps on the forget set")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the task vector in every matrix")


def fit(context: Context, config: TaskVectorConfig) -> Iterator[Any]:
    """Yield losses, the edit and its spectra. While it trains the model knows the topic better: no snapshot is taken."""
    from ..objectives import answer_nll
    from ..spectra import describe
    from ..training import Change, Plan, encode_rows, largest_scale, train

    given = context.given
    forget, retain = (
        encode_rows(context.loaded, given.forget),
        encode_rows(context.loaded, given.neighbor + given.retain),
    )
    change = Change(context.loaded.model, rank=config.rank, seed=context.seed)
    yield Stage("train")
    for item in train(
        context,
        change,
        Plan(config.steps, config.rate),
        forget,
        [],
        lambda part, places: answer_nll(part.logits, part.labels, part.rows, part.count),
        None,
    ):
        if not hasattr(item, "step") or hasattr(item, "forget"):
            yield item
    vector = change.edit()
    if context.cancelled():
        yield vector.scaled(-1.0)
        return
    yield Stage("scale")
    scale = config.scale or (largest_scale(context, vector.scaled(-1.0), retain, GRID, CONTROL) if retain else 1.0)
    if context.cancelled():
        yield vector.scaled(-(scale or GRID[0]))
        return
    if not retain and not config.scale:
        yield Notice("No given text to keep: the task vector is subtracted once.")
    if not scale:
        scale = GRID[0]
        yield Notice(f"No scale keeps the given text at {CONTROL:.0%}; the smallest, {scale}, is used.")
    edit = vector.scaled(-scale)
    yield edit
    yield Stage("describe")
    yield from describe(context.loaded.model, edit)


METHOD = Method(
    "task-vector",
    "Task vector",
    "Ilharco et al. 2023, arXiv 2212.04089",
    "merging",
    "Fine-tunes on the topic, then subtracts what was learnt.",
    "scale",
    TaskVectorConfig,
    (("train", "Learn the topic better"), ("scale", "Choose the scale"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run and a search over scales",
)
