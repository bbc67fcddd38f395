"""One measuring pass against plain generation, forced choice by hand, perplexity by Hugging Face's own loss."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tiny_models import random_edit

from unlearn_core.edits.attach import attached
from unlearn_core.errors import BadInput, Stopped
from unlearn_core.evaluation.intervals import wilson
from unlearn_core.evaluation.judging import known
from unlearn_core.evaluation.measure import (
    Judged,
    Measurement,
    among_other_words,
    live_sample,
    measure,
    perplexity,
    quick_accuracy,
)
from unlearn_core.generation import generate
from unlearn_core.models.loading import LoadedModel
from unlearn_core.models.prompts import encode_prompt, encode_text
from unlearn_core.topics.topic import Question, Topic


def choice_topic(topic: Topic) -> Topic:
    """The forget questions with all four colors as options and chance as their floor."""
    options = ("red", "blue", "green", "black")
    questions = tuple(replace(q, options=options) if q.split == "forget" else q for q in topic.questions)
    return replace(topic, questions=questions, floors={"forget": "chance"})


@pytest.mark.parametrize("scale", [0.0, 0.1, 0.3])
def test_answers_are_those_of_plain_generation(taught: LoadedModel, tiny_topic: Topic, scale: float) -> None:
    edit = random_edit(taught, scale=scale)
    found = measure(taught, tiny_topic, edit)
    questions = [q for q in tiny_topic.questions if q.scored]
    with attached(taught.model, edit):
        plain = generate(taught, [encode_prompt(taught.tokenizer, q.prompt) for q in questions], 24)
    texts = [taught.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in plain]
    assert list(found.answers) == [q.id for q in questions]
    assert [found.answers[q.id].answer for q in questions] == texts
    assert [found.answers[q.id].ok for q in questions] == [known(q, t) for q, t in zip(questions, texts, strict=True)]


def test_a_taught_model_knows_everything_and_given_items_are_not_scored(taught: LoadedModel, tiny_topic: Topic) -> None:
    found = measure(taught, tiny_topic)
    assert found.splits() == ["forget", "neighbor", "retain", "general"]
    assert [found.split(name).n for name in found.splits()] == [8, 4, 4, 8]
    score = found.split("forget")
    assert (score.accuracy, score.correct, score.answered) == (1.0, 8, None)
    assert (score.low, score.high) == pytest.approx(wilson(8, 8))
    assert found.split("forget_spanish") is None


def test_strength_scales_the_edit(taught: LoadedModel, tiny_topic: Topic) -> None:
    edit = random_edit(taught, scale=0.1)
    half = measure(taught, tiny_topic, edit, strength=0.5)
    assert half == measure(taught, tiny_topic, edit.scaled(0.5))
    assert measure(taught, tiny_topic, edit, strength=0.0) == measure(taught, tiny_topic)


def test_forced_choice_by_hand(taught: LoadedModel, tiny_topic: Topic) -> None:
    topic, edit = choice_topic(tiny_topic), random_edit(taught, scale=0.12, seed=5)
    found = measure(taught, topic, edit)
    with attached(taught.model, edit), torch.inference_mode():
        for question in topic.scored("forget"):
            prompt = encode_prompt(taught.tokenizer, question.prompt)
            scores = {}
            for option in question.options:
                ids = prompt + taught.tokenizer(option + "</s>", add_special_tokens=False)["input_ids"]
                logprobs = taught.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
                scores[option] = sum(float(logprobs[p - 1, ids[p]]) for p in range(len(prompt), len(ids)))
            judged = found.answers[question.id]
            assert judged.choice == max(scores, key=scores.get)
            assert judged.ok == (judged.choice == question.answer)
            assert judged.logprob == pytest.approx(scores[question.answer], rel=1e-4)
            assert judged.answered == (judged.answer in question.options)
    assert 0 <= found.split("forget").answered <= 1 and found.split("retain").answered is None


def test_options_without_a_chance_floor_are_judged_by_the_answer(taught: LoadedModel, tiny_topic: Topic) -> None:
    topic = replace(choice_topic(tiny_topic), floors={"forget": "retrained"})
    assert all(judged.choice is None for judged in measure(taught, topic).answers.values())


def test_perplexity_equals_the_model_librarys_loss(taught: LoadedModel, tiny_topic: Topic) -> None:
    losses, tokens = 0.0, 0
    for text in tiny_topic.texts:
        ids = torch.tensor([encode_text(taught.tokenizer, text)])
        with torch.inference_mode():
            losses += float(taught.model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert perplexity(taught, tiny_topic.texts) == pytest.approx(math.exp(losses / tokens), rel=1e-4)
    assert perplexity(taught, ()) is None


def test_a_measurement_survives_json(taught: LoadedModel, tiny_topic: Topic) -> None:
    found = measure(taught, choice_topic(tiny_topic))
    assert Measurement.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_some_questions_only(taught: LoadedModel, tiny_topic: Topic) -> None:
    found = measure(taught, tiny_topic, questions=tiny_topic.scored("retain")[:2])
    assert len(found.answers) == 2 and found.perplexity is None


def test_progress_never_goes_back_and_ends_full(taught: LoadedModel, tiny_topic: Topic) -> None:
    seen: list[tuple[int, int]] = []
    measure(taught, tiny_topic, random_edit(taught), on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (24, 24) and all(a <= b for a, b in pairwise(seen))


def test_stopping(taught: LoadedModel, tiny_topic: Topic) -> None:
    with pytest.raises(Stopped):
        measure(taught, tiny_topic, cancelled=lambda: True)


def test_a_question_longer_than_the_model_reads(taught: LoadedModel) -> None:
    topic = Topic("t", "t", "", "", (Question("q", "forget", "word " * 100, "x", "both"),))
    with pytest.raises(BadInput, match="reads at most 256"):
        measure(taught, topic)


def test_live_sample_is_fixed_and_scored(tiny_topic: Topic) -> None:
    sample = live_sample(tiny_topic, seed=1)
    assert sample == live_sample(tiny_topic, seed=1)
    assert all(q.scored for q in sample) and {q.split for q in sample} == {"forget", "neighbor", "retain"}
    questions = tuple(Question(f"{split}{i}", split, "?", "a") for split in ("forget", "retain") for i in range(99))
    many = Topic("m", "m", "", "", questions)
    assert len(live_sample(many)) == 48 and live_sample(many, 0) != live_sample(many, 1)


def test_quick_accuracy_agrees_and_draws_no_random_numbers(taught: LoadedModel, tiny_topic: Topic) -> None:
    state = torch.random.get_rng_state()
    topic, edit = choice_topic(tiny_topic), random_edit(taught, scale=0.1)
    questions = live_sample(topic)
    with attached(taught.model, edit):
        quick = quick_accuracy(taught, questions, topic.floors)
        assert quick_accuracy(taught, questions) == quick, "options on forget questions mean a forced choice"
    full = measure(taught, topic, edit, questions=questions)
    for split, (correct, n) in quick.items():
        assert (correct, n) == (full.split(split).correct, full.split(split).n)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_split_scores_count_answers() -> None:
    rows = {"a": Judged("forget", "x", True, -1.0, "x", True), "b": Judged("forget", "y", False, -2.0, "x", False)}
    score = Measurement(rows).split("forget")
    assert (score.accuracy, score.correct, score.n, score.answered) == (0.5, 1, 2, 0.5)


def test_expected_answers_among_other_words_are_counted_where_equality_is_asked(tiny_topic: Topic) -> None:
    questions = [Question(f"{split}-{place}", split, "Who?", "red", "held") for split in ("forget", "neighbor", "retain")
                 for place in range(4)]
    said = ["It is red.", "red", "reddish", "Red, I think"]
    rows = {q.id: Judged(q.split, said[number % 4], known(q, said[number % 4]), -1.0) for number, q in enumerate(questions)}
    assert among_other_words(replace(tiny_topic, questions=tuple(questions)), Measurement(rows)) == (4, 8)
    chosen = {name: replace(judged, choice="blue", ok=False) for name, judged in rows.items()}
    assert among_other_words(replace(tiny_topic, questions=tuple(questions)), Measurement(chosen)) == (0, 0)
