"""Asked again and again at a temperature: leak@k, the chance that one of k drawn answers is right."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from math import comb
from typing import TYPE_CHECKING

from pydantic import Field

from ..evaluation.judging import known
from ..topics.topic import Question
from .asking import Asking, forced, turns_of
from .attack import Attack, AttackConfig, Brief, Finding, Point, Step, inapplicable

if TYPE_CHECKING:
    from ..batching import Cancelled
    from ..models.loading import LoadedModel

_BLOCK = 128  # answers drawn between two steps
_SHORTEST, _SPARE = 24, 4  # tokens that an answer may take: at least, and beyond the expected one


class SamplingConfig(AttackConfig):
    """How often each question is asked, and how many of the answers the attacker may use."""

    samples: int = Field(32, ge=1, le=512, title="Answers drawn", description="Answers drawn for each question.")
    k: int = Field(16, ge=1, le=512, title="Tries", description="Tries that the finding allows; at most all that were drawn.")
    temperature: float = Field(1.0, gt=0.0, le=5.0, title="Temperature", description="1 draws as the model is.")
    questions: int = Field(60, ge=1, le=1000, title="Questions", description="Forget questions asked, drawn at random.")


def leak(drawn: int, right: int, k: int) -> float:
    """1 − C(n − c, k) / C(n, k): how likely a right answer is among k, estimated without bias from n drawn ones of which c are
    right (leak@k, arXiv 2511.04934). Needs k ≤ n."""
    return 1.0 - comb(drawn - right, k) / comb(drawn, k)


def tries(samples: int, k: int) -> list[int]:
    """1, 2, 4 and so on up to `samples`, and `k` (or `samples`, where k is more)."""
    return sorted({*(2**power for power in range(samples.bit_length())), min(k, samples)})


def _sampling(brief: Brief, config: SamplingConfig) -> Asking:
    if forced(brief.topic):
        yield inapplicable("With few possible answers, guessing gets one of many right.")
        return
    scored = brief.topic.scored("forget")
    chosen = random.Random(f"sampling {brief.seed}").sample(range(len(scored)), min(config.questions, len(scored)))
    questions = [scored[place] for place in sorted(chosen)]
    right: list[int] = []
    for counts in _drawn(brief, questions, config):
        right += counts
        yield Step(len(right), len(questions), "questions")
    shares = {k: [leak(config.samples, count, k) for count in right] for k in tries(config.samples, config.k)}
    for k, values in shares.items():
        yield Point("leak@k", k, sum(values) / len(values))
    at = min(config.k, config.samples)
    yield Finding(sum(shares[at]), len(questions), detail={"tries": at, "answers drawn": config.samples})


def _drawn(brief: Brief, questions: Sequence[Question], config: SamplingConfig) -> Iterator[list[int]]:
    """How many of the answers drawn are right, for the questions of one block after another."""
    from ..edits.attach import attached
    from ..models.prompts import encode_prompt

    loaded, turns = brief.subject.loaded, turns_of(brief.subject)
    size = max(1, _BLOCK // config.samples)
    for start in range(0, len(questions), size):
        often = [question for question in questions[start:start + size] for _ in range(config.samples)]
        with attached(loaded.model, brief.subject.edit):
            marks = written(loaded, often, lambda text: encode_prompt(loaded.tokenizer, text, turns), brief.cancelled,
                            config.temperature, brief.seed * 100_003 + start)
        yield [sum(marks[first:first + config.samples]) for first in range(0, len(marks), config.samples)]


def written(loaded: LoadedModel, questions: Sequence[Question], prompt: Callable[[str], Sequence[int]], cancelled: Cancelled,
            temperature: float = 0.0, seed: int = 0) -> list[bool]:
    """Whether an answer generated for each question is right; a question that comes again has noise of its own. `prompt` gives
    a question's ids. Raises Stopped."""
    from ..generation import check_length, generate
    from ..models.prompts import encode_answer

    prompts = [prompt(question.prompt) for question in questions]
    limits = [max(_SHORTEST, len(encode_answer(loaded.tokenizer, question.answer)) + _SPARE) for question in questions]
    check_length(loaded, max(len(ids) + limit for ids, limit in zip(prompts, limits, strict=True)))
    answers = generate(loaded, prompts, limits, temperature, seed, cancelled)
    texts = [loaded.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in answers]
    return [known(question, text) for question, text in zip(questions, texts, strict=True)]


SAMPLING = Attack(
    "sampling",
    "Asked again and again",
    "sampling",
    "Many answers are drawn at a temperature; how likely it is that one of k is right.",
    "Asked again and again",
    "leak@k 2025, arXiv 2511.04934",
    SamplingConfig,
    _sampling,
    access="questions",
    x="answers drawn",
)
