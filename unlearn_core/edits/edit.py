"""What every kind of edit owes: a change of a model that is kept apart from it, switched on for some rows, scaled and saved.

Knows modules, rows and one file format (safetensors, never pickle); does not know how an edit was found.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import BadInput

Forward = Callable[..., object]
Wrap = tuple[nn.Module, Callable[[Forward], Forward]]  # a module, and what becomes of its forward
Turn = tuple[str, str]  # a question and the answer that stands after it


class Edit(ABC):
    """A change of a model. `kind` names its class in files; `meta` holds plain strings, such as the model it was made for."""

    kind: ClassVar[str]
    meta: Mapping[str, str]

    @property
    def rank(self) -> int:
        """The largest rank of any changed matrix; 0 where the change is no thin product."""
        return 0

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Numbers that the edit holds."""

    @property
    def bytes(self) -> int:
        """Bytes of its tensors."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    @abstractmethod
    def scaled(self, strength: float) -> Self:
        """The same edit at another strength: 0 changes nothing, 1 is the edit itself."""

    @abstractmethod
    def check(self, model: nn.Module) -> None:
        """Raise BadInput unless the edit fits `model`."""

    @abstractmethod
    def wraps(self, model: nn.Module, strength: float, rows: slice | None) -> list[Wrap]:
        """The forwards to wrap so that the chosen `rows` of a batch (None: all) see the edit."""

    @property
    def combines_rows(self) -> bool:
        """Whether an answer comes out of several rows of the model put together, so that none of them is its own."""
        return False

    def turns(self, strength: float = 1.0) -> tuple[Turn, ...]:
        """Questions and answers that stand before every question put to the edited model."""
        return ()

    def relative_change(self, model: nn.Module) -> float | None:
        """Frobenius norm of the change over that of the weights that it changes; None where no weight changes."""
        return None

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Everything numeric, by name; `restored` gets it back."""

    def head(self) -> dict[str, str]:
        """Everything else but `meta`."""
        return {}

    @classmethod
    @abstractmethod
    def restored(cls, tensors: dict[str, Tensor], head: dict[str, str], path: str) -> Self:
        """The edit again; takes its own entries out of `head`, what is left there is `meta`. Raises BadInput naming `path`."""

    @abstractmethod
    def with_meta(self, meta: Mapping[str, str]) -> Self:
        """The same edit with other notes."""

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, complete or not at all."""
        path = Path(path)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors().items()}
        partial = path.with_name(path.name + ".part")
        save_file(tensors, partial, metadata={**self.meta, **self.head(), "kind": self.kind})
        os.replace(partial, path)


def read(path: str | Path) -> tuple[str, dict[str, Tensor], dict[str, str]]:
    """Kind, tensors and strings of an edit's file; BadInput when it is absent, damaged or something else."""
    try:
        with safe_open(path, framework="pt") as file:
            head = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise foreign(path, str(error)) from error
    if "kind" not in head:
        raise foreign(path, "it is not an edit")
    return head.pop("kind"), tensors, head


def foreign(path: str | Path, why: str) -> BadInput:
    """The refusal of a file that is no edit."""
    return BadInput(f"The edit {Path(path).name} cannot be read.", f"Reason: {why.rstrip('.')}.",
                    "Give the edit.safetensors of a run made here.", field="edit")


def misfit(why: str) -> BadInput:
    """The refusal of an edit that belongs to another model."""
    return BadInput("The edit belongs to another model.", f"Reason: {why}.",
                    "Open it with the model that it was made for.", field="edit")
