"""KGA, knowledge gap alignment (Wang et al. 2023, ACL, arXiv 2305.06535): as strange to the topic as to text never seen.

Two helpers are trained from the original M°: M_f on the forget set D_f, M_n on unseen data D_n of similar size.
L = |KL(M_f || M)(D_f) − KL(M° || M_n)(D_n)| + w · KL(M° || M)(kept): the gap between M and the model that knows the forget set
becomes the gap between the original and the model that knows what the original never saw. Directions as in the
authors' code.

Our reading: unseen data are half of the given questions to keep (the forget questions where there are none), at most as
many as there are forget questions, with other names in them and each with another's answer, since the original knows
them as they are; for forced choices another of the options. Helpers and result are LoRA changes of every linear map; both
helpers' outputs are computed once, and the two terms share each step instead of alternating.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..edits.low_rank import LowRankEdit
    from ..training import Row

RENAMED = 0.8  # share of the rare words of unseen questions that are exchanged


class KgaConfig(MethodConfig):
    """Settings of KGA."""

    keep: float = Field(
        8.0, ge=0.0, le=1000.0, description="Weight of staying close to the original on given text to keep"
    )
    steps: int = Field(60, ge=1, le=5000, description="Training steps of the alignment")
    helper_steps: int = Field(45, ge=1, le=5000, description="Training steps of each of the two helpers")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate of all three")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: KgaConfig) -> Iterator[Any]:
    """Yield the alignment's losses, snapshots, the edit and its spectra; the helpers are trained in silence."""
    from ..spectra import describe
    from ..training import Change, Plan, descend, encode_rows

    loaded, given = context.loaded, context.given
    forget, kept = encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)
    unseen = _unseen(context)
    yield Stage("helpers")
    knowing, newer = _helper(context, config, forget), _helper(context, config, unseen)
    if context.cancelled():
        return
    change = Change(loaded.model, rank=config.rank, seed=context.seed)
    losses = _losses(context, config, change, (knowing, forget), (newer, unseen), kept)
    yield Stage("align")
    yield from descend(context, change, Plan(config.steps, config.rate), forget, kept, losses)
    edit = change.edit()
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit)


def _unseen(context: Context) -> list[Row]:
    """Questions like those to keep that the original cannot know."""
    from ..stand_ins import foreign_tokens, renamed, template_marks
    from ..training import encode_rows

    loaded, given, generator = context.loaded, context.given, random.Random(context.seed)
    known = list(given.neighbor + given.retain) or list(given.forget)
    half = generator.sample(known, max(1, min(len(known) // 2, len(given.forget))))
    answers = [question.answer for question in half[1:] + half[:1]]
    wrong = [
        replace(question, answer=generator.choice([o for o in question.options if o != question.answer] or [answer]))
        if question.options
        else replace(question, answer=answer)
        for question, answer in zip(half, answers, strict=True)
    ]
    rows, forget = encode_rows(loaded, wrong), encode_rows(loaded, given.forget)
    return renamed(rows, RENAMED, foreign_tokens(loaded, forget, rows), template_marks(rows), context.seed)


def _helper(context: Context, config: KgaConfig, rows: list[Row]) -> LowRankEdit:
    """What the original becomes when trained on the rows."""
    from ..objectives import answer_nll
    from ..training import Change, Plan, train

    change = Change(context.loaded.model, rank=config.rank, seed=context.seed)
    plan = Plan(config.helper_steps, config.rate)
    for _ in train(
        context,
        change,
        plan,
        rows,
        [],
        lambda part, places: answer_nll(part.logits, part.labels, part.rows, part.count),
        None,
    ):
        pass
    return change.edit()


def _losses(
    context: Context,
    config: KgaConfig,
    change: Any,
    knowing: tuple[LowRankEdit, list[Row]],
    newer: tuple[LowRankEdit, list[Row]],
    kept: list[Row],
) -> Callable[[Sequence[int], Sequence[int]], list[Tensor | None]]:
    """Alignment and keeping of a step, from one pass over its rows."""
    from ..edits.attach import attached
    from ..objectives import gap_difference, kl_to
    from ..training import part_of, reference_logprobs, score

    loaded, (helper, forget) = context.loaded, knowing
    gap = _gap(context, *newer)
    with attached(loaded.model, helper):
        known = reference_logprobs(loaded, forget)
    original = reference_logprobs(loaded, kept) if kept and config.keep else None

    def losses(chosen: Sequence[int], places: Sequence[int]) -> list[Tensor | None]:
        held = places if original else []
        with attached(loaded.model, helper):  # needed only where its outputs were too many to be kept
            taught = known(chosen)
        wanted = original(held) if held else None
        with change.active():
            scored = score(loaded, [forget[at] for at in chosen] + [kept[at] for at in held])
        aligning = gap_difference(taught, part_of(scored, 0, len(chosen)).logits, gap)
        part = part_of(scored, len(chosen), scored.count)
        return [aligning, config.keep * kl_to(wanted, part.logits) if held else None]

    return losses


def _gap(context: Context, helper: LowRankEdit, rows: list[Row], batch: int = 128) -> float:
    """KL(original || helper) on the rows, in nats a token."""
    import torch

    from ..edits.attach import attached
    from ..objectives import kl_to
    from ..training import score

    total, tokens = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            before = torch.log_softmax(score(context.loaded, part).logits.float(), dim=-1)
            with attached(context.loaded.model, helper):
                total += float(kl_to(before, score(context.loaded, part).logits)) * len(before)
            tokens += len(before)
    return total / max(1, tokens)


METHOD = Method(
    "kga",
    "KGA",
    "Wang et al. 2023, arXiv 2305.06535",
    "gradient",
    "Makes the model as far from one that knows the topic as the original is from one that knows unseen text; neighbours suffer.",
    "keep",
    KgaConfig,
    (
        ("helpers", "Train the two helpers"),
        ("align", "Align the gaps"),
        ("describe", "Compare the spectra"),
    ),
    fit,
    cost="three short training runs",
)
