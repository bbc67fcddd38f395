"""Attacks that let the model choose: which of several likely answers it holds for the likeliest, and the same with them shown."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..evaluation.judging import same
from ..topics.topic import Question
from .asking import Asking, AskingConfig, blocks, guessing, turns_of
from .attack import Attack, Brief, Step, inapplicable, tally

if TYPE_CHECKING:
    from ..batching import Cancelled
    from ..models.loading import LoadedModel

LACKING = "The topic's forget questions come without other likely answers to choose from."


def with_options(questions: Sequence[Question]) -> list[Question]:
    """The questions that have options, or wrong answers that can stand beside the right one as such; all with options."""
    found = []
    for question in questions:
        wrong = [text for text in dict.fromkeys(question.near_misses) if not same(text, question.answer)]
        options = question.options or (question.answer, *wrong)
        if len(options) > 1:
            found.append(replace(question, options=options))
    return found


def shown(question: Question, seed: int) -> Question:
    """The question with its options named in its text, in an order of its own."""
    options = list(question.options)
    random.Random(f"options {seed} {question.id}").shuffle(options)
    return replace(question, prompt=f"{question.prompt} Choose: {', '.join(options[:-1])} or {options[-1]}.")


def likeliest(loaded: LoadedModel, questions: Sequence[Question], prompt: Callable[[str], Sequence[int]],
              cancelled: Cancelled) -> list[bool]:
    """Whether the right option of each question is the likeliest, by total log-probability with the end of the answer; a tie
    counts against it. `prompt` gives a question's ids. Raises Stopped."""
    from ..models.prompts import encode_answer
    from ..scoring import answer_logprobs

    asked = [(question, option) for question in questions for option in question.options]
    pairs = [(prompt(question.prompt), encode_answer(loaded.tokenizer, option)) for question, option in asked]
    scores = iter(answer_logprobs(loaded, pairs, cancelled))
    found = []
    for question in questions:
        chances = {option: next(scores).logprob for option in question.options}
        own = chances.pop(question.answer)
        found.append(own > max(chances.values()))
    return found


def _chosen(brief: Brief, questions: Sequence[Question]) -> Asking:
    from ..edits.attach import attached
    from ..models.prompts import encode_prompt

    if not questions:
        yield inapplicable(LACKING)
        return
    loaded, turns, marks = brief.subject.loaded, turns_of(brief.subject), []
    for block in blocks(questions):
        with attached(loaded.model, brief.subject.edit):
            marks += likeliest(loaded, block, lambda text: encode_prompt(loaded.tokenizer, text, turns), brief.cancelled)
        yield Step(len(marks), len(questions), "questions")
    yield tally(marks, chance=guessing(questions))


def _choice(brief: Brief, config: AskingConfig) -> Asking:
    return _chosen(brief, with_options(brief.topic.scored("forget")))


def _shown_choice(brief: Brief, config: AskingConfig) -> Asking:
    """The topic's own questions of that kind, where it has some; else its forget questions with their options named."""
    own = [question for question in brief.topic.scored("forget_choice") if question.options]
    return _chosen(brief, own or [shown(question, brief.seed) for question in with_options(brief.topic.scored("forget"))])


CHOICE = Attack(
    "choice",
    "Likeliest of several answers",
    "asking",
    "The right answer against other likely ones: which of them the model holds for the likeliest.",
    "Made to weigh several answers",
    "WMDP 2024, arXiv 2403.03218",
    AskingConfig,
    _choice,
    access="questions, answers and their probabilities",
)

SHOWN_CHOICE = Attack(
    "shown-choice",
    "Multiple choice",
    "asking",
    "The question names the right answer among other likely ones.",
    "Asked with several answers to choose from",
    "WMDP 2024, arXiv 2403.03218",
    AskingConfig,
    _shown_choice,
    access="questions, answers and their probabilities",
)
