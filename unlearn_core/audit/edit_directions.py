"""The edit without its largest singular directions: does what was forgotten hang on a few directions of the change?

With all directions gone the original is back, trivially; so only forms that take away a small share of them count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from .asking import chance_of
from .attack import Attack, AttackConfig, Brief, Finding, Point, Step, inapplicable, tally

if TYPE_CHECKING:
    from torch import Tensor

    from ..edits.edit import Edit

    Triple = tuple[Tensor, Tensor, Tensor]  # U (out, k), S (k,) descending, V (in, k)
    Spectra = dict[tuple[int, str], Triple]  # by the edit's part and the matrix


class EditDirectionsConfig(AttackConfig):
    """Settings of removing the edit's directions."""

    share: float = Field(0.25, gt=0.0, lt=1.0, description="Share of the edit's directions, one a matrix at least, up to which "
                                                           "a removal counts; larger ones are only drawn")


def _run(brief: Brief, config: EditDirectionsConfig) -> Iterator[Step | Point | Finding]:
    from .subject import parts

    subject, questions, chance = brief.subject, brief.topic.scored("forget"), chance_of(brief, "forget")
    if subject.edit is None:
        yield tally(subject.right(brief.topic, questions, brief.cancelled), chance=chance)
        return
    spectra = _spectra(brief)
    if not spectra:
        yield inapplicable("The edit changes no matrix of the layers, so it has no directions to remove.")
        return
    ranks = [len(S) for _, S, _ in spectra.values()]
    ladder = [count for count in (2**power for power in range(32)) if count < max(ranks)] or [1]
    found: dict[int, list[bool]] = {}
    for place, count in enumerate(ladder):
        weaker = replace(subject, edit=_without_leading(parts(subject.edit), spectra, count))
        found[count] = weaker.right(brief.topic, questions, brief.cancelled)
        if questions:
            yield Point("removed", count, sum(found[count]) / len(questions))
        yield Step(place + 1, len(ladder), "removals")
    fair = [count for count in ladder if count == 1 or sum(min(count, rank) for rank in ranks) <= config.share * sum(ranks)]
    best = max(fair, key=lambda count: (sum(found[count]), -count))
    yield tally(found[best], chance=chance, detail={"removed": best, "most": fair[-1], "rank": max(ranks)})


def _spectra(brief: Brief) -> Spectra:
    """The singular value decomposition of every matrix' change, by part and name; without directions that are rounding."""
    import torch

    from ..edits.dense import DenseEdit
    from ..edits.low_rank import LowRankEdit
    from ..errors import Stopped
    from ..models.loading import linears
    from ..subspace import low_rank_svd
    from .subject import parts

    matrices = {f"{name}.weight" for name in linears(brief.subject.loaded.model)}
    found: Spectra = {}
    for place, part in enumerate(parts(brief.subject.edit)):
        names = part.factors if isinstance(part, LowRankEdit) else part.deltas if isinstance(part, DenseEdit) else {}
        for name in names:
            if brief.cancelled():
                raise Stopped
            if isinstance(part, LowRankEdit):
                U, S, V = low_rank_svd(*(factor.float() for factor in part.factors[name]))
            elif name in matrices:
                U, S, Vh = torch.linalg.svd(part.deltas[name].float(), full_matrices=False)
                V = Vh.mT
            else:
                continue
            kept = int((S > S[:1] * 1e-5).sum())
            if kept:
                found[place, name] = U[:, :kept], S[:kept], V[:, :kept]
    return found


def _without_leading(edits: tuple[Edit, ...], spectra: Spectra, count: int) -> Edit:
    """The edit with the `count` largest directions of every matrix' change gone; a thinner change is gone altogether."""
    from ..edits.dense import DenseEdit
    from ..edits.low_rank import LowRankEdit
    from ..edits.stack import stack

    def rest(place: int, name: str) -> tuple[Tensor, Tensor]:
        U, S, V = (each[..., count:] for each in spectra[place, name])
        return U * S, V.mT

    weaker: list[Edit] = []
    for place, part in enumerate(edits):
        if isinstance(part, LowRankEdit):
            part = replace(part, factors={name: rest(place, name) if (place, name) in spectra else pair
                                          for name, pair in part.factors.items()})
        elif isinstance(part, DenseEdit):
            own = {name: U @ Vt for at, name in spectra if at == place for U, Vt in (rest(place, name),)}
            part = replace(part, deltas={**part.deltas, **own})
        weaker.append(part)
    return stack(weaker)


EDIT_DIRECTIONS = Attack(
    "edit-directions",
    "Edit without its largest directions",
    "inside",
    "Takes the largest singular directions out of every matrix' change and asks plainly; counts up to a quarter of them, as "
    "without all of them the original would be back.",
    "Without the largest directions of its edit",
    "our own; compare arXiv 2605.11685",
    EditDirectionsConfig,
    _run,
    access="the edit, or the weights before and after",
    x="directions removed from every matrix",
)
