"""Vectors before questions: they are what tokens are, gradients reach them through every edit, and they find what is there."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from test_audit_asking import COLORS, carried_out
from test_edit_kinds import MAKERS, every_kind
from tiny_models import random_edit
from tiny_t5 import load_t5, save_t5

from unlearn_core.audit.subject import Subject
from unlearn_core.audit.vectors import SoftPrompt, answering, embedding_of, prompt_with_vectors
from unlearn_core.edits.attach import attached
from unlearn_core.edits.dense import DenseEdit
from unlearn_core.models.loading import LoadedModel, load, weights_hash
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.retraining import Retraining
from unlearn_core.scoring import answer_logprobs
from unlearn_core.topics.topic import Topic

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

def test_they_find_what_is_there_and_not_what_is_not(taught, retraining: Retraining, tiny_topic: Topic) -> None:
    never = load(str(retraining.folder / "references" / tiny_topic.name), device="cpu")
    found = {name: carried_out("soft-prompt", Subject(name, loaded), tiny_topic, steps=80)
             for name, loaded in (("original", taught), ("reference", never))}
    for finding, points in found.values():
        assert [point.x for point in points] == [0, 20, 40, 60, 80]
        assert finding.n == 4 and finding.knowledge == max(point.knowledge for point in points)
        assert finding.detail["loss at last"] < finding.detail["loss at first"]
    assert found["original"][0].correct == 4 and found["reference"][0].correct < 3


def test_the_same_seed_finds_the_same(taught, tiny_topic: Topic) -> None:
    first, again, other = (carried_out("soft-prompt", Subject("original", taught), tiny_topic, seed, steps=4) for seed in (0, 0, 1))
    assert first == again and first[0].detail != other[0].detail


def test_an_encoder_decoder_takes_them_too(t5, tiny_topic: Topic) -> None:
    before = weights_hash(t5.model)
    finding, _ = carried_out("soft-prompt", Subject("original", t5), tiny_topic, steps=20)
    assert finding.detail["loss at last"] < finding.detail["loss at first"] and weights_hash(t5.model) == before


def test_forced_choices_are_judged_by_the_likeliest_option(taught, tiny_topic: Topic) -> None:
    questions = tuple(replace(q, options=COLORS) if q.split == "forget" else q for q in tiny_topic.questions)
    topic = replace(tiny_topic, questions=questions, floors={"forget": "chance"})
    finding, _ = carried_out("soft-prompt", Subject("original", taught), topic, steps=40)
    assert (finding.chance, finding.n) == (0.25, 4) and finding.correct > 2


def test_too_few_facts_to_know_half_of_them(taught, tiny_topic: Topic) -> None:
    one = replace(tiny_topic, questions=tuple(q for q in tiny_topic.questions if q.id == "forget-0"))
    assert "too few" in carried_out("soft-prompt", Subject("original", taught), one)[0].reason
    assert "too few" in carried_out("hints", Subject("original", taught), one)[0].reason


def test_the_kinds_of_edit_are_all_there() -> None:
    assert {"low-rank", "layers", "dense", "prompt", "decoding", "stack"} <= set(MAKERS)
