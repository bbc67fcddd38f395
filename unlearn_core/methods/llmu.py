"""LLMU (Yao et al. 2023, arXiv 2310.10683): ascend on forget answers, learn random ones, stay close on other text.

L = w_f · L_fgt + w_r · L_rdn + w_n · KL(original || model on given text to keep), where L_fgt is minus the NLL of the answer and
L_rdn the NLL of random other answers to the same prompt, K of them, a mean over all.

Our reading: the ascent stops for an answer that is unlikely enough (`limit`), in place of the paper's stop of the whole
training at a large loss; each step shows one of the K random answers of every question, in turn, which has the same
gradient on average; random answers are those of given questions to keep (of other forget questions where there are
none), and for a forced choice its options in turn, the right one among them. There the ascent stops once the answer is
no likelier than a guess, since going on would only exchange the answers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..training import Row


class LlmuConfig(MethodConfig):
    """Settings of LLMU."""

    forget_weight: float = Field(2.0, ge=0.0, le=100.0, description="Weight of making forget answers unlikely")
    random_weight: float = Field(0.3, ge=0.0, le=100.0, description="Weight of answering at random instead")
    keep: float = Field(
        8.0, ge=0.0, le=1000.0, description="Weight of staying close to the original on given text to keep"
    )
    answers: int = Field(6, ge=1, le=50, description="Random answers for every forget question")
    limit: float = Field(
        4.0, ge=0.5, le=1000.0, description="Stop pushing an answer once its tokens are this unlikely (nats)"
    )
    steps: int = Field(70, ge=1, le=5000, description="Training steps")
    rate: float = Field(5e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: LlmuConfig) -> Iterator[Any]:
    """Yield losses, snapshots, the edit and its spectra."""
    from ..spectra import describe
    from ..training import Change, Plan, descend, encode_rows

    loaded, given = context.loaded, context.given
    forget, kept = encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)
    others = _random_answers(context, config.answers)
    change = Change(loaded.model, rank=config.rank, seed=context.seed)
    yield Stage("train")
    losses = _losses(context, config, change, forget, others, kept)
    yield from descend(context, change, Plan(config.steps, config.rate, forget_rows=16), forget, kept, losses)
    edit = change.edit()
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit)


def _losses(
    context: Context, config: LlmuConfig, change: Any, forget: list[Row], others: list[list[Row]], kept: list[Row]
) -> Callable[[Sequence[int], Sequence[int]], list[Tensor | None]]:
    """The terms of a step, from one pass over forget rows, the same with random answers, and kept rows."""
    import torch

    from ..objectives import answer_nll, hinge_ascent, kl_to
    from ..training import part_of, reference_logprobs, score

    original = reference_logprobs(context.loaded, kept) if kept and config.keep else None
    limits = [
        math.log(max(2, len(question.options))) / (len(row.ids) - row.start) if question.options else config.limit
        for question, row in zip(context.given.forget, forget, strict=True)
    ]
    turns = iter(range(10**9))

    def losses(chosen: Sequence[int], places: Sequence[int]) -> list[Tensor | None]:
        turn = next(turns) % len(others)
        guessed = [others[turn][at] for at in chosen]
        held = [kept[at] for at in places] if original else []
        wanted = original(places) if held else None
        with change.active():
            scored = score(context.loaded, [forget[at] for at in chosen] + guessed + held)
        first, second = len(chosen), 2 * len(chosen)
        pushed, random_ones = part_of(scored, 0, first), part_of(scored, first, second)
        limit = torch.tensor([limits[at] for at in chosen], device=scored.rows.device)
        ascent = hinge_ascent(pushed.logits, pushed.labels, pushed.rows, pushed.count, limit)
        guessing = answer_nll(random_ones.logits, random_ones.labels, random_ones.rows, random_ones.count)
        keeping = config.keep * kl_to(wanted, part_of(scored, second, scored.count).logits) if held else None
        return [config.forget_weight * ascent + config.random_weight * guessing, keeping]

    return losses


def _random_answers(context: Context, count: int) -> list[list[Row]]:
    """`count` times every forget question with another answer."""
    from ..training import encode_rows

    given, generator = context.given, random.Random(context.seed)
    pool = sorted({question.answer for question in given.neighbor + given.retain}) or sorted(
        {question.answer for question in given.forget}
    )

    def other(question: Any, turn: int) -> str:
        if question.options:
            return sorted(question.options)[turn % len(question.options)]
        fitting = [answer for answer in pool if answer != question.answer]
        return generator.choice(fitting or pool)

    return [
        encode_rows(context.loaded, [replace(question, answer=other(question, turn)) for question in given.forget])
        for turn in range(count)
    ]


METHOD = Method(
    "llmu",
    "LLMU",
    "Yao et al. 2023, arXiv 2310.10683",
    "gradient",
    "Makes forget answers unlikely and random ones likely, and stays close to the original on given text to keep; "
    "neighbours suffer.",
    "random_weight",
    LlmuConfig,
    (("train", "Train against the topic"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run, with random answers beside the right ones",
)
