"""Who's Harry Potter (Eldan and Russinovich 2023, arXiv 2310.02238): learn what a model that never read it would say.

1. A reinforced model: the original, fine-tuned further on the forget set (a LoRA change that is dropped afterwards).
2. Generic predictions for every answer token: v = v_base − α·ReLU(v_reinforced − v_base), α = 5. v_base is read on the
question in which the topic's own terms are exchanged for generic counterparts (the anchor dictionary), v_reinforced on
the question as it is. 3. The original is fine-tuned on the questions as they are with the labels argmax v (the common
reading) or the distribution softmax(v): L = NLL(argmax v), or KL(softmax v ‖ model).

Our reading: (1) The dictionary, GPT-4's in the paper, is made from the given data: each word that only forget prompts
have is exchanged for one that only kept prompts have and that stands among the same other words, each taken once
(stand_ins.anchors). (2) Only the question is exchanged; the answer's earlier tokens are given as
they are. (3) At an answer's end v is v_base, so that it ends. (4) Both fine-tunings are LoRA changes. (5) The paper
keeps nothing by a loss; `keep` adds KL(original ‖ model) on given text to keep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..events import Loss, Notice, Progress
from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..edits.low_rank import LowRankEdit
    from ..stand_ins import Word
    from ..training import Change, Row, Scored

BATCH = 128  # rows in one forward pass while labels are made


class WhpConfig(MethodConfig):
    """Settings of Who's Harry Potter."""

    alpha: float = Field(
        5.0, ge=0.0, le=1000.0, description="How many times what the topic's text raises is taken out of the predictions"
    )
    labels: Literal["argmax", "soft"] = Field(
        "argmax", description="Learn the likeliest generic token, or the whole generic distribution"
    )
    keep: float = Field(
        0.0, ge=0.0, le=1000.0, description="Weight of staying close to the original on given text to keep"
    )
    reinforce: int = Field(30, ge=1, le=5000, description="Training steps of the reinforced model")
    steps: int = Field(30, ge=1, le=5000, description="Training steps on the generic labels")
    rate: float = Field(2e-3, gt=0, le=1.0, description="Learning rate of both")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: WhpConfig) -> Iterator[Any]:
    """Yield losses, snapshots, the edit and its spectra. While the model is reinforced no snapshot is taken."""
    from ..spectra import describe
    from ..stand_ins import anchors
    from ..training import Change, encode_rows

    loaded, given = context.loaded, context.given
    forget, retain = encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)
    yield Stage("reinforce")
    reinforced = Change(loaded.model, rank=config.rank, seed=context.seed)
    yield from _reinforced(context, config, reinforced, forget)
    change = Change(loaded.model, rank=config.rank, seed=context.seed + 1)
    if context.cancelled():
        yield change.edit()
        return
    yield Stage("labels")
    counterparts = anchors(loaded, forget, retain)
    if not counterparts:
        yield Notice("No word is the topic's own: generic predictions are read on the questions as they are.")
    labels = _generic(context, config, reinforced.edit(), forget, counterparts)
    if not context.cancelled():
        yield Stage("train")
        yield from _trained(context, config, change, forget, retain, labels)
    edit = change.edit()
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit)


METHOD = Method(
    "whp",
    "Who's Harry Potter",
    "Eldan and Russinovich 2023, arXiv 2310.02238",
    "rewriting",
    "Learns what a model that never read of the topic would answer; a task that neighbours share goes with it, relabelled.",
    "alpha",
    WhpConfig,
    (
        ("reinforce", "Learn the topic better"),
        ("labels", "Find generic answers"),
        ("train", "Learn the generic answers"),
        ("describe", "Compare the spectra"),
    ),
    fit,
    cost="two short training runs",
)


def _reinforced(context: Context, config: WhpConfig, change: Change, forget: Sequence[Row]) -> Iterator[Progress]:
    """Fine-tune on the forget set as it is. Its losses are not the run's: it says only how far it is."""
    from ..objectives import answer_nll
    from ..training import Plan, train

    plan = Plan(config.reinforce, config.rate)
    steps = train(
        context,
        change,
        plan,
        forget,
        [],
        lambda part, places: answer_nll(part.logits, part.labels, part.rows, part.count),
        None,
    )
    for item in steps:
        if isinstance(item, Loss):
            yield Progress(item.step, item.total, "steps")


def _generic(
    context: Context, config: WhpConfig, reinforced: LowRankEdit, forget: Sequence[Row], counterparts: Mapping[Word, Word]
) -> list[Tensor]:
    """Each row's labels: the likeliest generic token at every place (tokens,), or log-probabilities (tokens, vocabulary).

    Stopped, of the first rows only.
    """
    import torch

    from ..edits.attach import attached
    from ..objectives import generic_logits, row_lengths
    from ..stand_ins import translated
    from ..training import score

    found: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(forget), BATCH):
            if context.cancelled():
                break
            rows = forget[start : start + BATCH]
            base = score(context.loaded, translated(context.loaded, rows, counterparts))
            with attached(context.loaded.model, reinforced):
                strong = score(context.loaded, rows).logits.float()
            plain = base.logits.float()
            logits = torch.where(_ends(base)[:, None], plain, generic_logits(plain, strong, config.alpha))
            each = logits.argmax(-1) if config.labels == "argmax" else logits.log_softmax(-1)
            found += each.split(row_lengths(base.rows, base.count).tolist())
    return found


def _ends(scored: Scored) -> Tensor:
    """Which tokens are the last of an answer of several: (tokens,)."""
    import torch

    from ..objectives import row_lengths

    last = torch.ones_like(scored.rows, dtype=torch.bool)
    last[:-1] = scored.rows[1:] != scored.rows[:-1]
    return last & (row_lengths(scored.rows, scored.count)[scored.rows] > 1)


def _trained(
    context: Context,
    config: WhpConfig,
    change: Change,
    forget: Sequence[Row],
    retain: Sequence[Row],
    labels: Sequence[Tensor],
) -> Iterator[Any]:
    import torch

    from ..objectives import answer_nll, kl_to
    from ..training import Plan, reference_logprobs, train

    def learn(part: Scored, places: Sequence[int]) -> Tensor:
        wanted = torch.cat([labels[place] for place in places])
        if config.labels == "soft":
            return kl_to(wanted, part.logits)
        return answer_nll(part.logits, wanted, part.rows, part.count)

    kept = reference_logprobs(context.loaded, retain) if config.keep else None
    yield from train(
        context,
        change,
        Plan(config.steps, config.rate),
        forget,
        retain if kept else [],
        learn,
        (lambda part, places: config.keep * kl_to(kept(places), part.logits)) if kept else None,
    )
