"""How far a model has moved from its original on given text: the KL divergence over answer tokens, in nats.

KL(original || model) at every answer token, the end of the answer among them, and the mean of that over all tokens of all
rows; prompt and padding do not count. Knows questions and edits; no method.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from math import nan

import torch
from torch import Tensor

from ..batching import Cancelled, never
from ..edits.attach import attached
from ..edits.edit import Edit, Turn
from ..models.loading import LoadedModel
from ..objectives import kl_to
from ..topics.topic import Given, Question
from ..training import Row, encode_rows, score

BATCH = 128  # rows in one forward pass
SAMPLE = 64  # questions of the fixed sample
HELD = 2**27  # numbers of original distributions that may be held at once: half a gibibyte


def kept_text(given: Given) -> tuple[Question, ...]:
    """The given questions that must stay as they are."""
    return given.neighbor + given.retain


@torch.no_grad()
def kl_to_original(
    loaded: LoadedModel, edit: Edit | None, questions: Sequence[Question], cancelled: Cancelled = never, strength: float = 1.0
) -> float | None:
    """Mean KL over the answer tokens of all questions with the edit on; None without questions, or once stopped.

    Both distributions of a batch are computed one after the other, so nothing of the vocabulary's size is kept.
    """
    total, tokens = 0.0, 0
    turns = edit.turns(strength) if edit is not None else ()
    pairs = _batches(encode_rows(loaded, questions)), _batches(encode_rows(loaded, questions, turns=turns))
    for plain, rows in zip(*pairs, strict=True):
        if cancelled():
            return None
        before = _logprobs(loaded, plain)
        with attached(loaded.model, edit, strength):
            after = score(loaded, rows).logits
        total += float(kl_to(before, after)) * len(after)
        tokens += len(after)
    return total / tokens if tokens else None


def meter(
    loaded: LoadedModel, questions: Sequence[Question], cancelled: Cancelled = never
) -> Callable[[Edit, float], float]:
    """`kl_to_original` as a function of an edit and a strength, to be asked often; NaN without questions, or once stopped.

    The original's distributions are held where they are few enough, and computed anew each time where not. Must be made
    while nothing is active on the model.
    """
    tokens = sum(len(row.ids) - row.start for row in encode_rows(loaded, questions))
    held = Gauge(loaded, questions, len(questions)) if 0 < tokens * loaded.model.config.vocab_size <= HELD else None

    def read(edit: Edit, strength: float = 1.0) -> float:
        if held is not None and not cancelled():
            return held.of(edit, strength)
        found = kl_to_original(loaded, edit, questions, cancelled, strength)
        return nan if found is None else found

    return read


class Gauge:
    """The same measure on a fixed sample of questions whose original distributions are held, so that it can be read
    while something is active on the model. Must be made while nothing is."""

    def __init__(self, loaded: LoadedModel, questions: Sequence[Question], size: int = SAMPLE, seed: int = 0) -> None:
        picked = random.Random(seed).sample(range(len(questions)), min(size, len(questions)))
        self._questions = [questions[place] for place in sorted(picked)]
        self._loaded, self._batches = loaded, list(_batches(encode_rows(loaded, self._questions)))
        with torch.no_grad():
            self._held = [_logprobs(loaded, batch) for batch in self._batches]

    def __bool__(self) -> bool:
        """Whether there is anything to measure on."""
        return bool(self._batches)

    @torch.no_grad()
    def read(self, turns: tuple[Turn, ...] = ()) -> float:
        """The divergence of the model as it stands, `turns` standing before every question."""
        batches = _batches(encode_rows(self._loaded, self._questions, turns=turns)) if turns else self._batches
        parts = [score(self._loaded, batch).logits for batch in batches]
        sums = [float(kl_to(held, part)) * len(part) for held, part in zip(self._held, parts, strict=True)]
        return sum(sums) / max(1, sum(len(part) for part in parts))

    def of(self, edit: Edit, strength: float = 1.0) -> float:
        """The divergence of the model with an edit on."""
        with attached(self._loaded.model, edit, strength):
            return self.read(edit.turns(strength))


def _logprobs(loaded: LoadedModel, rows: Sequence[Row]) -> Tensor:
    return torch.log_softmax(score(loaded, rows).logits.float(), dim=-1)


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
