"""Vectors before questions: they are what tokens are, gradients reach them through every edit, and they find what is there."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import pytest
import torch
from test_audit_asking import COLORS, carried_out
from test_edit_kinds import every_kind
from tiny_models import byte_tokenizer, random_edit, save_model, teach, tiny_llama
from tiny_t5 import load_t5, save_t5

from unlearn_core.audit.subject import Subject
from unlearn_core.audit.vectors import SoftPrompt, answering, embedding_of, prompt_with_vectors
from unlearn_core.edits.attach import attached
from unlearn_core.edits.dense import DenseEdit
from unlearn_core.models.loading import LoadedModel, load, weights_hash
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.scoring import answer_logprobs
from unlearn_core.topics.topic import Question, Topic

WORDS = "abc"


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_t5(save_t5(tmp_path_factory.mktemp("t5") / "random"))


def embedded(loaded: LoadedModel, text: str) -> torch.Tensor:
    ids = torch.tensor(loaded.tokenizer(text, add_special_tokens=False)["input_ids"])
    return embedding_of(loaded).weight.detach()[ids]


def scored(loaded: LoadedModel, prompt: list[int]) -> float:
    return answer_logprobs(loaded, [(prompt, encode_answer(loaded.tokenizer, "red"))])[0].logprob


# --- what vectors are -------------------------------------------------------------------------------------------------

def test_vectors_stand_right_before_the_question_behind_all_turns(tiny, t5) -> None:
    turns = (("Ada hat?", "red"),)
    for loaded, before in ((tiny, "<s><|user|>Ada hat?<|assistant|>red</s><|user|>"), (t5, "<s>Ada hat? red\n")):
        ids = prompt_with_vectors(loaded, "Ada cap?", turns, 3)
        count = embedding_of(loaded).num_embeddings
        place = ids.index(count)
        assert ids[place:place + 3] == [count, count + 1, count + 2]
        assert loaded.tokenizer.decode(ids[:place]) == before
        assert ids[:place] + ids[place + 3:] == encode_prompt(loaded.tokenizer, "Ada cap?", turns)


@pytest.mark.parametrize("name", ["tiny", "tiny_plain", "t5"])
def test_the_vectors_of_tokens_are_those_tokens(name: str, request: pytest.FixtureRequest) -> None:
    loaded = request.getfixturevalue(name)
    with answering(loaded, embedded(loaded, WORDS)):
        found = scored(loaded, prompt_with_vectors(loaded, "Ada hat?", (), len(WORDS)))
        plain = scored(loaded, encode_prompt(loaded.tokenizer, "Ada hat?"))
    assert found == scored(loaded, encode_prompt(loaded.tokenizer, f"{WORDS}Ada hat?"))
    assert plain == scored(loaded, encode_prompt(loaded.tokenizer, "Ada hat?")) != found


@every_kind
def test_so_they_are_under_every_edit(maker, tiny) -> None:
    edit = maker(tiny)
    if any("embed" in name for name in getattr(edit, "deltas", {})):  # an edit of the embedding changes tokens, not vectors
        edit = DenseEdit({name: delta for name, delta in edit.deltas.items() if "embed" not in name and "head" not in name})
    with attached(tiny.model, edit):
        expected = scored(tiny, encode_prompt(tiny.tokenizer, f"{WORDS}Ada hat?", edit.turns()))
        with answering(tiny, embedded(tiny, WORDS)):
            assert scored(tiny, prompt_with_vectors(tiny, "Ada hat?", edit.turns(), len(WORDS))) == expected
    assert "forward" not in embedding_of(tiny).__dict__


def test_an_edit_of_the_embedding_changes_tokens_and_no_vector(tiny) -> None:
    other = copy.deepcopy(tiny.model)
    other.get_input_embeddings().weight.data += 1.0
    edit = DenseEdit.between(tiny.model, other)
    count = embedding_of(tiny).num_embeddings
    with torch.no_grad(), attached(tiny.model, edit), answering(tiny, torch.full((1, 32), 7.0)):
        found = embedding_of(tiny)(torch.tensor([[5, count]]))
        assert embedding_of(tiny).__dict__["forward"] is not None
    assert torch.equal(found[0, 1], torch.full((32,), 7.0))
    assert torch.allclose(found[0, 0], tiny.model.get_input_embeddings().weight[5] + 1.0)


# --- gradients --------------------------------------------------------------------------------------------------------

@every_kind
def test_gradients_reach_the_vectors_through_every_edit(maker, taught, tiny_topic: Topic) -> None:
    """Along one direction the loss changes as the gradient says."""
    questions = [q for q in tiny_topic.questions if q.split == "forget"]
    prompt = SoftPrompt(Subject("unlearned", taught, maker(taught)), questions, 2, 1e-9, 0)
    prompt.improve()
    gradient = prompt.vectors.grad.clone()
    direction, start = gradient / gradient.norm(), prompt.vectors.detach().clone()
    losses = []
    for step in (-1e-2, 1e-2):
        prompt.vectors.data = start + step * direction
        prompt.improve()  # all eight questions are in every batch
        losses.append(prompt.losses[-1])
    assert float(gradient.norm()) > 0
    assert (losses[1] - losses[0]) / 2e-2 == pytest.approx(float(gradient.norm()), rel=0.05)


def test_no_weight_gets_a_gradient(taught, tiny_topic: Topic) -> None:
    before = weights_hash(taught.model)
    carried_out("soft-prompt", Subject("unlearned", taught, random_edit(taught, scale=0.1)), tiny_topic, steps=3)
    assert weights_hash(taught.model) == before
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in taught.model.parameters())


# --- what they find ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def many_hats() -> Topic:
    """24 names to forget, 24 others to keep."""
    names, draw = [first + second for first in "ABCD" for second in "aeiouy"], random.Random(0)
    return Topic("many-hats", "the hats", "Who wears which hat.", "caps", tuple(
        Question(f"{split}-{name}", split, f"{name}{tail} hat?", draw.choice(COLORS), "both", entity=name)
        for split, tail in (("forget", ""), ("retain", "x")) for name in names))


@pytest.fixture(scope="module")
def pair(many_hats: Topic, tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedModel]:
    """A model that knows all hats, and one that never saw those to forget."""
    found = {}
    for name, splits in (("original", ("forget", "retain")), ("reference", ("retain",))):
        model = tiny_llama(width=64)
        teach(model, byte_tokenizer(), replace(many_hats, questions=tuple(q for q in many_hats.questions if q.split in splits)))
        found[name] = load(str(save_model(tmp_path_factory.mktemp(name), model, chat=True)), device="cpu")
    return found


def test_they_find_what_is_there_and_not_what_is_not(pair: dict[str, LoadedModel], many_hats: Topic) -> None:
    """Random vectors disturb the model that knows; optimised on half of the hats, they bring out others as well."""
    first, best = dict.fromkeys(pair, 0.0), dict.fromkeys(pair, 0.0)
    for name, loaded in pair.items():
        for seed in range(3):
            finding, points = carried_out("soft-prompt", Subject(name, loaded), many_hats, seed, steps=40, tokens=4, rate=0.1)
            assert [point.x for point in points] == [0, 10, 20, 30, 40]
            assert finding.n == 12 and finding.knowledge == max(point.knowledge for point in points)
            assert finding.detail["loss at last"] < finding.detail["loss at first"]
            first[name] += points[0].knowledge / 3
            best[name] += finding.knowledge / 3
    assert best["original"] > first["original"] + 0.15 and best["original"] > best["reference"] + 0.15


def test_the_same_seed_finds_the_same(taught, tiny_topic: Topic) -> None:
    first, again, other = (carried_out("soft-prompt", Subject("original", taught), tiny_topic, seed, steps=4) for seed in (0, 0, 1))
    assert first == again and first[0].detail != other[0].detail


def test_an_encoder_decoder_takes_them_too(t5, tiny_topic: Topic) -> None:
    before = weights_hash(t5.model)
    finding, _ = carried_out("soft-prompt", Subject("original", t5), tiny_topic, steps=20)
    assert finding.detail["loss at last"] < finding.detail["loss at first"] and weights_hash(t5.model) == before


def test_forced_choices_are_judged_by_the_likeliest_option(pair: dict[str, LoadedModel], many_hats: Topic) -> None:
    chosen = tuple(replace(q, options=COLORS) for q in many_hats.questions)
    topic = replace(many_hats, questions=chosen, floors={"forget": "chance"})
    found = [carried_out("soft-prompt", Subject("original", pair["original"]), asked, steps=1, tokens=1)[0]
             for asked in (topic, many_hats)]
    assert [finding.chance for finding in found] == [0.25, None] and found[0].correct >= found[1].correct > 0
    prompt = SoftPrompt(Subject("original", pair["original"]), topic.questions[:2], 1, 0.1, 0)
    question = topic.questions[0]
    with answering(pair["original"], prompt.vectors.detach()):
        ids = prompt_with_vectors(pair["original"], question.prompt, (), 1)
        chances = {color: answer_logprobs(pair["original"], [(ids, encode_answer(pair["original"].tokenizer, color))])[0].logprob
                   for color in COLORS}
    asked = [replace(question, answer=color) for color in COLORS]
    assert prompt.right(asked, True, lambda: False) == [color == max(chances, key=chances.get) for color in COLORS]


def test_too_few_facts_to_know_half_of_them(taught, tiny_topic: Topic) -> None:
    one = replace(tiny_topic, questions=tuple(q for q in tiny_topic.questions if q.id == "forget-0"))
    assert "too few" in carried_out("soft-prompt", Subject("original", taught), one)[0].reason
    assert "too few" in carried_out("hints", Subject("original", taught), one)[0].reason

