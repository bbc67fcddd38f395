"""Quark (Lu et al. 2022, arXiv 2205.13636): the model's own answers, sorted by reward, learnt as what they are worth.

A pool of answers drawn from the model is cut into K quantiles of reward and trained on with L = NLL(ã | q, token_k) +
β·KL(original ‖ model) − γ·H(model), the model being asked with the best quantile's token; now and then the pool is
widened by answers drawn so. Paper's defaults: K = 5, β = 0.05, γ = 0.06. Reward: −sim(ã, a), a being the answer to forget.

Our reading: (1) sim is the F1 of tokens. (2) A causal model without new tokens: a quantile's token is one that no given
text has, put in front of the prompt; the best quantile has none, so that what is trained is the model as it is asked
afterwards, unconditioned. (3) Of each batch half is of the best quantile, where there is one, since only that half says
how to answer. (4) The very answer to forget is never of the best quantile: at first, nearly all that is drawn is that
answer. (5) Answers are drawn at a temperature, since a model that is certain never tries anything else. (6) The paper has
no text to keep; here KL(original ‖ model) on given text to keep is added (`keep`; 0 gives the paper's loss). The
original's log-probabilities are computed when answers join the pool, those of kept text once a run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..training import Change, Row

BATCH = 32  # answers of the pool in one step


class QuarkConfig(MethodConfig):
    """Settings of Quark."""

    quantiles: int = Field(5, ge=2, le=20, description="How many classes of reward the drawn answers are cut into")
    closeness: float = Field(
        0.05, ge=0.0, le=100.0, description="Weight of staying close to the original on drawn answers"
    )
    entropy: float = Field(0.06, ge=0.0, le=10.0, description="Weight of staying undecided on drawn answers")
    keep: float = Field(
        4.0, ge=0.0, le=1000.0, description="Weight of staying close to the original on given text to keep"
    )
    temperature: float = Field(
        2.0, ge=0.1, le=10.0, description="How freely answers are drawn; 1 is the model as it is"
    )
    every: int = Field(20, ge=1, le=5000, description="Training steps between two rounds of drawing answers")
    steps: int = Field(80, ge=1, le=5000, description="Training steps")
    rate: float = Field(6e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: QuarkConfig) -> Iterator[Any]:
    """Yield losses, snapshots, the edit and its spectra."""
    from ..spectra import describe
    from ..training import Change, Plan, descend, encode_rows

    loaded, given = context.loaded, context.given
    forget, retain = encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)
    change = Change(loaded.model, rank=config.rank, seed=context.seed)
    yield Stage("train")
    if not context.cancelled():
        pool = _Pool(context, config, change, forget, retain)
        yield from descend(context, change, Plan(config.steps, config.rate), forget, retain, pool.losses)
    edit = change.edit()
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit)


METHOD = Method(
    "quark",
    "Quark",
    "Lu et al. 2022, arXiv 2205.13636",
    "reinforcement",
    "Learns those of its own answers least like the one to forget; a task that text to keep shares hardly goes.",
    "temperature",
    QuarkConfig,
    (("train", "Learn the best of its own answers"), ("describe", "Compare the spectra")),
    fit,
    cost="one training run with rounds of drawn answers",
)


class _Pool:
    """All answers drawn so far with what they earned."""

    def __init__(
        self, context: Context, config: QuarkConfig, change: Change, forget: Sequence[Row], retain: Sequence[Row]
    ) -> None:
        from ..stand_ins import foreign_tokens
        from ..training import reference_logprobs

        self._context, self._config, self._change = context, config, change
        self._forget, self._retain = forget, retain
        self._kept = reference_logprobs(context.loaded, retain)
        used = {token for row in (*forget, *retain) for token in row.ids}
        free = [token for token in foreign_tokens(context.loaded, [], []) if token not in used]
        self._random = random.Random(context.seed)
        self._marks = self._random.sample(free, min(len(free), config.quantiles - 1))
        self._rows: list[Row] = []
        self._rewards: list[float] = []
        self._levels: list[int] = []
        self._steps = 0

    def losses(self, chosen: Sequence[int], kept: Sequence[int]) -> list[Tensor | None]:
        """The loss on a batch of the pool, and the distance from the original on text to keep."""
        from ..objectives import answer_entropy, answer_nll, kl_to
        from ..training import part_of, score

        if self._steps % self._config.every == 0:
            self._widen()
        self._steps += 1
        places = self._batch()
        rows = [self._marked(place) for place in places] + [self._retain[place] for place in kept]
        with self._change.active():
            scored = score(self._context.loaded, rows)
        part = part_of(scored, 0, len(places))
        first = part.nothing()
        if places:
            first = answer_nll(part.logits, part.labels, part.rows, part.count)
            first = first + self._config.closeness * kl_to(self._original(places), part.logits)
            first = first - self._config.entropy * answer_entropy(part.logits)
        if not kept or not self._config.keep:
            return [first, None]
        logits = part_of(scored, len(places), scored.count).logits
        return [first, self._config.keep * kl_to(self._kept(kept), logits)]

    def _widen(self) -> None:
        """Draw one more answer to every forget question and sort the whole pool anew."""
        from ..objectives import token_f1
        from ..training import own_answers, reference_logprobs

        seed = self._context.seed * 100_003 + self._steps
        drawn = own_answers(self._context, self._change, self._forget, self._config.temperature, seed)
        for row, true in zip(drawn, self._forget[: len(drawn)], strict=True):
            self._rewards.append(-token_f1(row.ids[row.start :], true.ids[true.start :]))
        self._rows += drawn
        self._levels = reward_levels(self._rewards, self._config.quantiles)
        self._original = reference_logprobs(self._context.loaded, self._rows)

    def _batch(self) -> list[int]:
        """Places in the pool: half of the best quantile, half of the others, as far as there are any."""
        best = [place for place, level in enumerate(self._levels) if level == self._config.quantiles - 1]
        rest = [place for place, level in enumerate(self._levels) if level < self._config.quantiles - 1]
        rest = rest if self._marks else []
        first = self._random.sample(best, min(len(best), BATCH // 2 if rest else BATCH))
        return first + self._random.sample(rest, min(len(rest), BATCH - len(first)))

    def _marked(self, place: int) -> Row:
        """The answer after its question, which says what the answer is worth unless it is of the best."""
        from ..training import Row

        row, level = self._rows[place], self._levels[place]
        if level == self._config.quantiles - 1:
            return row
        return Row((self._marks[level % len(self._marks)], *row.ids), row.start + 1)


def reward_levels(rewards: Sequence[float], quantiles: int) -> list[int]:
    """Each reward's quantile, from 0 to `quantiles` - 1; equal rewards share the highest that any of them reaches.

    −1, the very answer to forget, never is of the best quantile, and 0, nothing in common with it, always is.
    """
    order = sorted(rewards)
    last = {reward: place for place, reward in enumerate(order)}  # the last place of each
    levels = []
    for reward in rewards:
        level = last[reward] * quantiles // len(order)
        levels.append(quantiles - 1 if reward == 0 else min(level, quantiles - 2) if reward <= -1 else level)
    return levels
