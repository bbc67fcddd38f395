"""An edit switched on for a while, on all rows of a batch or some. The weights stay untouched; knows no question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from ..models.loading import linears
from .low_rank import LowRankEdit

Forward = Callable[[Tensor], Tensor]


@contextmanager
def attached(model: nn.Module, edit: LowRankEdit | None, strength: float = 1.0,
             rows: slice | None = None) -> Iterator[None]:
    """Inside the block every edited linear map gives W x + strength * B A x on the chosen `rows` of the batch.

    The other rows are bit for bit the original's. Strength 0 or no edit attaches nothing. Blocks nest: their edits
    add up. Raises BadInput where the edit does not fit the model.
    """
    with Attachment(model, edit, strength, rows):
        yield


class Attachment:
    """The same, prepared once and entered many times: entering costs about a microsecond a matrix.

    The edit's own factors are used, not copies of them, unless they lie on another device or in another number format
    than the model does when this is made. Each linear map's `forward` is wrapped while inside: measured on a model of
    2 M parameters, wrapping costs half of what forward hooks do. Blocks must be left in the reverse order.
    """

    def __init__(self, model: nn.Module, edit: LowRankEdit | None, strength: float = 1.0,
                 rows: slice | None = None) -> None:
        self._changes: list[tuple[nn.Module, Callable[[Forward], Forward]]] = []
        self._before: list[list[Forward | None]] = []
        if edit is None or strength == 0:
            return
        edit.check(model)
        places = linears(model)
        for name, (B, A) in edit.factors.items():
            if A.shape[0]:
                self._changes.append((places[name], _change(B, A, strength, rows, places[name].weight)))

    def __enter__(self) -> Attachment:
        self._before.append([module.__dict__.get("forward") for module, _ in self._changes])
        for module, change in self._changes:
            module.__dict__["forward"] = change(module.forward)
        return self

    def __exit__(self, *error: object) -> None:
        for (module, _), before in zip(self._changes, self._before.pop(), strict=True):
            if before is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = before


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
