"""UNDIAL (Dong et al. 2024, arXiv 2402.10052): distil the model from itself with the answer's tokens made less likely.

L = mean CE(softmax(z₀ − b · onehot(answer token)), softmax(z)) over forget answers + w · NLL(retain), z₀ the original's logits,
computed once. The target is a sound distribution, so training does not diverge. Only answer tokens count; public code also
averages over prompt and padding. The paper has no retain term (w = 0); the default w and the LoRA change are our reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .base import Context, Method, MethodConfig

if TYPE_CHECKING:
    from torch import Tensor

    from ..training import Scored


class UndialConfig(MethodConfig):
    """Settings of UNDIAL."""

    strength: float = Field(
        10.0, ge=0.0, le=100.0, description="How far the answer token's logit is lowered in the target"
    )
    retain_weight: float = Field(1.0, ge=0.0, le=100.0, description="Weight of the loss on given text to keep")
    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: UndialConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit and its spectra."""
    from ..objectives import answer_nll, self_distillation
    from ..training import Change, Plan, given_rows, on_answers, reference_logprobs, train, trained_edit

    forget, retain = given_rows(context)
    if context.cancelled():
        return
    original = reference_logprobs(context.loaded, forget)

    def distil(part: Scored, places: Sequence[int]) -> Tensor:
        return self_distillation(original(places), part.logits, part.labels, part.rows, part.count, config.strength)

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
            distil,
            on_answers(answer_nll, weight=config.retain_weight),
        ),
    )


METHOD = Method(
    "undial",
    "UNDIAL",
    "Dong et al. 2024, arXiv 2402.10052",
    "gradient",
    "Teaches the model its own answers with the forget tokens' logits lowered.",
    "strength",
    UndialConfig,
    (("train", "Train against the topic"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run",
)
