"""Every kind of edit: what it computes by independent means, nothing at strength 0, the same after saving, gone afterwards."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import make_topic, random_edit, tiny_llama
from torch import Tensor

from unlearn_core.edits.attach import attached
from unlearn_core.edits.decoding import DecodingEdit
from unlearn_core.edits.dense import DenseEdit
from unlearn_core.edits.edit import Edit
from unlearn_core.edits.kinds import KINDS, load_edit
from unlearn_core.edits.layers import LayerEdit
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.edits.prompt import PromptEdit
from unlearn_core.edits.stack import StackedEdit, stack
from unlearn_core.errors import BadInput
from unlearn_core.evaluation.examination import examine
from unlearn_core.evaluation.measure import measure
from unlearn_core.generation import generate, stream_pair
from unlearn_core.models.loading import LoadedModel, feed_forward_blocks, weights_hash
from unlearn_core.models.prompts import encode_prompt
from unlearn_core.scoring import answer_logprobs, token_scores
from unlearn_core.topics.topic import Question, Topic

IDS = torch.tensor([[5, 9, 200, 31], [5, 9, 200, 31], [7, 7, 8, 100]])
CONTEXT = (("Ada hat?", "green"), ("Bo hat?", "black"))
QUESTION = Question("q", "forget", "Ada hat?", "red")


def layers(loaded: LoadedModel, linear: bool = False) -> LayerEdit:
    stream, width = torch.Generator().manual_seed(3), loaded.model.config.hidden_size
    shapes = [(width, width)] if linear else [(5, width), (width, 5)]
    return LayerEdit({
        name: tuple(0.3 * torch.randn(*shape, generator=stream) for shape in shapes)
        for name in feed_forward_blocks(loaded.model)
    })


def dense(loaded: LoadedModel) -> DenseEdit:
    other = copy.deepcopy(loaded.model)
    stream = torch.Generator().manual_seed(4)
    for parameter in other.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=stream)
    return DenseEdit.between(loaded.model, other)


MAKERS: dict[str, Callable[[LoadedModel], Edit]] = {
    "low-rank": random_edit,
    "layers": layers,
    "layers, linear": lambda loaded: layers(loaded, linear=True),
    "dense": dense,
    "prompt": lambda loaded: PromptEdit(CONTEXT),
    "decoding": lambda loaded: DecodingEdit(random_edit(loaded), 0.7),
    "stack": lambda loaded: stack(
        [random_edit(loaded), layers(loaded), DecodingEdit(random_edit(loaded, seed=5), 0.7), PromptEdit(CONTEXT)]
    ),
}
every_kind = pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)


def logits(loaded: LoadedModel, ids: Tensor = IDS) -> Tensor:
    with torch.inference_mode():
        return loaded.model(input_ids=ids).logits


def answers(loaded: LoadedModel, edit: Edit | None, strength: float = 1.0) -> list[str]:
    return [judged.answer for judged in measure(loaded, make_topic(), edit, strength).answers.values()]


def test_every_kind_is_tried() -> None:
    assert {name.split(",")[0] for name in MAKERS} == set(KINDS)


@every_kind
def test_strength_0_is_the_original(tiny: LoadedModel, maker) -> None:
    edit = maker(tiny)
    original = answers(tiny, None)
    assert answers(tiny, edit) != original
    assert answers(tiny, edit, 0.0) == original == answers(tiny, edit.scaled(0.0))


@every_kind
def test_scaling_is_the_strength(tiny: LoadedModel, maker) -> None:
    edit, scores = maker(tiny), []
    for changed, strength in ((edit, 0.5), (edit.scaled(0.5), 1.0)):
        scores.append(token_scores(tiny, changed, QUESTION, strength))
    assert scores[0].edited == pytest.approx(scores[1].edited, abs=2e-3)
    assert scores[0].original == pytest.approx(scores[1].original, abs=1e-4)


@every_kind
def test_every_metric_can_be_measured_of_every_kind(tiny: LoadedModel, maker) -> None:
    """With a value or a reason, none that is no number, and the weights untouched."""
    edit, hashed = maker(tiny), weights_hash(tiny.model)
    topic = make_topic()
    topic = replace(topic, questions=tuple(replace(q, near_misses=("mauve",)) for q in topic.questions))
    found = examine(tiny, topic, measure(tiny, topic, edit), edit)
    assert all((metric.value is None) == bool(metric.reason) for metric in found.values())
    assert all(metric.value is None or math.isfinite(metric.value) for metric in found.values())
    assert found["probability"].value != examine(tiny, topic, measure(tiny, topic))["probability"].value
    assert found["kl_to_original"].value > 0 and weights_hash(tiny.model) == hashed


@every_kind
def test_nothing_is_left_behind(tiny: LoadedModel, maker) -> None:
    before, hashed = logits(tiny), weights_hash(tiny.model)
    with attached(tiny.model, maker(tiny)):
        logits(tiny)
    assert torch.equal(logits(tiny), before) and weights_hash(tiny.model) == hashed
    assert not [name for name, module in tiny.model.named_modules() if "forward" in module.__dict__]


@every_kind
def test_saved_and_loaded_it_answers_the_same(tiny: LoadedModel, maker, tmp_path: Path) -> None:
    edit = maker(tiny).with_meta({"topic": "hats"})
    edit.save(tmp_path / "e.safetensors")
    again = load_edit(tmp_path / "e.safetensors")
    assert type(again) is type(edit) and again.meta["topic"] == "hats"
    assert (again.parameters, again.rank, again.bytes) == (edit.parameters, edit.rank, edit.bytes)
    assert answers(tiny, again) == answers(tiny, edit)


@every_kind
def test_the_pair_streams_what_each_answers_alone(tiny: LoadedModel, maker) -> None:
    edit = maker(tiny)
    *_, last = stream_pair(tiny, edit, QUESTION.prompt, max_tokens=12)
    *_, plain = stream_pair(tiny, None, QUESTION.prompt, max_tokens=12)
    prompt = encode_prompt(tiny.tokenizer, QUESTION.prompt, edit.turns())
    with attached(tiny.model, edit):
        alone = generate(tiny, [prompt], 12)[0]
    assert last.original == plain.original
    assert last.edited.split("\n")[0].strip() == tiny.tokenizer.decode(alone, skip_special_tokens=True).strip()


@every_kind
def test_batches_do_not_matter(tiny: LoadedModel, maker) -> None:
    """Rows of unequal lengths that end at different steps: the cache loses rows while others go on."""
    edit = maker(tiny)
    texts = ("Ada hat?", "Bo", "What is it that Cy wears?", "Dee?")
    prompts = [encode_prompt(tiny.tokenizer, text, edit.turns()) for text in texts]
    with attached(tiny.model, edit):
        together = generate(tiny, prompts, [3, 9, 6, 1])
        alone = [generate(tiny, [prompt], limit)[0] for prompt, limit in zip(prompts, (3, 9, 6, 1), strict=True)]
    assert together == alone


def test_layers_add_their_own_output_to_that_of_the_block(tiny: LoadedModel) -> None:
    for edit in (layers(tiny), layers(tiny, linear=True)):
        name, layer = next(iter(edit.layers.items()))
        block, inputs = tiny.model.get_submodule(name), torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            plain = block(inputs)
            inner = plain @ layer[0].T
            added = inner if len(layer) == 1 else inner.clamp_min(0) @ layer[1].T
            with attached(tiny.model, edit, 0.5, slice(1, 2)):
                changed = block(inputs)
        assert torch.equal(changed[0], plain[0])
        torch.testing.assert_close(changed[1], plain[1] + 0.5 * added[1])


def test_a_dense_difference_turns_one_model_into_the_other(tiny: LoadedModel) -> None:
    other = tiny_llama(seed=9)
    with attached(tiny.model, DenseEdit.between(tiny.model, other)):
        got = logits(tiny)
    with torch.inference_mode():
        torch.testing.assert_close(got, other(input_ids=IDS).logits, rtol=1e-4, atol=1e-4)


def test_dense_on_some_rows(tiny: LoadedModel) -> None:
    other = tiny_llama(seed=9)
    with attached(tiny.model, DenseEdit.between(tiny.model, other), rows=slice(1, 2)):
        got = logits(tiny)
    with torch.inference_mode():
        torch.testing.assert_close(got[1], other(input_ids=IDS).logits[1], rtol=1e-4, atol=1e-4)
    assert torch.equal(got[[0, 2]], logits(tiny)[[0, 2]])


def test_relative_change_of_a_dense_difference(tiny: LoadedModel) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    weight = tiny.model.get_parameter(name).detach()
    assert DenseEdit({name: 0.25 * weight}).relative_change(tiny.model) == pytest.approx(0.25)
    assert layers(tiny).relative_change(tiny.model) is None and PromptEdit(CONTEXT).relative_change(tiny.model) is None


def test_combined_decoding_takes_off_what_reinforcing_added(tiny: LoadedModel) -> None:
    low = random_edit(tiny)
    with attached(tiny.model, DecodingEdit(low, 0.7), 2.0, slice(1, 2)):
        got = logits(tiny)
    plain = logits(tiny)
    with attached(tiny.model, low):
        strong = logits(tiny)
    want = plain - 2.0 * 0.7 * (strong - plain).clamp_min(0)
    torch.testing.assert_close(got[1], want[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(got[[0, 2]], plain[[0, 2]], rtol=1e-5, atol=1e-5)


def test_a_context_stands_before_the_question(tiny: LoadedModel) -> None:
    ids = encode_prompt(tiny.tokenizer, "Cy hat?", CONTEXT)
    assert tiny.tokenizer.decode(ids) == ("<s><|user|>Ada hat?<|assistant|>green</s><|user|>Bo hat?<|assistant|>black</s>"
                                         "<|user|>Cy hat?<|assistant|>")
    edit = PromptEdit(CONTEXT)
    assert edit.turns(0.5) == CONTEXT[:1] and edit.turns(2.0) == CONTEXT and edit.turns(0.0) == ()
    scores = token_scores(tiny, edit, QUESTION)
    expected = tiny.tokenizer("red", add_special_tokens=False)["input_ids"]
    alone = answer_logprobs(tiny, [(encode_prompt(tiny.tokenizer, QUESTION.prompt, CONTEXT), expected)])[0]
    assert sum(scores.edited) == pytest.approx(alone.logprob, abs=1e-4)
    without = answer_logprobs(tiny, [(encode_prompt(tiny.tokenizer, QUESTION.prompt), expected)])[0]
    assert sum(scores.original) == pytest.approx(without.logprob, abs=1e-4)


def test_running_text_has_no_context_in_front_so_that_there_is_no_perplexity(tiny: LoadedModel, tiny_topic: Topic) -> None:
    assert tiny_topic.texts
    before, nothing, after = (measure(tiny, tiny_topic, PromptEdit(CONTEXT), strength) for strength in (0.0, 0.2, 1.0))
    assert before.perplexity == nothing.perplexity == measure(tiny, tiny_topic).perplexity and after.perplexity is None
    both = stack([random_edit(tiny), PromptEdit(CONTEXT)])  # the text is read by other weights
    assert measure(tiny, tiny_topic, both).perplexity == measure(tiny, tiny_topic, random_edit(tiny)).perplexity
    found = examine(tiny, tiny_topic, after, PromptEdit(CONTEXT))["perplexity"]
    assert found.value is None and "context stands before questions" in found.reason


def test_changes_of_weights_stack_to_one_of_each_kind(tiny: LoadedModel) -> None:
    low, other = random_edit(tiny), random_edit(tiny, seed=1)
    both = stack([low, other])
    assert isinstance(both, LowRankEdit)
    mixed = stack([dense(tiny), low, dense(tiny)])
    assert isinstance(mixed, StackedEdit) and [part.kind for part in mixed.parts] == ["dense", "low-rank"]
    with attached(tiny.model, mixed):
        got = logits(tiny)
    with attached(tiny.model, dense(tiny).scaled(2.0)), attached(tiny.model, low):
        torch.testing.assert_close(got, logits(tiny), rtol=1e-4, atol=1e-4)


def test_an_edit_of_another_model_is_refused(tiny: LoadedModel) -> None:
    wide = LoadedModel(**{**tiny.__dict__, "model": tiny_llama(width=48)})
    for maker in (layers, dense, MAKERS["decoding"]):
        with pytest.raises(BadInput, match="another model"):
            maker(wide).check(tiny.model)


def test_a_damaged_file_is_refused_in_words(tiny: LoadedModel, tmp_path: Path) -> None:
    path = tmp_path / "e.safetensors"
    unknown = json.dumps([{"kind": "sound", "meta": {}, "head": {}}])
    for head in ({}, {"kind": "sound"}, {"kind": "prompt"}, {"kind": "prompt", "context": "[1]"}, {"kind": "stack"},
                 {"kind": "stack", "parts": "[]"}, {"kind": "stack", "parts": unknown},
                 {"kind": "decoding", "names": ""}, {"kind": "layers", "names": "a.0.mlp"}, {"kind": "low-rank", "names": "a"}):
        save_file({"x": torch.zeros(1)}, path, metadata=head or None)
        with pytest.raises(BadInput, match="cannot be read"):
            load_edit(path)
