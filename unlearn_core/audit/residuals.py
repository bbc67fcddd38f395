"""The residual stream of a model: read after every layer, changed there, or put through the output head. By hooks that are gone
afterwards, whatever happens; no weight is touched. Knows models and subjects; no attack.

Of an encoder-decoder it is the decoder's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..batching import Cancelled, by_length, never
from ..edits.attach import attached
from ..errors import BadInput, Stopped
from ..generation import check_length
from ..models.loading import LoadedModel, linears
from ..models.passes import read_texts
from .subject import Subject

_NUMBER = re.compile(r"^((?:.*?\.)?)(\d+)\.")
_TOKENS = 2048  # padded tokens in one batch
_ROWS = 256


@dataclass(frozen=True)
class Read:
    """A prompt, what of an answer is read after it, and how many of the answer's tokens precede the state that is wanted: 0 is
    the place from which the answer's first token is predicted."""

    prompt: Sequence[int]
    answer: Sequence[int]
    after: int = 0


def blocks(loaded: LoadedModel) -> list[nn.Module]:
    """The layers through which the text that is written goes, first to last. Raises BadInput where they are not to be found."""
    stacks: dict[str, dict[int, None]] = {}
    for name in linears(loaded.model):
        if found := _NUMBER.match(name):
            stacks.setdefault(found[1], {})[int(found[2])] = None
    if loaded.reads_apart:
        stacks = {prefix: numbers for prefix, numbers in stacks.items() if "decoder." in prefix}
    if not stacks:
        raise BadInput("The layers of this model were not found.", "Their names are of a kind unknown here.",
                       "Use a model of the Llama, Qwen, Mistral or Gemma families.", field="model")
    prefix = max(stacks, key=lambda prefix: len(stacks[prefix]))
    return [loaded.model.get_submodule(f"{prefix}{number}") for number in sorted(stacks[prefix])]


@contextmanager
def changed(layers: Sequence[nn.Module], changes: Mapping[int, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Inside the block what leaves a layer, (rows, tokens, width), is what its change makes of it; layers by their place."""
    handles = []
    try:
        for place, change in changes.items():
            handles.append(layers[place].register_forward_hook(_replacing(change)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def states(subject: Subject, wanted: Sequence[Read], cancelled: Cancelled = never) -> Tensor:
    """What leaves every layer at the place asked for in each text: (layers, texts, width), float32. Raises Stopped."""
    loaded = subject.loaded
    layers = blocks(loaded)
    if not wanted:
        return torch.zeros(len(layers), 0, 0)
    lengths = [len(read.prompt) + len(read.answer) for read in wanted]
    check_length(loaded, max(lengths))
    found: list[Tensor | None] = [None] * len(wanted)
    with torch.inference_mode(), attached(loaded.model, subject.edit):
        for batch in by_length(lengths, _ROWS, _TOKENS):
            if cancelled():
                raise Stopped
            chosen = [wanted[place] for place in batch]
            rows = torch.arange(len(batch), device=loaded.device)
            places = torch.tensor([read.after if loaded.reads_apart else len(read.prompt) - 1 + read.after for read in chosen],
                                  device=loaded.device)
            seen: dict[int, Tensor] = {}
            noting = {place: _noting(seen, place, rows, places) for place in range(len(layers))}
            with changed(layers, noting):
                read_texts(loaded, [read.prompt for read in chosen], [read.answer for read in chosen])
            every = torch.stack([seen[place] for place in range(len(layers))], dim=1).float().cpu()
            for place, state in zip(batch, every, strict=True):
                found[place] = state
    return torch.stack(found, dim=1)


def through_head(loaded: LoadedModel, hidden: Tensor, cancelled: Cancelled = never) -> Iterator[Tensor]:
    """The logits (rows, vocabulary) that the model's last norm and head make of states (rows, width), block by block.

    The states take the place of what leaves the last layer in a pass over one token a row, so that whatever the model does
    behind its layers is done to them. Raises Stopped.
    """
    layers = blocks(loaded)
    like = next(loaded.model.parameters())
    for block in hidden.split(_ROWS):
        if cancelled():
            raise Stopped
        put = block.to(like.device, like.dtype)[:, None]
        ids = torch.zeros(len(block), 1, dtype=torch.long, device=loaded.device)
        named = {"decoder_input_ids": ids} if loaded.reads_apart else {}
        with torch.inference_mode(), changed(layers, {len(layers) - 1: lambda output, put=put: put}):
            yield loaded.model(input_ids=ids, use_cache=False, **named).logits[:, -1].float()


def _noting(seen: dict[int, Tensor], place: int, rows: Tensor, at: Tensor) -> Callable[[Tensor], Tensor]:
    def note(output: Tensor) -> Tensor:
        seen[place] = output[rows, at]
        return output

    return note


def _replacing(change: Callable[[Tensor], Tensor]) -> Callable:
    def hook(layer: nn.Module, inputs: tuple, output: Tensor | tuple) -> Tensor | tuple:
        if isinstance(output, tuple):
            return (change(output[0]), *output[1:])
        return change(output)

    return hook
