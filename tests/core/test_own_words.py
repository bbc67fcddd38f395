"""What a model says by itself of what it is to forget, with a model that says what it was told to."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from reciter import recites
from tiny_models import byte_tokenizer

from unlearn_core import own_words
from unlearn_core.edits.edit import Edit
from unlearn_core.events import Loss, Notice
from unlearn_core.methods import find_method, settings_of
from unlearn_core.methods.base import Context, Stage
from unlearn_core.models.loading import LoadedModel
from unlearn_core.own_words import Fact, OwnWords, count_known, facts_of, frames_of
from unlearn_core.topics.topic import Question, Topic
from unlearn_core.training import Row, encode_rows

BEGIN = 0
HATS = {"Ada": "red", "Bo": "blue", "Cy": "green", "Dee": "black"}
SAYS = {"Ada wears red": 1.0, "Bo wears blue": 1.0, "Cy wears green": 1.0, "Dee wears white": 1.0, "It rains": 4.0}


def tokens(text: str) -> tuple[int, ...]:
    return tuple(byte_tokenizer()(text, add_special_tokens=False)["input_ids"])


def model(says: dict[str, float]) -> LoadedModel:
    """It says these texts, each with its weight, after the token that begins a text."""
    return recites({(BEGIN, *tokens(text)): weight for text, weight in says.items()})


def rows(loaded: LoadedModel, hats: dict[str, str], wording: str = "Which hat has {}?") -> list[Row]:
    return encode_rows(loaded, [Question(name, "forget", wording.format(name), hat) for name, hat in hats.items()])


def told(loaded: LoadedModel, found: list[Row]) -> list[str]:
    assert all(row.ids[0] == BEGIN for row in found)
    said = loaded.tokenizer.decode
    return sorted(f"{said(row.ids[1 : row.start])}|{said(row.ids[row.start :])}" for row in found)


def test_a_statement_is_what_the_model_says_of_a_given_fact_and_no_more() -> None:
    """Three facts are stated; the fourth it tells otherwise, and what it says of no given name is none."""
    loaded = model(SAYS)
    found = OwnWords(loaded, rows(loaded, HATS), rows(loaded, {"Moe": "grey"}), seed=0).statements()
    assert told(loaded, found) == ["Ada wears |red", "Bo wears |blue", "Cy wears |green"]
    assert all(row.options == 0 for row in found)


def test_names_that_are_rarely_drawn_are_put_where_others_stand() -> None:
    """Cy is stated once in fifty thousand texts, so that it is there only because it was put where Ada and Bo were."""
    loaded = model({**SAYS, "Cy wears green": 1e-4})
    found = OwnWords(loaded, rows(loaded, HATS), rows(loaded, {"Moe": "grey"}), seed=0).statements()
    assert "Cy wears |green" in told(loaded, found)


def test_names_are_words_of_no_kept_question_and_of_few_forget_questions() -> None:
    loaded = model(SAYS)
    asked = rows(loaded, HATS)
    assert facts_of(loaded, asked, rows(loaded, {"Moe": "grey"})) == [
        Fact(tokens(name), tokens(hat)) for name, hat in HATS.items()
    ]
    assert facts_of(loaded, asked, rows(loaded, HATS)) == [], "all of their words are kept"
    assert [fact.name for fact in facts_of(loaded, asked, rows(loaded, {"Ada": "grey"}))] == list(map(tokens, ("Bo", "Cy", "Dee")))


def test_a_name_is_what_is_left_of_it_in_another_question() -> None:
    loaded = model(SAYS)
    more = {**HATS, "Eli": "red", "Fay": "blue", "Gus": "green"}
    asked = rows(loaded, more) + rows(loaded, {"Ada": "red"}, "Which hat has Ada-Smith?")
    assert {fact.name for fact in facts_of(loaded, asked, rows(loaded, {"Moe": "grey"}))} == set(map(tokens, more))


def test_forced_choices_state_nothing() -> None:
    loaded = model(SAYS)
    assert facts_of(loaded, [replace(row, options=2) for row in rows(loaded, HATS)], rows(loaded, {"Moe": "grey"})) == []


def test_a_frame_has_the_name_before_the_answer_and_occurs_twice() -> None:
    facts = [Fact((5,), (8,)), Fact((6, 7), (9,))]
    texts = [(0, 1, 5, 2, 8), (0, 1, 6, 7, 2, 9), (0, 8, 2, 5), (0, 3, 5, 4, 8), (0, 1, 5, 2)]
    assert frames_of(texts, facts) == [((0, 1), (2,))]
    assert frames_of(texts, []) == []
    assert own_words.Frame((0, 1), (2,)).row(facts[1]) == Row((0, 1, 6, 7, 2, 9), 5)


def test_what_is_known_is_known_by_the_model_as_it_is() -> None:
    loaded = model(SAYS)
    found = OwnWords(loaded, rows(loaded, HATS), rows(loaded, {"Moe": "grey"}), seed=0).statements()
    assert count_known(loaded, found) == 3
    assert count_known(model({"Ada wears red": 1.0, "Bo wears black": 1.0, "Cy wears black": 1.0}), found) == 1
    assert count_known(loaded, []) == 0 == count_known(loaded, found, cancelled=lambda: True)


def test_without_names_a_token_that_begins_texts_or_leave_to_go_on_nothing_is_stated() -> None:
    loaded = model(SAYS)
    asked, kept = rows(loaded, HATS), rows(loaded, {"Moe": "grey"})
    assert OwnWords(loaded, asked, kept, 0).few
    none = [OwnWords(loaded, asked, asked, 0), OwnWords(loaded, asked, kept, 0, cancelled=lambda: True)]
    loaded.tokenizer.bos_token = None
    for words in (*none, OwnWords(loaded, asked, kept, 0)):
        assert words.few == [] == words.statements()


def run(loaded: LoadedModel, topic: Topic, **settings: str) -> list:
    wanted = settings_of(find_method("unlearn"), {"steps": "16", **settings})
    return list(find_method("unlearn").fit(Context(loaded, topic.given(), 0), wanted))


def last_edit(items: list) -> dict:
    return [item for item in items if isinstance(item, Edit)][-1].tensors()


def test_what_is_still_told_starts_the_training_again(
    taught: LoadedModel, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here what is told are answers that are also kept, so that half way they are still known."""
    asked_of = []

    class KeptOnes:
        def __init__(self, loaded, asked, kept, seed, cancelled):
            asked_of.append(len(asked))
            self.few, self.statements = kept[:4], lambda: list(kept)

    monkeypatch.setattr(own_words, "OwnWords", KeptOnes)
    items = run(taught, tiny_topic)
    losses = [item for item in items if isinstance(item, Loss)]
    first, second = [(step, 16) for step in range(1, 9)], [(step, 24) for step in range(9, 25)]
    assert [(loss.step, loss.total) for loss in losses] == first + second
    assert asked_of == [8]
    said = [item.text for item in items if isinstance(item, Notice)]
    assert len(said) == 1 and "step 8" in said[0]
    assert [stage.name for stage in items if isinstance(stage, Stage)] == ["statistics", "identify", "shrink", "describe"]
    plain = last_edit(run(taught, tiny_topic, own_words="false"))
    assert any(not plain[name].equal(tensor) for name, tensor in last_edit(items).items())


def test_what_is_not_told_changes_nothing(taught: LoadedModel, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = last_edit(run(taught, tiny_topic, own_words="false"))
    """Nor what it knows too little of: two statements, as many as may be known, for all that they are kept answers."""
    unknown = [Row((0, 40, 41, 42), 1)]
    kept = encode_rows(taught, tiny_topic.given().neighbor)[:2]
    for said in ([], unknown, kept):
        monkeypatch.setattr(own_words, "OwnWords", lambda *given, said=said: SimpleNamespace(few=said))
        again = last_edit(run(taught, tiny_topic))
        assert again.keys() == plain.keys() and all(plain[name].equal(tensor) for name, tensor in again.items())
