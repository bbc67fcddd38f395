"""DeMem (Kassem et al., EMNLP 2023, paper emnlp-main.265, not on arXiv): reinforcement learning away from the answer.

The policy π is the model: it answers each forget question a with a drawn ã and earns R = −sim(ã, a) − β·KL(π ‖ π₀), π₀
being the original; PPO's clipped objective, c = 0.2, raises E[R]. Papers' defaults: β = 0.2, c = 0.2.

Our reading: (1) sim is the F1 of tokens in place of BERTScore, which needs a second model; 1 is the very answer. (2) The
KL is estimated on the drawn answer, as the mean over its tokens of log π − log π₀. (3) No value head: an answer's advantage
is R less a running mean of rewards, which starts at zero as a fresh value head does; so a model that gives nothing but
the right answer is pushed off it. (4) Answers are drawn at a temperature τ, and π is the model at that temperature while
it trains: at τ = 1 a model that is certain never tries anything else. (5) The paper has no text to keep; here KL(original ‖
model) on given text to keep is added (`keep`; 0 gives the paper's objective). π₀'s log-probabilities of drawn answers
are computed once, when they are drawn; those of kept text once a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..training import Change, Row, Scored

MEMORY = 0.9  # of the running mean of rewards, from one draw to the next


class DeMemConfig(MethodConfig):
    """Settings of DeMem."""

    beta: float = Field(
        0.2, ge=0.0, le=100.0, description="How much of the reward staying close to the original is worth"
    )
    keep: float = Field(
        3.0, ge=0.0, le=1000.0, description="Weight of staying close to the original on given text to keep"
    )
    temperature: float = Field(
        2.0, ge=0.1, le=10.0, description="How freely answers are drawn; 1 is the model as it is"
    )
    clip: float = Field(0.2, gt=0.0, lt=1.0, description="How far a token's probability may move on one set of answers")
    reuse: int = Field(2, ge=1, le=50, description="Training steps on one set of drawn answers")
    steps: int = Field(120, ge=1, le=5000, description="Training steps")
    rate: float = Field(8e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: DeMemConfig) -> Iterator[Any]:
    """Yield losses, snapshots, the edit and its spectra."""
    from ..spectra import describe
    from ..training import Change, Plan, descend, encode_rows

    loaded, given = context.loaded, context.given
    forget, retain = encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)
    change = Change(loaded.model, rank=config.rank, seed=context.seed)
    yield Stage("train")
    if not context.cancelled():
        policy = _Policy(context, config, change, forget, retain)
        yield from descend(context, change, Plan(config.steps, config.rate), forget, retain, policy.losses)
    edit = change.edit()
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit)


METHOD = Method(
    "demem",
    "DeMem",
    "Kassem et al., EMNLP 2023 (emnlp-main.265)",
    "reinforcement",
    "Rewards answers unlike the one to forget; a task that text to keep shares hardly goes.",
    "beta",
    DeMemConfig,
    (("train", "Reward other answers"), ("describe", "Compare the spectra")),
    fit,
    cost="one training run that draws answers as it goes",
)


class _Policy:
    """The model as it answers forget questions, and what it has earned by that."""

    def __init__(
        self, context: Context, config: DeMemConfig, change: Change, forget: Sequence[Row], retain: Sequence[Row]
    ) -> None:
        from ..training import reference_logprobs

        self._context, self._config, self._change = context, config, change
        self._forget, self._retain = forget, retain
        self._kept: Callable[[Sequence[int]], Tensor] = reference_logprobs(context.loaded, retain)
        self._steps, self._mean = 0, 0.0
        self._drawn: list[Row] = []

    def losses(self, chosen: Sequence[int], kept: Sequence[int]) -> list[Tensor | None]:
        """The policy's loss on the answers drawn last, and the distance from the original on text to keep."""
        from ..objectives import kl_to
        from ..training import part_of, score

        if self._steps % self._config.reuse == 0:
            self._draw(chosen)
        self._steps += 1
        rows = [*self._drawn, *(self._retain[place] for place in kept)]
        with self._change.active():
            scored = score(self._context.loaded, rows)
        first = self._loss(part_of(scored, 0, len(self._drawn)))
        if not kept or not self._config.keep:
            return [first, None]
        logits = part_of(scored, len(self._drawn), scored.count).logits
        return [first, self._config.keep * kl_to(self._kept(kept), logits)]

    def _draw(self, chosen: Sequence[int]) -> None:
        """Draw an answer to each chosen question and note how likely each was and what it earned."""
        import torch

        from ..edits.attach import attached
        from ..objectives import token_f1
        from ..training import own_answers, score

        context, asked = self._context, [self._forget[place] for place in chosen]
        seed = context.seed * 100_003 + self._steps
        drawn = own_answers(context, self._change, asked, self._config.temperature, seed)
        if not drawn:  # stopped; the loop ends before its next step
            return
        self._drawn = drawn
        with torch.no_grad():
            original = score(context.loaded, drawn)
            with attached(context.loaded.model, self._change.edit()):
                current = score(context.loaded, drawn)
        self._old = self._logprobs(current)
        drift = self._by_row(self._old - self._logprobs(original), current)
        alike = [
            token_f1(row.ids[row.start :], true.ids[true.start :]) for row, true in zip(drawn, asked, strict=True)
        ]
        rewards = -torch.tensor(alike, device=drift.device) - self._config.beta * drift
        self._advantages = rewards - self._mean
        self._mean = MEMORY * self._mean + (1 - MEMORY) * float(rewards.mean())

    def _loss(self, scored: Scored) -> Tensor | None:
        from ..objectives import clipped_policy

        if not self._drawn:
            return scored.nothing()
        logits = scored.logits / self._config.temperature
        return clipped_policy(
            logits, scored.labels, scored.rows, scored.count, self._old, self._advantages, self._config.clip
        )

    def _logprobs(self, scored: Scored) -> Tensor:
        """Log-probability of every drawn token at the policy's temperature: (tokens,)."""
        logits = (scored.logits.float() / self._config.temperature).log_softmax(dim=-1)
        return logits.gather(1, scored.labels[:, None])[:, 0]

    @staticmethod
    def _by_row(each: Tensor, scored: Scored) -> Tensor:
        """Mean over the tokens of each row: (rows,)."""
        from ..objectives import row_lengths

        return each.new_zeros(scored.count).index_add(0, scored.rows, each) / row_lengths(scored.rows, scored.count)
