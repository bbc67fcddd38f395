"""What a model says by itself of what it is to forget, or to keep: given facts in frames of its own, drawn from it freely.

A forget set asks in few wordings, and a change that makes those fail may leave the facts to be told. Drawn freely, a model that
was trained on statements of them makes such statements, in whatever language. What stands around a given name and its answer
there is a frame; with the name of any given fact in it, it counts where the model knows that fact's answer at its end. Names and
answers are those of given questions alone, texts with chat tokens are none, and of what is drawn only such frames are used (all
of this is our addition). A model whose free texts never come to given names has no statements here; then nothing is asked and
nothing changes. The same of neighbours, from the same texts: what it no longer says of them is lost, however well they are
answered.
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
_BEFORE = "a"  # any word that another can follow
FRAMES = 12  # statements that differ by more than names and answers
SOME = 48  # facts whose statements tell whether the model still makes them
KNOWN = math.log(2)  # an answer of at least probability one half is known


class Fact(NamedTuple):
    """What an open question asks: its words that name what must go, and its answer, as tokens inside of a text."""

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


class OwnWords:
    """What a model says by itself of what given open questions ask that have words of their own beside `kept` ones. `few`:
    statements enough to ask whether it still does, each of which it knows to the end now. `texts`: drawn freely before.

    There are none for an encoder-decoder, for a tokenizer without a token that begins texts, where no words name what must go, or
    stopped.
    """

    def __init__(
        self, loaded: LoadedModel, forget: Sequence[Row], kept: Sequence[Row], seed: int, cancelled: Cancelled = never,
        texts: Sequence[tuple[int, ...]] | None = None,
    ) -> None:
        self._loaded, self._seed, self._cancelled = loaded, seed, cancelled
        self._begin = loaded.tokenizer.bos_token_id
        self._facts = [] if self._begin is None or loaded.reads_apart else facts_of(loaded, forget, kept)
        if self._facts and texts is None:
            texts = self._drawn([(self._begin,)] * TEXTS, TOKENS, EVEN, seed)
        self._free = texts or []
        some = random.Random(seed).sample(self._facts, min(SOME, len(self._facts)))
        self.few = self._stated(self._free, some)

    def beside(self, asked: Sequence[Row], kept: Sequence[Row]) -> OwnWords:
        """What the model says of other questions in the same texts. It must be as it was when they were drawn."""
        return OwnWords(self._loaded, asked, kept, self._seed, self._cancelled, self._free)

    def statements(self) -> list[Row]:
        """All of them, with further texts that begin as those drawn freely that come to a name, with any of the names there. The
        model must be as it was when the first were drawn."""
        names = list(dict.fromkeys(fact.name for fact in self._facts))
        written = [_written(name) for name in names]
        beginnings = Counter(text[:at] for text in map(_written, self._free) for at in map(text.find, written) if at > 0)
        generator = random.Random(self._seed)
        begun = [
            (*_tokens(before), *name)
            for before, _ in beginnings.most_common(BEGINNINGS)
            for name in generator.sample(names, min(NAMES, len(names)))
        ]
        return self._stated([*self._free, *self._drawn(begun, GO_ON, CALMER, self._seed + 1)], self._facts)

    def _stated(self, texts: Sequence[tuple[int, ...]], facts: Sequence[Fact]) -> list[Row]:
        """Statements of these facts in the frames of such texts, as far as the model knows them."""
        rows = list(dict.fromkeys(frame.row(fact) for frame in frames_of(texts, self._facts) for fact in facts))
        known = _known(self._loaded, rows, self._cancelled)
        return [] if self._cancelled() else [row for row, yes in zip(rows, known, strict=True) if yes]

    def _drawn(self, begun: Sequence[tuple[int, ...]], tokens: int, temperature: float, seed: int) -> list[tuple[int, ...]]:
        """Texts that begin so; those with special tokens in them are none."""
        try:
            drawn = generate(self._loaded, begun, tokens, temperature, seed, self._cancelled)
        except Stopped:
            return []
        special = set(self._loaded.tokenizer.all_special_ids)
        return [(*start, *rest) for start, rest in zip(begun, drawn, strict=True) if not special & set(rest)]


def count_known(loaded: LoadedModel, rows: Sequence[Row], cancelled: Cancelled = never) -> int:
    """How many statements the model, as it is now, knows to the end; stopped, 0."""
    known = _known(loaded, rows, cancelled)
    return 0 if cancelled() else sum(known)


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
    shorter = sorted(set(filter(None, named)), key=_length)
    found = []
    for row, run in zip(forget, named, strict=True):
        answer = tuple(token for token in row.ids[row.start :] if token not in ends)
        if run and answer and not row.options:
            name = next(part for part in shorter if _within(part, run))
            found.append(Fact(tuple(token for word in name for token in word), answer))
    return [Fact(_inside(loaded, fact.name), _inside(loaded, fact.answer)) for fact in dict.fromkeys(found)]


def _inside(loaded: LoadedModel, tokens: tuple[int, ...]) -> tuple[int, ...]:
    """The tokens of the same words inside of a text: many tokenizers write a word behind a space in another way than one that
    begins an answer or a question."""
    tokenizer = loaded.tokenizer
    before, both = (
        tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        for text in (_BEFORE, f"{_BEFORE} {tokenizer.decode(list(tokens)).strip()}")
    )
    behind = both[len(before) :]
    return behind if both[: len(before)] == before and behind[-len(tokens) :] != tokens else tokens


def _rarest_run(prompt: Sequence[Word], own: Mapping[Word, int]) -> tuple[Word, ...]:
    """Of the runs of own words in a prompt the one with the rarest word, the longest of several; none where no word is own."""
    runs = [tuple(run) for is_own, run in groupby(prompt, own.__contains__) if is_own]
    return min(runs, key=lambda run: (min(own[word] for word in run), -_length(run)), default=())


def _length(run: Sequence[Word]) -> int:
    """In tokens."""
    return sum(map(len, run))


def _within(part: Sequence[Word], run: Sequence[Word]) -> bool:
    """Whether these words follow one another in the run."""
    return any(run[start : start + len(part)] == part for start in range(len(run) - len(part) + 1))


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


def _written(tokens: Sequence[int]) -> str:
    """Tokens as a text of one character each, in which parts are found fast."""
    return "".join(map(chr, tokens))


def _tokens(written: str) -> tuple[int, ...]:
    return tuple(map(ord, written))
