"""A full difference of weights: for what no thin product can hold, such as a model that was trained anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .edit import Edit, Forward, Wrap, misfit

KIND = "dense"


@dataclass(frozen=True, eq=False)
class DenseEdit(Edit):
    """`deltas`: parameter name -> difference of the same shape. A tied parameter stands under each of its names."""

    deltas: Mapping[str, Tensor]
    meta: Mapping[str, str] = field(default_factory=dict)
    kind = KIND

    @staticmethod
    def between(base: nn.Module, other: nn.Module) -> DenseEdit:
        """What turns `base` into `other`; parameters that are equal are left out. Raises BadInput where shapes differ."""
        mine = dict(base.named_parameters(remove_duplicate=False))
        theirs = dict(other.named_parameters(remove_duplicate=False))
        if {name: tensor.shape for name, tensor in mine.items()} != {name: tensor.shape for name, tensor in theirs.items()}:
            raise misfit("the two models differ in shape")
        deltas = {name: theirs[name].detach().float().to(tensor.device) - tensor.detach().float() for name, tensor in mine.items()}
        return DenseEdit({name: delta for name, delta in deltas.items() if bool(delta.any())})

    @property
    def parameters(self) -> int:
        """Numbers held."""
        return sum(delta.numel() for delta in self.deltas.values())

    def scaled(self, strength: float) -> DenseEdit:
        """The same difference times `strength`."""
        return replace(self, deltas={name: delta * strength for name, delta in self.deltas.items()})

    def plus(self, other: DenseEdit) -> DenseEdit:
        """Both differences added up."""
        deltas = dict(self.deltas)
        for name, delta in other.deltas.items():
            deltas[name] = deltas[name] + delta if name in deltas else delta
        return DenseEdit(deltas, {**self.meta, **other.meta})

    def check(self, model: nn.Module) -> None:
        """Raise BadInput unless every parameter exists in `model` with the right shape."""
        shapes = {name: tuple(tensor.shape) for name, tensor in model.named_parameters(remove_duplicate=False)}
        for name, delta in self.deltas.items():
            if name not in shapes:
                raise misfit(f"this model has no parameter {name}")
            if shapes[name] != tuple(delta.shape):
                raise misfit(f"{name} is {shapes[name]}, the edit is {tuple(delta.shape)}")

    def wraps(self, model: nn.Module, strength: float, rows: slice | None) -> list[Wrap]:
        """Every module that owns a changed parameter computes with the changed one instead, on the chosen rows."""
        owned: dict[str, dict[str, Tensor]] = {}
        for name, delta in self.deltas.items():
            place, _, own = name.rpartition(".")
            base = model.get_submodule(place)._parameters[own]
            changed = (base.detach().float() + strength * delta.to(base.device).float()).to(base.dtype)
            owned.setdefault(place, {})[own] = changed
        return [(model.get_submodule(place), _changed(model.get_submodule(place), tensors, rows))
                for place, tensors in owned.items()]

    def relative_change(self, model: nn.Module) -> float:
        """See Edit."""
        weights = dict(model.named_parameters(remove_duplicate=False))
        changed = sum(float(delta.double().square().sum()) for delta in self.deltas.values())
        whole = sum(float(weights[name].detach().double().square().sum()) for name in self.deltas)
        return (changed / whole) ** 0.5 if whole else 0.0

    def tensors(self) -> dict[str, Tensor]:
        """The differences by parameter name; a tensor that stands under two names is written twice."""
        return {name: delta.clone() for name, delta in self.deltas.items()}

    @classmethod
    def restored(cls, tensors: dict[str, Tensor], head: dict[str, str], path: str) -> DenseEdit:
        """See Edit."""
        return cls(tensors, head)

    def with_meta(self, meta: Mapping[str, str]) -> DenseEdit:
        """The same edit with other notes."""
        return replace(self, meta=meta)


def _changed(module: nn.Module, tensors: dict[str, Tensor], rows: slice | None) -> Callable[[Forward], Forward]:
    return lambda forward: partial(_forward, forward, module, tensors, rows)


def _forward(forward: Forward, module: nn.Module, tensors: dict[str, Tensor], rows: slice | None, *inputs: Any) -> Tensor:
    if rows is None:
        with _exchanged(module, tensors):
            return forward(*inputs)
    output = forward(*inputs)
    with _exchanged(module, tensors):
        output[rows] = forward(*(each[rows] if torch.is_tensor(each) else each for each in inputs))
    return output


@contextmanager
def _exchanged(module: nn.Module, tensors: dict[str, Tensor]) -> Iterator[None]:
    """Inside the block the module holds other tensors as its parameters; its own are put back untouched."""
    own = {name: module._parameters[name] for name in tensors}
    module._parameters.update(tensors)
    try:
        yield
    finally:
        module._parameters.update(own)
