"""The edit without its largest singular directions: does what was forgotten hang on a few directions of the change?

With all directions gone the original is back, trivially, and in an edit of low rank two of eight can be nearly all of it. So what
counts is a removal that leaves every change most of its size, as much as the sweep of strengths leaves it by default; beside it
stands what comes out when the whole edit is weakened to that size. The curve takes away whole directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

    least: float = Field(0.75, gt=0.0, lt=1.0, description="What every matrix' change keeps of its size (Frobenius norm) in the "
                                                           "removal that counts")


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
    edits, rank = parts(subject.edit), max(len(S) for _, S, _ in spectra.values())
    ladder = [count for count in (2**power for power in range(32)) if count < rank]

    def without(shrink: Callable[[Tensor], Tensor]) -> list[bool]:
        return replace(subject, edit=_shrunk(edits, spectra, shrink)).right(brief.topic, questions, brief.cancelled)

    for place, count in enumerate(ladder):
        marks = without(lambda S, count=count: S * (S.new_tensor(range(len(S))) >= count))
        if questions:
            yield Point("removed", count, sum(marks) / len(questions))
        yield Step(place + 1, len(ladder) + 2, "removals")
    found = without(lambda S: flattened(S, config.least))
    yield Step(len(ladder) + 1, len(ladder) + 2, "removals")
    control = without(lambda S: S * config.least)
    yield tally(found, chance=chance, detail={
        "kept": config.least, "rank": rank, "control": sum(control) / len(control) if control else None})


def flattened(S: Tensor, kept: float) -> Tensor:
    """Singular values S (k,), descending, without the largest ones, the last of these in part, so that `kept` of their norm is
    left."""
    squares = S.double().square()
    before = squares.cumsum(0) - squares
    taken = ((1 - kept**2) * squares.sum() - before).clamp_min(0).minimum(squares)
    return (squares - taken).sqrt().to(S.dtype)


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


def _shrunk(edits: Sequence[Edit], spectra: Spectra, shrink: Callable[[Tensor], Tensor]) -> Edit:
    """The edit with the singular values of every matrix' change as `shrink` makes them. What is no change of a matrix stays."""
    from ..edits.dense import DenseEdit
    from ..edits.low_rank import LowRankEdit
    from ..edits.stack import stack

    def pair(place: int, name: str) -> tuple[Tensor, Tensor]:
        U, S, V = spectra[place, name]
        return U * shrink(S), V.mT

    changed: list[Edit] = []
    for place, part in enumerate(edits):
        own = {name: pair(place, name) for at, name in spectra if at == place}
        if isinstance(part, LowRankEdit):
            part = replace(part, factors={**part.factors, **own})
        elif isinstance(part, DenseEdit):
            part = replace(part, deltas={**part.deltas, **{name: B @ A for name, (B, A) in own.items()}})
        changed.append(part)
    return stack(changed)


EDIT_DIRECTIONS = Attack(
    "edit-directions",
    "Edit without its largest directions",
    "inside",
    "Takes the largest singular directions out of every matrix' change and asks plainly. What counts leaves the change three "
    "quarters of its size: without all of them the original would be back.",
    "With the largest directions of its edit shrunk",
    "our own; compare arXiv 2605.11685",
    EditDirectionsConfig,
    _run,
    access="the edit, or the weights before and after",
    x="directions removed from every matrix",
)
