"""Several edits as one, in the order in which they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from torch import Tensor, nn

from .decoding import DecodingEdit
from .dense import DenseEdit
from .edit import Edit, Turn, Wrap, foreign
from .kinds import kind_of
from .low_rank import LowRankEdit

KIND = "stack"


def stack(edits: Sequence[Edit]) -> Edit:
    """The edits together: those of weights add up to one of each kind, others stand side by side. Later `meta` wins."""
    meta = {key: value for edit in edits for key, value in edit.meta.items()}
    flat = [part for edit in edits for part in (edit.parts if isinstance(edit, StackedEdit) else (edit,))]
    low, dense = ([part for part in flat if isinstance(part, kind)] for kind in (LowRankEdit, DenseEdit))
    parts: list[Edit] = [part for part in flat if not isinstance(part, (LowRankEdit, DenseEdit))]
    parts = ([LowRankEdit.stack(low)] if low else []) + parts  # changes of weights add up, in whatever order
    parts = ([reduce(DenseEdit.plus, dense)] if dense else []) + parts
    return parts[0].with_meta(meta) if len(parts) == 1 else StackedEdit(tuple(parts), meta)


@dataclass(frozen=True, eq=False)
class StackedEdit(Edit):
    """`parts`: edits of any kinds, the earliest first."""

    parts: tuple[Edit, ...]
    meta: Mapping[str, str] = field(default_factory=dict)
    kind = KIND

    @property
    def rank(self) -> int:
        """The largest of any part."""
        return max(part.rank for part in self.parts)

    @property
    def parameters(self) -> int:
        """Those of all parts."""
        return sum(part.parameters for part in self.parts)

    @property
    def combines_rows(self) -> bool:
        """Whether any of them does."""
        return any(part.combines_rows for part in self.parts)

    def scaled(self, strength: float) -> StackedEdit:
        """Every part times `strength`."""
        return replace(self, parts=tuple(part.scaled(strength) for part in self.parts))

    def check(self, model: nn.Module) -> None:
        """Raise BadInput unless every part fits."""
        for part in self.parts:
            part.check(model)

    def wraps(self, model: nn.Module, strength: float, rows: slice | None) -> list[Wrap]:
        """Those of all parts, the earliest innermost. Combined decoding puts the edited rows into the batch once more, behind the
        last; the other parts are then on from the first edited row to the end."""
        widened = slice(rows.start, None) if rows is not None and self.combines_rows else rows
        return [wrap for part in self.parts
                for wrap in part.wraps(model, strength, rows if isinstance(part, DecodingEdit) else widened)]

    def turns(self, strength: float = 1.0) -> tuple[Turn, ...]:
        """Those of all parts."""
        return tuple(turn for part in self.parts for turn in part.turns(strength))

    def relative_change(self, model: nn.Module) -> float | None:
        """Of the parts that change weights, as if they did not overlap; None where none does."""
        sizes = [size for size in (part.relative_change(model) for part in self.parts) if size is not None]
        return sum(size * size for size in sizes) ** 0.5 if sizes else None

    def tensors(self) -> dict[str, Tensor]:
        """Every part's, behind its number."""
        return {f"{place}/{name}": tensor for place, part in enumerate(self.parts) for name, tensor in part.tensors().items()}

    def head(self) -> dict[str, str]:
        """Kind and strings of every part."""
        return {"parts": json.dumps([{"kind": part.kind, "meta": dict(part.meta), "head": part.head()} for part in self.parts])}

    @classmethod
    def restored(cls, tensors: dict[str, Tensor], head: dict[str, str], path: str) -> StackedEdit:
        """See Edit."""
        try:
            listed = json.loads(head.pop("parts"))
            parts = [_part(place, row, tensors, path) for place, row in enumerate(listed)]
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise foreign(path, "its list of parts is missing or damaged") from error
        if not parts:
            raise foreign(path, "it has no parts")
        return cls(tuple(parts), head)

    def with_meta(self, meta: Mapping[str, str]) -> StackedEdit:
        """The same edit with other notes."""
        return replace(self, meta=meta)


def _part(place: int, row: dict, tensors: dict[str, Tensor], path: str) -> Edit:
    own = {name.removeprefix(f"{place}/"): tensor for name, tensor in tensors.items() if name.startswith(f"{place}/")}
    return kind_of(row["kind"], path).restored(own, {**row["meta"], **row["head"]}, path)
