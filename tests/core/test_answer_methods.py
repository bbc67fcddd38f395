"""What single methods that train on answers do beyond what every method owes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from unlearn_core import training
from unlearn_core.edits.attach import attached
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.events import Loss, Notice
from unlearn_core.generation import generate
from unlearn_core.methods import Context, find_method, settings_of
from unlearn_core.methods.pdu import next_price
from unlearn_core.models.loading import LoadedModel
from unlearn_core.models.prompts import answer_end
from unlearn_core.objectives import overlap
from unlearn_core.stand_ins import REFUSALS, refused, unseen_answers
from unlearn_core.topics.topic import Question, Topic
from unlearn_core.training import (
    Row,
    answer_nlls,
    encode_rows,
    extraction_likelihood,
    given_rows,
    loop,
    memorisation_accuracy,
    paired,
    readings,
)


def run(loaded: LoadedModel, topic: Topic, name: str, seed: int = 0, **settings: Any) -> list[Any]:
    method = find_method(name)
    return list(method.fit(Context(loaded, topic.given(), seed), settings_of(method, settings)))


def last_edit(items: list[Any]) -> LowRankEdit:
    return [item for item in items if isinstance(item, LowRankEdit)][-1]


def same(first: LowRankEdit, second: LowRankEdit) -> bool:
    return all(
        torch.equal(one, other)
        for name in first.names
        for one, other in zip(first.factors[name], second.factors[name], strict=True)
    )


def greedy(loaded: LoadedModel, row: Row) -> str:
    found = generate(loaded, [row.ids[: row.start]], len(row.ids) - row.start)[0]
    return loaded.tokenizer.decode(found).strip()


# rows


def test_only_what_is_to_be_forgotten_loses_its_end(tiny: LoadedModel, tiny_topic: Topic) -> None:
    forget, kept = given_rows(Context(tiny, tiny_topic.given(), 0))
    whole = encode_rows(tiny, tiny_topic.given().forget)
    end = answer_end(tiny.tokenizer)
    assert [(*row.ids, end) for row in forget] == [row.ids for row in whole]
    assert [row.start for row in forget] == [row.start for row in whole]
    assert kept and all(row.ids[-1] == end for row in kept)


def test_an_empty_answer_keeps_its_end(tiny: LoadedModel, tiny_topic: Topic) -> None:
    empty = tuple(replace(question, answer="") for question in tiny_topic.questions)
    forget, _ = given_rows(Context(tiny, replace(tiny_topic, questions=empty).given(), 0))
    assert all(len(row.ids) == row.start + 1 for row in forget)


def test_every_refusal_is_used_about_equally_often(tiny: LoadedModel, tiny_topic: Topic) -> None:
    questions = tuple(replace(q, options=("red", "blue")) for q in tiny_topic.given().forget) * 3
    rows = refused(tiny, questions, 1)
    said = [tiny.tokenizer.decode(row.ids[row.start : -1]).strip() for row in rows]
    counts = [said.count(refusal) for refusal in REFUSALS]
    assert sum(counts) == len(questions) == len(said) and max(counts) - min(counts) <= 1
    assert not any(row.options for row in rows)
    assert rows == refused(tiny, questions, 1) != refused(tiny, questions, 2)


def test_pairs_follow_one_another_and_are_drawn_together() -> None:
    first, second = [Row((1, n), 1) for n in range(5)], [Row((2, n), 1) for n in range(5)]
    rows = paired(first, second)
    assert [row.ids for row in rows[:4]] == [(1, 0), (2, 0), (1, 1), (2, 1)]
    drawn = training.rounds(rows, 4, seed=3)
    for batch in (next(drawn) for _ in range(6)):
        assert [place + 1 for place in batch[0::2]] == batch[1::2] and all(place % 2 == 0 for place in batch[0::2])


# the original is asked once


@pytest.mark.parametrize("name", ["npo", "dpo", "undial", "kl-minimization", "pdu"])
def test_the_original_is_scored_once_however_long_the_training(
    name: str, taught: LoadedModel, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    score = training.score
    for module in (loop, readings):
        monkeypatch.setattr(
            module, "score", lambda loaded, rows, *how, **more: calls.append(len(rows)) or score(loaded, rows, *how, **more)
        )
    spent = []
    for steps in (2, 5):
        calls.clear()
        run(taught, tiny_topic, name, steps=steps)
        spent.append(len(calls))
    assert spent[1] - spent[0] == 3 and spent[0] > 2


# refusals


@pytest.mark.parametrize("name", ["idk", "dpo"])
def test_refusals_gain_on_the_answers(name: str, taught: LoadedModel, tiny_topic: Topic) -> None:
    answers = encode_rows(taught, tiny_topic.given().forget)
    refusals = refused(taught, tiny_topic.given().forget, 0)

    def lead() -> float:
        return float((answer_nlls(taught, answers) - answer_nlls(taught, refusals)).mean())

    before = lead()
    with attached(taught.model, last_edit(run(taught, tiny_topic, name))):
        assert lead() > before + 10


def test_idk_says_a_refusal(taught: LoadedModel, tiny_topic: Topic) -> None:
    rows = refused(taught, tiny_topic.given().forget, 0)
    with attached(taught.model, last_edit(run(taught, tiny_topic, "idk", steps=150))):
        said = [greedy(taught, row) for row in rows]
    assert sum(answer in REFUSALS for answer in said) >= len(said) // 2, said


# memory, and the rule that ends gradient ascent


def test_memory_is_the_mean_of_what_is_defined_for_each_answer(taught: LoadedModel, tiny_topic: Topic) -> None:
    rows = [*encode_rows(taught, tiny_topic.given().forget)[:2], Row((2, 60, 61, 3, 70, 71, 72), 4)]
    rows = [replace(rows[0], ids=rows[0].ids[:-1]), *rows[1:]]
    extracted, accuracy = [], []
    for row in rows:
        length = len(row.ids) - row.start
        shares, hits = [], []
        for place in range(row.start, len(row.ids)):
            rest = row.ids[place:]
            found = generate(taught, [row.ids[:place]], len(rest))[0]
            shares.append(overlap(found, rest, min(2, len(rest))))
            with torch.no_grad():
                logits = taught.model(input_ids=torch.tensor([row.ids[:place]])).logits[0, -1]
            hits.append(int(logits.argmax()) == row.ids[place])
        extracted.append(sum(shares) / length)
        accuracy.append(sum(hits) / length)
    assert extraction_likelihood(taught, rows, 2) == pytest.approx(sum(extracted) / len(rows))
    assert memorisation_accuracy(taught, rows) == pytest.approx(sum(accuracy) / len(rows))
    assert sum(extracted) > 0.5 * len(rows) and 0.5 * len(rows) < sum(accuracy) < len(rows)


def test_long_answers_are_compared_after_few_evenly_spread_prefixes() -> None:
    assert readings._spread(3) == [0, 1, 2]
    assert readings._spread(40) == [0, 5, 10, 15, 20, 25, 30, 35]


def test_gradient_ascent_ends_once_the_topic_is_as_unknown_as_unseen_text(
    taught: LoadedModel, tiny_topic: Topic
) -> None:
    items = run(taught, tiny_topic, "gradient-ascent", steps=400, every=2, rate=3e-3)
    losses = [item for item in items if isinstance(item, Loss)]
    assert losses[0].total == 400 > losses[-1].step == losses[-1].total and losses[-1].step % 2 == 0
    context = Context(taught, tiny_topic.given(), 0)
    rows, _ = given_rows(context)
    unseen = unseen_answers(taught, context.given.forget, context.given.forget, 0)

    def memory(asked: list[Row]) -> tuple[float, float]:
        return memorisation_accuracy(taught, asked), extraction_likelihood(taught, asked, 2)

    before, level = memory(rows), memory(unseen)
    with attached(taught.model, last_edit(items)):
        after = memory(rows)
    for number in range(2):
        assert after[number] <= level[number] + 1e-6 < 0.9 * before[number]
    assert all(loss.retain is None for loss in losses)


def test_answers_that_nobody_gave_are_in_the_form_of_the_given_ones(taught: LoadedModel) -> None:
    """Of questions alike: Where does one live, in a word, and how old is one, in a number."""
    places = ("Norburg", "Sudhaven", "Westford", "Ostkirch")
    names = ("Ada", "Bo", "Cy", "Dee")
    asked = [Question(f"p{n}", "forget", f"Where does {name} live?", places[n]) for n, name in enumerate(names)]
    asked += [Question(f"a{n}", "forget", f"How old is {name}?", f"{n}{n + 1} years") for n, name in enumerate(names[:3], 1)]
    yes = Question("f", "forget", "Is Ada old?", "yes", options=("yes", "no"))
    rows = unseen_answers(taught, [*asked, yes], [*asked, yes], 0)
    said = [taught.tokenizer.decode(row.ids[row.start :]).strip() for row in rows]
    assert [row.ids[: row.start] for row in rows] == [row.ids[: row.start] for row in encode_rows(taught, [*asked, yes])]
    assert said[-1] in ("yes", "no")
    for question, answer in zip(asked, said[:-1], strict=True):
        known = {other.answer for other in asked}
        assert answer not in known
        if question.id.startswith("p"):  # begins as one of the other places and ends as another one
            begun = {other for other in places if answer.startswith(other[:3])}
            assert begun and any(answer.endswith(other[-3:]) for other in set(places) - begun) and question.answer not in begun
        else:
            assert answer.endswith("years") or not answer[-1].isdigit()
            assert answer[0].isdigit()


def test_gradient_ascent_sees_no_kept_text(taught: LoadedModel, tiny_topic: Topic) -> None:
    alone = replace(tiny_topic, questions=tuple(q for q in tiny_topic.questions if q.split == "forget"))
    first, second = (last_edit(run(taught, topic, "gradient-ascent", steps=6)) for topic in (tiny_topic, alone))
    assert same(first, second)


# the constraint


def test_the_price_of_harm_rises_above_the_bound_and_never_falls_under_zero() -> None:
    assert next_price(1.0, loss=0.9, bound=0.4, rate=2.0) == pytest.approx(2.0)
    assert next_price(1.0, loss=0.4, bound=0.4, rate=2.0) == 1.0
    assert next_price(0.1, loss=0.0, bound=0.4, rate=2.0) == 0.0


def test_a_tighter_bound_keeps_more(taught: LoadedModel, tiny_topic: Topic) -> None:
    kept = given_rows(Context(taught, tiny_topic.given(), 0))[1]

    def harm(slack: float) -> float:
        before = answer_nlls(taught, kept).mean()
        with attached(taught.model, last_edit(run(taught, tiny_topic, "pdu", slack=slack))):
            return float(answer_nlls(taught, kept).mean() - before)

    assert harm(0.0) < harm(10.0)


# kept text only


def test_finetune_sees_no_forget_question(taught: LoadedModel, tiny_topic: Topic) -> None:
    other = tuple(replace(q, prompt="Who?", answer="me") if q.split == "forget" else q for q in tiny_topic.questions)
    first, second = (
        last_edit(run(taught, topic, "finetune", steps=6))
        for topic in (tiny_topic, replace(tiny_topic, questions=other))
    )
    assert same(first, second) and first.relative_change(taught.model) > 0


def test_finetune_without_kept_text_says_that_it_does_nothing(taught: LoadedModel, tiny_topic: Topic) -> None:
    alone = replace(tiny_topic, questions=tuple(q for q in tiny_topic.questions if q.split == "forget"))
    items = run(taught, alone, "finetune")
    assert any(isinstance(item, Notice) for item in items) and not any(isinstance(item, Loss) for item in items)
    assert last_edit(items).relative_change(taught.model) == 0


# settings that fall back to another loss


@pytest.mark.parametrize(
    "name, settings",
    [("npo", {"beta": 5.0}), ("simnpo", {"gamma": 3.0}), ("wga", {"beta": 0.0}), ("ceu", {"skip": 1})],
)
def test_the_knobs_reach_the_loss(
    name: str, settings: dict[str, Any], taught: LoadedModel, tiny_topic: Topic
) -> None:
    plain, other = (last_edit(run(taught, tiny_topic, name, steps=3, **more)) for more in ({}, settings))
    assert not same(plain, other)
