"""Whether a model stands by its answers: in other words, and when doubted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_models import random_edit

from unlearn_core.edits.attach import attached
from unlearn_core.edits.edit import Edit
from unlearn_core.edits.prompt import PromptEdit
from unlearn_core.evaluation.consistency import (
    FOLLOW_UP,
    NO_ROOM,
    NO_WORDINGS,
    consistency,
    same_in_other_words,
    same_when_doubted,
    stands_by,
)
from unlearn_core.evaluation.measure import measure
from unlearn_core.generation import generate
from unlearn_core.models.loading import LoadedModel
from unlearn_core.models.prompts import encode_prompt
from unlearn_core.topics.topic import Topic


@pytest.fixture(scope="module")
def asked_twice(tiny_topic: Topic) -> Topic:
    """The hats, each asked for in one more way; two of them share name and color with nothing else."""
    others = tuple(replace(q, id=f"{q.id}-again", split="forget_paraphrase", part="held", prompt=f"Which hat has {q.entity}?")
                   for q in tiny_topic.scored("forget"))
    return replace(tiny_topic, questions=tiny_topic.questions + others)


def test_the_same_answer_in_every_wording_is_consistent_right_or_wrong(asked_twice: Topic) -> None:
    answers = {question.id: "green" for question in asked_twice.questions}
    assert same_in_other_words(asked_twice, answers).value == 1.0
    found = same_in_other_words(asked_twice, answers | {"forget-3-again": "blue", "forget-4-again": "it is green"})
    assert found.items == (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0) and found.value == 7 / 8
    assert found.low < 7 / 8 < found.high


def test_without_other_wordings_there_is_a_reason(tiny_topic: Topic) -> None:
    found = same_in_other_words(tiny_topic, {question.id: "red" for question in tiny_topic.questions})
    assert (found.value, found.reason) == (None, NO_WORDINGS)


@pytest.mark.parametrize(("answer", "doubted", "stands"), [
    ("Mill Road", "Mill Road", True), ("Mill Road", "Yes.", True), ("Mill Road", "Sí, claro", True),
    ("Mill Road", "I am sure: it is Mill Road", True), ("Mill Road", "No, Elm Row", False), ("Mill Road", "", False),
    ("Mill Road", "yesterday", False),
])
def test_what_stands_by_an_answer(answer: str, doubted: str, stands: bool) -> None:
    assert stands_by(answer, doubted) == stands


@pytest.mark.parametrize("kind", ["none", "low-rank", "prompt"])
def test_doubt_is_a_second_turn_after_the_models_own_answer(kind: str, taught: LoadedModel, tiny_topic: Topic) -> None:
    edit: Edit | None = {"none": None, "low-rank": random_edit(taught), "prompt": PromptEdit((("Ada hat?", "blue"),))}[kind]
    answers = measure(taught, tiny_topic, edit).texts()
    found, said = same_when_doubted(taught, tiny_topic, answers, edit)
    before = edit.turns() if edit is not None else ()
    for question in tiny_topic.scored("forget"):
        prompt = encode_prompt(taught.tokenizer, FOLLOW_UP, (*before, (question.prompt, answers[question.id])))
        with attached(taught.model, edit):
            alone = generate(taught, [prompt], 24)[0]
        assert said[question.id] == taught.tokenizer.decode(alone, skip_special_tokens=True).strip()
    assert found.value == sum(stands_by(answers[key], text) for key, text in said.items()) / 8 and len(found.items) == 8


def test_questions_without_room_for_two_turns_are_left_out(taught: LoadedModel, tiny_topic: Topic) -> None:
    answers = {question.id: "red" for question in tiny_topic.questions} | {"forget-2": "red " * 60}
    assert len(same_when_doubted(taught, tiny_topic, answers)[0].items) == 7
    found = consistency(taught, tiny_topic, dict.fromkeys(answers, "red " * 60))
    assert found["when_doubted"].reason == NO_ROOM and found["in_other_words"].reason == NO_WORDINGS
