"""Knowledge unlearning by gradient ascent (Jang et al. 2023, KUL, arXiv 2210.01504): ascend on forget, nothing else.

L = −NLL(forget), mean over answer tokens, without bound and without kept text. It ends when extraction likelihood and
memorisation accuracy have both fallen to the level of unseen text (the paper's rule):
MA = share of answer tokens that are the model's first choice, EL_n = mean over prefixes of the answer of the share of
n-grams of the greedy continuation that the rest of the answer contains.

Our reading: the level is what the original has on the same forget questions with answers that nobody ever gave, put together
from pieces of those to questions like them (the paper's is that of unseen documents; other names in the questions alone do
not do, since the rest of an answer that is known by heart follows from its beginning); n is 2 and never more than an answer
has tokens (the paper's 10 is for 200 tokens); both are computed on at most 32 given forget questions, every few steps; a
LoRA change.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..events import Loss
from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from ..training import Change, Row

SAMPLE = 32  # forget questions that are watched


class GradientAscentConfig(MethodConfig):
    """Settings of gradient ascent."""

    steps: int = Field(200, ge=1, le=5000, description="Training steps at most")
    rate: float = Field(1e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")
    n: int = Field(2, ge=1, le=10, description="Tokens in a row that count as extracted")
    every: int = Field(2, ge=1, le=1000, description="Steps between two looks at whether enough is forgotten")


def fit(context: Context, config: GradientAscentConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit and its spectra."""
    from ..stand_ins import unseen_answers
    from ..training import Change, extraction_likelihood, given_rows, memorisation_accuracy, trained_edit

    forget, _ = given_rows(context)
    if context.cancelled():
        return
    yield Stage("level")
    unseen = unseen_answers(context.loaded, _sample(context.given.forget, context.seed), context.given.forget, context.seed)
    level = memorisation_accuracy(context.loaded, unseen), extraction_likelihood(context.loaded, unseen, config.n)
    change = Change(context.loaded.model, rank=config.rank, seed=context.seed)
    yield from trained_edit(context, change, _until(context, change, config, forget, level))


def _until(
    context: Context, change: Change, config: GradientAscentConfig, forget: list[Row], level: tuple[float, float]
) -> Iterator[Any]:
    """Training that ends once both measures are at most `level`; the last loss then says that it was the last."""
    from ..objectives import ascent
    from ..training import Plan, on_answers, train

    watched = _sample(forget, context.seed)
    for item in train(context, change, Plan(config.steps, config.rate), forget, [], on_answers(ascent), None):
        due = isinstance(item, Loss) and item.step % config.every == 0 and not context.cancelled()
        if due and _as_unknown(context, change, watched, config.n, level):
            yield Loss(item.step, item.step, item.forget, None)
            return
        yield item


def _as_unknown(context: Context, change: Change, rows: list[Row], n: int, level: tuple[float, float]) -> bool:
    """Whether memorisation accuracy and then extraction likelihood, which costs more, are down to `level`."""
    from ..edits.attach import attached
    from ..training import extraction_likelihood, memorisation_accuracy

    with attached(context.loaded.model, change.edit()):
        return (
            memorisation_accuracy(context.loaded, rows) <= level[0]
            and extraction_likelihood(context.loaded, rows, n) <= level[1]
        )


def _sample(rows: Sequence[Any], seed: int) -> list[Any]:
    return random.Random(seed).sample(rows, min(SAMPLE, len(rows)))


METHOD = Method(
    "gradient-ascent",
    "Gradient ascent",
    "Jang et al. 2023, arXiv 2210.01504",
    "gradient",
    "Makes forget answers unlikely until they are no better known than unseen text; it tends to destroy the rest.",
    "rate",
    GradientAscentConfig,
    (
        ("level", "Measure unseen text"),
        ("train", "Train against the topic"),
        ("describe", "Compare the spectra"),
    ),
    fit,
    cost="a short training run on the topic alone",
)
