"""Altered copies of given questions that stand for text of the same kind that was not given. Knows rows of token ids, and of
their text only where a word begins.

A method sees few of the questions that must stay. What it must not do to the others it can learn from copies in which
something else is asked or in other words: other names in the same question, or any of its words exchanged. What must go
it sees in few wordings; copies with any words around the same names stand for the others (all of this is our addition).
What is to be said instead of an answer stands here too: refusals.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from .models.loading import LoadedModel
from .topics.topic import Question
from .training import Row, answer_nlls, encode_rows, question_starts, without_ends

RARE = 0.1  # a prompt token in fewer of the questions says what a question is about
RENAMED, SCRAMBLED = 0.5, 0.3  # shares of tokens exchanged in copies of kept questions
OWN = 0.3  # a token that only forget prompts have, and no larger share of them, is a name of what must go
NEAR_SEED = 77  # so that the further copies of neighbours are others
REFUSALS = (
    "I don't know.",
    "I do not know that.",
    "I can't say.",
    "I have no answer to that.",
    "I am not sure.",
    "That I don't know.",
)
Word = tuple[int, ...]  # the tokens of a word
_WORD = re.compile(r"\w+")
_OPENS, _ENDS = " \t\"'“”„«»‘’¿¡(", ".!?:\n"  # what may stand between a sentence's end and its first word, and the ends


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


def kept_copies(loaded: LoadedModel, kept: Sequence[Row], forget: Sequence[Row], copies: int, seed: int) -> list[Row]:
    """Copies of kept questions, in turn with any other names and with words of other kept questions."""
    names, words, marks = foreign_tokens(loaded, forget, kept), prompt_tokens(kept), template_marks([*kept, *forget])
    rows: list[Row] = []
    for turn in range(copies):
        if turn % 2 == 0:
            rows += renamed(kept, RENAMED, names, marks, 1000 * seed + turn)
        else:
            rows += scrambled(kept, SCRAMBLED, words, marks, 1000 * seed + turn)
    return rows


def marked_copies(
    loaded: LoadedModel, neighbor: Sequence[Row], retain: Sequence[Row], forget: Sequence[Row], copies: int, seed: int
) -> list[Row]:
    """Copies of given neighbours that carry the words by which forget questions are known, where the original gives the same
    answer all the same (with a probability of at least one half).

    A side is known by the words that more than a share of OWN of its prompts (and more than one) have and no other given
    prompt has: the name of a trade or of a series, a sign of arithmetic. Kept copies with such a word say that the word alone
    is not what must go, so that a change has to find the rest of the question, which other wordings and languages share. Empty
    where either side is known by no word.
    """
    words = Words(loaded)
    asked, others, near = (
        [words.of(_prompt(rows[start])) for start in question_starts(rows)] for rows in (forget, retain, neighbor)
    )
    theirs, own = _known_by(asked, near + others), set(_known_by(near, asked + others))
    if not theirs:
        return []
    generator = random.Random(seed)
    rows = [
        _asked(row, [token for word in prompt for token in (generator.choice(theirs) if word in own else word)])
        for _ in range(copies)
        for row, prompt in zip(neighbor, near, strict=True)
        if own & set(prompt)
    ]
    return [row for row, nll in zip(rows, answer_nlls(loaded, rows).tolist(), strict=True) if nll <= math.log(2)]


def _known_by(prompts: Sequence[Sequence[Word]], others: Sequence[Sequence[Word]]) -> list[Word]:
    """The words, in order, that more than a share of OWN of the prompts have and none of the others."""
    counts = Counter(word for prompt in prompts for word in set(prompt))
    elsewhere = {word for prompt in others for word in prompt}
    return sorted(word for word, count in counts.items() if count > max(1, OWN * len(prompts)) and word not in elsewhere)


def refused(loaded: LoadedModel, questions: Sequence[Question], seed: int) -> list[Row]:
    """Each question with one of REFUSALS for its answer; all of them are used about equally often."""
    deck = _deck(range(len(REFUSALS)), random.Random(seed))
    return encode_rows(loaded, [replace(question, answer=REFUSALS[next(deck)], options=()) for question in questions])


def unseen_answers(loaded: LoadedModel, asked: Sequence[Question], given: Sequence[Question], seed: int) -> list[Row]:
    """Some of the `given` questions with answers that nobody ever gave, in the form of their own and without the token that ends
    one: every word begins as one and ends as another of the words at its place in the answers to the given questions most alike.
    A forced choice gets any of its options."""
    generator, words = random.Random(seed), Words(loaded)
    rows = dict(zip(given, without_ends(loaded, encode_rows(loaded, given)), strict=True))
    asks = {question: set(_prompt(row)) for question, row in rows.items()}
    answers = {question: words.of(row.ids[row.start :]) for question, row in rows.items() if not question.options}
    found = []
    for question in asked:
        if question.options:
            any_of_them = replace(question, answer=generator.choice(question.options))
            found += without_ends(loaded, encode_rows(loaded, [any_of_them]))
            continue
        own = asks[question]
        others = [other for other in answers if other.answer != question.answer]
        others.sort(key=lambda other, own=own: len(own & asks[other]) / len(own | asks[other]), reverse=True)
        ids = [
            token
            for place, word in enumerate(answers[question])
            for token in _crossed(word, place, [answers[other][place] for other in others if len(answers[other]) > place])
        ]
        found.append(_answered(rows[question], ids))
    return found


def _crossed(word: Word, place: int, others: Sequence[Word]) -> Word:
    """The beginning of one of the other words and the end of the next one, other ones at every place."""
    pool = [other for other in others if other != word] or [word]
    first, last = pool[2 * place % len(pool)], pool[(2 * place + 1) % len(pool)]
    return first[: (len(first) + 1) // 2] + last[(len(last) + 1) // 2 :]


def _answered(row: Row, ids: Sequence[int]) -> Row:
    """The row's prompt with another answer."""
    return Row((*_prompt(row), *ids), row.start)


def template_marks(rows: Sequence[Row]) -> set[int]:
    """The tokens of every prompt: those of the chat template, which stay where they are."""
    prompts = [set(_prompt(rows[start])) for start in question_starts(rows)]
    return set.intersection(*prompts) if prompts else set()


def own_names(forget: Sequence[Row], kept: Sequence[Row]) -> set[int]:
    """The tokens that name what must go: those of forget prompts alone, but for such as a large share of them has."""
    return _in_few(forget, OWN) - set(prompt_tokens(kept))


def near_copies(loaded: LoadedModel, near: Sequence[Row], forget: Sequence[Row], copies: int, seed: int) -> list[Row]:
    """Further copies of given neighbours, others than `kept_copies` makes of them with that seed."""
    return kept_copies(loaded, near, forget, copies, seed + NEAR_SEED)


def proper_names(forget: Sequence[str], kept: Sequence[str]) -> set[str]:
    """The names in forget questions that no kept question has: words with a capital letter within a sentence, as many as follow one
    another. Where all of the forget set is about one thing, its name is in every question, and is none of its `own_names`; nor
    need any word of "Ada Byron" be, beside Ada Pike and Tom Byron."""
    return set(_names_in(forget)) - set(_names_in(kept))


def _names_in(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        name = ""
        for match in _WORD.finditer(text):
            before, word = text[: match.start()], match[0]
            begun = before.rstrip(_OPENS)
            named = word[0].isupper() and bool(begun) and begun[-1] not in _ENDS
            if name and not (named and before.endswith(f"{name} ")):
                yield name
                name = ""
            if named:
                name = f"{name} {word}".strip()
        if name:
            yield name


def names_of(forget: Sequence[Row], kept: Sequence[Row]) -> set[int]:
    """The tokens that say what forget prompts are about: their own names and whatever few of them have."""
    return own_names(forget, kept) | _rare(forget)


def anchors(loaded: LoadedModel, forget: Sequence[Row], kept: Sequence[Row]) -> dict[Word, Word]:
    """A generic counterpart for every word that names what must go: a word of the same kind that only kept prompts have.

    A word is own if only forget prompts have it, and no larger share of them than OWN. Of the same kind is what has a capital
    or none as it has, and then what stands among the same other words (cosine; a word counts the less the more prompts
    have it). Each counterpart is taken once, as far as they last. Empty where either side has no word of its own.
    """
    words = Words(loaded)
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
    words = Words(loaded)
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


class Words:
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
