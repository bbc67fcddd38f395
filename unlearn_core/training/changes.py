"""What is trained: thin products beside frozen weights, or scales of their outputs. Knows matrices; no row and no loss.

The change's output is added while it is active, so no copy of the weights and no gradient of their size is ever made, and the
base weights are never written to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..edits.edit import Edit
from ..edits.low_rank import LowRankEdit
from ..models.loading import linears, matrix_place
from .product import WithProduct, takes_product


class Trainable(Protocol):
    """What the loop trains: something that can be on or off, with an edit to show for it."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def active(self) -> AbstractContextManager[None]: ...

    def edit(self) -> Edit: ...


class Change(nn.Module):
    """ΔW = U · A for each named linear map: U (out, k) is trained and starts at zero.

    With `directions` the rows of A (k, in) are given and fixed; with `rank` A is LoRA's, random at first and trained too
    (Hu et al. 2021). `within` (name -> rows (m, in)) keeps such an A inside their span, A = Z · rows with Z trained: freely
    where the rows are orthonormal, the less along a direction the shorter they make it. `names` leaves out every other map.
    """

    def __init__(
        self,
        model: nn.Module,
        directions: dict[str, Tensor] | None = None,
        rank: int | None = None,
        seed: int = 0,
        within: dict[str, Tensor] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if (directions is None) == (rank is None):
            raise ValueError("give either directions or a rank")
        places = linears(model)
        self.names = [name for name in directions or places if names is None or name in names]
        self._spans = {
            name: rows.to(places[name].weight.device, torch.float32) for name, rows in (within or {}).items()
        }
        self._places = [places[name] for name in self.names]
        generator = torch.Generator().manual_seed(seed)
        self.left, self.right = nn.ParameterList(), nn.ParameterList()
        for name, place in zip(self.names, self._places, strict=True):
            weight = place.weight
            if directions is not None:
                right = directions[name].to(weight.device, torch.float32)
            else:
                size = len(self._spans[name]) if name in self._spans else weight.shape[1]
                right = (torch.randn(rank, size, generator=generator) / max(1, size) ** 0.5).to(weight.device)
            self.right.append(nn.Parameter(right, requires_grad=directions is None))
            self.left.append(nn.Parameter(torch.zeros(weight.shape[0], len(right), device=weight.device)))

    @classmethod
    def whole(cls, model: nn.Module, seed: int = 0) -> Change:
        """A change of full rank: every input direction of every map may be used."""
        sizes = {name: place.weight.shape[1] for name, place in linears(model).items()}
        return cls(model, {name: torch.eye(size) for name, size in sizes.items()}, seed=seed)

    @classmethod
    def resumed(cls, model: nn.Module, edit: LowRankEdit) -> Change:
        """An edit trained further: its A stay as they are, its U go on from where they are."""
        change = cls(model, {name: right for name, (_, right) in edit.factors.items()})
        with torch.no_grad():
            for left, (start, _) in zip(change.left, edit.factors.values(), strict=True):
                left.copy_(start)
        return change

    def layers(self) -> dict[int, list[str]]:
        """The maps' names by layer, first layer first."""
        found: dict[int, list[str]] = {}
        for name in self.names:
            found.setdefault(matrix_place(name)[0], []).append(name)
        return dict(sorted(found.items()))

    def train_only(self, names: Sequence[str]) -> None:
        """Freeze every matrix but these."""
        for name, left in zip(self.names, self.left, strict=True):
            left.requires_grad_(name in names)

    def deltas(self) -> dict[str, Tensor]:
        """The changes (out, in), with gradients."""
        return {name: left @ right for name, left, right in zip(self.names, self.left, self._inputs(), strict=True)}

    def _inputs(self) -> list[Tensor]:
        """A of every map (k, in)."""
        return [
            right @ self._spans[name] if name in self._spans else right
            for name, right in zip(self.names, self.right, strict=True)
        ]

    def edit(self) -> LowRankEdit:
        """The change as it stands, as an edit that shares no memory with it."""
        return LowRankEdit(
            {
                name: (left.detach().clone(), right.detach().clone())
                for name, left, right in zip(self.names, self.left, self._inputs(), strict=True)
            }
        )

    @contextmanager
    def active(self, strength: float = 1.0) -> Iterator[None]:
        """Inside the block the model computes W x + strength · U A x, with gradients for the trained factors."""
        handles, taken = [], []
        try:
            for place, left, right in zip(self._places, self.left, self._inputs(), strict=True):
                if takes_product(place, right):
                    place.__dict__["forward"] = partial(_with_product, place, left, right, strength)
                    taken.append(place)
                else:
                    handles.append(place.register_forward_hook(_addition(left, right, strength)))
            yield
        finally:
            for place in taken:
                del place.__dict__["forward"]
            for handle in handles:
                handle.remove()


def map_names(model: nn.Module) -> dict[int, list[str]]:
    """The names of all linear maps by layer, first layer first."""
    found: dict[int, list[str]] = {}
    for name in linears(model):
        found.setdefault(matrix_place(name)[0], []).append(name)
    return dict(sorted(found.items()))


def _with_product(place: nn.Linear, left: Tensor, right: Tensor, strength: float, inputs: Tensor) -> Tensor:
    return WithProduct.apply(inputs, place.weight, place.bias, left, right, strength)


def _addition(left: Tensor, right: Tensor, strength: float) -> Callable:
    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        change = functional.linear(functional.linear(inputs[0].to(right.dtype), right), left)
        return output + (change if strength == 1.0 else strength * change).to(output.dtype)

    return add


class Scaling(nn.Module):
    """(IA)³ (Liu et al. 2022, arXiv 2205.05638): every linear map gives (1 + s) ⊙ W x, ΔW = diag(s) W, s trained from zero.

    ΔW has the rank of W, so that its edit holds as many numbers as the weights.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._places = linears(model)
        self.scales = nn.ParameterList(
            torch.zeros(place.weight.shape[0], device=place.weight.device) for place in self._places.values()
        )

    def edit(self) -> LowRankEdit:
        """The change as it stands, as an edit that shares no memory with it."""
        return LowRankEdit.whole(
            {
                name: scale.detach()[:, None] * place.weight.detach().float()
                for (name, place), scale in zip(self._places.items(), self.scales, strict=True)
            }
        )

    @contextmanager
    def active(self) -> Iterator[None]:
        """Inside the block the model computes (1 + s) ⊙ W x, with gradients for s."""
        handles = [
            place.register_forward_hook(_scaling(scale, place.bias))
            for place, scale in zip(self._places.values(), self.scales, strict=True)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _scaling(scale: Tensor, bias: Tensor | None) -> Callable:
    def multiply(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + (scale * (output if bias is None else output - bias)).to(output.dtype)

    return multiply
