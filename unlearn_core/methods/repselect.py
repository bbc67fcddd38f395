"""RepSelect (Sondej, Yang and Mahdi 2026, arXiv 2606.17168): unlearn only in what is the topic's own part of its gradient.

1. Elicit: an adversarial LoRA is trained on the forget set, so that the knowledge is fully out. 2. With it on, the
gradient G of the forget loss by the weights of the feed-forward maps is added up over one pass; the LoRA is dropped.
3. G = Σ s_i u_i v_iᵀ; its leading components, which other text shares, are divided by s_i / s_min on the output and on the
input side (soft; their square: quadratic). 4. W −= rate · filtered, and again from 2, until the damage budget is spent. No
kept row is trained on: damage is only measured, as KL(original || model) on given text to keep.

Our reading: "leading" is a share of the components and not the paper's 512, the model here being small; the LoRA is
trained once; the loss is the unlikelihood of the answer, whose gradient does not vanish where the elicited model is
sure; each step has `rate` times the Frobenius norm of the maps it changes; the last step is shortened to the budget.
Feed-forward maps are those whose name says mlp or feed_forward, all maps where no name does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ..events import Loss, Notice
from .base import Context, Method, MethodConfig, Snapshot, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..edits.low_rank import LowRankEdit
    from ..training import Row

FEED_FORWARD = ("mlp", "feed_forward", "ffn")
POWER = {"soft": 1.0, "quadratic": 2.0}
BLOCK = 64  # rows a pass


class RepSelectConfig(MethodConfig):
    """Settings of RepSelect."""

    budget: float = Field(
        0.03, gt=0.0, le=10.0, description="Damage at which it stops: KL from the original on given text to keep (nats)"
    )
    share: float = Field(
        0.25, ge=0.0, le=1.0, description="Share of the gradient's components, the largest, that are damped"
    )
    damping: Literal["soft", "quadratic"] = Field("soft", description="Divide them by their size, or by its square")
    elicit_steps: int = Field(20, ge=0, le=2000, description="Steps of the adversarial LoRA; 0 for none")
    elicit_rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate of the adversarial LoRA")
    rank: int = Field(8, ge=1, le=256, description="Rank of the adversarial LoRA")
    steps: int = Field(40, ge=1, le=2000, description="Most steps of unlearning, one pass over the forget set each")
    rate: float = Field(0.015, gt=0, le=1.0, description="Size of a step, as a share of the changed weights")
    limit: float = Field(
        6.0, ge=0.5, le=20.0, description="Stop pushing an answer once its tokens are this unlikely (nats)"
    )


def fit(context: Context, config: RepSelectConfig) -> Iterator[Any]:
    """Yield losses, snapshots, the edit and its spectra; the adversary is trained in silence."""
    from ..edits.attach import attached
    from ..edits.low_rank import LowRankEdit
    from ..spectra import describe
    from ..training import damage_meter, encode_rows, step_within

    loaded, given = context.loaded, context.given
    forget, kept = encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)
    yield Stage("elicit")
    adversary = _adversary(context, config, forget)
    if context.cancelled():
        return
    if not kept:
        yield Notice("No given text to keep: the damage cannot be measured, all steps are made.")
    damage = damage_meter(context, kept)
    deltas: dict[str, Tensor] = {}
    yield Stage("remove")
    for step in range(config.steps):
        loss, change = _step(context, config, forget, adversary, LowRankEdit.whole(deltas))
        if context.cancelled():
            break
        deltas, spent, last = step_within(config.budget, damage, deltas, change)
        last = last or loss == 0 or step + 1 == config.steps
        yield Loss(step + 1, step + 1 if last else config.steps, loss, spent if kept else None)
        if last or (step + 1) % max(1, config.steps // 8) == 0:
            with attached(loaded.model, LowRankEdit.whole(deltas)):
                yield Snapshot(step + 1, config.steps)
        if last:
            break
    context.trained.append(sum(int(delta.count_nonzero()) for delta in deltas.values()))
    edit = LowRankEdit.from_deltas(deltas)
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit)


def _adversary(context: Context, config: RepSelectConfig, forget: list[Row]) -> LowRankEdit:
    """A LoRA change that answers the forget questions as surely as it can."""
    from ..objectives import answer_nll
    from ..training import Change, Plan, train

    change = Change(context.loaded.model, rank=config.rank, seed=context.seed)
    plan = Plan(config.elicit_steps, config.elicit_rate)
    for _ in train(
        context,
        change,
        plan,
        forget,
        [],
        lambda part, places: answer_nll(part.logits, part.labels, part.rows, part.count),
        None,
    ):
        pass
    return change.edit()


def _step(
    context: Context, config: RepSelectConfig, forget: list[Row], adversary: LowRankEdit, edit: LowRankEdit
) -> tuple[float, dict[str, Tensor]]:
    """The forget loss with the adversary on, and the change of one step."""
    from ..activations import WeightGradients
    from ..edits.attach import attached
    from ..objectives import unlikelihood
    from ..subspace.damping import damped
    from ..training import map_names, score

    model = context.loaded.model
    names = [name for found in map_names(model).values() for name in found]
    chosen = [name for name in names if any(word in name for word in FEED_FORWARD)] or names
    total, summed = 0.0, None
    with attached(model, edit), attached(model, adversary), WeightGradients(model, chosen) as gradients:
        for start in range(0, len(forget), BLOCK):
            if context.cancelled():
                break
            scored = score(context.loaded, forget[start : start + BLOCK])
            loss = unlikelihood(scored.logits, scored.labels, scored.rows, scored.count, config.limit)
            loss = loss * scored.count / len(forget)
            total += float(loss.detach())
            found = gradients.of(loss)
            summed = found if summed is None else {name: summed[name] + found[name] for name in chosen}
    filtered = {
        name: damped(G, round(config.share * min(G.shape)), POWER[config.damping]) for name, G in (summed or {}).items()
    }
    weights = sum(float(module.weight.float().square().sum()) for name, module in model.named_modules() if name in chosen)
    length = sum(float(G.square().sum()) for G in filtered.values())
    size = config.rate * (weights / length) ** 0.5 if length else 0.0
    return total, {name: -size * G for name, G in filtered.items()}


METHOD = Method(
    "repselect",
    "RepSelect",
    "Sondej et al. 2026, arXiv 2606.17168",
    "subspace",
    "Steps along the topic's own part of its gradient until a damage budget is spent.",
    "budget",
    RepSelectConfig,
    (
        ("elicit", "Bring the knowledge out"),
        ("remove", "Remove until the budget is spent"),
        ("describe", "Compare the spectra"),
    ),
    fit,
    cost="a short training run and some passes over all given text",
)
