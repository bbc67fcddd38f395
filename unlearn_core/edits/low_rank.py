"""A change of weights kept apart from the model: one thin product B @ A for each named linear map.

Knows matrices and one file format (safetensors, never pickle); does not know how the change was found.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import BadInput
from ..models.loading import linears
from ..subspace.factors import energy_rank, low_rank_svd, truncate

Factors = tuple[Tensor, Tensor]
KIND = "low-rank"


@dataclass(frozen=True, eq=False)
class LowRankEdit:
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

    @property
    def bytes(self) -> int:
        """Bytes of all factors."""
        return sum(B.nbytes + A.nbytes for B, A in self.factors.values())

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
                raise _misfit(f"this model has no matrix {name}")
            if (B.shape[0], A.shape[1]) != tuple(places[name].weight.shape):
                raise _misfit(f"{name} is {tuple(places[name].weight.shape)}, the edit is {(B.shape[0], A.shape[1])}")

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, complete or not at all."""
        path = Path(path)
        tensors = {f"{name}.{part}": tensor.detach().cpu().contiguous()
                   for name, pair in self.factors.items() for part, tensor in zip("BA", pair, strict=True)}
        partial = path.with_name(path.name + ".part")
        save_file(tensors, partial, metadata={**self.meta, "kind": KIND, "names": "\n".join(self.factors)})
        os.replace(partial, path)

    @staticmethod
    def load(path: str | Path) -> LowRankEdit:
        """Read what `save` wrote; BadInput when the file is absent, damaged or something else."""
        try:
            with safe_open(path, framework="pt") as file:
                meta = dict(file.metadata() or {})
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        except (OSError, SafetensorError) as error:
            raise _foreign(path, str(error)) from error
        if meta.pop("kind", None) != KIND:
            raise _foreign(path, "it is not a low-rank edit")
        names = [name for name in meta.pop("names", "").split("\n") if name]
        return LowRankEdit({name: _pair(path, tensors, name) for name in names}, meta)

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

    def spectrum(self, name: str) -> Tensor:
        """Singular values, descending, of the change of one matrix."""
        return low_rank_svd(*self.factors[name])[1]


def squared_norm(B: Tensor, A: Tensor) -> float:
    """Squared Frobenius norm of B @ A without forming it: the sum of (B^T B) * (A A^T)."""
    B, A = B.double() if B.device.type != "mps" else B.float(), A.double() if A.device.type != "mps" else A.float()
    return max(0.0, float(((B.mT @ B) * (A @ A.mT)).sum()))


def _pair(path: str | Path, tensors: dict[str, Tensor], name: str) -> Factors:
    B, A = tensors.get(f"{name}.B"), tensors.get(f"{name}.A")
    if B is None or A is None or B.dim() != 2 or A.dim() != 2 or B.shape[1] != A.shape[0]:
        raise _foreign(path, f"the factors of {name} are missing or do not fit together")
    return B, A


def _foreign(path: str | Path, why: str) -> BadInput:
    return BadInput(f"The edit {Path(path).name} cannot be read.", f"Reason: {why.rstrip('.')}.",
                    "Give the edit.safetensors of a run made here.", field="edit")


def _misfit(why: str) -> BadInput:
    return BadInput("The edit belongs to another model.", f"Reason: {why}.",
                    "Open it with the model that it was made for.", field="edit")
