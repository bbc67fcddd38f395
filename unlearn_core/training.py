"""One trainer for every method that learns a change of weights. Knows rows of token ids and losses; no method by name.

A `Change` is a set of thin trainable products beside frozen weights: hooks add their output while it is active, so no
copy of the weights and no gradient of their size is ever made, and the base weights are never written to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import objectives
from .batching import Cancelled, like_lengths, never, pad_right
from .edits.attach import attached
from .edits.low_rank import LowRankEdit
from .events import Loss
from .methods.base import Context, Snapshot
from .models.loading import LoadedModel, linears, matrix_place
from .models.prompts import encode_answer, encode_prompt
from .topics.topic import Question

KEPT_BYTES = 2**29  # of the original's log-probabilities


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


class Change(nn.Module):
    """ΔW = U · A for each named linear map: U (out, k) is trained and starts at zero.

    With `directions` the rows of A (k, in) are given and fixed; with `rank` A is LoRA's, random at first and trained too
    (Hu et al. 2021).
    """

    def __init__(
        self, model: nn.Module, directions: dict[str, Tensor] | None = None, rank: int | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        if (directions is None) == (rank is None):
            raise ValueError("give either directions or a rank")
        places = linears(model)
        self.names = list(directions) if directions is not None else list(places)
        self._places = [places[name] for name in self.names]
        generator = torch.Generator().manual_seed(seed)
        self.left, self.right = nn.ParameterList(), nn.ParameterList()
        for name, place in zip(self.names, self._places, strict=True):
            weight = place.weight
            if directions is not None:
                right = directions[name].to(weight.device, torch.float32)
            else:
                right = (torch.randn(rank, weight.shape[1], generator=generator) / weight.shape[1] ** 0.5).to(
                    weight.device
                )
            self.right.append(nn.Parameter(right, requires_grad=directions is None))
            self.left.append(nn.Parameter(torch.zeros(weight.shape[0], len(right), device=weight.device)))

    @classmethod
    def whole(cls, model: nn.Module, seed: int = 0) -> Change:
        """A change of full rank: every input direction of every map may be used."""
        sizes = {name: place.weight.shape[1] for name, place in linears(model).items()}
        return cls(model, {name: torch.eye(size) for name, size in sizes.items()}, seed=seed)

    def layers(self) -> dict[int, list[str]]:
        """The maps' names by layer, first layer first."""
        found: dict[int, list[str]] = {}
        for name in self.names:
            found.setdefault(matrix_place(name)[0], []).append(name)
        return dict(sorted(found.items()))

    def train_only(self, names: Sequence[str]) -> None:
        """Freeze every matrix but these."""
        for name, left in zip(self.names, self.left, strict=True):
            left.requires_grad_(name in names)

    def deltas(self) -> dict[str, Tensor]:
        """The changes (out, in), with gradients."""
        return {name: left @ right for name, left, right in zip(self.names, self.left, self.right, strict=True)}

    def edit(self) -> LowRankEdit:
        """The change as it stands, as an edit that shares no memory with it."""
        return LowRankEdit(
            {
                name: (left.detach().clone(), right.detach().clone())
                for name, left, right in zip(self.names, self.left, self.right, strict=True)
            }
        )

    @contextmanager
    def active(self) -> Iterator[None]:
        """Inside the block the model computes W x + U A x, with gradients for the trained factors."""
        handles = [
            place.register_forward_hook(_addition(left, right))
            for place, left, right in zip(self._places, self.left, self.right, strict=True)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _addition(left: Tensor, right: Tensor) -> Callable:
    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        change = functional.linear(functional.linear(inputs[0].to(right.dtype), right), left)
        return output + change.to(output.dtype)

    return add


def encode_rows(loaded: LoadedModel, questions: Sequence[Question], choices: bool = False) -> list[Row]:
    """A row for each question's expected answer; with `choices`, a row for every option of a forced choice instead.

    Options come in alphabetical order, so that their order says nothing of which is right.
    """
    rows: list[Row] = []
    for question in questions:
        prompt = encode_prompt(loaded.tokenizer, question.prompt)
        forced = choices and bool(question.options)
        for answer in sorted(question.options) if forced else (question.answer,):
            ids = (*prompt, *encode_answer(loaded.tokenizer, answer))
            rows.append(Row(ids, len(prompt), len(question.options) if forced else 0))
    return rows


def score(loaded: LoadedModel, rows: Sequence[Row]) -> Scored:
    """One forward pass over the rows, those of like length padded together; logits only at places where a row has answers."""
    blocks = like_lengths([len(row.ids) for row in rows])
    parts = [_score_block(loaded, rows, block) for block in blocks] or [_score_block(loaded, rows, [])]
    logits, labels, row_of = (torch.cat(found) for found in zip(*parts, strict=True))
    order = torch.argsort(row_of, stable=True)
    options = torch.tensor([row.options for row in rows], dtype=torch.long, device=loaded.device)
    return Scored(logits[order], labels[order], row_of[order], options)


def _score_block(loaded: LoadedModel, rows: Sequence[Row], block: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels and row numbers at the answer tokens of the rows at the places in `block`."""
    ids = pad_right([rows[place].ids for place in block], 0, loaded.device)
    lengths = torch.tensor([len(rows[place].ids) for place in block], device=loaded.device)
    starts = torch.tensor([rows[place].start for place in block], device=loaded.device)
    at = torch.arange(ids.shape[1], device=loaded.device)
    answers = ((at >= starts[:, None]) & (at < lengths[:, None]))[:, 1:]
    mask = (at < lengths[:, None]).long()
    places = answers.any(dim=0).nonzero()[:, 0]
    fewer = loaded.few_logits(places)
    logits = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False, **fewer).logits
    logits = (logits if fewer else logits[:, places]).flatten(0, 1)
    logits = logits.index_select(0, answers[:, places].flatten().nonzero()[:, 0])  # its gradient is cheaper than a mask's
    row_of = torch.tensor(block, dtype=torch.long, device=loaded.device)[:, None].expand_as(answers)[answers]
    return logits, ids[:, 1:][answers], row_of


def forced_choices(scored: Scored) -> tuple[Tensor, Tensor]:
    """Log-probability of every option in a batch, and the number of the forced choice it belongs to: (rows,) both."""
    logprobs = -objectives.row_nll(scored.logits, scored.labels, scored.rows, scored.count)
    wanted = scored.options > 0
    sizes = scored.options[wanted].tolist()
    groups: list[int] = []
    while len(groups) < len(sizes):
        groups += [groups[-1] + 1 if groups else 0] * sizes[len(groups)]
    return logprobs[wanted], torch.tensor(groups, dtype=torch.long, device=logprobs.device)


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train. Rows are drawn in shuffled rounds with the run's seed.

    `decay`: each step takes this many times the learning rate off every trained value (Loshchilov and Hutter 2019).
    """

    steps: int
    rate: float
    decay: float = 0.0
    forget_rows: int = 32
    retain_rows: int = 40
    snapshots: int = 30
    warmup: int = 5


def train(
    context: Context,
    change: Change,
    plan: Plan,
    forget: Sequence[Row],
    retain: Sequence[Row],
    forget_loss: Callable[[Scored], Tensor] | None,
    retain_loss: Callable[[Scored, Sequence[int]], Tensor] | None,
    penalty: Callable[[dict[str, Tensor]], Tensor] | None = None,
    more_forget: Callable[[], Sequence[Row]] | None = None,
) -> Iterator[Loss | Snapshot]:
    """Train the change in place. Asks `context.cancelled` before every step and returns early once it says so.

    `forget_loss` and `retain_loss` turn a scored batch into a scalar to minimise (weights included); `retain_loss` also
    gets the positions in `retain` that the batch holds. `penalty` is added for the deltas as they are. `more_forget` is asked
    once, after half of the steps and with the change active, for rows that join those to forget.
    """
    trained = [parameter for parameter in change.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=plan.rate, betas=(0.9, 0.95), weight_decay=plan.decay)
    draw_forget, draw_retain = (
        _rounds(forget, plan.forget_rows, context.seed),
        _rounds(retain, plan.retain_rows, context.seed + 1),
    )
    for step in range(plan.steps):
        if context.cancelled():
            return
        if more_forget is not None and step == plan.steps // 2:
            with change.active():
                forget = [*forget, *more_forget()]
            draw_forget = _rounds(forget, plan.forget_rows, context.seed + 2)
        for group in optimiser.param_groups:
            group["lr"] = (
                plan.rate * min(1.0, (step + 1) / plan.warmup) * (1 + math.cos(math.pi * step / plan.steps)) / 2
            )
        parts = _losses(
            context.loaded,
            change,
            forget,
            retain,
            next(draw_forget),
            next(draw_retain),
            forget_loss,
            retain_loss,
            penalty,
        )
        sum(part for part in parts if part is not None).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        yield Loss(step + 1, plan.steps, *(None if part is None else float(part.detach()) for part in parts[:2]))
        if (step + 1) % max(1, plan.steps // plan.snapshots) == 0:
            with attached(context.loaded.model, change.edit()):
                yield Snapshot(step + 1, plan.steps)


def _losses(loaded, change, forget, retain, chosen, kept, forget_loss, retain_loss, penalty) -> list[Tensor | None]:
    """Forget loss, retain loss and penalty of one step, from one forward pass over both kinds of rows where both are used."""
    use_forget, use_retain = forget_loss is not None and bool(chosen), retain_loss is not None and bool(kept)
    rows = ([forget[place] for place in chosen] if use_forget else []) + (
        [retain[place] for place in kept] if use_retain else []
    )
    with change.active():
        scored = score(loaded, rows)
    split = len(chosen) if use_forget else 0
    first = forget_loss(part_of(scored, 0, split)) if use_forget else None
    second = retain_loss(part_of(scored, split, scored.count), kept) if use_retain else None
    return [first, second, penalty(change.deltas()) if penalty is not None else None]


def part_of(scored: Scored, start: int, end: int) -> Scored:
    """The rows from `start` up to `end` of a scored batch, renumbered from 0."""
    first, last = torch.searchsorted(scored.rows, torch.tensor([start, end], device=scored.rows.device)).tolist()
    inside = slice(first, last)  # the rows follow one another
    return Scored(scored.logits[inside], scored.labels[inside], scored.rows[inside] - start, scored.options[start:end])


def _rounds(rows: Sequence[Row], size: int, seed: int) -> Iterator[list[int]]:
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


def open_part(scored: Scored) -> Scored:
    """The rows that are no forced choice."""
    wanted = scored.options == 0
    if wanted.all():
        return scored
    renumber = wanted.long().cumsum(0) - 1
    inside = wanted[scored.rows]
    return Scored(scored.logits[inside], scored.labels[inside], renumber[scored.rows[inside]], scored.options[wanted])


def reference_logprobs(loaded: LoadedModel, rows: Sequence[Row], batch: int = 128) -> Callable[[Sequence[int]], Tensor]:
    """The original's log-probabilities at answer tokens: positions in `rows` -> (tokens, vocabulary).

    Computed once and kept while all of them fit in KEPT_BYTES; with a vocabulary too large for that, anew for each call,
    which must then not come while a change is active.
    """
    if 4 * loaded.model.config.vocab_size * sum(len(row.ids) - row.start for row in rows) > KEPT_BYTES:
        return lambda places: _logprobs(loaded, [rows[place] for place in places])[0]
    kept: list[Tensor] = []
    for start in range(0, len(rows), batch):
        logprobs, lengths = _logprobs(loaded, rows[start : start + batch])
        kept += logprobs.split(lengths)
    return lambda places: torch.cat([kept[place] for place in places])


@torch.no_grad()
def _logprobs(loaded: LoadedModel, rows: Sequence[Row]) -> tuple[Tensor, list[int]]:
    """Log-probabilities at the answer tokens of all rows, and how many of them each row has."""
    scored = score(loaded, rows)
    return torch.log_softmax(scored.logits.float(), dim=-1), objectives.row_lengths(scored.rows, scored.count).tolist()


def loss_of(
    context: Context, edit: LowRankEdit, rows: Sequence[Row], loss: Callable[[Scored], Tensor], batch: int = 128
) -> float:
    """The mean of a forget loss over all rows with the edit on; forced choices are kept whole."""
    total = 0.0
    with torch.no_grad(), attached(context.loaded.model, edit):
        for part in _blocks(rows, batch):
            total += float(loss(score(context.loaded, part))) * len(part)
    return total / max(1, len(rows))


def greedy_share(context: Context, edit: LowRankEdit | None, rows: Sequence[Row], batch: int = 128) -> float:
    """Share of rows whose every answer token is the model's first choice, with the edit on."""
    right = 0
    with torch.no_grad(), attached(context.loaded.model, edit):
        for part in _blocks(rows, batch):
            scored = score(context.loaded, part)
            misses = (scored.logits.argmax(-1) != scored.labels).long()
            right += int(
                (
                    torch.zeros(scored.count, dtype=torch.long, device=misses.device).index_add(0, scored.rows, misses)
                    == 0
                ).sum()
            )
    return right / max(1, len(rows))


@torch.no_grad()
def answer_chances(
    loaded: LoadedModel, rows: Sequence[Row], batch: int = 256, cancelled: Cancelled = never
) -> list[float]:
    """The probability of each row's whole answer; stopped, of the first rows only."""
    found: list[float] = []
    for start in range(0, len(rows), batch):
        if cancelled():
            break
        scored = score(loaded, rows[start : start + batch])
        found += (-objectives.row_nll(scored.logits, scored.labels, scored.rows, scored.count)).exp().tolist()
    return found


def question_starts(rows: Sequence[Row]) -> Iterator[int]:
    """Where each question begins."""
    place = 0
    while place < len(rows):
        yield place
        place += max(1, rows[place].options)


def _blocks(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """The rows in blocks of about `size`, the options of one forced choice together."""
    begin = 0
    for place in [*question_starts(rows), len(rows)]:
        if place - begin >= size or (place == len(rows) and place > begin):
            yield list(rows[begin:place])
            begin = place
