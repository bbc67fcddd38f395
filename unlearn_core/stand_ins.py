"""Altered copies of given questions that stand for text of the same kind that was not given. Knows rows of token ids only.

A method sees few of the questions that must stay. What it must not do to the others it can learn from copies in which
something else is asked or in other words: other names in the same question, any of its words exchanged, or the question
garbled. What must go it sees in few wordings; copies in which the model itself still finds the question stand for the
others (all of this is our addition).
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from functools import cached_property

from torch import Tensor
from torch.nn import functional

from .batching import Cancelled, never
from .models.loading import LoadedModel
from .training import Row, answer_chances, question_starts

RARE = 0.1  # a prompt token in fewer of the questions says what a question is about
OWN = 0.3  # a token that only forget prompts have, and no larger share of them, is a name of what must go
ALTERED = 0.15  # share of the tokens that one step of garbling alters
MOVED = 0.2  # share of its steps that also move some of them
NEAR = 16  # tokens of nearest embedding: half of the exchanges take one of these
WALK = 8  # steps from one copy in other words to the next
STILL = 0.5  # of the answer's probability must be left after each of them


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


def template_marks(rows: Sequence[Row]) -> set[int]:
    """The tokens of every prompt: those of the chat template, which stay where they are."""
    prompts = [set(_prompt(rows[start])) for start in question_starts(rows)]
    return set.intersection(*prompts) if prompts else set()


def own_names(forget: Sequence[Row], kept: Sequence[Row]) -> set[int]:
    """The tokens that name what must go: those of forget prompts alone, but for such as a large share of them has."""
    others = set(prompt_tokens(kept))
    return _in_few(forget, OWN) - others


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
