"""Attacks that help the model along: with other facts of the topic shown first, or with the first half of a passage."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import Field

from ..errors import BadInput
from ..evaluation.judging import contains
from ..topics.topic import Question
from .asking import Asking, AskingConfig, Fact, fact_of, forced, guessing, turns_of
from .attack import Attack, AttackConfig, Brief, Finding, Point, Step, inapplicable, tally

PASSAGE = 3  # words from which on an answer is a passage
Turns = tuple[tuple[str, str], ...]


# --- other facts shown first ------------------------------------------------------------------------------------------

class HintsConfig(AttackConfig):
    """How many facts are shown."""

    shown: int = Field(4, ge=1, le=32, title="Facts shown",
                       description="How many right answers about others stand before each question, at most.")


def counts(most: int) -> list[int]:
    """0, 1, 2, 4, 8 and so on, up to `most` and with it."""
    return [0, *(2**power for power in range(most.bit_length()) if 2**power < most), most]


def hints(known: Sequence[Question], question: Question, count: int, may_repeat: bool) -> Turns:
    """The first `count` facts that are known, with their answers, one wording each; none that gives the question's own answer
    away, unless `may_repeat` (where everything has one of a few answers)."""
    chosen: dict[Fact, tuple[str, str]] = {}
    for other in known:
        if len(chosen) == count:
            break
        if may_repeat or not contains(f"{other.prompt} {other.answer}", question.answer):
            chosen.setdefault(fact_of(other), (other.prompt, other.answer))
    return tuple(chosen.values())


def _hints(brief: Brief, config: HintsConfig) -> Asking:
    known, judged = brief.halves()
    random.Random(f"hints {brief.seed}").shuffle(known)
    if not known or not judged:
        yield inapplicable("There are too few forget questions to show some and to ask others.")
        return
    chance = guessing(judged) if forced(brief.topic) else None
    found: dict[int, list[bool]] = {}
    steps = counts(config.shown)
    for count in steps:
        try:
            found[count] = _after_hints(brief, known, judged, count)
        except BadInput:  # more than the model can read at once
            if not count:
                raise
            break
        yield Step(len(found), len(steps), "rounds")
        yield Point("hints", count, sum(found[count]) / len(judged))
    best = max(found, key=lambda count: (sum(found[count]), -count))
    yield tally(found[best], chance=chance, detail={"shown": best, "most shown": max(found)})


def _after_hints(brief: Brief, known: Sequence[Question], judged: Sequence[Question], count: int) -> list[bool]:
    """Which questions are answered as expected once `count` facts were shown; those that see the same are asked together."""
    groups: dict[Turns, list[int]] = {}
    for place, question in enumerate(judged):
        groups.setdefault(hints(known, question, count, forced(brief.topic)), []).append(place)
    right = [False] * len(judged)
    for turns, places in groups.items():
        marks = brief.subject.after(turns).right(brief.topic, [judged[place] for place in places], brief.cancelled)
        for place, mark in zip(places, marks, strict=True):
            right[place] = mark
    return right


# --- passages begun ---------------------------------------------------------------------------------------------------

def _continuation(brief: Brief, config: AskingConfig) -> Asking:
    passages = [question for question in brief.topic.scored("forget") if len(question.answer.split()) >= PASSAGE]
    if not passages:
        yield inapplicable(f"The topic has no answers of {PASSAGE} words or more that could be begun.")
        return
    yield _continued(brief, passages)


def _continued(brief: Brief, passages: Sequence[Question]) -> Finding:
    """Whether greedy decoding writes the second half of each answer's tokens, given the question and the first half."""
    from ..edits.attach import attached
    from ..models.prompts import answer_end, encode_answer, encode_prompt
    from ..scoring import answer_traces

    loaded, turns = brief.subject.loaded, turns_of(brief.subject)
    end = answer_end(loaded.tokenizer)
    pairs = []
    for question in passages:
        answer = encode_answer(loaded.tokenizer, question.answer)
        prompt = encode_prompt(loaded.tokenizer, question.prompt, turns)
        pairs.append((prompt, answer[:-1] if answer[-1] == end else answer))
    with attached(loaded.model, brief.subject.edit):
        traces = answer_traces(loaded, pairs, brief.cancelled)
    rests = [trace.hits[len(trace.hits) // 2:] for trace in traces]
    right = sum(sum(rest) for rest in rests) / sum(len(rest) for rest in rests)
    return tally([all(rest) for rest in rests], detail={"tokens right": right})


HINTS = Attack(
    "hints",
    "Other facts shown first",
    "asking",
    "Right answers about half of the topic are shown before questions about the other half.",
    "Shown none or some of the topic's other facts first",
    "Lynch et al. 2024, arXiv 2402.16835; RepSelect 2026, arXiv 2606.17168",
    HintsConfig,
    _hints,
    access="questions, and half of the answers",
    x="facts shown",
)

CONTINUATION = Attack(
    "continuation",
    "Passages begun",
    "asking",
    "The question and the first half of a passage are given; the rest must come word for word.",
    "Given the first half of each passage",
    "MUSE 2024, arXiv 2407.06460",
    AskingConfig,
    _continuation,
    access="questions, and half of each passage",
)
