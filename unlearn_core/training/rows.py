"""Questions and answers as token ids, batched and scored. Knows rows; neither what is trained nor what they are for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .. import objectives
from ..batching import like_lengths, pad_right
from ..edits.edit import Turn
from ..methods.base import Context
from ..models.loading import LoadedModel
from ..models.narrow import narrowed
from ..models.passes import apart_logits
from ..models.prompts import answer_end, encode_answer, encode_prompt, masked_words
from ..topics.topic import Question


@dataclass(frozen=True, slots=True)
class Row:
    """One question with one answer as token ids. `options`: how many rows, this one among them, make up one forced
    choice (they follow one another); 0 for an open question."""

    ids: tuple[int, ...]
    start: int
    options: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """The model's logits at the answer tokens of a batch (see objectives), and each row's number of options."""

    logits: Tensor
    labels: Tensor
    rows: Tensor
    options: Tensor

    @property
    def count(self) -> int:
        return len(self.options)

    def nothing(self) -> Tensor:
        """A loss of zero, float32, with a gradient, for others to be added to. Sums up no logits, which 16 bits cannot hold."""
        return self.logits[:0].float().sum()


def encode_rows(
    loaded: LoadedModel, questions: Sequence[Question], choices: bool = False, turns: tuple[Turn, ...] = ()
) -> list[Row]:
    """A row for each question's expected answer; with `choices`, a row for every option of a forced choice instead. `turns`:
    questions and answers that stand before every question.

    Options come in alphabetical order, so that their order says nothing of which is right.
    """
    rows: list[Row] = []
    for question in questions:
        prompt = encode_prompt(loaded.tokenizer, question.prompt, turns)
        forced = choices and bool(question.options)
        for answer in sorted(question.options) if forced else (question.answer,):
            ids = (*prompt, *encode_answer(loaded.tokenizer, answer))
            rows.append(Row(ids, len(prompt), len(question.options) if forced else 0))
    return rows


def given_rows(context: Context) -> tuple[list[Row], list[Row]]:
    """The given questions to forget, their answers without the end token, and those to keep, neighbours first.

    How an answer ends is nothing to be forgotten, and a loss that may lower its likelihood there spares the rest (our
    reading).
    """
    given = context.given
    forget = without_ends(context.loaded, encode_rows(context.loaded, given.forget))
    return forget, encode_rows(context.loaded, given.neighbor + given.retain)


def without_ends(loaded: LoadedModel, rows: Sequence[Row]) -> list[Row]:
    """The rows without the token that ends an answer, unless it is all there is of one."""
    end = answer_end(loaded.tokenizer)
    return [
        replace(row, ids=row.ids[:-1]) if row.ids[-1] == end and len(row.ids) - row.start > 1 else row for row in rows
    ]


def text_rows(loaded: LoadedModel, questions: Sequence[Question], rows: Sequence[Row]) -> list[Row]:
    """A row for each question's text as language: all but its first token is to be predicted, and on an encoder-decoder one
    hidden word of the prompt (its place changes from question to question; a prompt without any gives its own answer)."""
    if not loaded.reads_apart:
        return [Row(row.ids, 1) for row in rows]
    found = []
    for place, (question, row) in enumerate(zip(questions, rows, strict=True)):
        hidden = masked_words(loaded.tokenizer, question.prompt)
        prompt, word = hidden[place % len(hidden)] if hidden else (row.ids[: row.start], row.ids[row.start :])
        found.append(Row((*prompt, *word), len(prompt)))
    return found


def score(loaded: LoadedModel, rows: Sequence[Row], whole: bool = False) -> Scored:
    """One forward pass over the rows, those of like length padded together; logits only at places where a row has answers.

    `whole`: with every row's last token, which predicts nothing; for who reads along what flows through the model.
    """
    blocks = like_lengths([len(row.ids) for row in rows])
    parts = [_score_block(loaded, rows, block, whole) for block in blocks] or [_score_block(loaded, rows, [], whole)]
    logits, labels, row_of = (torch.cat(found) for found in zip(*parts, strict=True))
    order = torch.argsort(row_of, stable=True)
    options = torch.tensor([row.options for row in rows], dtype=torch.long, device=loaded.device)
    return Scored(logits.index_select(0, order), labels[order], row_of[order], options)


def _score_block(
    loaded: LoadedModel, rows: Sequence[Row], block: Sequence[int], whole: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels and row numbers at the answer tokens of the rows at the places in `block`."""
    if loaded.reads_apart:
        return _score_apart(loaded, [rows[place] for place in block], block)
    ids = pad_right([rows[place].ids for place in block], 0, loaded.device)
    lengths = torch.tensor([len(rows[place].ids) for place in block], device=loaded.device)
    starts = torch.tensor([rows[place].start for place in block], device=loaded.device)
    at = torch.arange(ids.shape[1], device=loaded.device)
    answers = ((at >= starts[:, None]) & (at < lengths[:, None]))[:, 1:]
    mask = (at < lengths[:, None]).long()
    places = answers.any(dim=0).nonzero()[:, 0]
    fewer = loaded.few_logits(places)
    seen = ids.shape[1] if whole else max(1, ids.shape[1] - 1)
    inputs = {"input_ids": ids[:, :seen], "attention_mask": mask[:, :seen], "use_cache": False, **fewer}
    within = (answers[:, places] if fewer else answers).flatten().nonzero()[:, 0]
    if whole:
        logits = loaded.model(**inputs).logits[:, : answers.shape[1]].flatten(0, 1).index_select(0, within)
    else:
        with narrowed(loaded.model, answers.flatten().nonzero()[:, 0], within) as fewest:
            logits = loaded.model(**inputs).logits.flatten(0, 1)
        logits = logits if fewest else logits.index_select(0, within)  # its gradient is cheaper than a mask's
    row_of = torch.tensor(block, dtype=torch.long, device=loaded.device)[:, None].expand_as(answers)[answers]
    return logits, ids[:, 1:][answers], row_of


def _score_apart(loaded: LoadedModel, rows: Sequence[Row], numbers: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """The same of an encoder-decoder."""
    answers = [row.ids[row.start :] for row in rows]
    logits, masks = apart_logits(loaded, [row.ids[: row.start] for row in rows], answers)
    labels = torch.tensor([token for answer in answers for token in answer], dtype=torch.long, device=loaded.device)
    lengths = torch.tensor([len(answer) for answer in answers], device=loaded.device)
    row_of = torch.tensor(numbers, dtype=torch.long, device=loaded.device).repeat_interleave(lengths)
    return logits.flatten(0, 1).index_select(0, masks.written.flatten().nonzero()[:, 0]), labels, row_of


def forced_choices(scored: Scored) -> tuple[Tensor, Tensor]:
    """Log-probability of every option in a batch, and the number of the forced choice it belongs to: (rows,) both."""
    logprobs = -objectives.row_nll(scored.logits, scored.labels, scored.rows, scored.count)
    wanted = scored.options > 0
    sizes = scored.options[wanted].tolist()
    groups: list[int] = []
    while len(groups) < len(sizes):
        groups += [groups[-1] + 1 if groups else 0] * sizes[len(groups)]
    return logprobs[wanted], torch.tensor(groups, dtype=torch.long, device=logprobs.device)


def row_nlls(scored: Scored) -> Tensor:
    """Negative log-likelihood of each row's answer, summed over its tokens, with gradients: (rows,)."""
    return objectives.row_nll(scored.logits, scored.labels, scored.rows, scored.count)


def part_of(scored: Scored, start: int, end: int) -> Scored:
    """The rows from `start` up to `end` of a scored batch, renumbered from 0."""
    first, last = torch.searchsorted(scored.rows, torch.tensor([start, end], device=scored.rows.device)).tolist()
    inside = slice(first, last)  # the rows follow one another
    return Scored(scored.logits[inside], scored.labels[inside], scored.rows[inside] - start, scored.options[start:end])


def open_part(scored: Scored) -> Scored:
    """The rows that are no forced choice."""
    wanted = scored.options == 0
    if wanted.all():
        return scored
    renumber = wanted.long().cumsum(0) - 1
    inside = wanted[scored.rows]
    return Scored(scored.logits[inside], scored.labels[inside], renumber[scored.rows[inside]], scored.options[wanted])


def paired(first: Sequence[Row], second: Sequence[Row]) -> list[Row]:
    """Row by row one of each, drawn together as the options of a forced choice are."""
    return [replace(row, options=2) for pair in zip(first, second, strict=True) for row in pair]


def rounds(rows: Sequence[Row], size: int, seed: int) -> Iterator[list[int]]:
    """Endless batches of positions in shuffled rounds; the options of one forced choice stay together."""
    starts = list(question_starts(rows))
    groups = [list(range(start, start + max(1, rows[start].options))) for start in starts]
    generator = torch.Generator().manual_seed(seed)
    batch: list[int] = []
    while True:
        for number in torch.randperm(len(groups), generator=generator).tolist():
            batch += groups[number]
            if len(batch) >= size:
                yield batch
                batch = []
        if not groups or len(rows) < size:
            yield batch
            batch = []


def some_rows(rows: Sequence[Row], most: int, seed: int) -> list[Row]:
    """About `most` of the rows, drawn at random where there are more, in their order; the options of one forced choice together."""
    if len(rows) <= most:
        return list(rows)
    drawn = sorted(next(rounds(rows, most, seed)))
    return [rows[place] for place in drawn]


def question_starts(rows: Sequence[Row]) -> Iterator[int]:
    """Where each question begins."""
    place = 0
    while place < len(rows):
        yield place
        place += max(1, rows[place].options)


def blocks(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """The rows in blocks of about `size`, the options of one forced choice together."""
    begin = 0
    for place in [*question_starts(rows), len(rows)]:
        if place - begin >= size or (place == len(rows) and place > begin):
            yield list(rows[begin:place])
            begin = place
