"""LEARN (Lizzo and Heck, arXiv 2408.04140): UNLEARN's dual, which adds a topic to a model that lacks it: W' = W + T'.

T' = U·Z·D, trained from zero with U (out, k) and Z (k, in) as in LoRA: D = (ε (G + εI)⁻¹)^½ is UNLEARN's soft discrimination,
G being the second moments of each linear map's inputs over kept text and its stand-ins (stand_ins.py). D acts twice on the
directions that kept text uses, on how fast Z turns to them and on how much of them T' reads.
L = NLL(given answers of the topic) + w · KL(original || model on kept text and stand-ins).

The paper's formulas are not public, so this is our reading: the paper adds a task matrix after discrimination, here the
matrix is discriminated while it is trained. It is no way to forget, and a model that knows the topic already is changed little.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from ..training import Row

FORGET_ROWS, RETAIN_ROWS = 24, 36
POWER = 0.5  # of the filter: input directions are damped in Z's gradient and in what T' reads


class LearnConfig(MethodConfig):
    """Settings of LEARN."""

    epsilon: float = Field(
        3e-4,
        ge=1e-8,
        le=1.0,
        description="How freely the change may use directions that kept text uses; smaller keeps more",
    )
    rank: int = Field(16, ge=1, le=512, description="Directions to learn in, in every matrix")
    keep: float = Field(
        18.0, ge=0.0, le=1000.0, description="Weight of staying close to the original on given text to keep"
    )
    stand_ins: int = Field(
        12, ge=0, le=20, description="Altered copies of every kept question, for those not given; 0 for none"
    )
    near: int = Field(12, ge=0, le=40, description="Further such copies of every given neighbour")
    steps: int = Field(1800, ge=1, le=5000, description="Training steps")
    rate: float = Field(1e-2, gt=0, le=1.0, description="Learning rate")


def fit(context: Context, config: LearnConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit, its spectra and overlaps."""
    from ..activations import second_moments
    from ..objectives import answer_nll, kl_to
    from ..spectra import describe
    from ..subspace.discrimination import soft_filter
    from ..training import Change, Plan, encode_rows, reference_logprobs, train

    loaded, given = context.loaded, context.given
    topic = encode_rows(loaded, given.forget)
    yield Stage("statistics")
    kept = kept_rows(context, config, topic)
    others = context.statistics(
        f"kept-{config.stand_ins}-{config.near}-{context.seed}",
        lambda: second_moments(loaded, kept, context.cancelled, on_progress=context.on_progress),
    )
    if context.cancelled():
        return
    shared = {id(G): G for G in others.values()}
    filters = {key: soft_filter(G.to(loaded.device), config.epsilon, POWER) for key, G in shared.items()}
    within = {name: filters[id(G)] for name, G in others.items()}
    change = Change(loaded.model, rank=config.rank, seed=context.seed, within=within)
    original = reference_logprobs(loaded, kept, context.cancelled) if kept and config.keep else None
    yield Stage("learn")
    yield from train(
        context,
        change,
        Plan(config.steps, config.rate, forget_rows=FORGET_ROWS, retain_rows=RETAIN_ROWS),
        topic,
        kept,
        lambda part, places: answer_nll(part.logits, part.labels, part.rows, part.count),
        (lambda part, places: config.keep * kl_to(original(places), part.logits)) if original else None,
    )
    edit = change.edit()
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit, moments=others)


def kept_rows(context: Context, config: LearnConfig, topic: list[Row]) -> list[Row]:
    """Given questions to keep, neighbours first, with their altered copies."""
    from ..stand_ins import kept_copies, near_copies
    from ..training import encode_rows

    loaded, given = context.loaded, context.given
    near, far = encode_rows(loaded, given.neighbor), encode_rows(loaded, given.retain)
    copies = kept_copies(loaded, near + far, topic, config.stand_ins, context.seed)
    return near + far + copies + near_copies(loaded, near, topic, config.near, context.seed)


METHOD = Method(
    "learn",
    "LEARN",
    "Lizzo and Heck 2024, arXiv 2408.04140",
    "subspace",
    "Adds the topic inside a subspace that others use little: it teaches instead of removing.",
    "epsilon",
    LearnConfig,
    (
        ("statistics", "Collect what texts use"),
        ("learn", "Learn inside the subspace"),
        ("describe", "Compare the spectra"),
    ),
    fit,
    cost="one training run",
    teaches=True,
)
