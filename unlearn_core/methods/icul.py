"""In-context unlearning, ICUL (Pawelczyk et al. 2024, arXiv 2310.07579): wrong answers to the topic before every question.

The prompt is: K forget questions, each with another answer; then L kept questions with their own; then the question. No
weight changes: whoever leaves the context out has the knowledge back. The paper flips the labels of a classification; a
forced choice gets another of its options here, an open question the answer of another forget question (as the paper does
for questions). Both blocks are drawn with the run's seed, and cut to half of what the model reads, so that room is left for
the question (our reading; the paper's K deletion requests all fit).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..events import Notice
from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from ..topics.topic import Question


class IculConfig(MethodConfig):
    """Settings of in-context unlearning."""

    forgotten: int = Field(20, ge=1, le=500, description="Forget questions in the context, each with another answer (K)")
    kept: int = Field(6, ge=0, le=500, description="Questions to keep in the context, with their own answers (L)")
    flipped: bool = Field(True, description="Give the forget questions other answers; off leaves their own, as a control")


def fit(context: Context, config: IculConfig) -> Iterator[Any]:
    """Yield the context as an edit."""
    from ..edits.prompt import PromptEdit

    yield Stage("context")
    generator = random.Random(context.seed)
    given = context.given
    forget = generator.sample(given.forget, min(config.forgotten, len(given.forget)))
    others = given.neighbor + given.retain
    kept = generator.sample(others, min(config.kept, len(others)))
    wrong = [(q.prompt, _other_answer(q, given.forget, generator) if config.flipped else q.answer) for q in forget]
    right = [(q.prompt, q.answer) for q in kept]
    turns = _fitting(context, wrong, right)
    if len(turns) < len(wrong) + len(right):
        yield Notice(f"The model reads {context.loaded.context} tokens: {len(turns)} of {len(wrong) + len(right)} questions fit "
                     "into half of that.")
    yield PromptEdit(tuple(turns))


def _other_answer(question: Question, all_of_them: tuple[Question, ...], generator: random.Random) -> str:
    """Another option, or the answer of another question; the question's own where there is no other."""
    pool = question.options or tuple(other.answer for other in all_of_them)
    others = [answer for answer in dict.fromkeys(pool) if answer != question.answer]
    return generator.choice(others) if others else question.answer


def _fitting(context: Context, wrong: list[tuple[str, str]], right: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """As many of both blocks as fit, in proportion, wrong answers first."""
    from ..models.prompts import encode_prompt

    room = (context.loaded.context or 1_000_000) // 2
    for share in range(100, 0, -2):
        turns = wrong[: max(1, len(wrong) * share // 100)] + right[: len(right) * share // 100]
        if len(encode_prompt(context.loaded.tokenizer, "", tuple(turns))) <= room:
            return turns
    return wrong[:1]


METHOD = Method(
    "icul",
    "In-context unlearning",
    "Pawelczyk et al. 2024, arXiv 2310.07579",
    "context",
    "Puts wrong answers to the topic's questions before every question; without that context everything is known again. A model "
    "that learns little from its context, as the built-in ones, answers nothing else rightly either while it is there.",
    "forgotten",
    IculConfig,
    (("context", "Choose the context"),),
    fit,
    access="the prompt only",
    cost="no training; every question becomes longer",
)
