"""What a model makes of rows, read off with an edit or a change on it: likelihoods, shares, damage, its own answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import objectives
from ..batching import Cancelled, never, pad_right
from ..edits.attach import attached
from ..edits.edit import Edit
from ..edits.low_rank import LowRankEdit
from ..errors import Stopped
from ..generation import AnswerEnds, generate
from ..methods.base import Context
from ..models.loading import LoadedModel, plain_head
from ..models.passes import apart_pass
from ..models.prompts import end_ids
from .changes import Change
from .rows import Row, Scored, blocks, score

ANSWER_SPARE = 4  # tokens that a drawn answer may have beyond the expected one
KEPT_BYTES = 2**29  # of the original's log-probabilities, or of what they are made from
PREFIXES = 8  # of an answer, after which its continuation is compared


def reference_logprobs(
    loaded: LoadedModel, rows: Sequence[Row], cancelled: Cancelled = never, batch: int = 128,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    along: AbstractContextManager[Any] | None = None,
) -> Callable[[Sequence[int]], Tensor]:
    """The original's log-probabilities at answer tokens: positions in `rows` -> (tokens, vocabulary).

    Found in one pass over all rows. While they fit in KEPT_BYTES they are kept; of a larger vocabulary what its output head
    reads is, and a call costs one product with the head. Where that does not fit either, or what the head gives is no
    product alone, each call is a pass of its own, which must then not come while a change is active. Stopped, it knows the first
    rows only. `on_progress` hears of rows done and of all; `along`: somebody who reads along, entered for the pass over all rows,
    and not at all where there is none.
    """
    along = along or nullcontext()
    tokens, head = sum(len(row.ids) - row.start for row in rows), plain_head(loaded.model)
    if 4 * loaded.model.config.get_text_config().vocab_size * tokens <= KEPT_BYTES:
        with along:
            kept = _each_row(rows, lambda part: _logprobs(loaded, part, whole=True), cancelled, batch, on_progress)
        return lambda places: torch.cat([kept[place] for place in places])
    width = 0 if head is None else head.weight.element_size() * head.in_features
    if head is None or width * tokens > KEPT_BYTES or not _is_all(loaded, head, rows[:1]):
        return lambda places: _logprobs(loaded, [rows[place] for place in places])[0]
    with along:
        states = _each_row(rows, lambda part: _before_head(loaded, head, part), cancelled, batch, on_progress)
    return lambda places: _log_softmax(_headed(head, torch.cat([states[place] for place in places])))


def _each_row(
    rows: Sequence[Row], read: Callable[[Sequence[Row]], tuple[Tensor, list[int]]], cancelled: Cancelled, batch: int,
    on_progress: Callable[[int, int], None],
) -> list[Tensor]:
    """What is read at the answer tokens of each row, up to a stop."""
    kept: list[Tensor] = []
    for start in range(0, len(rows), batch):
        if cancelled():
            break
        values, lengths = read(rows[start : start + batch])
        kept += values.split(lengths)
        on_progress(len(kept), len(rows))
    return kept


@torch.no_grad()
def _before_head(loaded: LoadedModel, head: nn.Linear, rows: Sequence[Row]) -> tuple[Tensor, list[int]]:
    """What the output head reads at the answer tokens of all rows (tokens, width), and how many of them each row has."""
    head.__dict__["forward"] = lambda states: states
    try:
        scored = score(loaded, rows, whole=True)  # for who reads along
    finally:
        del head.__dict__["forward"]
    return scored.logits, objectives.row_lengths(scored.rows, scored.count).tolist()


@torch.no_grad()
def _is_all(loaded: LoadedModel, head: nn.Linear, rows: Sequence[Row]) -> bool:
    """Whether logits are the head's product and nothing is done to them after it, such as a bound or a scale."""
    wanted, found = score(loaded, rows).logits.float(), _headed(head, _before_head(loaded, head, rows)[0]).float()
    near = 16 * torch.finfo(head.weight.dtype).eps
    return torch.allclose(found, wanted, rtol=near, atol=near * float(wanted.abs().max()))


@torch.no_grad()
def _headed(head: nn.Linear, states: Tensor) -> Tensor:
    return functional.linear(states, head.weight, head.bias)


def _log_softmax(logits: Tensor) -> Tensor:
    return torch.log_softmax(logits.float(), dim=-1)


@torch.no_grad()
def _logprobs(loaded: LoadedModel, rows: Sequence[Row], whole: bool = False) -> tuple[Tensor, list[int]]:
    """Log-probabilities at the answer tokens of all rows, and how many of them each row has."""
    scored = score(loaded, rows, whole)
    return _log_softmax(scored.logits), objectives.row_lengths(scored.rows, scored.count).tolist()


def loss_of(
    context: Context, edit: Edit | None, rows: Sequence[Row], loss: Callable[[Scored], Tensor], batch: int = 128
) -> float:
    """The mean of a forget loss over all rows with the edit on; forced choices are kept whole."""
    total = 0.0
    with torch.no_grad(), attached(context.loaded.model, edit):
        for part in blocks(rows, batch):
            total += float(loss(score(context.loaded, part))) * len(part)
    return total / max(1, len(rows))


@torch.no_grad()
def memorisation_accuracy(loaded: LoadedModel, rows: Sequence[Row]) -> float:
    """MA: mean over rows of the share of answer tokens that are the model's first choice (Jang et al. 2023)."""
    scored = score(loaded, rows)
    hits = (scored.logits.argmax(-1) == scored.labels).float()
    return float(objectives.row_mean(hits, scored.rows, len(rows)).mean())


def extraction_likelihood(loaded: LoadedModel, rows: Sequence[Row], n: int) -> float:
    """EL_n: mean over rows of the mean share of n-grams of the greedy continuation that the rest of the answer has too,
    after each of up to PREFIXES evenly spread prefixes of the answer (Jang et al. 2023).

    Where a rest is shorter than `n`, its length takes the place of `n` (our reading).
    """
    places = [(owner, row.start + at) for owner, row in enumerate(rows) for at in _spread(len(row.ids) - row.start)]
    rests = [rows[owner].ids[start:] for owner, start in places]
    prompts = [rows[owner].ids[: rows[owner].start] for owner, _ in places]
    begun = [rows[owner].ids[rows[owner].start : start] for owner, start in places]
    found = generate(loaded, prompts, [len(rest) for rest in rests], begun=begun)
    shares = [objectives.overlap(one, rest, min(n, len(rest))) for one, rest in zip(found, rests, strict=True)]
    owners = torch.tensor([owner for owner, _ in places], dtype=torch.long)
    return float(objectives.row_mean(torch.tensor(shares), owners, len(rows)).mean())


def continuations(
    loaded: LoadedModel, rows: Sequence[Row], greedy: Sequence[Sequence[int]], cancelled: Cancelled = never
) -> tuple[list[list[list[int]]], list[list[Sequence[int]]]]:
    """For each row what the model greedily says after every of up to PREFIXES evenly spread prefixes of its answer, and what
    the answer goes on with there, both as token ids.

    `greedy`: the model's first choice at every answer token of the rows, from a teacher-forced pass. Up to the first of them
    that is not the answer's own the continuation is the answer; only what follows is generated, once for all prefixes that
    leave the answer there.
    """
    answers = [row.ids[row.start :] for row in rows]
    places = [(owner, at) for owner, answer in enumerate(answers) for at in _spread(len(answer))]
    leaves = {(owner, at): _leaves(answers[owner], greedy[owner], at) for owner, at in places}
    left_at = {(owner, left) for (owner, _), left in leaves.items() if left is not None}
    after = _after_leaving(loaded, rows, greedy, sorted(left_at), cancelled)
    ends = AnswerEnds(loaded)
    said: list[list[list[int]]] = [[] for _ in rows]
    rests: list[list[Sequence[int]]] = [[] for _ in rows]
    for owner, at in places:
        left, answer = leaves[owner, at], answers[owner]
        text = list(answer[at:]) if left is None else [*answer[at:left], greedy[owner][left], *after[owner, left]]
        said[owner].append(text[: ends.within(text)])
        rests[owner].append(answer[at:])
    return said, rests


def _leaves(answer: Sequence[int], greedy: Sequence[int], at: int) -> int | None:
    """The first place from `at` on where the model's first choice is not the answer's token."""
    return next((place for place in range(at, len(answer)) if greedy[place] != answer[place]), None)


def _after_leaving(
    loaded: LoadedModel, rows: Sequence[Row], greedy: Sequence[Sequence[int]], places: Sequence[tuple[int, int]],
    cancelled: Cancelled,
) -> dict[tuple[int, int], list[int]]:
    """What follows the model's own token at each place (row, answer token), to the length of the answer."""
    ends = AnswerEnds(loaded).ids
    found: dict[tuple[int, int], list[int]] = {place: [] for place in places}
    open_ = [(owner, at) for owner, at in places
             if greedy[owner][at] not in ends and at + 1 < len(rows[owner].ids) - rows[owner].start]
    tails = generate(
        loaded,
        [rows[owner].ids[: rows[owner].start] for owner, _ in open_],
        [len(rows[owner].ids) - rows[owner].start - at - 1 for owner, at in open_],
        cancelled=cancelled,
        begun=[(*rows[owner].ids[rows[owner].start :][:at], greedy[owner][at]) for owner, at in open_],
    )
    return found | dict(zip(open_, tails, strict=True))


def _spread(length: int) -> list[int]:
    """At most PREFIXES of the places 0 to length - 1, evenly spread from 0 on."""
    kept = min(length, PREFIXES)
    return [number * length // kept for number in range(kept)]


def greedy_share(context: Context, edit: Edit | None, rows: Sequence[Row], batch: int = 128) -> float:
    """Share of rows whose every answer token is the model's first choice, with the edit on."""
    right = 0
    with torch.no_grad(), attached(context.loaded.model, edit):
        for part in blocks(rows, batch):
            scored = score(context.loaded, part)
            misses = (scored.logits.argmax(-1) != scored.labels).long()
            right += int(
                (
                    torch.zeros(scored.count, dtype=torch.long, device=misses.device).index_add(0, scored.rows, misses)
                    == 0
                ).sum()
            )
    return right / max(1, len(rows))


def largest_scale(
    context: Context, edit: LowRankEdit, kept: Sequence[Row], grid: Sequence[float], share: float
) -> float:
    """The last scale of the ascending grid up to which the kept rows stay at `share` of their greedy accuracy; 0.0 where
    even the first does not (the control rule of task vectors on given items)."""
    needed, best = share * greedy_share(context, None, kept), 0.0
    for scale in grid:
        if context.cancelled() or greedy_share(context, edit.scaled(scale), kept) < needed:
            break
        best = scale
    return best


def damage_meter(context: Context, kept: Sequence[Row], batch: int = 128) -> Callable[[LowRankEdit], float]:
    """A function of an edit: KL(original || edited) on the answers of the kept rows, nats a token. 0 without rows."""
    original = reference_logprobs(context.loaded, kept)

    @torch.no_grad()
    def damage(edit: LowRankEdit) -> float:
        total, tokens = 0.0, 0
        for start in range(0, len(kept), batch):
            places = range(start, min(start + batch, len(kept)))
            wanted = original(places)
            with attached(context.loaded.model, edit):
                logits = score(context.loaded, [kept[place] for place in places]).logits
            total, tokens = total + float(objectives.kl_to(wanted, logits)) * len(wanted), tokens + len(wanted)
        return total / max(1, tokens)

    return damage


def step_within(
    budget: float,
    damage: Callable[[LowRankEdit], float],
    done: dict[str, Tensor],
    step: dict[str, Tensor],
    tries: int = 12,
) -> tuple[dict[str, Tensor], float, bool]:
    """A dense step added to what was done, shortened where it would cost more than `budget`: the sum, its damage, and whether
    it had to be shortened, in the end to nothing. Damage grows about with the square of a change, which tells how far."""
    share, short = 1.0, False
    for _ in range(tries):
        added = {name: done[name] + share * delta if name in done else share * delta for name, delta in step.items()}
        spent = damage(LowRankEdit.whole(added))
        if spent <= budget:
            return added, spent, short
        share, short = share * min(0.7, (budget / spent) ** 0.5), True
    return done, damage(LowRankEdit.whole(done)), True


@torch.no_grad()
def answer_nlls(loaded: LoadedModel, rows: Sequence[Row], batch: int = 256, cancelled: Cancelled = never) -> Tensor:
    """Negative log-likelihood of each row's answer, summed over its tokens (nats): (rows,); stopped, of the first rows only.

    Taken before training, it is the reference of preference losses, computed once a run.
    """
    found = [torch.zeros(0, device=loaded.device)]
    for start in range(0, len(rows), batch):
        if cancelled():
            break
        scored = score(loaded, rows[start : start + batch])
        found.append(objectives.row_nll(scored.logits, scored.labels, scored.rows, scored.count))
    return torch.cat(found)


def hidden_states(loaded: LoadedModel, rows: Sequence[Row], layer: int) -> tuple[Tensor, Tensor]:
    """Outputs of a layer at the places that predict answer tokens, (tokens, dimensions), with gradients, and the row of each place.
    Those of the last layer come after the model's final norm, those of an encoder-decoder from its decoder."""
    if loaded.reads_apart:
        prompts, answers = [row.ids[: row.start] for row in rows], [row.ids[row.start :] for row in rows]
        output, masks = apart_pass(loaded, prompts, answers, states=True)
        return output.decoder_hidden_states[layer + 1][masks.written], masks.written.nonzero()[:, 0]
    ids = pad_right([row.ids for row in rows], 0, loaded.device)
    at = torch.arange(ids.shape[1], device=loaded.device)
    starts, ends = (
        torch.tensor(found, device=loaded.device)[:, None] - 1
        for found in ([row.start for row in rows], [len(row.ids) for row in rows])
    )
    inside = (at >= starts) & (at < ends)
    states = loaded.model(
        input_ids=ids, attention_mask=(at <= ends).long(), use_cache=False, output_hidden_states=True, **loaded.few_logits(1)
    ).hidden_states[layer + 1]
    return states[inside], inside.nonzero()[:, 0]


def own_answers(context: Context, change: Change, rows: Sequence[Row], temperature: float, seed: int) -> list[Row]:
    """The rows' questions with answers drawn from the changed model, which are at most ANSWER_SPARE tokens longer than
    the rows' own; the end token is part of an answer that ended. Stopped, it returns none.
    """
    loaded, ends = context.loaded, end_ids(context.loaded.tokenizer, context.loaded.model)
    limits = [len(row.ids) - row.start + ANSWER_SPARE for row in rows]
    try:
        with attached(loaded.model, change.edit()):
            drawn = generate(
                loaded, [row.ids[: row.start] for row in rows], limits, temperature, seed, context.cancelled
            )
    except Stopped:
        return []
    return [
        Row((*row.ids[: row.start], *answer, *_end(row, answer, limit, ends)), row.start)
        for row, answer, limit in zip(rows, drawn, limits, strict=True)
    ]


def _end(row: Row, answer: Sequence[int], limit: int, ends: Set[int]) -> tuple[int, ...]:
    """The end token of an answer that ended before its limit; of an empty one in any case, so that it has a token."""
    closed = len(answer) < limit and (row.ids[-1] in ends or not answer)
    return row.ids[-1:] if closed else ()
