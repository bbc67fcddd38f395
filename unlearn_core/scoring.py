"""Log-probabilities of given answers, by teacher forcing. Knows tokens and logits; judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .batching import Cancelled, OnBatch, by_length, never, pad_right
from .cached import Steps
from .edits.attach import attached
from .edits.edit import Edit
from .errors import Stopped
from .events import TokenScores
from .models.loading import LoadedModel
from .models.passes import apart_logits, mask_of
from .models.prompts import encode_answer, encode_prompt
from .objectives import kl_of_tokens
from .topics.topic import Question

_ROWS = 256
_TOKENS, _TOKENS_CPU = 4096, 768  # padded tokens in one batch; a processor gains nothing by more, and pads less
_LOGITS = 32_000_000  # numbers of logits held at once
_TOP = 5

Pair = tuple[Sequence[int], Sequence[int]]  # prompt ids, answer ids


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """`logprob`: log-probability (nats) of all answer tokens, the end token included. `greedy_equal`: greedy decoding
    gives exactly this answer. `agreed`: how many leading tokens greedy agrees with; `instead`: greedy's token where
    it first differs, -1 where it never does."""

    logprob: float
    greedy_equal: bool
    agreed: int
    instead: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Every token of one answer under teacher forcing, the end token last: its log-probability (nats), whether it is the
    model's first choice, what that choice is, and mean and standard deviation of log p under p itself at that place."""

    logprobs: tuple[float, ...]
    hits: tuple[bool, ...]
    greedy: tuple[int, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def score(self) -> AnswerScore:
        """The same answer as a whole."""
        wrong = next((place for place, hit in enumerate(self.hits) if not hit), None)
        if wrong is None:
            return AnswerScore(sum(self.logprobs), True, len(self.hits), -1)
        return AnswerScore(sum(self.logprobs), False, wrong, self.greedy[wrong])


def answer_logprobs(loaded: LoadedModel, pairs: Sequence[Pair], cancelled: Cancelled = never,
                    on_batch: OnBatch | None = None) -> list[AnswerScore]:
    """Score each answer after its prompt, in the order given.

    Padding is on the right, where a causal model cannot see it, so it needs no mask. Logits are computed only at
    positions that predict an answer token. A prompt with several answers, such as a forced choice, is read once. An empty
    answer scores 0. Raises Stopped on `cancelled()`.
    """
    shared = _shared_prompts(loaded, pairs)

    def read(places: Sequence[int]) -> list[AnswerScore]:
        score = _score_shared if places[0] in shared else _score_batch
        return score(loaded, [pairs[place] for place in places])

    return _in_batches(loaded, pairs, read, cancelled, on_batch, shared)


class EndStates:
    """Inside the block, the final hidden states of passes over answers: `found` holds, for those of the `wanted` places, the one at
    which the answer's end is predicted, (width,), float32 (our reading of a text's final representation)."""

    def __init__(self, loaded: LoadedModel, wanted: Collection[int]) -> None:
        self._loaded, self._wanted, self._seen = loaded, frozenset(wanted), None
        self.found: dict[int, Tensor] = {}

    def __enter__(self) -> EndStates:
        self._handle = self._loaded.model.get_output_embeddings().register_forward_pre_hook(self._see)
        return self

    def __exit__(self, *ended: object) -> None:
        self._handle.remove()
        self._seen = None

    def _see(self, module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._seen = inputs[0].detach()

    def take(self, places: Sequence[int], pairs: Sequence[Pair]) -> None:
        """From the pass that was just made over `pairs`, which stand at these places."""
        if self._wanted.isdisjoint(places):
            return
        lengths = [len(answer) for _, answer in pairs]
        states = _at_answers(self._loaded, self._seen, pairs, lengths)
        ends = torch.tensor(lengths).cumsum(0) - 1
        for place, end, length in zip(places, ends.tolist(), lengths, strict=True):
            if place in self._wanted and length:
                self.found[place] = states[end].float().cpu()


def answer_traces(loaded: LoadedModel, pairs: Sequence[Pair], cancelled: Cancelled = never,
                  ends: EndStates | None = None) -> list[Trace]:
    """The same pass with every answer token by itself: what all teacher-forced metrics are made of. Raises Stopped."""
    def read(places: Sequence[int]) -> list[Trace]:
        chosen = [pairs[place] for place in places]
        found = _trace_batch(loaded, chosen)
        if ends is not None:
            ends.take(places, chosen)
        return found

    return _in_batches(loaded, pairs, read, cancelled)


def moved_traces(loaded: LoadedModel, edit: Edit, pairs: Sequence[Pair], plain: Sequence[Pair | None],
                 cancelled: Cancelled = never, ends: EndStates | None = None) -> list[tuple[Trace, float | None]]:
    """The traces of the model with `edit` on, each with its answer's divergence from the original's: mean over its tokens of
    KL(original || model), in nats. `plain`: each pair as the original reads it, None where its divergence is not wanted.

    The same forward pass serves both; the original needs one of its own for the pairs that are to be compared.
    """
    def read(places: Sequence[int]) -> list[tuple[Trace, float | None]]:
        asked, compared = [pairs[place] for place in places], [place for place in places if plain[place] is not None]
        with attached(loaded.model, edit):
            after = _logprobs(loaded, asked)
        if ends is not None:
            ends.take(places, asked)
        moved: dict[int, float | None] = dict.fromkeys(places)
        if compared:
            before = _logprobs(loaded, [plain[place] for place in compared])
            parts = dict(zip(places, after.split([len(answer) for _, answer in asked]), strict=True))
            each = kl_of_tokens(before, torch.cat([parts[place] for place in compared]))
            means = (part.mean() for part in each.split([len(pairs[place][1]) for place in compared]))
            moved |= zip(compared, torch.stack(list(means)).tolist(), strict=True)
        return list(zip(_traces(after, asked), moved.values(), strict=True))

    return _in_batches(loaded, pairs, read, cancelled)


def _in_batches(loaded: LoadedModel, pairs: Sequence[Pair], score: Callable[[Sequence[int]], list], cancelled: Cancelled,
                on_batch: OnBatch | None = None, shared: Mapping[int, Sequence[int]] | None = None) -> list:
    """What `score` makes of the pairs at some places, for all of them in the order given. `shared`: see `_shared_prompts`."""
    scores: list = [None] * len(pairs)
    done = 0
    for batch in score_batches(loaded, pairs, shared):
        if cancelled():
            raise Stopped
        for index, found in zip(batch, score(batch), strict=True):
            scores[index] = found
        done += len(batch)
        if on_batch is not None:
            on_batch(done, len(pairs))
    return scores


def score_batches(loaded: LoadedModel, pairs: Sequence[Pair],
                  shared: Mapping[int, Sequence[int]] | None = None) -> Iterator[list[int]]:
    """Places of pairs of like length whose logits fit into memory together; first those that share prompts, by themselves."""
    vocabulary = loaded.model.get_output_embeddings().weight.shape[0]
    longest = max((len(answer) for _, answer in pairs), default=1)
    rows = max(1, min(_ROWS, _LOGITS // (vocabulary * (longest + 1))))
    tokens = _TOKENS_CPU if loaded.device.type == "cpu" else _TOKENS
    shared = shared or {}
    groups = list({group[0]: group for group in shared.values()}.values())
    lengths = [len(pairs[group[0]][0]) + sum(len(pairs[place][1]) for place in group) for group in groups]
    most = max(map(len, groups), default=1)
    for batch in by_length(lengths, max(1, rows // most), tokens):
        yield [place for number in batch for place in groups[number]]
    alone = [place for place in range(len(pairs)) if place not in shared]
    for batch in by_length([len(pairs[place][0]) + len(pairs[place][1]) for place in alone], rows, tokens):
        yield [alone[number] for number in batch]


def _shared_prompts(loaded: LoadedModel, pairs: Sequence[Pair]) -> dict[int, list[int]]:
    """For each pair whose prompt has other answers too, and is longer than any of them, the places of all of these. None of an
    encoder-decoder, whose prompts are read apart."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, (prompt, answer) in enumerate(pairs if not loaded.reads_apart else ()):
        if 0 < len(answer) < len(prompt):
            groups.setdefault(tuple(prompt), []).append(place)
    return {place: group for group in groups.values() if len(group) > 1 for place in group}


def token_scores(loaded: LoadedModel, edit: Edit | None, question: Question, strength: float = 1.0,
                 text: str | None = None) -> TokenScores:
    """Each token of `text` (by default the expected answer) after the question, under both models at once.

    The end token is left out. Log-probabilities in nats, ranks from 1, the five likeliest tokens of each.
    """
    tokenizer = loaded.tokenizer
    prompts = [encode_prompt(tokenizer, question.prompt, turns)
               for turns in ((), edit.turns(strength) if edit is not None else ())]
    answer = list(encode_answer(tokenizer, question.answer if text is None else text))
    answer = answer[:-1] if len(answer) > 1 and answer[-1] in tokenizer.all_special_ids else answer
    with torch.inference_mode():
        logits = _pair_logits(loaded, edit, strength, prompts, answer)
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    target = torch.tensor(answer, device=loaded.device).expand(2, -1)
    chosen = logprobs.gather(-1, target[..., None])
    ranks = (logprobs > chosen).sum(-1) + 1
    return TokenScores(question.id, _pieces(tokenizer, answer), *chosen[..., 0].tolist(), *ranks.tolist(),
                       *_likeliest(tokenizer, logprobs))


def _pair_logits(loaded: LoadedModel, edit: Edit | None, strength: float, prompts: list[list[int]], answer: list[int]) -> Tensor:
    """(2, tokens, vocabulary): the original's logits at the answer after the first prompt, the edited model's after the
    second. In one batch where both read the same."""
    if prompts[0] == prompts[1]:
        with attached(loaded.model, edit, strength, slice(1, 2)):
            return _forced_logits(loaded, prompts, answer)
    original = _forced_logits(loaded, prompts[:1], answer)
    with attached(loaded.model, edit, strength):
        return torch.cat([original, _forced_logits(loaded, prompts[1:], answer)])


def _forced_logits(loaded: LoadedModel, prompts: list[list[int]], answer: list[int]) -> Tensor:
    """(rows, tokens, vocabulary): logits at one answer after prompts of one length."""
    if loaded.reads_apart:
        return apart_logits(loaded, prompts, [answer] * len(prompts))[0]
    ids = torch.tensor([prompt + answer[:-1] for prompt in prompts], device=loaded.device)
    return _logits(loaded, ids, ids.shape[1] - len(answer))


def _score_batch(loaded: LoadedModel, pairs: Sequence[Pair]) -> list[AnswerScore]:
    """One forward: logits from the first position that any row needs, then each row's own slice by index."""
    lengths = [len(answer) for _, answer in pairs]
    if not any(lengths):
        return [AnswerScore(0.0, True, 0, -1) for _ in pairs]
    with torch.inference_mode():
        return _scores_at(answer_logits(loaded, pairs, lengths), pairs)


def _score_shared(loaded: LoadedModel, pairs: Sequence[Pair]) -> list[AnswerScore]:
    """The same where several pairs have one prompt: all prompts in one pass, and behind them all answers in another."""
    prompts = list(dict.fromkeys(tuple(prompt) for prompt, _ in pairs))
    number = {prompt: place for place, prompt in enumerate(prompts)}
    owner = torch.tensor([number[tuple(prompt)] for prompt, _ in pairs], device=loaded.device)
    answers = [answer for _, answer in pairs]
    steps = Steps(loaded, prompts)
    first = steps.logits(1)
    if not steps.keep(owner):
        return _score_batch(loaded, pairs)
    with torch.inference_mode():
        logits = first[owner]
        if (longest := max(map(len, answers))) > 1:
            steps.append(pad_right([answer[:-1] for answer in answers], 0, loaded.device))
            logits = torch.cat([logits, steps.logits(longest - 1)], dim=1)
        return _scores_at(logits[mask_of(answers, loaded.device)], pairs)


def _scores_at(logits: Tensor, pairs: Sequence[Pair]) -> list[AnswerScore]:
    """`logits`: (answer tokens of all rows, vocabulary)."""
    lengths, target = [len(answer) for _, answer in pairs], [token for _, answer in pairs for token in answer]
    target = torch.tensor(target, device=logits.device)
    with torch.inference_mode():
        logits = logits.float()
        logprob = -torch.nn.functional.cross_entropy(logits, target, reduction="none")
        greedy = logits.argmax(-1)
    return _collect(logprob.cpu().double(), greedy.tolist(), target.tolist(), lengths)


def _trace_batch(loaded: LoadedModel, pairs: Sequence[Pair]) -> list[Trace]:
    if not any(answer for _, answer in pairs):
        return [Trace((), (), (), (), ()) for _ in pairs]
    return _traces(_logprobs(loaded, pairs), pairs)


def _logprobs(loaded: LoadedModel, pairs: Sequence[Pair]) -> Tensor:
    """(answer tokens of all rows, vocabulary)."""
    with torch.inference_mode():
        return torch.log_softmax(answer_logits(loaded, pairs, [len(answer) for _, answer in pairs]).float(), dim=-1)


def _traces(logprobs: Tensor, pairs: Sequence[Pair]) -> list[Trace]:
    """`logprobs`: as `_logprobs` gives them of these pairs."""
    target = torch.tensor([token for _, answer in pairs for token in answer], device=logprobs.device)
    with torch.inference_mode():
        chances = logprobs.exp()
        means = (chances * logprobs).sum(-1)
        deviations = (chances * (logprobs - means[:, None]).square()).sum(-1).sqrt()
        own = logprobs.gather(-1, target[:, None])[:, 0]
        greedy = logprobs.argmax(-1)
    columns = [column.cpu().split([len(answer) for _, answer in pairs])
               for column in (own, greedy == target, greedy, means, deviations)]
    return [Trace(*(tuple(part.tolist()) for part in parts)) for parts in zip(*columns, strict=True)]


def answer_logits(loaded: LoadedModel, pairs: Sequence[Pair], lengths: list[int]) -> Tensor:
    """(answer tokens of all rows, vocabulary)."""
    if loaded.reads_apart:
        logits = apart_logits(loaded, [prompt for prompt, _ in pairs], [answer for _, answer in pairs])[0]
    else:
        ids = pad_right([[*prompt, *answer][:-1] for prompt, answer in pairs], 0, loaded.device)
        logits = _logits(loaded, ids, _first(pairs))
    return _at_answers(loaded, logits, pairs, lengths)


def _first(pairs: Sequence[Pair]) -> int:
    """The first position of a padded batch that predicts a token of an answer."""
    return min(len(prompt) for prompt, answer in pairs if answer) - 1


def _at_answers(loaded: LoadedModel, values: Tensor, pairs: Sequence[Pair], lengths: list[int]) -> Tensor:
    """Of (rows, last positions of a batch, any) values the rows that predict answer tokens, (answer tokens of all rows, any)."""
    if loaded.reads_apart:
        return values[mask_of([answer for _, answer in pairs], values.device)]
    width = max(len(prompt) + len(answer) for prompt, answer in pairs) - 1
    shift = width - values.shape[1]
    rows = torch.arange(len(pairs)).repeat_interleave(torch.tensor(lengths))
    places = torch.cat([torch.arange(len(answer)) + len(prompt) - 1 - shift for prompt, answer in pairs])
    return values[rows.to(values.device), places.to(values.device)]


def _collect(logprob: Tensor, greedy: list[int], target: list[int], lengths: list[int]) -> list[AnswerScore]:
    scores, start = [], 0
    for length in lengths:
        span = range(start, start + length)
        wrong = next((place for place in span if greedy[place] != target[place]), None)
        total = float(logprob[start:start + length].sum())
        scores.append(AnswerScore(total, True, length, -1) if wrong is None
                      else AnswerScore(total, False, wrong - start, greedy[wrong]))
        start += length
    return scores


def _logits(loaded: LoadedModel, ids: Tensor, first: int) -> Tensor:
    """(rows, positions from `first`, vocabulary) without a cache."""
    count = ids.shape[1] - first
    return loaded.model(input_ids=ids, use_cache=False, **loaded.few_logits(count)).logits[:, -count:]


def _pieces(tokenizer: Any, ids: list[int]) -> list[str]:
    """Each token's text in place; the bytes of one character count for the token that completes it."""
    pieces, before = [], ""
    for end in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[:end])
        whole = text if end == len(ids) else text.rstrip("\ufffd")
        pieces.append(whole[len(before):])
        before = whole if len(whole) > len(before) else before
    return pieces


def _likeliest(tokenizer: Any, logprobs: Tensor) -> list[list[list[list[Any]]]]:
    """For each model and position the five likeliest tokens as [text, probability]."""
    values, ids = logprobs.topk(min(_TOP, logprobs.shape[-1]), dim=-1)
    return [[[[tokenizer.decode([token]), probability] for token, probability in zip(tokens, chances, strict=True)]
             for tokens, chances in zip(row_ids, row_values, strict=True)]
            for row_ids, row_values in zip(ids.tolist(), values.exp().tolist(), strict=True)]
