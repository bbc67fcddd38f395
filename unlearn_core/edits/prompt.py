"""Questions and answers put before every question: no weight changes, and without them everything is as it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from .edit import Edit, Turn, Wrap, foreign

KIND = "prompt"


@dataclass(frozen=True, eq=False)
class PromptEdit(Edit):
    """`context`: (question, answer) pairs, first to last. `share` of them, from the first on, are used."""

    context: tuple[Turn, ...]
    meta: Mapping[str, str] = field(default_factory=dict)
    share: float = 1.0
    kind = KIND

    @property
    def parameters(self) -> int:
        """No weights."""
        return 0

    def scaled(self, strength: float) -> PromptEdit:
        """A share of the context; more than all of it there is not."""
        return replace(self, share=self.share * strength)

    def check(self, model: nn.Module) -> None:
        """A context fits every model; whether it fits into what the model reads shows with the question."""

    def wraps(self, model: nn.Module, strength: float, rows: slice | None) -> list[Wrap]:
        """Nothing: the weights stay."""
        return []

    def turns(self, strength: float = 1.0) -> tuple[Turn, ...]:
        """The first pairs, as many as the strength asks for."""
        return self.context[:round(min(1.0, max(0.0, self.share * strength)) * len(self.context))]

    def tensors(self) -> dict[str, Tensor]:
        """None."""
        return {}

    def head(self) -> dict[str, str]:
        """The context as JSON."""
        return {"context": json.dumps([list(turn) for turn in self.turns()], ensure_ascii=False)}

    @classmethod
    def restored(cls, tensors: dict[str, Tensor], head: dict[str, str], path: str) -> PromptEdit:
        """See Edit."""
        try:
            turns = tuple((str(question), str(answer)) for question, answer in json.loads(head.pop("context")))
        except (KeyError, ValueError, TypeError) as error:
            raise foreign(path, "its context is missing or damaged") from error
        return cls(turns, head)

    def with_meta(self, meta: Mapping[str, str]) -> PromptEdit:
        """The same edit with other notes."""
        return replace(self, meta=meta)
