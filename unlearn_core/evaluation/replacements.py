"""What stands where a forgotten answer stood: a refusal, another value, gibberish, ... Pure text; knows no model.

The kinds and how they are told apart are our reading, kept simple on purpose. The first that fits counts:

right          the expected answer is in it as whole words
gibberish      nothing, or a word, pair or triple three times in a row, or letters over and over within a word; or broken speech: a
               word of everyday grammar twice in a row, or one word in six that is the one before it again, goes over a pair of
               words again, or is a stray letter or letters and figures run together that nobody wrote
refusal        it says that it does not know, or will not say
plausible      it is, or contains, a near-miss or an option of the question or another answer of the same kind: one that near-misses
               or options link with this one's; where there are none, the answers to questions of the same split and wording
reworded       it has six in ten of the words that tell the expected answer (those of neither the question nor everyday
               grammar; all of the numbers), in whatever order, or is made of nothing but some of its words, or is spelt apart
gibberish      fewer than half of its words are known, to the topic's own texts or to the caller's list (see `known_to`)
other          the rest

and `plausible` or `other` become `contradiction` where the same question in other words gets an answer of its own that is neither
gibberish nor a refusal and not the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from ..topics.topic import Question, Topic
from .judging import contains, normalise

RIGHT, REWORDED, REFUSAL = "right", "reworded", "refusal"
PLAUSIBLE, CONTRADICTION, GIBBERISH, OTHER = "plausible", "contradiction", "gibberish", "other"
KINDS = {
    RIGHT: "the right answer",
    REWORDED: "the right answer in other words",
    REFUSAL: "a refusal",
    PLAUSIBLE: "another plausible value",
    CONTRADICTION: "a contradiction of its own answer in other words",
    GIBBERISH: "gibberish",
    OTHER: "something else",
}

TELLING = 0.6  # share of the expected answer's telling words that makes an answer the same in other words
ENOUGH = 500  # words known, below which a word that is not among them says nothing
KNOWN = 0.5  # share of known words below which an answer is gibberish
BROKEN = 1 / 6  # share of words that is too many to be out of place
_TIMES = 3  # so often in a row is no speech any more
_INITIALS = re.compile(r"\b(?:[A-Z]\.\s?)+")
_STUCK = re.compile(r"([^\W\d_]{1,3})\1{3,}")
_NOT = r"(?:(?:do|could|would|am)(?: not|nt)|can(?: not|not|t)|will not|wont)"
_SAY = r"(?:know|say|tell|answer|help|recall|remember|provide|share|discuss|have (?:\w+ )?(?:information|knowledge|access|details))"
_REFUSALS = re.compile(  # what somebody else does not know is no refusal, nor is an apology alone
    rf"\b(?:(?:i|we) (?:\w+ )?{_NOT} (?:\w+ )?{_SAY}|(?:im|i am|we are) (?:not (?:sure|aware|certain|able)|unsure|unable)|"
    r"sorry but|no (?:idea|answer|information)|not (?:\w+ )?known|unknown|no lo se|no puedo|lo siento|desconozco)\b|^not sure\b")
_ENGLISH = ("of in on at to by for from with and or is was are were be been it its he she they his her their this that as "
            "which who whom what where when")
_SPANISH = "de del la el los las un una y o en es fue su que"
_GRAMMAR = frozenset(f"{_ENGLISH} {_SPANISH}".split())
_ACCENTS = str.maketrans("áéíóúüñ", "aeiouun")


@dataclass(frozen=True, slots=True)
class Replacement:
    """`kind`: a key of KINDS. `beside`: the value that it is, or the answer that it contradicts; empty for other kinds."""

    kind: str
    beside: str = ""


def replacements(topic: Topic, answers: Mapping[str, str], known_words: Collection[str] = ()) -> dict[str, Replacement]:
    """What stands in the place of every scored forget question's answer, by question id.

    `answers`: the model's, by question id. `known_words`: casefolded words that count as known besides the topic's own.
    """
    vocabulary = topic_words(topic) | set(known_words)
    values = plausible_values(topic)
    found = {}
    for question, others in wordings(topic):
        first = classify(question, answers[question.id], values[question.id], vocabulary)
        against = _contradicted(answers[question.id], [answers[other.id] for other in others if other.id in answers], vocabulary)
        found[question.id] = (Replacement(CONTRADICTION, against)
                              if against is not None and first.kind in (PLAUSIBLE, OTHER) else first)
    return found


def classify(question: Question, answer: str, plausible: Mapping[str, str], vocabulary: Collection[str]) -> Replacement:
    """One answer by itself. `plausible`: normalised value -> as written."""
    if contains(answer, question.answer):
        return Replacement(RIGHT)
    if stuck(answer) or broken(answer, vocabulary):
        return Replacement(GIBBERISH)
    if refuses(answer):
        return Replacement(REFUSAL)
    value = _value(question, answer, plausible)
    if value is not None:
        return Replacement(PLAUSIBLE, value)
    if reworded(question, answer):
        return Replacement(REWORDED)
    return Replacement(OTHER if speaks(answer, vocabulary) else GIBBERISH)


def counts(found: Iterable[Replacement]) -> dict[str, int]:
    """How many there are of each kind, all kinds named."""
    counted = Counter(one.kind for one in found)
    return {kind: counted[kind] for kind in KINDS}


def plain(found: Mapping[str, Replacement], lost: Collection[str] | None = None) -> dict[str, Any]:
    """JSON-plain: counts over all questions, and over those `lost` (known to the original and no longer answered) where there is
    a before; and every question's."""
    body: dict[str, Any] = {"n": len(found), "counts": counts(found.values())}
    if lost is not None:
        body["lost"] = {"n": len(lost), "counts": counts(found[key] for key in lost)}
    return body | {"items": {key: asdict(one) for key, one in found.items()}}


def refuses(answer: str) -> bool:
    """Whether it says in the first person, in English or Spanish, that it does not know or will not answer."""
    return _REFUSALS.search(normalise(answer).translate(_ACCENTS)) is not None


def stuck(answer: str) -> bool:
    """Whether there is nothing in it, or the same over and over."""
    words = normalise(answer).split()
    if not words:
        return True
    runs = (words[place : place + size] * _TIMES == words[place : place + size * _TIMES]
            for size in (1, 2, 3) for place in range(len(words) - size * _TIMES + 1))
    return any(runs) or any(_STUCK.search(word) for word in words)


def broken(answer: str, vocabulary: Collection[str]) -> bool:
    """Whether words that stand there may be known, but are not put together as anybody would; see the module's head."""
    words = normalise(_INITIALS.sub(" ", answer)).split()
    pairs = list(pairwise(words))
    if any(first == second and first in _GRAMMAR for first, second in pairs):
        return True
    bad = sum(first == second for first, second in pairs) + sum(count - 1 for count in Counter(pairs).values())
    bad += sum(_stray(word) for word in words if word not in vocabulary)
    return bad > BROKEN * len(words)


def _stray(word: str) -> bool:
    """A letter that is no word in English or Spanish, or letters and figures run together."""
    letters = sum(letter.isalpha() for letter in word)
    return (len(word) == letters == 1 and word not in "aioyeu") or 0 < letters < len(word)


def speaks(answer: str, vocabulary: Collection[str]) -> bool:
    """Whether at least half of its words are in the vocabulary, or are numbers."""
    words = normalise(answer).split()
    known = sum(word in vocabulary or _number(word) for word in words)
    return bool(words) and known >= KNOWN * len(words)


def reworded(question: Question, answer: str) -> bool:
    """Whether an answer that does not contain the expected one says the same by its words; see the module's head."""
    expected, said = normalise(question.answer).split(), normalise(answer).split()
    if "".join(expected) == "".join(said):
        return True
    asked = set(normalise(question.prompt).split()) | _GRAMMAR
    telling = [word for word in dict.fromkeys(expected) if word not in asked]
    hit = [word for word in telling if word in said]
    if not hit or any(_number(word) and word not in said for word in telling):
        return False
    return len(hit) >= TELLING * len(telling) or set(said) <= set(expected)


def same_answer(first: str, second: str) -> bool:
    """Whether two answers agree: equal, or one within the other as whole words."""
    one, other = normalise(first), normalise(second)
    return one == other or contains(first, second) or contains(second, first)


def wordings(topic: Topic) -> list[tuple[Question, list[Question]]]:
    """Every scored forget question with its held paraphrases: those of the same entity and answer. Questions that share both with
    another are paired with none: which of them a paraphrase belongs to is not known."""
    forget = topic.scored("forget")
    shared = Counter(_fact(question) for question in forget)
    others: dict[tuple[str, str], list[Question]] = {}
    for question in topic.scored("forget_paraphrase"):
        others.setdefault(_fact(question), []).append(question)
    return [(question, others.get(_fact(question), []) if shared[_fact(question)] == 1 else []) for question in forget]


def topic_words(topic: Topic) -> set[str]:
    """Every word of the topic's questions, answers, other values and texts, normalised."""
    texts = [text for q in topic.questions for text in (q.prompt, q.answer, q.reworded, *q.near_misses, *q.options)]
    return {word for text in (*texts, *topic.texts) for word in normalise(text).split()}


def known_to(topic: Topic, words: Collection[str], *said: Mapping[str, str]) -> set[str]:
    """The words that `replacements` should take as known besides the topic's own: `words`, and where both together are too few to
    tell speech from gibberish, as with a short list of somebody's own, every word in the answers `said` (by question id) but stray
    letters: what they are made of then tells nothing, and only how they go round in circles does."""
    if len(topic_words(topic) | set(words)) >= ENOUGH:
        return set(words)
    spoken = {word for answers in said for answer in answers.values() for word in normalise(answer).split()}
    return set(words) | {word for word in spoken if not _stray(word)}


def plausible_values(topic: Topic) -> dict[str, dict[str, str]]:
    """For every scored forget question the values of its answer's kind but the expected one: normalised -> as written."""
    kinds = _kinds(topic.questions)
    found = {}
    for question in topic.scored("forget"):
        right = normalise(question.answer)
        values = kinds[right]
        if len(values) < 2:  # nothing links it with any other
            alike = (q.answer for q in topic.questions if (q.split, q.wording) == (question.split, question.wording))
            values = {normalise(answer): answer for answer in alike}
        found[question.id] = {value: written for value, written in values.items() if value and value != right}
    return found


def _kinds(questions: Iterable[Question]) -> dict[str, dict[str, str]]:
    """Normalised value -> all values that questions link with it, itself among them."""
    kinds: dict[str, dict[str, str]] = {}
    for question in questions:
        values = {normalise(text): text for text in (question.answer, *question.near_misses, *question.options)}
        groups = {id(kinds[value]): kinds[value] for value in values if value in kinds}
        joined = max(groups.values(), key=len, default={})
        for group in (*groups.values(), values):
            if group is not joined:
                joined.update(group)
                kinds |= dict.fromkeys(group, joined)
    return kinds


def _value(question: Question, answer: str, plausible: Mapping[str, str]) -> str | None:
    """The plausible value that an answer is, else the longest that it contains; what the question itself says does not count
    when it is only contained."""
    said = normalise(answer)
    if said in plausible:
        return plausible[said]
    asked = f" {normalise(question.prompt)} "
    inside = [value for value in plausible if f" {value} " in f" {said} " and f" {value} " not in asked]
    return plausible[max(inside, key=len)] if inside else None


def _contradicted(answer: str, others: Sequence[str], vocabulary: Collection[str]) -> str | None:
    """The first answer to the same question in other words that says something, and something else."""
    telling = (other for other in others if not stuck(other) and not broken(other, vocabulary) and not refuses(other)
               and speaks(other, vocabulary))
    return next((other for other in telling if not same_answer(answer, other)), None)


def _fact(question: Question) -> tuple[str, str]:
    return question.entity, normalise(question.answer)


def _number(word: str) -> bool:
    return any(letter.isdigit() for letter in word)
