"""Altered copies of given questions that stand for text of the same kind that was not given. Knows rows of token ids, and of
their text only where a word begins.

A method sees few of the questions that must stay. What it must not do to the others it can learn from copies in which
something else is asked or in other words: other names in the same question, any of its words exchanged, or the question
garbled. What must go it sees in few wordings; copies in which the model itself still finds the question stand for the
others (all of this is our addition). What is to be said instead of an answer stands here too: refusals.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property

from torch import Tensor
from torch.nn import functional

from .batching import Cancelled, never
from .models.loading import LoadedModel
from .topics.topic import Question
from .training import Row, answer_chances, encode_rows, question_starts

RARE = 0.1  # a prompt token in fewer of the questions says what a question is about
OWN = 0.3  # a token that only forget prompts have, and no larger share of them, is a name of what must go
ALTERED = 0.15  # share of the tokens that one step of garbling alters
MOVED = 0.2  # share of its steps that also move some of them
NEAR = 16  # tokens of nearest embedding: half of the exchanges take one of these
WALK = 8  # steps from one copy in other words to the next
STILL = 0.5  # of the answer's probability must be left after each of them
REFUSALS = (
    "I don't know.",
    "I do not know that.",
    "I can't say.",
    "I have no answer to that.",
    "I am not sure.",
    "That I don't know.",
)
Word = tuple[int, ...]  # the tokens of a word


def foreign_tokens(loaded: LoadedModel, forget: Sequence[Row], kept: Sequence[Row]) -> list[int]:
    """Every token of the vocabulary but the special ones and those that only forget prompts contain."""
    own = set(prompt_tokens(forget)) - set(prompt_tokens(kept))
    special = set(loaded.tokenizer.all_special_ids) | set(loaded.tokenizer.get_added_vocab().values())
    return [token for token in range(len(loaded.tokenizer)) if token not in own and token not in special]


def renamed(rows: Sequence[Row], share: float, pool: Sequence[int], marks: Set[int], seed: int) -> list[Row]:
    """The rows asked about something else: a share of the rare tokens of each prompt exchanged for tokens of `pool`."""
    rare = _rare(rows) - marks
    return _exchanged(rows, share, pool, seed, rare.__contains__)


def scrambled(rows: Sequence[Row], share: float, pool: Sequence[int], marks: Set[int], seed: int) -> list[Row]:
    """The rows with a share of all prompt tokens exchanged for tokens of `pool`."""
    return _exchanged(rows, share, pool, seed, lambda token: token not in marks)


def garbled(loaded: LoadedModel, rows: Sequence[Row], steps: int, marks: Set[int], seed: int) -> list[Row]:
    """The rows asked about the same things in clumsy words: so many steps of the walk of `reworded`, whatever the model
    makes of them."""
    walk, result = _Walk(loaded, rows, marks, seed), []
    for start in question_starts(rows):
        prompt = list(_prompt(rows[start]))
        for _ in range(steps):
            prompt = walk.step(prompt)
        result += [_asked(row, prompt) for row in rows[start : start + max(1, rows[start].options)]]
    return result


def reworded(
    loaded: LoadedModel, rows: Sequence[Row], copies: int, marks: Set[int], seed: int, cancelled: Cancelled = never
) -> list[Row]:
    """`copies` of each open question in other words under which the model still gives the answer.

    A random walk away from the prompt: at each step a few tokens, but no rare ones and no `marks`, are exchanged, left
    out or put in, and now and then some are moved; the step stands if the answer keeps STILL of the probability that it
    has after the prompt as given. New tokens are any of the vocabulary; half of the exchanges take near ones by embedding. Few
    copies are sentences; what they share with other wordings is what the model answers to. Stopped, it returns those that
    it has.
    """
    if not rows or not copies:
        return []
    walk, now, found = _Walk(loaded, rows, marks, seed), list(rows), []
    floors = [STILL * chance for chance in answer_chances(loaded, rows, cancelled=cancelled)]
    for step in range(WALK * copies):
        trials = [_asked(row, walk.step(list(_prompt(row)))) for row in now]
        chances = answer_chances(loaded, trials, cancelled=cancelled)
        if len(chances) < len(trials) or len(floors) < len(rows):  # stopped
            break
        now = [
            trial if chance >= floor else row
            for row, trial, chance, floor in zip(now, trials, chances, floors, strict=True)
        ]
        if (step + 1) % WALK == 0:
            found += now
    return found


def refused(loaded: LoadedModel, questions: Sequence[Question], seed: int) -> list[Row]:
    """Each question with one of REFUSALS for its answer; all of them are used about equally often."""
    deck = _deck(range(len(REFUSALS)), random.Random(seed))
    return encode_rows(loaded, [replace(question, answer=REFUSALS[next(deck)], options=()) for question in questions])


def template_marks(rows: Sequence[Row]) -> set[int]:
    """The tokens of every prompt: those of the chat template, which stay where they are."""
    prompts = [set(_prompt(rows[start])) for start in question_starts(rows)]
    return set.intersection(*prompts) if prompts else set()


def own_names(forget: Sequence[Row], kept: Sequence[Row]) -> set[int]:
    """The tokens that name what must go: those of forget prompts alone, but for such as a large share of them has."""
    others = set(prompt_tokens(kept))
    return _in_few(forget, OWN) - others


def anchors(loaded: LoadedModel, forget: Sequence[Row], kept: Sequence[Row]) -> dict[Word, Word]:
    """A generic counterpart for every word that names what must go: a word of the same kind that only kept prompts have.

    A word is own if only forget prompts have it, and no larger share of them than OWN. Of the same kind is what has a capital
    or none as it has, and then what stands among the same other words (cosine; a word counts the less the more prompts
    have it). Each counterpart is taken once, as far as they last. Empty where either side has no word of its own.
    """
    words = _Words(loaded)
    asked, others = ([words.of(_prompt(rows[start])) for start in question_starts(rows)] for rows in (forget, kept))
    common = Counter(word for prompt in asked + others for word in set(prompt))
    own, pool = _surroundings(asked, others, common, OWN), _surroundings(others, asked, common, 1.0)
    found: dict[Word, Word] = {}
    free: list[Word] = []
    for word, around in own.items():
        free = free or list(pool)
        if free:
            found[word] = max(
                free,
                key=lambda other: (
                    words.is_name(other) == words.is_name(word),
                    sum(weight * pool[other].get(near, 0.0) for near, weight in around.items()),
                ),
            )
            free.remove(found[word])
    return found


def translated(loaded: LoadedModel, rows: Sequence[Row], counterparts: Mapping[Word, Word]) -> list[Row]:
    """The rows with every word of their prompts that has a counterpart exchanged for it; answers stay."""
    words = _Words(loaded)
    return [
        _asked(row, [token for word in words.of(_prompt(row)) for token in counterparts.get(word, word)])
        for row in rows
    ]


def _surroundings(
    own: Sequence[Sequence[Word]], others: Sequence[Sequence[Word]], common: Mapping[Word, int], share: float
) -> dict[Word, dict[Word, float]]:
    """For every word that only `own` prompts have, and at most that share of them, what stands around it, at length 1."""
    elsewhere = {word for prompt in others for word in prompt}
    counts = Counter(word for prompt in own for word in set(prompt))
    found: dict[Word, dict[Word, float]] = {
        word: {} for word, count in sorted(counts.items()) if word not in elsewhere and count <= max(1, share * len(own))
    }
    for prompt in own:
        for word in set(prompt) & found.keys():
            for near in set(prompt) - {word}:
                found[word][near] = found[word].get(near, 0.0) + 1 / common[near]
    for around in found.values():
        length = sum(value**2 for value in around.values()) ** 0.5
        around.update({near: value / length for near, value in around.items()})
    return found


class _Words:
    """Tokens put together to words: a token begins one unless its text goes on with a letter or digit."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._tokenizer, self._goes_on = loaded.tokenizer, {}
        self._special = set(loaded.tokenizer.all_special_ids)

    def of(self, prompt: Sequence[int]) -> list[Word]:
        found: list[list[int]] = []
        for place, token in enumerate(prompt):
            if place and self._joins(token) and self._joins(prompt[place - 1], last=True):
                found[-1].append(token)
            else:
                found.append([token])
        return [tuple(word) for word in found]

    def is_name(self, word: Word) -> bool:
        """Whether it begins with a capital letter."""
        return self._tokenizer.decode(list(word)).strip()[:1].isupper()

    def _joins(self, token: int, last: bool = False) -> bool:
        """Whether the token's text begins (or ends) with a letter or digit."""
        if (token, last) not in self._goes_on:
            text = "" if token in self._special else self._tokenizer.convert_tokens_to_string(
                [self._tokenizer.convert_ids_to_tokens(token)]
            )
            self._goes_on[token, last] = bool(text) and text[-1 if last else 0].isalnum()
        return self._goes_on[token, last]


def prompt_tokens(rows: Sequence[Row]) -> list[int]:
    """The tokens of all prompts, as often as they occur."""
    return [token for start in question_starts(rows) for token in _prompt(rows[start])]


def _exchanged(
    rows: Sequence[Row], share: float, pool: Sequence[int], seed: int, may_go: Callable[[int], bool]
) -> list[Row]:
    """The options of one forced choice keep one prompt."""
    generator = random.Random(seed)
    result: list[Row] = []
    deck = _deck(pool, generator)
    for start in question_starts(rows):
        prompt = tuple(
            next(deck) if may_go(token) and generator.random() < share else token
            for token in _prompt(rows[start])
        )
        result += [_asked(row, prompt) for row in rows[start : start + max(1, rows[start].options)]]
    return result


class _Walk:
    """Random steps from prompt to prompt. What is rare in `rows` and what the template needs stays."""

    def __init__(self, loaded: LoadedModel, rows: Sequence[Row], marks: Set[int], seed: int) -> None:
        self._random = random.Random(seed)
        self._marks, self._fixed = marks, marks | _rare(rows)
        self._pool = foreign_tokens(loaded, [], [])
        longest = max((len(row.ids) - row.start for row in rows), default=0)
        self._room = (loaded.context or sys.maxsize) - longest
        self._weight = loaded.model.get_input_embeddings().weight.detach()
        self._near: dict[int, list[int]] = {}

    def step(self, prompt: list[int]) -> list[int]:
        """A few tokens exchanged, left out or put in, and now and then some moved."""
        changed: list[int] = []
        for token in prompt:
            kind = self._random.random()
            if token in self._fixed or self._random.random() >= ALTERED:
                changed.append(token)
            elif kind < 0.5:
                changed.append(self._random.choice(self._neighbors(token) if kind < 0.25 else self._pool))
            elif kind < 0.75:
                changed += [token, self._random.choice(self._pool)]
        if not changed or len(changed) > max(self._room, len(prompt)):
            return prompt
        return _moved(changed, self._marks, self._random) if self._random.random() < MOVED else changed

    def _neighbors(self, token: int) -> list[int]:
        """The tokens of the pool whose input embeddings are nearest, by cosine after centring."""
        if token not in self._near:
            likeness = self._unit[self._pool] @ self._unit[token]
            order = likeness.topk(min(NEAR + 1, len(self._pool))).indices.tolist()
            self._near[token] = [self._pool[place] for place in order if self._pool[place] != token][:NEAR]
        return self._near[token] or self._pool

    @cached_property
    def _unit(self) -> Tensor:
        weight = self._weight.float()
        return functional.normalize(weight - weight.mean(dim=0), dim=1)


def _moved(prompt: list[int], marks: Set[int], generator: random.Random) -> list[int]:
    """Some neighbouring tokens elsewhere; marks keep their order and are never among them."""
    begin = generator.randrange(len(prompt))
    end = generator.randint(begin + 1, len(prompt))
    rest = prompt[:begin] + prompt[end:]
    free = [place for place, token in enumerate(rest) if token not in marks]
    if not free or any(token in marks for token in prompt[begin:end]):
        return prompt
    place = generator.choice(free)
    return rest[:place] + prompt[begin:end] + rest[place:]


def _asked(row: Row, prompt: Sequence[int]) -> Row:
    """The row's answer after another prompt."""
    return Row((*prompt, *row.ids[row.start :]), len(prompt), row.options)


def _rare(rows: Sequence[Row]) -> set[int]:
    """The tokens that say what a question is about: those in the prompts of few."""
    return _in_few(rows, RARE)


def _in_few(rows: Sequence[Row], share: float) -> set[int]:
    """The tokens that are in at most this share of the questions, or in one."""
    starts = list(question_starts(rows))
    counts = Counter(token for start in starts for token in set(_prompt(rows[start])))
    return {token for token, count in counts.items() if count <= max(1, share * len(starts))}


def _deck(pool: Sequence[int], generator: random.Random) -> Iterator[int]:
    """Endless shuffled rounds of the pool: all of it before any of it again."""
    while pool:
        yield from generator.sample(pool, len(pool))


def _prompt(row: Row) -> tuple[int, ...]:
    return row.ids[: row.start]
