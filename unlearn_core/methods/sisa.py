"""SISA: sharded, isolated training, so that forgetting retrains few shards (Bourtoule et al. 2021, arXiv 1912.03817).

    D = D_1 ∪ ... ∪ D_S,   U_i = argmin NLL(D_i | W_0 + U_i),   W' = W_0 + (1/S) Σ U_i
    to forget F: train anew every U_i with D_i ∩ F ≠ ∅, on D_i \\ F; leave all other shards as they are

SISA cannot make a model forget that was trained in one piece, as the original is: every shard's model would stand on weights
that know the topic already. So it needs a start W_0 that never saw the topic, which is the retrained model, and this is our
reading: W_0 is the paper's pre-trained model, the given text (to forget and to keep) is what it is fine-tuned on in shards,
drawn by seed. The topic is gone here because the start never saw it, as with retraining; what the run adds is the price: the
shards that held a forget item, the seconds, and how much of the topic's given text the sharded model knew before the request
and after. It says nothing of what SISA would cost on all the text that the original was trained on.

A whole topic spread by chance lies in every shard and saves nothing; `gathered` is the paper's sharding by what is likely to
be forgotten, which one would have to know in advance. Our reading too: a shard's model is a LoRA change; the changes are
averaged where the paper lets the models vote, so that the whole knows a shard's items less well than the shard's own model
does; there are no slices within a shard.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from pydantic import Field

from ..events import Loss, Notice
from .base import Context, Method, MethodConfig, Snapshot, Stage


class SisaConfig(MethodConfig):
    """Settings of SISA."""

    shards: int = Field(4, ge=1, le=64, description="Parts that the given text is split into")
    gathered: bool = Field(False, description="Put what is to be forgotten into as few shards as possible, as if foreseen")
    steps: int = Field(40, ge=1, le=5000, description="Training steps for every shard")
    rate: float = Field(1e-2, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(16, ge=1, le=256, description="Rank of a shard's change in every matrix")


def fit(context: Context, config: SisaConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots and the edit. Raises BadInput where no model is known that never saw the topic."""
    if context.cancelled():
        return
    from ..edits.dense import DenseEdit
    from ..training import encode_rows

    yield Stage("start")
    start = context.retraining.reference(context.loaded)
    given = context.given
    forget, kept = (encode_rows(start, part) for part in (given.forget, given.neighbor + given.retain))
    placed = placing(len(forget), len(kept), config.shards, config.gathered, context.seed)
    rows = [*forget, *kept]
    whole = [[rows[place] for place in shard] for shard in placed]
    spared = [[rows[place] for place in shard if place >= len(forget)] for shard in placed]
    hit = [number for number in range(len(placed)) if len(spared[number]) < len(whole[number])]
    sharded = Sharded(context, replace(context, loaded=start, snapshots=0), config,
                      DenseEdit.between(context.loaded.model, start.model), len(placed),
                      sum(map(bool, whole)) + sum(bool(spared[number]) for number in hit))
    yield Stage("shards")
    yield from sharded.train(dict(enumerate(whole)))
    if not context.cancelled():
        knew, took = sharded.known(forget), sharded.seconds
        yield Stage("forget")
        yield from sharded.train({number: spared[number] for number in hit}, shown=True)
        if not context.cancelled():
            yield Notice(_words(len(hit), len(placed), sharded.seconds - took, took, len(forget), knew,
                                sharded.known(forget)))
    yield sharded.edit()


def placing(forget: int, kept: int, shards: int, gathered: bool, seed: int) -> list[list[int]]:
    """Positions of all items by shard, those to forget numbered first; sizes differ by one at most, and none is empty.

    `gathered`: those to forget fill the first shards.
    """
    import torch

    order = torch.randperm(forget + kept, generator=torch.Generator().manual_seed(seed)).tolist()
    if gathered:
        order.sort(key=lambda place: place >= forget)  # stable: within both kinds the order is still the seed's
    shards = min(shards, len(order))
    edges = [len(order) * number // shards for number in range(shards + 1)] if shards else []
    return [order[first:last] for first, last in pairwise(edges)]


@dataclass
class Sharded:
    """The shards' changes on a start model. `outer` is the run's own context, `inner` the same on the start model; `total`
    counts the shards to train in both stages."""

    outer: Context
    inner: Context
    config: SisaConfig
    start: Any
    shards: int
    total: int
    changes: dict[int, Any] = field(default_factory=dict)
    seconds: float = 0.0
    trained: int = 0

    def train(self, shards: dict[int, Sequence[Any]], shown: bool = False) -> Iterator[Loss | Snapshot]:
        """Train these shards anew; one without rows has no change. `shown`: a snapshot after each."""
        from ..edits.attach import attached

        for number, rows in shards.items():
            if self.outer.cancelled():
                return
            self.changes.pop(number, None)
            yield from self._one(number, rows) if rows else ()
            if shown and rows:
                edit = self.edit()
                with attached(self.outer.loaded.model, edit):
                    yield Snapshot(self.trained * self.config.steps, self.total * self.config.steps, edit)

    def _one(self, number: int, rows: Sequence[Any]) -> Iterator[Loss]:
        from ..objectives import answer_nll
        from ..training import Change, Plan, on_answers, train

        change = Change(self.inner.loaded.model, rank=self.config.rank, seed=self.inner.seed + number)
        started, before = time.monotonic(), self.trained * self.config.steps
        for item in train(self.inner, change, Plan(self.config.steps, self.config.rate), [], rows, None,
                          on_answers(answer_nll)):
            if isinstance(item, Loss):
                yield replace(item, step=before + item.step, total=self.total * self.config.steps)
        self.changes[number] = change.edit()
        self.seconds += time.monotonic() - started
        self.trained += 1

    def mean(self) -> Any:
        """The mean of all shards' changes, an edit of the start model; None where no shard has one."""
        from ..edits.low_rank import LowRankEdit

        parts = [self.changes[number].scaled(1 / self.shards) for number in sorted(self.changes)]
        return LowRankEdit.stack(parts) if parts else None

    def edit(self) -> Any:
        """What turns the original into the start with that mean."""
        from ..edits.stack import stack

        mean = self.mean()
        return stack([self.start, mean]) if mean is not None else self.start

    def known(self, rows: Sequence[Any]) -> float:
        """Share of the rows that the sharded model answers."""
        from ..training import greedy_share

        return greedy_share(self.inner, self.mean(), rows)


def _words(hit: int, shards: int, seconds: float, before: float, forget: int, knew: float, knows: float) -> str:
    return (f"{hit} of {shards} shards held something to forget and were trained anew in {seconds:.1f} s (all shards took "
            f"{before:.1f} s before). Of the {forget} given questions to forget, the sharded model answered {knew:.1%} before "
            f"and {knows:.1%} after. The original, trained in one piece, cannot be treated so.")


METHOD = Method(
    "sisa",
    "Sharded retraining (SISA)",
    "Bourtoule et al. 2021, arXiv 1912.03817",
    "baseline",
    "Retrains the shards that hold what is to be forgotten, on a start that never saw the topic; shows what sharding costs.",
    "shards",
    SisaConfig,
    (("start", "Fetch a start without the topic"), ("shards", "Train the shards"), ("forget", "Retrain the shards hit")),
    fit,
    access="a start that never saw the topic",
    cost="one short training run a shard, and again for every shard hit",
    needs=lambda config: "reference",
)
