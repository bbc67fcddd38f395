"""EUL (Chen and Yang 2023, arXiv 2310.20150): layers added after every feed-forward block, trained against the frozen model.

L = α · KL(F || F∘f)(kept) − KL(F || F∘f)(forget)  +  λ · NLL(kept)  +  γ · (−LM(forget)), section 3; F is the frozen model, the
teacher, and f are the added layers. The paper alternates one epoch on kept data and one on forgotten data. A forget set of a few
batches is undone by the many batches of kept text after it, and the learning rate has fallen by the last turn, so kept and forget
batches alternate one by one here, as often the one as the other, or with `whole` in turns as long as an epoch of the longer
list, in which a short forget set comes several times (our reading).

Further readings where the paper leaves it open or a causal model differs: α stands at the kept term; both negative terms end
at `limit` nats a token, since without a bound a small model is soon destroyed; the masked language model's loss is, on a
causal model, the next-token loss of the whole forget text, prompt included, and on an encoder-decoder that of one hidden word of
the prompt after the paper's prefix; the KL is taken at answer tokens, of both models at `temperature` (the paper names none: the
KL's gradient is the difference of the two, next to nothing while both are sure of what F knows by heart, and what moves is then
the other terms alone; 2 mends that on the built-in models, where 1 leaves a third of some topics and next to all of others known,
benchmarks/RACES.md and TABLE2.md); the layer is y + W y, which can
be fused exactly, or a bottleneck with a ReLU. The paper's α of 0.8 and rate of 5e-5 are for a large T5; on the
small built-in models that α loses what is kept (measured), so α is 5 here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..training import Row

FORGET_ROWS, RETAIN_ROWS = 32, 40


class EulConfig(MethodConfig):
    """Settings of EUL. Each of the three terms can be switched off, as in the paper's ablation."""

    kl: bool = Field(True, description="Agree with the frozen model on kept text and disagree on the forget set")
    alpha: float = Field(5.0, ge=0.0, le=100.0, description="Weight of agreeing on kept text")
    task: float = Field(1.0, ge=0.0, le=100.0, description="Weight of the answers' loss on kept text (λ); 0 for none")
    lm: float = Field(0.2, ge=0.0, le=100.0, description="Weight of the negated language-model loss on the forget set (γ)")
    width: int = Field(
        16, ge=0, le=1024, description="Width of each added layer's bottleneck; 0 for one square matrix, which fuses exactly"
    )
    epochs: int = Field(10, ge=1, le=100, description="Epochs on the longer of the two lists, with as many batches of the other")
    whole: bool = Field(False, description="Change sides after so many batches as an epoch has, rather than after every batch")
    rate: float = Field(5e-3, gt=0, le=1.0, description="Learning rate")
    temperature: float = Field(
        2.0, ge=0.1, le=20.0, description="Of both KL terms; at 1, as in the paper, little moves where the model is sure"
    )
    limit: float = Field(2.0, ge=0.5, le=100.0, description="Nats a token at which the negative terms stop pushing")

    @model_validator(mode="after")
    def _some_term(self) -> EulConfig:
        if not (self.kl or self.task or self.lm):
            raise ValueError("all three terms are off (kl, task, lm), so that there is nothing to train; leave one on")
        return self


def fit(context: Context, config: EulConfig) -> Iterator[Any]:
    """Yield losses, snapshots and the edit."""
    from ..edits.layers import TrainedLayers
    from ..training import Plan, descend, given_rows

    forget, kept = given_rows(context)
    layers = TrainedLayers(context.loaded.model, config.width, context.seed)
    yield Stage("train")
    terms = _Terms(context, config, layers, forget, kept)
    if context.cancelled():
        return
    schedule = list(_schedule(forget, kept, config.epochs, context.seed, config.whole))
    yield from descend(
        context, layers, Plan(len(schedule), config.rate), forget, kept, terms.losses, batches=iter(schedule)
    )
    grams = {} if context.cancelled() else layers.grams(context.loaded, forget)
    yield layers.edit(grams)


def _schedule(
    forget: Sequence[Row], kept: Sequence[Row], epochs: int, seed: int, whole: bool
) -> Iterator[tuple[list[int], list[int]]]:
    """A batch of kept rows, then one of forget rows, and so on; with `whole` as many of each at a time as an epoch of the
    longer list has."""
    from ..training import rounds

    draws = rounds(kept, RETAIN_ROWS, seed), rounds(forget, FORGET_ROWS, seed + 1)
    steps = max(-(-len(kept) // RETAIN_ROWS), -(-len(forget) // FORGET_ROWS))
    turn = steps if whole else 1
    for _ in range(epochs * steps // turn):
        for _ in range(turn if kept else 0):
            yield [], next(draws[0])
        for _ in range(turn if forget else 0):
            yield next(draws[1]), []


class _Terms:
    """The three terms of the objective, with what the frozen model says computed once."""

    def __init__(self, context: Context, config: EulConfig, layers: Any, forget: list[Row], kept: list[Row]) -> None:
        from ..training import reference_logprobs, text_rows

        self._loaded, self._config, self._layers = context.loaded, config, layers
        self._forget, self._kept = forget, kept
        self._texts = text_rows(context.loaded, context.given.forget, forget)
        self._on_forget = reference_logprobs(context.loaded, forget) if config.kl else None
        self._on_kept = reference_logprobs(context.loaded, kept) if config.kl else None

    def losses(self, chosen: Sequence[int], places: Sequence[int]) -> list[Tensor | None]:
        """Forget and kept loss of one step; None for the kind that is not its turn. What the frozen model says is asked for while
        the layers are off: it may be a pass of its own."""
        taught = self._on_forget(chosen) if chosen and self._on_forget else None
        wanted = self._on_kept(places) if places and self._on_kept else None
        with self._layers.active():
            return [self._away(chosen, taught) if chosen else None, self._close(places, wanted) if places else None]

    def _away(self, chosen: Sequence[int], taught: Tensor | None) -> Tensor:
        from ..objectives import hinge_ascent, kl_ascent
        from ..training import score

        part = score(self._loaded, [self._forget[place] for place in chosen])
        total = part.nothing()
        if taught is not None:
            logits = part.logits / self._config.temperature
            total = total + kl_ascent(self._softened(taught), logits, part.rows, part.count, self._config.limit)
        if self._config.lm:
            text = score(self._loaded, [self._texts[place] for place in chosen])
            ascent = hinge_ascent(text.logits, text.labels, text.rows, text.count, self._config.limit)
            total = total + self._config.lm * ascent
        return total

    def _close(self, places: Sequence[int], wanted: Tensor | None) -> Tensor:
        from ..objectives import answer_nll, row_kl
        from ..training import score

        part = score(self._loaded, [self._kept[place] for place in places])
        total = part.nothing()
        if wanted is not None:
            logits = part.logits / self._config.temperature
            total = total + self._config.alpha * row_kl(self._softened(wanted), logits, part.rows, part.count).mean()
        if self._config.task:
            total = total + self._config.task * answer_nll(part.logits, part.labels, part.rows, part.count)
        return total

    def _softened(self, logprobs: Tensor) -> Tensor:
        """The frozen model's log-probabilities at the temperature of the KL terms."""
        hot = self._config.temperature
        return logprobs if hot == 1 else (logprobs / hot).log_softmax(-1)


METHOD = Method(
    "eul",
    "EUL",
    "Chen and Yang 2023, arXiv 2310.20150",
    "layers",
    "Adds small layers to the frozen model and trains them to disagree with it on the topic and to agree elsewhere.",
    "alpha",
    EulConfig,
    (("train", "Train the added layers"),),
    fit,
    cost="one training run of about a hundredth as many values as the model has",
)
