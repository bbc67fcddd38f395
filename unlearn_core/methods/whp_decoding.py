"""Who's Harry Potter at decoding (Eldan and Russinovich 2023, arXiv 2310.02238, without its second fine-tuning; as in MUSE).

v = v_base − α · relu(v_reinforced − v_base) at every token, where the reinforced model was trained further on what is to be
forgotten: whatever it says more strongly is taken as the topic's own. The reinforced model is a LoRA change here, and
both models share one forward pass. No weight changes: the base model, decoded plainly, knows everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from ..events import Loss
from .base import Context, Method, MethodConfig, Stage


class WhpDecodingConfig(MethodConfig):
    """Settings of combined decoding."""

    alpha: float = Field(
        5.0, ge=0.0, le=100.0, description="How many times what the reinforced model adds is taken off (5 in the paper)"
    )
    steps: int = Field(60, ge=1, le=5000, description="Steps of training the reinforced model on the forget set")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the reinforcing change in every matrix")


def fit(context: Context, config: WhpDecodingConfig) -> Iterator[Any]:
    """Yield losses and the edit. While it trains the model knows the topic better: no snapshot is taken."""
    from ..edits.decoding import DecodingEdit
    from ..objectives import answer_nll
    from ..training import Change, Plan, encode_rows, train

    change = Change(context.loaded.model, rank=config.rank, seed=context.seed)
    yield Stage("reinforce")
    for item in train(
        context,
        change,
        Plan(config.steps, config.rate),
        encode_rows(context.loaded, context.given.forget),
        [],
        lambda part, places: answer_nll(part.logits, part.labels, part.rows, part.count),
        None,
    ):
        if isinstance(item, Loss):
            yield item
    yield DecodingEdit(change.edit(), config.alpha)


METHOD = Method(
    "whp-decoding",
    "Who's Harry Potter, at decoding",
    "Eldan and Russinovich 2023, arXiv 2310.02238",
    "rewriting",
    "Takes off, at every token, what a model trained further on the topic would say more strongly; a task that neighbours share "
    "goes with it, relabelled.",
    "alpha",
    WhpDecodingConfig,
    (("reinforce", "Learn the topic better"),),
    fit,
    access="weights, and the logits at every token",
    cost="one short training run; answers take two rows instead of one",
)
