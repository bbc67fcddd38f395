"""One trainer for every method that learns a change. Knows rows and losses; no method by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..edits.attach import attached
from ..events import Loss
from ..methods.base import Context, Snapshot, Stage
from ..spectra import describe
from .changes import Change, Scaling, Trainable
from .rows import Row, Scored, part_of, rounds, score

BatchLoss = Callable[[Scored, Sequence[int]], Tensor]


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train. Rows are drawn in shuffled rounds with the run's seed.

    `decay`: each step takes this many times the learning rate off every trained value (Loshchilov and Hutter 2019).
    """

    steps: int
    rate: float
    decay: float = 0.0
    forget_rows: int = 32
    retain_rows: int = 40
    snapshots: int = 30
    warmup: int = 5


def train(
    context: Context,
    change: Change | Scaling,
    plan: Plan,
    forget: Sequence[Row],
    retain: Sequence[Row],
    forget_loss: BatchLoss | None,
    retain_loss: BatchLoss | None,
    penalty: Callable[[dict[str, Tensor]], Tensor] | None = None,
    forget_strength: float = 1.0,
) -> Iterator[Loss | Snapshot]:
    """Train the change in place to lower losses on answers; see `descend`.

    `forget_loss` and `retain_loss` turn a scored batch, and the positions of its rows in `forget` or `retain`, into a scalar to
    minimise (weights included); both kinds of rows share one forward pass. `penalty` is added for the deltas as they are. With
    a `forget_strength`, of a `Change` alone, forget rows see only so much of it, in a pass of their own.
    """
    yield from descend(
        context,
        change,
        plan,
        forget,
        retain,
        lambda chosen, kept: _losses(
            context.loaded, change, forget, retain, chosen, kept, forget_loss, retain_loss, penalty, forget_strength
        ),
    )


def descend(
    context: Context,
    change: Trainable,
    plan: Plan,
    forget: Sequence[Row],
    retain: Sequence[Row],
    losses: Callable[[Sequence[int], Sequence[int]], Sequence[Tensor | None]],
    batches: Iterator[tuple[Sequence[int], Sequence[int]]] | None = None,
) -> Iterator[Loss | Snapshot]:
    """The training loop: AdamW on the change's trained factors. Asks `context.cancelled` before every step and returns early
    once it says so.

    `losses` gets the positions of the rows drawn from `forget` and from `retain` and gives the forget loss, the retain loss
    and whatever else is to be added, None for what does not apply; it makes its own forward passes, for which it switches the
    change on. `batches` gives the positions to draw at each step where the plan's shuffled rounds are not what is wanted.
    """
    trained = [parameter for parameter in change.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=plan.rate, betas=(0.9, 0.95), weight_decay=plan.decay)
    draw_forget, draw_retain = (
        rounds(forget, plan.forget_rows, context.seed),
        rounds(retain, plan.retain_rows, context.seed + 1),
    )
    for step in range(plan.steps):
        if context.cancelled():
            return
        if step == 0:
            context.trained.append(sum(parameter.numel() for parameter in trained))
        for group in optimiser.param_groups:
            group["lr"] = (
                plan.rate * min(1.0, (step + 1) / plan.warmup) * (1 + math.cos(math.pi * step / plan.steps)) / 2
            )
        parts = losses(*(next(batches) if batches is not None else (next(draw_forget), next(draw_retain))))
        sum(part for part in parts if part is not None).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        yield Loss(step + 1, plan.steps, *(None if part is None else float(part.detach()) for part in parts[:2]))
        if (step + 1) % max(1, plan.steps // max(plan.snapshots, context.snapshots)) == 0:
            edit = change.edit()
            with attached(context.loaded.model, edit):
                yield Snapshot(step + 1, plan.steps, edit)


def trained_edit(context: Context, change: Change, training: Iterable[Any]) -> Iterator[Any]:
    """What most trained methods yield: the stage "train" with all of `training`, the edit, the stage "describe" with its
    spectra. Stopped, it ends with the edit as far as it got."""
    yield Stage("train")
    yield from training
    edit = change.edit()
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(context.loaded.model, edit)


def _losses(
    loaded, change, forget, retain, chosen, kept, forget_loss, retain_loss, penalty, strength
) -> list[Tensor | None]:
    """Forget loss, retain loss and penalty of one step: from one forward pass over both kinds of rows where both are used, or from
    two, where forget rows see `strength` of the change. The losses come after the passes, with the change off, for what they may
    ask of the original."""
    asked = [forget[place] for place in chosen] if forget_loss is not None else []
    held = [retain[place] for place in kept] if retain_loss is not None else []
    if asked and strength != 1.0:
        with change.active(strength):
            of_asked = score(loaded, asked)
        with change.active():
            of_held = score(loaded, held) if held else None
    else:
        with change.active():
            scored = score(loaded, asked + held)
        of_asked, of_held = part_of(scored, 0, len(asked)), part_of(scored, len(asked), scored.count)
    return [
        forget_loss(of_asked, chosen) if asked else None,
        retain_loss(of_held, kept) if held else None,
        penalty(change.deltas()) if penalty is not None else None,
    ]


def on_answers(loss: Callable[..., Tensor], *settings: float, weight: float = 1.0) -> BatchLoss:
    """A loss on (logits, labels, rows, count, *settings), times `weight`, as a loss on a scored batch."""
    return lambda part, places: weight * loss(part.logits, part.labels, part.rows, part.count, *settings)
