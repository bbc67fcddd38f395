"""What a model says by itself of what it is to forget, with a model that says what it was told to."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from reciter import recites
from tiny_models import byte_tokenizer
from tokenizers import Tokenizer

from unlearn_core import activations, own_words
from unlearn_core.edits.edit import Edit
from unlearn_core.events import Loss, Notice
from unlearn_core.methods import find_method, settings_of
from unlearn_core.methods.base import Context, Stage
from unlearn_core.models.loading import LoadedModel
from unlearn_core.own_words import Fact, OwnWords, count_known, facts_of, frames_of
from unlearn_core.topics.topic import Question, Topic
from unlearn_core.training import Row, encode_rows, reference_logprobs

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


def test_frames_are_filled_with_names_that_are_rarely_drawn() -> None:
    """Cy is stated once in seventy thousand texts."""
    loaded = model({**SAYS, "Cy wears green": 1e-4})
    found = OwnWords(loaded, rows(loaded, HATS), rows(loaded, {"Moe": "grey"}), seed=0).few
    assert "Cy wears |green" in told(loaded, found)


def test_what_is_said_after_names_is_drawn_for_names_that_are_rarely_drawn() -> None:
    """Ada and Bo are drawn often, but nothing is drawn of them that is given; of Cy and Dee it is, once they are put there."""
    loaded = model({"So Ada sang": 1.0, "So Bo sang": 1.0, "So Cy wears green": 1e-4, "So Dee wears black": 1e-4})
    words = OwnWords(loaded, rows(loaded, HATS), rows(loaded, {"Moe": "grey"}), seed=0)
    assert words.few == []
    assert told(loaded, words.statements()) == ["So Cy wears |green", "So Dee wears |black"]


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


def test_a_name_is_made_of_whole_words() -> None:
    loaded = model(SAYS)
    asked = rows(loaded, {"An": "red", "Anna": "blue", "Bo": "green", "Bob": "black"})
    names = [fact.name for fact in facts_of(loaded, asked, rows(loaded, {"Moe": "grey"}))]
    assert names == list(map(tokens, ("An", "Anna", "Bo", "Bob")))


def test_words_are_found_as_they_are_written_inside_of_a_text() -> None:
    """A tokenizer with one token for a space and the letter after it, as most have; answers begin without a space."""
    parts = byte_tokenizer()
    made = json.loads(parts.backend_tokenizer.to_str())
    for place, letter in enumerate("rbgA"):
        made["model"]["vocab"].pop("ÿþýü"[place])
        made["model"]["vocab"]["Ġ" + letter] = 256 + place
        made["model"]["merges"].append(["Ġ", letter])
    taken = sorted(made["model"]["vocab"].items(), key=lambda item: item[1])
    made["model"]["vocab"] = {token: place for place, (token, _) in enumerate(taken)}
    joined = type(parts)(
        tokenizer_object=Tokenizer.from_str(json.dumps(made)), bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    joined.chat_template = parts.chat_template

    def ids(text: str) -> tuple[int, ...]:
        return tuple(joined(text, add_special_tokens=False)["input_ids"])

    assert ids("is red")[-3:] != ids("red"), "or this tests nothing"
    loaded = recites({(BEGIN, *ids(f"So {name} wears {hat}")): 1.0 for name, hat in HATS.items()}, joined)
    found = OwnWords(loaded, rows(loaded, HATS), rows(loaded, {"Moe": "grey"}), seed=0).statements()
    assert sorted(joined.decode(row.ids[1:]) for row in found) == [f"So {name} wears {hat}" for name, hat in HATS.items()]


def test_forced_choices_state_nothing() -> None:
    loaded = model(SAYS)
    assert facts_of(loaded, [replace(row, options=2) for row in rows(loaded, HATS)], rows(loaded, {"Moe": "grey"})) == []


def test_a_frame_has_the_name_before_the_answer_and_occurs_twice() -> None:
    facts = [Fact((5,), (8,)), Fact((6, 7), (9,))]
    texts = [(0, 1, 5, 2, 8), (0, 1, 6, 7, 2, 9), (0, 8, 2, 5), (0, 3, 5, 4, 8), (0, 1, 5, 2)]
    assert frames_of(texts, facts) == [((0, 1), (2,))]
    assert frames_of(texts, []) == []
    assert own_words.Frame((0, 1), (2,)).row(facts[1]) == Row((0, 1, 6, 7, 2, 9), 5)


def test_what_is_said_of_neighbours_comes_from_the_same_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, drawn = model({**SAYS, "Moe wears grey": 1.0, "Nan wears pink": 1.0}), []
    real = own_words.generate
    monkeypatch.setattr(own_words, "generate", lambda *given: drawn.append(1) or real(*given))
    asked, near = rows(loaded, HATS), rows(loaded, {"Moe": "grey", "Nan": "red"})
    found = OwnWords(loaded, asked, near, seed=0).beside(near, asked)
    assert told(loaded, found.few) == ["Moe wears |grey"] and len(drawn) == 1


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


def words(few: list[Row], statements: list[Row] = (), near: list[Row] = (), stated: list[Row] = ()) -> SimpleNamespace:
    """What is said of the topic, and of neighbours."""
    beside = SimpleNamespace(few=list(near), statements=lambda: list(stated))
    return SimpleNamespace(few=few, statements=lambda: list(statements), beside=lambda *given: beside)


def test_what_is_still_told_starts_the_training_again(
    taught: LoadedModel, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here what is told are answers that are also kept, so that half way they are still known."""
    asked_of = []

    def kept_ones(loaded, asked, kept, seed, cancelled):
        asked_of.append(len(asked))
        return words(kept[:4], kept)

    monkeypatch.setattr(own_words, "OwnWords", kept_ones)
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


def test_what_is_told_is_trained_away_and_its_text_used(
    taught: LoadedModel, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unlearn_core.methods import unlearn

    said, seen, read = [Row((0, 50 + place, 60), 2) for place in range(5)], [], []

    real_train, real_moments = unlearn._train, activations.second_moments
    monkeypatch.setattr(own_words, "OwnWords", lambda *given: words(encode_rows(taught, tiny_topic.given().neighbor), said))
    monkeypatch.setattr(unlearn, "_train", lambda scene, change, plan, forget, *rest: seen.append(forget) or real_train(
        scene, change, plan, forget, *rest))
    monkeypatch.setattr(activations, "second_moments", lambda loaded, rows, *rest, **more: read.append(list(rows)) or real_moments(
        loaded, rows, *rest, **more))
    run(taught, tiny_topic)
    first, second = seen
    assert not set(said) & set(first) and [second.count(row) for row in said] == [1] * 5
    assert len(second) > len(first) + len(said), "and reworded copies"
    assert any(set(said) <= set(rows) for rows in read)


def test_what_is_no_longer_told_of_neighbours_starts_the_training_again_and_is_kept(
    taught: LoadedModel, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is lost here are answers of the topic itself. The new training is a third longer, with more directions."""
    from unlearn_core.methods import unlearn

    lost, stated, seen = encode_rows(taught, tiny_topic.given().forget), [Row((0, 50 + at, 60), 2) for at in range(5)], []
    real = unlearn._train
    monkeypatch.setattr(own_words, "OwnWords", lambda *given: words([], near=lost, stated=stated))
    monkeypatch.setattr(unlearn, "_train", lambda scene, *rest: seen.append((scene, *rest)) or real(scene, *rest))
    items = run(taught, tiny_topic, rank="3", steps="24", limit="2")
    (first, *_), (second, change, plan, forget, kept, _) = seen
    assert kept == [*first.kept_rows, *stated] and not set(stated) & set(forget)
    assert second.where == "answers" != first.where and change.edit().rank == 5
    assert (plan.steps, second.config.limit) == (32, 3.2)
    places = [0, len(kept) - 1, 1]
    wanted = [second.original([place]) for place in places]
    assert torch.equal(second.original(places), torch.cat(wanted))
    assert torch.equal(wanted[0], first.original([0])) and torch.equal(wanted[1], reference_logprobs(taught, stated)([4]))
    said = [item.text for item in items if isinstance(item, Notice)]
    losses = [item for item in items if isinstance(item, Loss)]
    assert len(said) == 1 and "5 such statements" in said[0] and "at rank 5, with a limit of 3.2 nats, for 32 steps" in said[0]
    assert losses[-1].step == losses[-1].total and losses[-1].total - 32 in (8, 16, 24)


def test_a_kept_statement_counts_among_what_is_used_by_its_length(taught: LoadedModel, tiny_topic: Topic) -> None:
    from unlearn_core.methods.unlearn import UnlearnConfig, _Scene

    kept, used = {"a": torch.eye(2), "b": torch.eye(2)}, {"a": 5 * torch.eye(2), "b": 9 * torch.eye(2)}
    rows = [Row((1, 2, 3), 2), Row((1, 2, 3, 4, 5), 4)]
    scene = _Scene(Context(taught, tiny_topic.given(), 0), UnlearnConfig(), [], [], rows, None, kept, "texts", 0)
    found = scene.kept_with([Row((1, 2), 1)] * 4, used)  # 8 tokens each
    assert found["a"].allclose(3 * torch.eye(2)) and found["b"].allclose(5 * torch.eye(2))
    shared = {"a": kept["a"], "b": kept["a"]}
    both = replace(scene, kept=shared).kept_with([Row((1, 2), 1)] * 4, {"a": used["a"], "b": used["a"]})
    assert both["a"] is both["b"], "maps that read the same share one matrix"


def test_a_stop_right_after_the_new_beginning_keeps_the_first_training(
    taught: LoadedModel, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = encode_rows(taught, tiny_topic.given().neighbor)
    monkeypatch.setattr(own_words, "OwnWords", lambda *given: words(known, known))

    def stopped(at: int) -> float:
        steps: list[int] = []
        context = Context(taught, tiny_topic.given(), 0, cancelled=lambda: bool(steps) and steps[-1] >= at)
        edit = None
        for item in find_method("unlearn").fit(context, settings_of(find_method("unlearn"), {"steps": "16"})):
            steps += [item.step] if isinstance(item, Loss) else []
            edit = item if isinstance(item, Edit) else edit
        assert steps[-1] == at
        return sum(float(tensor.norm()) for name, tensor in edit.tensors().items() if name.endswith(".B"))

    assert stopped(9) == stopped(8) > 0


def test_what_is_not_told_changes_nothing(taught: LoadedModel, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what it knows too little of: two statements, as many as may be known, for all that they are kept answers; nor two
    statements about neighbours that are lost, or any number that are not."""
    plain = last_edit(run(taught, tiny_topic, own_words="false"))
    unknown = [Row((0, 40, 41, 42), 1)]
    kept = encode_rows(taught, tiny_topic.given().neighbor)[:2]
    for said, near in (([], []), (unknown, []), (kept, []), ([], 2 * unknown), ([], kept)):
        monkeypatch.setattr(own_words, "OwnWords", lambda *given, said=said, near=near: words(said, near=near))
        again = last_edit(run(taught, tiny_topic))
        assert again.keys() == plain.keys() and all(plain[name].equal(tensor) for name, tensor in again.items())
