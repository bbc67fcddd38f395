"""What a model says by itself of what it is to forget: statements of the given facts, in texts that it begins and words itself.

A forget set asks in few wordings, and a change that makes those fail may leave the facts to be told. Drawn freely, a model that
was trained on statements of them makes such statements, in whatever language; with the names of other given questions in them
they state other given facts. No question that was not given is asked for, and none of what is drawn is kept text (all of this is
our addition). A model whose free texts never come to these names has no statements here.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import torch

from .batching import Cancelled, never
from .errors import Stopped
from .generation import generate
from .models.loading import LoadedModel
from .models.prompts import end_ids
from .stand_ins import OWN, Word, Words
from .training import Row, answer_nlls

TEXTS, TOKENS = 512, 40  # drawn freely, and how long each may be
BEGINNINGS, NAMES, GO_ON = 8, 24, 20  # how texts begin that come to a name; names put there; tokens drawn after them
EVEN, CALMER = 1.0, 0.7  # temperatures of both draws
FRAMES = 12  # statements that differ by more than names and answers
ASKED = 100  # statements that tell which share of them is known
KNOWN = math.log(2)  # an answer of at least probability one half is known


class Fact(NamedTuple):
    """What an open question asks: its words that name what must go, and its answer, as tokens."""

    name: tuple[int, ...]
    answer: tuple[int, ...]


class Frame(NamedTuple):
    """What stands before a name, and between it and the answer that ends a statement."""

    before: tuple[int, ...]
    between: tuple[int, ...]

    def row(self, fact: Fact) -> Row:
        """The statement of a fact, its answer to be predicted."""
        prompt = (*self.before, *fact.name, *self.between)
        return Row((*prompt, *fact.answer), len(prompt))


def statements(
    loaded: LoadedModel, forget: Sequence[Row], kept: Sequence[Row], seed: int, cancelled: Cancelled = never
) -> list[Row]:
    """Statements of what given open forget questions ask that the model makes by itself, each of which it knows to the end.

    None for an encoder-decoder, for a tokenizer without a token that begins texts, where no words name what must go, or stopped.
    """
    begin = loaded.tokenizer.bos_token_id
    facts = [] if begin is None or loaded.reads_apart else facts_of(loaded, forget, kept)
    if not facts:
        return []
    try:
        frames = frames_of(_drawn(loaded, begin, facts, seed, cancelled), facts)
    except Stopped:
        return []
    rows = [frame.row(fact) for frame in frames for fact in facts]
    known = _known(loaded, rows, cancelled)
    return [] if cancelled() else [row for row, yes in zip(rows, known, strict=True) if yes]


def share_known(loaded: LoadedModel, rows: Sequence[Row], cancelled: Cancelled = never) -> float:
    """Which share of statements the model, as it is now, knows to the end, by up to ASKED of them; 0 for none, or stopped."""
    known = _known(loaded, rows[:: -(-len(rows) // ASKED) or 1], cancelled)
    return sum(known) / len(known) if known and not cancelled() else 0.0


def facts_of(loaded: LoadedModel, forget: Sequence[Row], kept: Sequence[Row]) -> list[Fact]:
    """The facts of open forget questions that have a name of their own.

    A word is own if no kept prompt has it and no larger share of forget prompts than OWN; a name is the run of such words with
    the rarest of them, or what is left of it in another question.
    """
    words, ends = Words(loaded), end_ids(loaded.tokenizer, loaded.model)
    asked = [words.of(row.ids[: row.start]) for row in forget]
    counts = Counter(word for prompt in asked for word in set(prompt))
    elsewhere = {word for row in kept for word in words.of(row.ids[: row.start])}
    own = {word: count for word, count in counts.items() if word not in elsewhere and count <= max(1, OWN * len(forget))}
    named = [_rarest_run(prompt, own) for prompt in asked]
    runs = sorted({_written(name) for name in named if name}, key=len)
    found = []
    for row, name in zip(forget, named, strict=True):
        answer = tuple(token for token in row.ids[row.start :] if token not in ends)
        if name and answer and not row.options:
            found.append(Fact(_tokens(next(run for run in runs if run in _written(name))), answer))
    return list(dict.fromkeys(found))


def _rarest_run(prompt: Sequence[Word], own: Mapping[Word, int]) -> tuple[int, ...]:
    """Of the runs of own words in a prompt the one with the rarest word, the longest of several; none where no word is own."""
    runs = [list(run) for is_own, run in groupby(prompt, own.__contains__) if is_own]
    best = min(runs, key=lambda run: (min(own[word] for word in run), -len(run)), default=[])
    return tuple(token for word in best for token in word)


def frames_of(texts: Sequence[Sequence[int]], facts: Sequence[Fact]) -> list[Frame]:
    """The frames in which texts state a fact, its name before its answer; the most frequent, none that occurs once."""
    counts: Counter[Frame] = Counter()
    known = [(_written(fact.name), _written(fact.answer)) for fact in facts]
    for text in map(_written, texts):
        for name, answer in known:
            at = text.find(name)
            to = text.find(answer, at + len(name)) if at >= 0 else -1
            if to >= 0:
                counts[Frame(_tokens(text[:at]), _tokens(text[at + len(name) : to]))] += 1
    return [frame for frame, count in counts.most_common(FRAMES) if count > 1]


@torch.inference_mode()
def _known(loaded: LoadedModel, rows: Sequence[Row], cancelled: Cancelled) -> list[bool]:
    """Whether each statement's answer is known; stopped, of the first only."""
    return (answer_nlls(loaded, rows, cancelled=cancelled) <= KNOWN).tolist()


def _drawn(loaded: LoadedModel, begin: int, facts: Sequence[Fact], seed: int, cancelled: Cancelled) -> list[tuple[int, ...]]:
    """Texts drawn freely, and others that begin as those of them that come to a name, with any of the names there."""
    special = set(loaded.tokenizer.all_special_ids) - {begin}
    free = [(begin, *text) for text in generate(loaded, [[begin]] * TEXTS, TOKENS, EVEN, seed, cancelled)]
    names = list(dict.fromkeys(fact.name for fact in facts))
    beginnings = Counter(
        text[:at] for text in map(_written, free) for at in (text.find(_written(name)) for name in names) if at > 0
    )
    generator = random.Random(seed)
    begun = [
        (*_tokens(before), *name)
        for before, _ in beginnings.most_common(BEGINNINGS)
        for name in generator.sample(names, min(NAMES, len(names)))
    ]
    more = generate(loaded, begun, GO_ON, CALMER, seed + 1, cancelled) if begun else []
    texts = [*free, *((*start, *rest) for start, rest in zip(begun, more, strict=True))]
    return [text for text in texts if not special & set(text)]


def _written(tokens: Sequence[int]) -> str:
    """Tokens as a text of one character each, in which parts are found fast."""
    return "".join(map(chr, tokens))


def _tokens(written: str) -> tuple[int, ...]:
    return tuple(map(ord, written))
