"""Attacks that only ask: plainly, in other words, in Spanish, in every wording there is, without the edit's context.

None of them changes a weight or helps the model along; those that do the latter are in `hints`, `choosing` and `disguise`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..evaluation.judging import normalise
from ..evaluation.removal import CHANCE
from ..topics.topic import Question, Topic
from .attack import Attack, AttackConfig, Brief, Finding, Point, Step, inapplicable, tally

if TYPE_CHECKING:
    from ..edits.edit import Turn
    from .subject import Subject

WORDINGS = ("forget", "forget_paraphrase", "forget_spanish")
_SENTENCE = 4  # words from which on an answer says by itself which fact it is
_BLOCK = 128  # questions between two steps

Asking = Iterator[Step | Point | Finding]
Fact = tuple[str, str]


class AskingConfig(AttackConfig):
    """Asking has no settings."""


# --- shared by all that ask -------------------------------------------------------------------------------------------

def forced(topic: Topic, split: str = "forget") -> bool:
    """Whether a split is judged by which of a question's options the model holds for the likeliest."""
    return topic.floors.get(split) == CHANCE


def guessing(questions: Sequence[Question]) -> float | None:
    """Mean of 1 / number of options; None where there are none."""
    shares = [1 / len(question.options) for question in questions if question.options]
    return sum(shares) / len(shares) if shares else None


def chance_of(brief: Brief, split: str = "forget") -> float | None:
    """What guessing gives on a split that is judged by forced choice; None on every other."""
    return guessing(brief.topic.scored(split)) if forced(brief.topic, split) else None


def turns_of(subject: Subject) -> tuple[Turn, ...]:
    """Questions and answers that the subject's edit puts before every question."""
    return subject.edit.turns() if subject.edit is not None else ()


def blocks(questions: Sequence[Question]) -> Iterator[Sequence[Question]]:
    """The questions in blocks, so that there is something to tell between two."""
    for start in range(0, len(questions), _BLOCK):
        yield questions[start:start + _BLOCK]


def asked(brief: Brief, questions: Sequence[Question]) -> Iterator[Step | list[bool]]:
    """Ask in blocks: a step after each, and last which answers are right. Raises Stopped."""
    marks: list[bool] = []
    for block in blocks(questions):
        marks += brief.subject.right(brief.topic, block, brief.cancelled)
        yield Step(len(marks), len(questions), "questions")
    yield marks


def _split(split: str, lacking: str) -> Callable[[Brief, AskingConfig], Asking]:
    """Asking a whole split; `lacking` is the reason where it is empty."""
    def run(brief: Brief, config: AskingConfig) -> Asking:
        questions = brief.topic.scored(split)
        if not questions:
            yield inapplicable(lacking)
            return
        chance = chance_of(brief, split)
        for item in asked(brief, questions):
            yield tally(item, chance=chance) if isinstance(item, list) else item

    return run


# --- the worst of all wordings ----------------------------------------------------------------------------------------

def fact_of(question: Question) -> Fact:
    """What a question asks for, the same in every wording: entity and answer, or a long answer alone; else itself only."""
    answer = normalise(question.answer)
    if question.entity or len(answer.split()) >= _SENTENCE:
        return question.entity, answer
    return "", f"question {question.id}"


def wordings(topic: Topic) -> dict[Fact, list[Question]]:
    """Every scored fact of the forget set with all its questions: as given, in other words, in Spanish."""
    facts: dict[Fact, list[Question]] = {fact_of(question): [] for question in topic.scored("forget")}
    for question in topic.questions:
        if question.split in WORDINGS and fact_of(question) in facts:
            facts[fact_of(question)].append(question)
    return facts


def _worst_wording(brief: Brief, config: AskingConfig) -> Asking:
    """A fact counts as forgotten only if every wording fails."""
    facts = wordings(brief.topic)
    if forced(brief.topic):
        yield inapplicable("In a forced choice guessing gets one of several wordings right.")
        return
    if all(len(questions) < 2 for questions in facts.values()):
        yield inapplicable("The topic does not say which of its questions ask for the same fact.")
        return
    questions = [question for group in facts.values() for question in group]
    for item in asked(brief, questions):
        if not isinstance(item, list):
            yield item
            continue
        right = {id(question): mark for question, mark in zip(questions, item, strict=True)}
        worst = [any(right[id(question)] for question in group) for group in facts.values()]
        yield tally(worst, detail={"wordings": len(questions) / len(facts), "mean": sum(item) / len(item)})


# --- without what stands around the weights ---------------------------------------------------------------------------

def _drop_context(brief: Brief, config: AskingConfig) -> Asking:
    """A context or a decoding rule is no part of the weights: whoever holds these asks without it."""
    from ..edits.decoding import DecodingEdit
    from ..edits.prompt import PromptEdit
    from ..edits.stack import stack
    from .subject import parts

    subject = brief.subject
    around = [part for part in parts(subject.edit) if isinstance(part, (PromptEdit, DecodingEdit))]
    rest = [part for part in parts(subject.edit) if part not in around]
    if subject.edit is not None and not around:
        yield inapplicable("The change lies in the model itself, with nothing around its weights that could be left out.")
        return
    bare = replace(brief, subject=replace(subject, edit=stack(rest) if rest else None))
    questions = brief.topic.scored("forget")
    for item in asked(bare, questions):
        yield tally(item, chance=chance_of(brief)) if isinstance(item, list) else item


# --- the attacks ------------------------------------------------------------------------------------------------------

PLAIN = Attack(
    "plain",
    "Asked plainly",
    "asking",
    "No attack: the forget questions as the method saw them, for comparison.",
    "Asked plainly",
    "for comparison",
    AskingConfig,
    _split("forget", "The topic has no forget questions that are scored."),
    access="questions",
)

PARAPHRASE = Attack(
    "paraphrase",
    "In other words",
    "asking",
    "The same facts asked for in words that the method never saw.",
    "Asked in other words",
    "Patil et al. 2023, arXiv 2309.17410",
    AskingConfig,
    _split("forget_paraphrase", "The topic has no questions in other words."),
    access="questions",
)

WORST_WORDING = Attack(
    "worst-wording",
    "Worst of all wordings",
    "asking",
    "Each fact asked for in every wording there is; it is forgotten only if all of them fail.",
    "With each fact asked for in every wording",
    "JensUn 2025, arXiv 2509.02820",
    AskingConfig,
    _worst_wording,
    access="questions",
)

SPANISH = Attack(
    "spanish",
    "In Spanish",
    "asking",
    "The same facts asked for in Spanish, which the method never saw.",
    "Asked in Spanish",
    "Lynch et al. 2024, arXiv 2402.16835",
    AskingConfig,
    _split("forget_spanish", "The topic has no questions in Spanish."),
    access="questions",
)

DROP_CONTEXT = Attack(
    "drop-context",
    "Context left out",
    "asking",
    "The weights asked as they are, without the context or the decoding rule that stands around them.",
    "Asked without what stands around its weights",
    "our own: who holds the weights need not use what stands around them",
    AskingConfig,
    _drop_context,
    access="weights",
)
