"""Answers, token by token. Knows token ids and one tokenizer's text; judges nothing.

A bare loop over the model's forward with a key-value cache: the hub library's own `generate` costs more than a small
model does. Rows that have ended leave the batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from .batching import Cancelled, OnBatch, by_length, never
from .cached import ApartSteps, Steps, steps_of
from .edits.attach import Attachment
from .edits.edit import Edit
from .errors import BadInput, Stopped
from .models.loading import LoadedModel
from .models.prompts import encode_prompt, end_ids

_ROWS = 128  # rows generated together
_PREFILL_TOKENS = 8192  # padded prompt tokens in one batch
_UNFINISHED = "\ufffd"  # what a tokenizer writes for half a character


@dataclass(frozen=True, slots=True)
class PairChunk:
    """Both answers so far, in full. `tokens`: steps done; `seconds`: since the first; done: that answer has ended.

    `reference`: what a model that never saw the topic says so far, None where none was asked.
    """

    original: str
    edited: str
    original_done: bool
    edited_done: bool
    tokens: int
    seconds: float
    reference: str | None = None
    reference_done: bool = True

    @property
    def done(self) -> bool:
        return self.original_done and self.edited_done and self.reference_done


def generate(loaded: LoadedModel, prompts: Sequence[Sequence[int]], max_tokens: int | Sequence[int] = 24,
             temperature: float = 0.0, seed: int = 0, cancelled: Cancelled = never,
             on_batch: OnBatch | None = None, begun: Sequence[Sequence[int]] | None = None) -> list[list[int]]:
    """New token ids for each prompt, in the order given, without the end token.

    A row ends at an end token, at a line break after some text, or at `max_tokens` (one number, or one a prompt).
    Temperature 0 is greedy; otherwise each prompt draws its own noise from `seed` and its place in the list, whatever
    the batches. `begun`: tokens that each answer has already. Raises Stopped when `cancelled()` says so, checked
    before each batch and each step.
    """
    limits = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else list(max_tokens)
    answers: list[list[int]] = [[] for _ in prompts]
    finished = 0
    stop = AnswerEnds(loaded)
    begun = begun or [()] * len(prompts)
    if not loaded.reads_apart:
        prompts = [[*prompt, *start] for prompt, start in zip(prompts, begun, strict=True)]
    for batch in _batches(loaded, prompts, begun):
        noise = _Noise(temperature, [seed * 1_000_003 + index for index in batch]) if temperature > 0 else None
        steps = steps_of(loaded, [prompts[i] for i in batch], [begun[i] for i in batch])
        rows = _answer_batch(loaded, steps, [limits[i] for i in batch], stop, noise, cancelled)
        for index, row in zip(batch, rows, strict=True):
            answers[index] = row
        finished += len(batch)
        if on_batch is not None:
            on_batch(finished, len(prompts))
    return answers


def stream_pair(loaded: LoadedModel, edit: Edit | None, question: str, strength: float = 1.0,
                max_tokens: int = 60, temperature: float = 0.0, seed: int = 0,
                cancelled: Cancelled = never) -> Iterator[PairChunk]:
    """The original's and the unlearned model's answers to one question, together, one chunk a token.

    A batch of two rows with the edit on the second. With a temperature both rows draw the same noise, so equal
    distributions give equal answers. Ends when both have ended, at `max_tokens`, or on `cancelled()`. The edit is
    switched on only while the model computes, never between chunks.
    """
    prompts = [encode_prompt(loaded.tokenizer, question, turns)
               for turns in ((), edit.turns(strength) if edit is not None else ())]
    check_length(loaded, len(prompts[0]) and max(map(len, prompts)) + max_tokens)
    switched_on, started = Attachment(loaded.model, edit, strength, slice(1, 2)), time.perf_counter()
    for texts, done, count in _streamed(loaded, prompts, switched_on, max_tokens, temperature, seed, cancelled):
        yield PairChunk(*texts, *done, count, time.perf_counter() - started)


def with_reference(pair: Iterator[PairChunk], reference: LoadedModel, question: str, max_tokens: int = 60,
                   temperature: float = 0.0, seed: int = 0, cancelled: Cancelled = never) -> Iterator[PairChunk]:
    """The chunks of a pair with what a third model answers, token for token beside them; goes on until all three have ended.

    With a temperature it draws the noise that the pair draws. It waits for no one: where the pair has ended first, its last
    chunk stays.
    """
    prompt = encode_prompt(reference.tokenizer, question)
    alone = _streamed(reference, [prompt], Attachment(reference.model, None), max_tokens, temperature, seed, cancelled)
    chunk, said, ended = None, "", False
    for both, third in zip_longest(pair, alone):
        chunk = both or chunk
        if third is not None:
            (said,), (ended,), _ = third
        if chunk is not None:
            yield replace(chunk, reference=said, reference_done=ended)


def _streamed(loaded: LoadedModel, prompts: list[list[int]], switched_on: Attachment, max_tokens: int, temperature: float,
              seed: int, cancelled: Cancelled) -> Iterator[tuple[list[str], list[bool], int]]:
    """(answers so far, which of them have ended, tokens) for each prompt, after every token. All draw the same noise."""
    ends = end_ids(loaded.tokenizer, loaded.model)
    texts = [_GrowingText(loaded.tokenizer) for _ in prompts]
    steps = steps_of(loaded, prompts, [()] * len(prompts))
    noise = _Noise(temperature, [seed]) if temperature > 0 else None
    done = [False] * len(prompts)
    for count in range(1, max_tokens + 1):
        if cancelled():
            return
        with switched_on:
            logits = steps.forward()
        chosen = _choose(logits, noise)
        steps.append(chosen)
        for row, token in enumerate(chosen.tolist()):
            done[row] = done[row] or token in ends
            if not done[row]:
                texts[row].add(token)
        last = all(done) or count == max_tokens
        yield [text.shown(last) for text in texts], [ended or last for ended in done], count
        if last:
            return


def check_length(loaded: LoadedModel, tokens: int) -> None:
    """Raise BadInput when a prompt and its answer are longer than the model can read, or empty."""
    if tokens <= 0:
        raise BadInput("There is nothing to answer.", "The question is empty.", "Type a question.", field="question")
    if loaded.context is not None and tokens > loaded.context:
        raise BadInput(f"The question and its answer take {tokens} tokens.",
                       f"The model reads at most {loaded.context}.", "Shorten the question, or ask for a shorter answer.",
                       field="question")


def _batches(loaded: LoadedModel, prompts: Sequence[Sequence[int]], begun: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Prompts of like length together; of an encoder-decoder those whose answers have begun equally far."""
    groups = [list(range(len(prompts)))]
    if loaded.reads_apart:
        lengths = sorted({len(tokens) for tokens in begun})
        groups = [[place for place in groups[0] if len(begun[place]) == length] for length in lengths]
    for group in groups:
        for batch in by_length([len(prompts[place]) for place in group], _ROWS, _PREFILL_TOKENS):
            yield [group[place] for place in batch]


class _Noise:
    """Gumbel noise for sampling by argmax: one stream a seed, so that a row's draws do not depend on its batch."""

    def __init__(self, temperature: float, seeds: Sequence[int]) -> None:
        self.temperature = temperature
        self._streams = [torch.Generator().manual_seed(seed % 2**63) for seed in seeds]

    def draw(self, size: int, device: torch.device) -> Tensor:
        """(streams, size)."""
        uniform = torch.stack([torch.rand(size, generator=stream) for stream in self._streams])
        return -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7))).to(device)

    def keep(self, rows: Sequence[int]) -> None:
        self._streams = [self._streams[row] for row in rows]


class AnswerEnds:
    """Where an answer ends: at an end token always, at a line break once some text has come."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._tokenizer = loaded.tokenizer
        self.ids = end_ids(loaded.tokenizer, loaded.model)
        self._pieces: dict[int, tuple[bool, bool]] = {}

    def within(self, tokens: Sequence[int]) -> int | None:
        """How many tokens belong to the answer when it ends among these; None when it goes on."""
        begun = False
        for count, token in enumerate(tokens):
            if token in self.ids:
                return count
            line_break, visible = self.piece(token)
            begun = begun or visible
            if line_break and begun:
                return count + 1
        return None

    def piece(self, token: int) -> tuple[bool, bool]:
        """(a line break lies in the token, something visible lies in it)."""
        if token not in self._pieces:
            text = self._tokenizer.decode([token], skip_special_tokens=True)
            self._pieces[token] = ("\n" in text, bool(text.strip()))
        return self._pieces[token]


class _GrowingText:
    """Text of a growing list of tokens; half a character is held back until it is whole."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer, self._ids, self._text = tokenizer, [], ""

    def add(self, token: int) -> None:
        self._ids.append(token)
        self._text = self._tokenizer.decode(self._ids, skip_special_tokens=True)

    def shown(self, last: bool) -> str:
        return (self._text if last else self._text.rstrip(_UNFINISHED)).strip()


def _choose(logits: Tensor, noise: _Noise | None) -> Tensor:
    if noise is None:
        return logits.argmax(-1)
    scaled = logits.float() / noise.temperature
    return (scaled + noise.draw(logits.shape[-1], logits.device)).argmax(-1)


def _answer_batch(loaded: LoadedModel, steps: Steps | ApartSteps, limits: list[int], stop: AnswerEnds,
                  noise: _Noise | None, cancelled: Cancelled) -> list[list[int]]:
    answers: list[list[int]] = [[] for _ in limits]
    begun = [False] * len(limits)  # whether anything visible has come
    active = [row for row, limit in enumerate(limits) if limit > 0]
    if not active:
        return answers
    rows = list(range(len(limits)))
    while active:
        if cancelled():
            raise Stopped
        chosen = _choose(steps.forward(), noise)
        tokens = dict(zip(rows, chosen.tolist(), strict=True))
        steps.append(chosen)
        active = [row for row in active if _goes_on(tokens[row], answers[row], begun, row, limits[row], stop)]
        if active and len(active) <= 0.75 * len(rows):
            places = [rows.index(row) for row in active]
            if steps.keep(torch.tensor(places, device=loaded.device)):
                rows = active
                if noise is not None:
                    noise.keep(places)
    return answers


def _goes_on(token: int, answer: list[int], begun: list[bool], row: int, limit: int, stop: AnswerEnds) -> bool:
    """Add a token to its answer; False when the answer ends there."""
    if token in stop.ids:
        return False
    answer.append(token)
    line_break, visible = stop.piece(token)
    ended = line_break and (begun[row] or visible)
    begun[row] = begun[row] or visible
    return not ended and len(answer) < limit
