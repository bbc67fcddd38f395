"""Attacks that round the weights to few bits, as whoever runs the model on a small machine does anyway.

Source: Zhang et al. 2025, arXiv 2410.16454 (what unlearning moved by less than a rounding step is back afterwards). The edit is
merged into the weights first: an adapter beside rounded weights would test nothing. Every linear map of the layers is rounded,
here and without a library, and counted back to numbers; embeddings, norms and the output head stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from .asking import chance_of
from .attack import Attack, AttackConfig, Brief, Finding, Point, Step, inapplicable, tally

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..edits.edit import Edit
    from .rounding import Rounded
    from .subject import Subject

    Rule = Callable[[Tensor], Rounded]

GROUPS = (128, 64, 32)  # of the curve
SHORT = "embeddings, norms and the output head are not rounded"


class EightBitConfig(AttackConfig):
    """Rounding to 8 bits has no settings: a scale for every output row."""


class FourBitConfig(AttackConfig):
    """Settings of rounding to 4 bits."""

    group: int = Field(64, ge=8, le=1024, description="Weights along a row that share a scale; the curve shows "
                                                      f"{', '.join(map(str, GROUPS))} as well")


class NormalFloatConfig(AttackConfig):
    """Settings of rounding to NF4."""

    block: int = Field(64, ge=8, le=1024, description="Weights along a row that share a scale")


# --- the three attacks ------------------------------------------------------------------------------------------------

def _int8(brief: Brief, config: EightBitConfig) -> Iterator[Step | Point | Finding]:
    from .rounding import rounded_evenly

    yield _asked_rounded(brief, partial(rounded_evenly, bits=8), {"bits": 8, "scales": "one for each output row"})


def _int4(brief: Brief, config: FourBitConfig) -> Iterator[Step | Point | Finding]:
    from .rounding import rounded_evenly

    groups = sorted({*GROUPS, config.group}, reverse=True)
    chosen: Finding | None = None
    for place, group in enumerate(groups):
        finding = _asked_rounded(brief, partial(rounded_evenly, bits=4, group=group), {"bits": 4, "group": group})
        if finding.knowledge is not None:
            yield Point("4 bits", group, finding.knowledge)
        yield Step(place + 1, len(groups), "groupings")
        chosen = finding if group == config.group or finding.reason else chosen
        if finding.reason:
            break
    yield chosen


def _nf4(brief: Brief, config: NormalFloatConfig) -> Iterator[Step | Point | Finding]:
    from .rounding import rounded_normally

    yield _asked_rounded(brief, partial(rounded_normally, block=config.block), {"bits": 4, "block": config.block})


# --- rounding a model -------------------------------------------------------------------------------------------------

def _asked_rounded(brief: Brief, rule: Rule, detail: dict[str, object]) -> Finding:
    """The subject asked plainly with rounded weights. Raises Stopped."""
    from ..models.loading import linears

    if not all(linear.weight.is_floating_point() for linear in linears(brief.subject.loaded.model).values()):
        return inapplicable("The model's weights were rounded before they were loaded.")
    subject, moved = rounded_subject(brief.subject, rule)
    if moved is not None:
        detail = detail | {"moved": moved}
    questions = brief.topic.scored("forget")
    marks = subject.right(brief.topic, questions, brief.cancelled)
    return tally(marks, chance=chance_of(brief, "forget"), detail=detail | {"left": SHORT})


def rounded_subject(subject: Subject, rule: Rule) -> tuple[Subject, float | None]:
    """The subject with its edit merged into a copy of the weights and every linear map of the layers rounded by `rule`, and the
    share of weights that the edit brings to another level; None where it changes no weights.

    What is no change of weights stays beside them and has its own matrices rounded; of two models combined at decoding, both
    are rounded.
    """
    from dataclasses import replace

    from ..models.loading import linears
    from .rounding import differing
    from .subject import parts

    merged = subject.merged()
    changed = len(parts(merged.edit)) < len(parts(subject.edit))
    before, after = linears(subject.loaded.model), linears(merged.loaded.model)
    edit = _rounded_edit(merged.edit, after, rule) if merged.edit is not None else None
    count = different = 0
    for name, linear in after.items():
        found = rule(linear.weight)
        if changed:
            different += differing(found.levels, rule(before[name].weight).levels)
            count += found.levels.numel()
        linear.weight.copy_(found.values.to(linear.weight.dtype))
    return replace(merged, edit=edit), different / count if changed else None


def _rounded_edit(edit: Edit, places: dict[str, nn.Linear], rule: Rule) -> Edit:
    """What stays beside the weights, rounded too; `places` hold the weights not yet rounded."""
    from dataclasses import replace

    from ..edits.decoding import DecodingEdit
    from ..edits.layers import LayerEdit
    from ..edits.low_rank import LowRankEdit
    from ..edits.stack import StackedEdit

    if isinstance(edit, StackedEdit):
        return replace(edit, parts=tuple(_rounded_edit(part, places, rule) for part in edit.parts))
    if isinstance(edit, LayerEdit):
        return replace(edit, layers={name: tuple(rule(matrix).values.to(matrix.dtype) for matrix in layer)
                                     for name, layer in edit.layers.items()})
    if isinstance(edit, DecodingEdit):
        weights = {name: places[name].weight.float() for name in edit.reinforced.factors}
        deltas = {name: rule(weight + edit.reinforced.delta(name).to(weight)).values - rule(weight).values
                  for name, weight in weights.items()}
        return replace(edit, reinforced=LowRankEdit.whole(deltas))
    return edit


INT8 = Attack(
    "int8",
    "Rounded to 8 bits",
    "quantisation",
    "Merges the edit, rounds the layers' weights to 8 bits with a scale for every output row, and asks plainly.",
    "With its weights rounded to 8 bits",
    "Zhang et al. 2025, arXiv 2410.16454",
    EightBitConfig,
    _int8,
    access="weights",
)
INT4 = Attack(
    "int4",
    "Rounded to 4 bits",
    "quantisation",
    "Merges the edit, rounds the layers' weights to 15 even levels with a scale for every few of them, and asks plainly.",
    "With its weights rounded to 4 bits",
    "Zhang et al. 2025, arXiv 2410.16454",
    FourBitConfig,
    _int4,
    access="weights",
    x="weights that share a scale",
)
NORMAL = Attack(
    "nf4",
    "Rounded to NF4",
    "quantisation",
    "Merges the edit, rounds the layers' weights to the 16 levels of NormalFloat, and asks plainly.",
    "With its weights rounded to 4-bit NormalFloat",
    "Dettmers et al. 2023, arXiv 2305.14314; as an attack Zhang et al. 2025, arXiv 2410.16454",
    NormalFloatConfig,
    _nf4,
    access="weights",
)
