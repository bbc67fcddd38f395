"""A change of weights kept apart from the model: one thin product B @ A for each named linear map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ..models.loading import linears
from ..subspace.factors import energy_rank, low_rank_svd, truncate
from .edit import Edit, Forward, Wrap, foreign, misfit, read

Factors = tuple[Tensor, Tensor]
KIND = "low-rank"


@dataclass(frozen=True, eq=False)
class LowRankEdit(Edit):
    """`factors`: module name -> (B (out, r), A (r, in)); the weights change by B @ A. `meta`: plain strings."""

    factors: Mapping[str, Factors]
    meta: Mapping[str, str] = field(default_factory=dict)
    kind = KIND

    @property
    def names(self) -> list[str]:
        """The linear maps that are changed, in the order given."""
        return list(self.factors)

    @property
    def rank(self) -> int:
        """The largest rank of any factor pair; 0 for an empty edit."""
        return max((A.shape[0] for _, A in self.factors.values()), default=0)

    @property
    def parameters(self) -> int:
        """Numbers held by all factors."""
        return sum(B.numel() + A.numel() for B, A in self.factors.values())

    def delta(self, name: str) -> Tensor:
        """The dense change (out, in) of one linear map."""
        B, A = self.factors[name]
        return B @ A

    def scaled(self, strength: float) -> LowRankEdit:
        """The same edit times `strength`."""
        return LowRankEdit({name: (B * strength, A) for name, (B, A) in self.factors.items()}, self.meta)

    def truncated(self, rank: int | Mapping[str, int]) -> LowRankEdit:
        """The best approximation with at most `rank` a matrix, or a rank for each name (absent names stay whole)."""
        ranks = dict.fromkeys(self.factors, rank) if isinstance(rank, int) else rank
        return LowRankEdit({
            name: truncate(B, A, ranks[name]) if name in ranks and ranks[name] < A.shape[0] else (B, A)
            for name, (B, A) in self.factors.items()
        }, self.meta)

    def relative_change(self, model: nn.Module) -> float:
        """Frobenius norm of the change over that of the weights that it changes, all edited matrices together."""
        places = linears(model)
        changed = sum(squared_norm(B, A) for B, A in self.factors.values())
        weights = sum(float(places[name].weight.float().square().sum()) for name in self.factors)
        return (changed / weights) ** 0.5 if weights else 0.0

    def check(self, model: nn.Module) -> None:
        """Raise BadInput unless every matrix exists in `model` with the right shape."""
        places = linears(model)
        for name, (B, A) in self.factors.items():
            if name not in places:
                raise misfit(f"this model has no matrix {name}")
            if (B.shape[0], A.shape[1]) != tuple(places[name].weight.shape):
                raise misfit(f"{name} is {tuple(places[name].weight.shape)}, the edit is {(B.shape[0], A.shape[1])}")

    def wraps(self, model: nn.Module, strength: float, rows: slice | None) -> list[Wrap]:
        """W x + strength * B A x on the chosen rows. The edit's own factors are used, not copies of them, unless they lie on
        another device or in another number format than the model does now."""
        places = linears(model)
        return [(places[name], _change(B, A, strength, rows, places[name].weight))
                for name, (B, A) in self.factors.items() if A.shape[0]]

    def tensors(self) -> dict[str, Tensor]:
        """Both factors of every matrix."""
        return {f"{name}.{part}": tensor for name, pair in self.factors.items()
                for part, tensor in zip("BA", pair, strict=True)}

    def head(self) -> dict[str, str]:
        """The names, in order."""
        return {"names": "\n".join(self.factors)}

    @classmethod
    def restored(cls, tensors: dict[str, Tensor], head: dict[str, str], path: str) -> LowRankEdit:
        """See Edit."""
        names = [name for name in head.pop("names", "").split("\n") if name]
        return cls({name: _pair(path, tensors, name) for name in names}, head)

    def with_meta(self, meta: Mapping[str, str]) -> LowRankEdit:
        """The same edit with other notes."""
        return replace(self, meta=meta)

    @staticmethod
    def load(path: str | Path) -> LowRankEdit:
        """Read what `save` wrote; BadInput when the file is absent, damaged or something else."""
        kind, tensors, head = read(path)
        if kind != KIND:
            raise foreign(path, "it is not a low-rank edit")
        return LowRankEdit.restored(tensors, head, str(path))

    @staticmethod
    def stack(edits: Iterable[LowRankEdit]) -> LowRankEdit:
        """The sum of several edits: factors of the same matrix are set side by side. Later `meta` wins."""
        factors: dict[str, Factors] = {}
        meta: dict[str, str] = {}
        for edit in edits:
            meta |= edit.meta
            for name, (B, A) in edit.factors.items():
                if name in factors:
                    B, A = torch.cat([factors[name][0], B], dim=1), torch.cat([factors[name][1], A], dim=0)
                factors[name] = (B, A)
        return LowRankEdit(factors, meta)

    @staticmethod
    def from_deltas(deltas: Mapping[str, Tensor], rank: int | None = None, energy: float | None = None,
                    meta: Mapping[str, str] | None = None) -> LowRankEdit:
        """Factor dense changes (out, in) by their SVD.

        Keeps `rank` singular values, or `energy` (0..1) of the sum of squares: with both the smaller, with neither
        everything above rounding.
        """
        factors = {}
        for name, delta in deltas.items():
            U, S, Vh = torch.linalg.svd(delta.float(), full_matrices=False)
            keep = energy_rank(S, energy) if energy is not None else int((S > S[0] * 1e-6).sum())
            keep = keep if rank is None else min(rank, keep)
            root = S[:keep].sqrt()
            factors[name] = (U[:, :keep] * root, root[:, None] * Vh[:keep])
        return LowRankEdit(factors, meta or {})

    @staticmethod
    def whole(deltas: Mapping[str, Tensor]) -> LowRankEdit:
        """Dense changes (out, in) as they are, beside the identity of their smaller side: no SVD, full rank."""
        factors = {}
        for name, delta in deltas.items():
            one = torch.eye(min(delta.shape), dtype=delta.dtype, device=delta.device)
            factors[name] = (one, delta) if len(one) == delta.shape[0] else (delta, one)
        return LowRankEdit(factors)

    def spectrum(self, name: str) -> Tensor:
        """Singular values, descending, of the change of one matrix."""
        return low_rank_svd(*self.factors[name])[1]


def squared_norm(B: Tensor, A: Tensor) -> float:
    """Squared Frobenius norm of B @ A without forming it: the sum of (B^T B) * (A A^T)."""
    B, A = B.double() if B.device.type != "mps" else B.float(), A.double() if A.device.type != "mps" else A.float()
    return max(0.0, float(((B.mT @ B) * (A @ A.mT)).sum()))


def _change(B: Tensor, A: Tensor, strength: float, rows: slice | None, weight: Tensor) -> Callable[[Forward], Forward]:
    """Wraps a linear map's forward. The factors are only looked at from the other side, and the strength goes into the
    product that is added in place: neither needs memory."""
    At = A.detach().to(weight.device, weight.dtype).t()
    Bt = B.detach().to(weight.device, weight.dtype).t()
    if rows is None:
        return lambda forward: partial(_on_all, forward, At, Bt, strength)
    if rows.step is None and rows.start is not None and rows.start >= 0 and rows.stop == rows.start + 1:
        return lambda forward: partial(_on_one, forward, At, Bt, strength, rows.start)
    return lambda forward: partial(_on_rows, forward, At, Bt, strength, rows)


def _on_all(forward: Forward, At: Tensor, Bt: Tensor, strength: float, inputs: Tensor) -> Tensor:
    output = forward(inputs)
    output.view(-1, Bt.shape[1]).addmm_(torch.mm(inputs.reshape(-1, At.shape[0]), At), Bt, alpha=strength)
    return output


def _on_one(forward: Forward, At: Tensor, Bt: Tensor, strength: float, row: int, inputs: Tensor) -> Tensor:
    output = forward(inputs)
    if output.dim() == 3:  # (batch, tokens, out): one row is a matrix already, which saves two views
        output.select(0, row).addmm_(torch.mm(inputs.select(0, row), At), Bt, alpha=strength)
    else:
        output[row:row + 1].addmm_(torch.mm(inputs[row:row + 1], At), Bt, alpha=strength)
    return output


def _on_rows(forward: Forward, At: Tensor, Bt: Tensor, strength: float, rows: slice, inputs: Tensor) -> Tensor:
    output = forward(inputs)
    output[rows].add_(inputs[rows] @ At @ Bt, alpha=strength)
    return output


def _pair(path: str | Path, tensors: dict[str, Tensor], name: str) -> Factors:
    B, A = tensors.get(f"{name}.B"), tensors.get(f"{name}.A")
    if B is None or A is None or B.dim() != 2 or A.dim() != 2 or B.shape[1] != A.shape[0]:
        raise foreign(path, f"the factors of {name} are missing or do not fit together")
    return B, A
