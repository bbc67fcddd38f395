"""A causal model's last steps at chosen places alone. Knows module names and places; no row and no loss.

What follows the last layer's attention looks at one place at a time, and a loss on answers looks at the places of answers alone. So
there the last feed-forward block and the output head need to read those places only, where most tokens are prompt. Logits there and
gradients are as of all places, up to the order of sums. Measured on two cores with the built-in model (benchmarks/RESULTS.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .loading import decoder_blocks, feed_forward_blocks, plain_head


@contextmanager
def narrowed(model: nn.Module, block: Tensor, head: Tensor) -> Iterator[bool]:
    """Inside, the last feed-forward block reads only the places `block` of the flattened tokens and gives zeros elsewhere, and the
    output head only the places `head` of what it is given, so that logits are (1, len(head), vocabulary): True.

    Each where the model has it as a module that is known to read one place at a time; False where logits are of all places. A model
    whose own forward is wrapped is left alone: it may see other rows than these.
    """
    last, end = (None, None) if "forward" in model.__dict__ else (_last_block(model), plain_head(model))
    taken = [module for module in (last, end) if module is not None]
    before = [module.__dict__.get("forward") for module in taken]
    if last is not None:
        last.forward = _scattered(last.forward, block)
    if end is not None:
        end.forward = _gathered(end.forward, head)
    try:
        yield end is not None
    finally:
        for module, forward in zip(taken, before, strict=True):
            del module.__dict__["forward"]
            if forward is not None:
                module.forward = forward


def _last_block(model: nn.Module) -> nn.Module | None:
    """The last layer's feed-forward block, where linear maps are all it has of weights: a router or a shift in time looks further
    than one place."""
    blocks, layers = list(feed_forward_blocks(model).values()), decoder_blocks(model)
    if not blocks or not any(blocks[-1] is module for module in layers[-1].modules()):
        return None
    return blocks[-1] if all(map(_one_by_one, blocks[-1].modules())) else None


def _one_by_one(module: nn.Module) -> bool:
    """Whether a part of a feed-forward block looks at one place at a time."""
    if isinstance(module, nn.ModuleList | nn.ModuleDict):
        return False  # experts
    return isinstance(module, nn.Linear) or not list(module.parameters(recurse=False))


def _gathered(forward: Callable[..., Any], places: Tensor) -> Callable[[Tensor], Any]:
    return lambda inputs: forward(inputs.flatten(0, -2).index_select(0, places)[None])


def _scattered(forward: Callable[..., Any], places: Tensor) -> Callable[..., Any]:
    def at_places(inputs: Tensor, *others: Any, **named: Any) -> Any:
        if others or named:  # such as Bloom's residual: of all places as well
            return forward(inputs, *others, **named)
        flat = inputs.flatten(0, -2)
        found = forward(flat.index_select(0, places)[None])[0]
        return torch.zeros_like(flat).index_copy(0, places, found.to(flat.dtype)).view(inputs.shape)

    return at_places
