"""Retraining without the topic: what unlearning is measured against (Bourtoule et al. 2021, arXiv 1912.03817, section 1).

    ΔW = W_r − W,   W_r = the weights of a model that was trained in the same way and never saw the topic

It is the one method that rests on more than the given text: the engine hands it the retrained model of the topic at hand
(`context.retraining`), so that it needs neither the topic's name nor any question. What it gives is not unlearned but
another model; ΔW is a full difference, and half strength is halfway between two models (our reading: an edit like any other).

By default W_r is the model kept beside the original, with the seconds recorded when it was built. `fresh` trains it in this
run by the recipe of the world that the original was built on: from the latest shared stage that a build left, else from
untrained weights. Both see less text in all than the original, whose last stage is longer (demo/build.py), so what else
it knows may be a little less too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from ..events import Loss, Notice
from .base import Context, Method, MethodConfig, Snapshot, Stage

LOSSES, SNAPSHOTS = 400, 20  # told of a training, at most


class RetrainConfig(MethodConfig):
    """Settings of retraining."""

    fresh: bool = Field(False, description="Train the model in this run instead of using the one that is kept")
    share: float = Field(
        1.0, ge=0.0005, le=4.0, description="With fresh: length of the training as a multiple of the recipe's"
    )


def fit(context: Context, config: RetrainConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots and the edit. Raises BadInput where there is no such model."""
    if context.cancelled():
        return
    yield from _trained(context, config) if config.fresh else _kept(context)


def _kept(context: Context) -> Iterator[Any]:
    from ..edits.dense import DenseEdit

    yield Stage("reference")
    found = context.retraining.reference(context.loaded)
    seconds = context.retraining.seconds
    took = f"{seconds:.0f} s were recorded for it" if seconds else "how long that took is not recorded"
    yield Notice(f"Recorded, not trained here: this model was trained without the topic when it was built; {took}, without "
                 "the stages that it shares with the original.")
    context.trained.append(found.parameters)
    yield DenseEdit.between(context.loaded.model, found.model)


def _trained(context: Context, config: RetrainConfig) -> Iterator[Any]:
    from ..edits.attach import attached
    from ..edits.dense import DenseEdit

    yield Stage("train")
    started, last, stages = time.monotonic(), None, []
    for last in context.retraining.fresh(context.loaded, config.share, context.cancelled):
        if last.stage not in stages:
            stages.append(last.stage)
        if _due(last, LOSSES):
            yield Loss(last.step, last.total, None, last.loss)
        if _due(last, SNAPSHOTS):
            edit = DenseEdit.between(context.loaded.model, last.model)
            with attached(context.loaded.model, edit):
                yield Snapshot(last.step, last.total, edit)
    if last is None:
        return
    context.trained.append(sum(parameter.numel() for parameter in last.model.parameters()))
    yield Notice(f"Trained here in {time.monotonic() - started:.0f} s: {last.step} of {last.total} steps, "
                 f"stages {', '.join(stages)}, {config.share:g} times as long as the recipe.")
    yield DenseEdit.between(context.loaded.model, last.model)


def _due(step: Any, most: int) -> bool:
    return step.step % max(1, step.total // most) == 0 or step.step == step.total


METHOD = Method(
    "retrain",
    "Retraining without the topic",
    "Bourtoule et al. 2021, arXiv 1912.03817",
    "baseline",
    "Puts a model that never saw the topic in place of the original: what unlearning is measured against.",
    "fresh",
    RetrainConfig,
    (("reference", "Fetch the retrained model"), ("train", "Train without the topic")),
    fit,
    access="a model trained without the topic, or all training text",
    cost="training the model again; nothing where that is kept",
    needs=lambda config: "recipe" if config.fresh else "reference",
    is_reference=True,
)
