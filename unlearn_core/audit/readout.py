"""A linear map from one set of states to another, by ridge regression. Pure tensors; knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Readout:
    """x -> W (x − mean) + target: what `fitted` found."""

    weight: Tensor
    mean: Tensor
    target: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        """(rows, width) -> (rows, width)."""
        return (states - self.mean) @ self.weight.T + self.target


def fitted(states: Tensor, targets: Tensor, penalty: float) -> Readout:
    """The affine map that brings `states` (rows, width) nearest to `targets` (rows, width), held near the identity.

    With X and Y centred and s the mean square of X, W − I minimises mean ‖Y − X Wᵀ‖² + penalty · s · ‖W − I‖²: without evidence
    a state is read as it is. Solved among the rows where these are fewer than the dimensions.
    """
    mean, target = states.mean(0), targets.mean(0)
    X = (states - mean).double()
    rest = (targets - target).double() - X
    rows, width = X.shape
    ridge = max(penalty * float(X.square().mean()), 1e-12) * rows
    if rows < width:
        change = X.T @ torch.linalg.solve(X @ X.T + ridge * torch.eye(rows, dtype=X.dtype), rest)
    else:
        change = torch.linalg.solve(X.T @ X + ridge * torch.eye(width, dtype=X.dtype), X.T @ rest)
    return Readout((torch.eye(width, dtype=X.dtype) + change.T).to(states.dtype), mean, target)


def held_out(states: Tensor, targets: Tensor, penalty: float, folds: Sequence[int]) -> Tensor:
    """What each state (rows, width) becomes by a map fitted on the other folds alone; `folds` says which one a row is in."""
    places = torch.tensor(folds)
    found = torch.empty_like(targets)
    for fold in places.unique():
        inside = places == fold
        found[inside] = fitted(states[~inside], targets[~inside], penalty)(states[inside])
    return found
