"""Hidden states of one model put into another, layer by layer, at an answer. Knows models and token ids; judges nothing.

States are the outputs of whole layers at the places that predict an answer's tokens: the last token of the prompt and all of the
answer but its last (of an encoder-decoder, what its decoder has read before each). Our reading of "the span": patched at the last
layer, the answer is as likely as the other model finds it through the original's own head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..batching import Cancelled, never
from ..config import KEEP_SPLITS
from ..edits.attach import attached
from ..edits.edit import Edit
from ..errors import Stopped
from ..models.loading import LoadedModel, decoder_blocks
from ..scoring import Pair, answer_logits, score_batches
from ..topics.topic import Question, Topic
from ..training import encode_rows, without_ends
from ..version import code_version
from .imprint import Imprint
from .references import topic_hash

KEPT = 100  # questions of each split to keep, by which an imprint tells how far two models have drifted apart


@dataclass(frozen=True)
class Donor:
    """Where the states come from: a model of the same shape, with or without an edit on it."""

    loaded: LoadedModel
    edit: Edit | None = None


def imprint_of(loaded: LoadedModel, reference: LoadedModel, topic: Topic, cancelled: Cancelled = never) -> Imprint:
    """What each layer of `loaded` holds of the scored forget questions that `reference` never saw. Raises Stopped."""
    forget = topic.scored("forget")
    found = drops(loaded, Donor(reference), forget, cancelled)
    both_know = drops(loaded, Donor(reference), [q for split in KEEP_SPLITS for q in topic.scored(split)[:KEPT]], cancelled)
    items = {question.id: row for question, row in zip(forget, found, strict=True)}
    kept = tuple(sum(layer) / len(layer) for layer in zip(*both_know, strict=True))
    return Imprint(loaded.weights_hash, reference.weights_hash, topic_hash(topic), code_version(), items, kept)


def drops(loaded: LoadedModel, donor: Donor, questions: Sequence[Question],
          cancelled: Cancelled = never) -> list[tuple[float, ...]]:
    """(questions, layers): by how much the mean log-probability a token of each expected answer, its end left out, falls in
    `loaded` when a layer's states are the donor's (nats). As many passes as layers, and two. Raises Stopped.

    The donor may read more before the question; its answers are the same tokens, so that the places still answer each other.
    """
    turns = donor.edit.turns() if donor.edit is not None else ()
    own, given = _pairs(loaded, questions, ()), _pairs(loaded, questions, turns)
    found: list[tuple[float, ...]] = [()] * len(own)
    for batch in score_batches(loaded, given):
        if cancelled():
            raise Stopped
        with attached(donor.loaded.model, donor.edit):
            states = _states(donor.loaded, [given[place] for place in batch])
        chosen = [own[place] for place in batch]
        plain = _means(loaded, chosen)
        patched = []
        for layer, state in enumerate(states):
            if cancelled():
                raise Stopped
            with _patched(loaded, layer, state, _places(loaded, chosen)):
                patched.append(_means(loaded, chosen))
        for place, row in zip(batch, (plain - torch.stack(patched)).T.tolist(), strict=True):
            found[place] = tuple(row)
    return found


def _pairs(loaded: LoadedModel, questions: Sequence[Question], turns: tuple) -> list[Pair]:
    rows = without_ends(loaded, encode_rows(loaded, questions, turns=turns))
    return [(row.ids[: row.start], row.ids[row.start :]) for row in rows]


def _places(loaded: LoadedModel, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """(rows, positions) of a padded batch that predict the answers' tokens, row after row."""
    lengths = torch.tensor([len(answer) for _, answer in pairs])
    begin = [0 if loaded.reads_apart else len(prompt) - 1 for prompt, _ in pairs]
    at = torch.cat([torch.arange(start, start + len(answer)) for start, (_, answer) in zip(begin, pairs, strict=True)])
    return torch.arange(len(pairs)).repeat_interleave(lengths).to(loaded.device), at.to(loaded.device)


@torch.inference_mode()
def _states(loaded: LoadedModel, pairs: Sequence[Pair]) -> list[Tensor]:
    """By layer the states (answer tokens of all rows, width), of the model as it stands."""
    places, found = _places(loaded, pairs), []

    def take(module: nn.Module, inputs: tuple, output: Any) -> None:
        found.append(_hidden(output)[places])

    with _hooks(decoder_blocks(loaded.model), take):
        answer_logits(loaded, pairs, [len(answer) for _, answer in pairs])
    return found


@torch.inference_mode()
def _means(loaded: LoadedModel, pairs: Sequence[Pair]) -> Tensor:
    """Mean log-probability a token of each answer, (rows,), double."""
    lengths = [len(answer) for _, answer in pairs]
    target = torch.tensor([token for _, answer in pairs for token in answer], device=loaded.device)
    nll = torch.nn.functional.cross_entropy(answer_logits(loaded, pairs, lengths).float(), target, reduction="none")
    return torch.stack([-part.mean() for part in nll.cpu().double().split(lengths)])


@contextmanager
def _patched(loaded: LoadedModel, layer: int, state: Tensor, places: tuple[Tensor, Tensor]) -> Iterator[None]:
    """Inside the block one layer gives `state` at those places, and its own everywhere else."""
    def put(module: nn.Module, inputs: tuple, output: Any) -> Any:
        hidden = _hidden(output).clone()
        hidden[places] = state.to(hidden.device, hidden.dtype)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    with _hooks(decoder_blocks(loaded.model)[layer : layer + 1], put):
        yield


@contextmanager
def _hooks(modules: Sequence[nn.Module], hook: Callable) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hidden(output: Any) -> Tensor:
    """A layer's states; some give more beside them."""
    return output[0] if isinstance(output, tuple) else output
