"""Negated modules (PEM; Zhang et al. 2023, arXiv 2306.14870): train a small module on the topic, then compose its negative.

LoRA: ΔW = B A; one factor is negated (both would cancel), ΔW' = −λ B A. (IA)³: outputs scaled by l = 1 + s, ΔW = diag(s) W;
l' = (1 + λ) − λ l, ΔW' = −λ diag(s) W. λ is the largest of a grid at which given text to keep stays at 95 % of its accuracy.

Our reading: the paper chooses λ on a development set, here it is the given text to keep; the modules sit on every linear
map, where (IA)³ proper scales keys, values and the feed-forward's inner outputs. ΔW of (IA)³ has the rank of W, so that
its edit is as large as the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from ..events import Loss, Notice
from .base import Context, Method, MethodConfig, Stage

GRID = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
CONTROL = 0.95
FASTER = 3.0  # how much faster (IA)³ learns, having few numbers to train

class ModuleNegationConfig(MethodConfig):
    """Settings of module negation."""

    scale: float = Field(
        0.0,
        ge=0.0,
        le=50.0,
        description="How strongly the module is negated; 0 searches the largest that keeps given text at 95 %",
    )
    module: Literal["lora", "ia3"] = Field(
        "lora", description="LoRA, or (IA)³, which scales the outputs of every matrix"
    )
    steps: int = Field(30, ge=1, le=5000, description="Training steps of the module on the forget set")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the LoRA module in every matrix")

def fit(context: Context, config: ModuleNegationConfig) -> Iterator[Any]:
    """Yield losses, the edit and its spectra. While it trains the model knows the topic better: no snapshot is taken."""
    from ..objectives import answer_nll
    from ..spectra import describe
    from ..training import Change, Plan, Scaling, encode_rows, largest_scale, train

    loaded, given = context.loaded, context.given
    forget, kept = encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)
    lora = config.module == "lora"
    module = Change(loaded.model, rank=config.rank, seed=context.seed) if lora else Scaling(loaded.model)
    plan = Plan(config.steps, config.rate if lora else min(1.0, FASTER * config.rate))
    yield Stage("train")
    for item in train(
        context,
        module,
        plan,
        forget,
        [],
        lambda part, places: answer_nll(part.logits, part.labels, part.rows, part.count),
        None,
    ):
        if isinstance(item, Loss):
            yield item
    negated = module.edit().scaled(-1.0)  # the sign of one factor
    if context.cancelled():
        yield negated
        return
    yield Stage("scale")
    scale = config.scale or (largest_scale(context, negated, kept, GRID, CONTROL) if kept else 1.0)
    if not scale and not context.cancelled():
        yield Notice(f"No scale keeps the given text at {CONTROL:.0%}; the smallest, {GRID[0]}, is used.")
    if not kept and not config.scale:
        yield Notice("No given text to keep: the module is negated once.")
    edit = negated.scaled(scale or GRID[0])
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit)


METHOD = Method(
    "module-negation",
    "Module negation",
    "Zhang et al. 2023, arXiv 2306.14870",
    "merging",
    "Trains a LoRA or (IA)³ module on the topic and adds its negative.",
    "scale",
    ModuleNegationConfig,
    (("train", "Learn the topic better"), ("scale", "Choose the strength"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run and a search over strengths",
)
