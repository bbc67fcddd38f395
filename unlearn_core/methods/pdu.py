"""Primal-dual unlearning (Entesari et al. 2025, arXiv 2506.05314): flatten forget answers, with kept text as a constraint.

Minimise F = mean (largest logit − mean logit)² over forget answer tokens, subject to NLL(retain) ≤ ε. Each step goes down on
w · F + λ · NLL(retain) and then moves the price of the constraint: λ ← max(0, λ + η · (NLL(retain) − ε)). So kept text
weighs more as long as it is harmed and less once it is not.

Our reading: ε is what the original has on the same text plus `slack`; λ starts at 1 and moves from the first step on (the
public code first trains some epochs); F is divided by its value at the start, so that w and λ are of one scale for any
model; a LoRA change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .base import Context, Method, MethodConfig

if TYPE_CHECKING:
    from torch import Tensor

    from ..training import Row, Scored


class PduConfig(MethodConfig):
    """Settings of primal-dual unlearning."""

    slack: float = Field(
        0.05, ge=0.0, le=20.0, description="How much unlikelier kept answers may become on average (nats a token)"
    )
    dual_rate: float = Field(1.0, ge=0.0, le=100.0, description="How fast the weight of kept text follows its harm")
    forget_weight: float = Field(1.0, gt=0.0, le=1000.0, description="Weight of flattening the forget answers")
    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: PduConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit and its spectra."""
    from ..training import Change, Plan, given_rows, train, trained_edit

    forget, retain = given_rows(context)
    if context.cancelled():
        return
    losses = _Losses(context, forget, retain, config)
    change = Change(context.loaded.model, rank=config.rank, seed=context.seed)
    yield from trained_edit(
        context,
        change,
        train(context, change, Plan(config.steps, config.rate), forget, retain, losses.forget, losses.keep),
    )


class _Losses:
    """Both terms; `price` is λ, which every step moves."""

    def __init__(self, context: Context, forget: list[Row], retain: list[Row], config: PduConfig) -> None:
        from ..training import loss_of

        self._config = config
        self.price = 1.0
        self._scale = 1 / max(loss_of(context, None, forget, self._flatness), 1e-6)
        self._bound = loss_of(context, None, retain, self._nll) + config.slack

    def forget(self, part: Scored, places: Sequence[int]) -> Tensor:
        return self._config.forget_weight * self._scale * self._flatness(part)

    def keep(self, part: Scored, places: Sequence[int]) -> Tensor:
        nll, price = self._nll(part), self.price
        self.price = next_price(price, float(nll.detach()), self._bound, self._config.dual_rate)
        return price * nll

    def _flatness(self, part: Scored) -> Tensor:
        from ..objectives import flatness

        return flatness(part.logits, part.rows, part.count)

    def _nll(self, part: Scored) -> Tensor:
        from ..objectives import answer_nll

        return answer_nll(part.logits, part.labels, part.rows, part.count)


def next_price(price: float, loss: float, bound: float, rate: float) -> float:
    """λ after one step of dual ascent: it rises while the loss is above its bound, falls below it, never under 0."""
    return max(0.0, price + rate * (loss - bound))


METHOD = Method(
    "pdu",
    "Primal-dual unlearning",
    "Entesari et al. 2025, arXiv 2506.05314",
    "gradient",
    "Makes all tokens equally likely on forget answers, as far as kept text stays within a bound.",
    "slack",
    PduConfig,
    (("train", "Train against the topic"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run",
)
