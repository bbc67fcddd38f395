"""Rounded weights: the rounding against numbers by hand, and the attack on edits that rounding undoes and that it does not."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import random_edit
from torch import Tensor

from unlearn_core.audit import find_attack
from unlearn_core.audit.attack import ORIGINAL, UNLEARNED, Brief, Finding, Point, Step
from unlearn_core.audit.quantisation import FourBitConfig, NormalFloatConfig, rounded_subject
from unlearn_core.audit.rounding import NF4, differing, rounded_evenly, rounded_normally
from unlearn_core.audit.subject import Subject
from unlearn_core.edits.attach import attached
from unlearn_core.edits.decoding import DecodingEdit
from unlearn_core.edits.dense import DenseEdit
from unlearn_core.edits.edit import Edit
from unlearn_core.edits.layers import LayerEdit
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.edits.prompt import PromptEdit
from unlearn_core.edits.stack import stack
from unlearn_core.errors import Stopped
from unlearn_core.models.loading import LoadedModel, feed_forward_blocks, linears, weights_hash
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.topics.topic import Topic

IDS = torch.tensor([[5, 9, 200, 31], [7, 7, 8, 100]])


def rule(weight: Tensor):
    return rounded_evenly(weight, bits=4, group=16)


def logits(loaded: LoadedModel, edit: Edit | None = None) -> Tensor:
    with torch.inference_mode(), attached(loaded.model, edit):
        return loaded.model(input_ids=IDS).logits


def run(name: str, subject: Subject, topic: Topic, **settings) -> tuple[Finding, list[Point]]:
    attack = find_attack(name)
    original = Subject(ORIGINAL, subject.loaded)
    found = list(attack.run(Brief(subject, original, topic), attack.config(**settings)))
    assert isinstance(found[-1], Finding) and not any(isinstance(item, Finding) for item in found[:-1])
    assert all(isinstance(item, (Step, Point)) for item in found[:-1])
    return found[-1], [item for item in found if isinstance(item, Point)]


# --- rounding by itself ------------------------------------------------------------------------------------------------

def test_even_rounding_by_hand() -> None:
    weight = torch.tensor([[7.0, -3.4, 0.6, 0.4, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, -14.0, 2.9]])
    found = rounded_evenly(weight, bits=4, group=4)
    assert found.levels.tolist() == [[7, -3, 1, 0, 0, 0], [0, 0, 0, 0, -7, 1]]
    assert found.values.tolist() == [[7.0, -3.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, -14.0, 2.0]]


@pytest.mark.parametrize(("bits", "group"), [(8, None), (4, 16), (4, 7), (4, 999), (3, 8)])
def test_even_rounding_is_numpys_and_within_half_a_step(bits: int, group: int | None) -> None:
    weight = torch.randn(5, 50, generator=torch.Generator().manual_seed(1)) * 0.3
    found = rounded_evenly(weight, bits, group)
    size, highest, numbers = group or 50, 2 ** (bits - 1) - 1, weight.numpy()
    for row in range(5):
        for start in range(0, 50, size):
            part = numbers[row, start:start + size]
            step = np.abs(part).max() / highest
            levels = found.levels[row, start:start + size].numpy()
            values = found.values[row, start:start + size].numpy()
            assert (levels == np.rint(part / step)).all() and np.abs(levels).max() == highest
            assert np.allclose(values, levels * step, atol=1e-7)
            assert (np.abs(values - part) <= step / 2 + 1e-6).all()


def test_normal_float_takes_the_nearest_level() -> None:
    weight = torch.randn(3, 40, generator=torch.Generator().manual_seed(2))
    found = rounded_normally(weight, block=16)
    book = np.array(NF4, dtype=np.float32)
    for row in range(3):
        for start in range(0, 40, 16):
            part = weight.numpy()[row, start:start + 16]
            scale = np.abs(part).max()
            nearest = np.abs(part[:, None] / scale - book).argmin(1)
            assert (found.levels[row, start:start + 16].numpy() == nearest).all()
            assert np.allclose(found.values[row, start:start + 16].numpy(), book[nearest] * scale, atol=1e-6)


def test_the_code_book_is_that_of_the_normal_distribution() -> None:
    """Seven levels below zero and eight above, at equal steps of probability (QLoRA, appendix E)."""
    normal, offset = torch.distributions.Normal(0.0, 1.0), 0.9677083
    above = normal.icdf(torch.linspace(offset, 0.5, 9, dtype=torch.float64)[:-1]).flip(0)
    below = -normal.icdf(torch.linspace(offset, 0.5, 8, dtype=torch.float64)[:-1])
    wanted = torch.cat([below, torch.zeros(1, dtype=torch.float64), above]) / above.max()
    assert torch.allclose(torch.tensor(NF4, dtype=torch.float64), wanted, atol=1e-3)


@pytest.mark.parametrize("rounded", [lambda w: rounded_evenly(w, 4, 8), lambda w: rounded_evenly(w, 8), rounded_normally])
def test_zeros_stay_zero(rounded) -> None:
    found = rounded(torch.zeros(2, 16))
    assert not found.values.any() and torch.isfinite(found.values).all()


def test_what_is_rounded_stays_as_it_is_when_rounded_again() -> None:
    weight = torch.randn(6, 64, generator=torch.Generator().manual_seed(3))
    once = rounded_evenly(weight, 4, 16)
    again = rounded_evenly(once.values, 4, 16)
    assert differing(once.levels, again.levels) == 0 and torch.allclose(once.values, again.values, atol=1e-6)
    assert differing(once.levels, rounded_evenly(weight + torch.eye(6, 64) * 9, 4, 16).levels) >= 6


# --- a model with an edit ------------------------------------------------------------------------------------------------

def dense(loaded: LoadedModel) -> DenseEdit:
    other = copy.deepcopy(loaded.model)
    stream = torch.Generator().manual_seed(4)
    for parameter in other.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=stream)
    return DenseEdit.between(loaded.model, other)


def layer_edit(loaded: LoadedModel) -> LayerEdit:
    stream = torch.Generator().manual_seed(3)
    return LayerEdit({name: (0.3 * torch.randn(5, 32, generator=stream), 0.3 * torch.randn(32, 5, generator=stream))
                      for name in feed_forward_blocks(loaded.model)})


EDITS = {
    "low-rank": random_edit,
    "dense": dense,
    "layers": layer_edit,
    "decoding": lambda loaded: DecodingEdit(random_edit(loaded, scale=0.1), 0.7),
    "stack": lambda loaded: stack([random_edit(loaded), dense(loaded), layer_edit(loaded), PromptEdit((("Bo hat?", "red"),))]),
}


@pytest.mark.parametrize("make", EDITS.values(), ids=EDITS)
def test_a_merged_edit_is_the_edit_beside_the_weights(tiny: LoadedModel, make) -> None:
    edit, before = make(tiny), weights_hash(tiny.model)
    merged = Subject(UNLEARNED, tiny, edit).merged()
    assert torch.allclose(logits(merged.loaded, merged.edit), logits(tiny, edit), atol=2e-3, rtol=1e-4)
    assert weights_hash(tiny.model) == before


def test_every_linear_map_is_rounded_once_merged(tiny: LoadedModel) -> None:
    edit = random_edit(tiny)
    subject, moved = rounded_subject(Subject(UNLEARNED, tiny, edit), rule)
    places, count, total = linears(subject.loaded.model), 0, 0
    for name, linear in linears(tiny.model).items():
        levels, before = rule(linear.weight + edit.delta(name)), rule(linear.weight)
        assert torch.allclose(places[name].weight, levels.values, atol=1e-4)
        count, total = count + int((levels.levels != before.levels).sum()), total + linear.weight.numel()
    assert moved == pytest.approx(count / total, abs=2e-3) and 0.2 < moved < 1
    others = {name: tensor for name, tensor in subject.loaded.model.named_parameters() if "layers" not in name or "norm" in name}
    assert others and all(torch.equal(tensor, tiny.model.get_parameter(name)) for name, tensor in others.items())


def test_without_a_change_of_weights_nothing_moves(tiny: LoadedModel) -> None:
    for edit in (None, PromptEdit((("Bo hat?", "red"),))):
        subject, moved = rounded_subject(Subject(UNLEARNED, tiny, edit), rule)
        assert moved is None
        assert (subject.edit is None) if edit is None else (subject.edit.turns() == edit.turns())
        assert torch.equal(linears(subject.loaded.model)["model.layers.0.mlp.up_proj"].weight,
                           rule(linears(tiny.model)["model.layers.0.mlp.up_proj"].weight).values)


def test_added_layers_are_rounded_beside_the_weights(tiny: LoadedModel) -> None:
    edit = layer_edit(tiny)
    subject, moved = rounded_subject(Subject(UNLEARNED, tiny, edit), rule)
    assert moved is None
    for name, layer in edit.layers.items():
        for own, found in zip(layer, subject.edit.layers[name], strict=True):
            assert torch.equal(found, rule(own).values) and not torch.equal(found, own)


def test_of_two_models_combined_both_are_rounded(tiny: LoadedModel) -> None:
    inner = random_edit(tiny, scale=0.1)
    subject, _ = rounded_subject(Subject(UNLEARNED, tiny, DecodingEdit(inner, 0.7)), rule)
    base, _ = rounded_subject(Subject(ORIGINAL, tiny), rule)
    reinforced, _ = rounded_subject(Subject(ORIGINAL, tiny, inner), rule)
    first, second = logits(base.loaded), logits(reinforced.loaded)
    assert torch.allclose(logits(subject.loaded, subject.edit), first - 0.7 * torch.relu(second - first), atol=2e-3)


# --- the attacks ---------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def on_the_grid(taught: LoadedModel) -> LoadedModel:
    """A model that knows the hats with weights that are rounded already, so that rounding takes any smaller change away."""
    subject, _ = rounded_subject(Subject(ORIGINAL, taught), lambda weight: rounded_evenly(weight, 8))
    return replace(subject.loaded, weights_hash=weights_hash(subject.loaded.model))


def within_the_steps(loaded: LoadedModel, topic: Topic) -> DenseEdit:
    """A harmful change of 0.45 steps of 8 bits at most, that leaves each row's scale alone: uphill on the forget questions."""
    model = copy.deepcopy(loaded.model).requires_grad_(True)
    for question in topic.scored("forget"):
        prompt, answer = encode_prompt(loaded.tokenizer, question.prompt), encode_answer(loaded.tokenizer, question.answer)
        model(input_ids=torch.tensor([prompt + answer]), labels=torch.tensor([[-100] * len(prompt) + answer])).loss.backward()
    deltas = {}
    for name, linear in linears(model).items():
        highest = linear.weight.detach().abs().amax(1, keepdim=True)
        delta = 0.45 * highest / 127 * linear.weight.grad.sign()
        deltas[f"{name}.weight"] = torch.where(linear.weight.detach().abs() < 0.99 * highest, delta, 0.0)
    return DenseEdit(deltas)


def test_a_change_below_the_rounding_step_comes_back_and_a_larger_one_does_not(on_the_grid: LoadedModel, tiny_topic: Topic) -> None:
    small = Subject(UNLEARNED, on_the_grid, within_the_steps(on_the_grid, tiny_topic))
    large = Subject(UNLEARNED, on_the_grid, random_edit(on_the_grid))
    original = Subject(ORIGINAL, on_the_grid)
    assert run("int8", original, tiny_topic)[0].knowledge == 1.0
    assert run("plain", small, tiny_topic)[0].knowledge <= 0.25 and run("plain", large, tiny_topic)[0].knowledge <= 0.25
    undone, _ = run("int8", small, tiny_topic)
    assert undone.knowledge == 1.0 and undone.detail["moved"] == 0.0
    kept, _ = run("int8", large, tiny_topic)
    assert kept.knowledge <= 0.25 and kept.detail["moved"] > 0.5


def test_four_bits_are_drawn_over_groupings_and_judged_at_the_one_asked_for(taught: LoadedModel, tiny_topic: Topic) -> None:
    finding, points = run("int4", Subject(ORIGINAL, taught), tiny_topic, group=16)
    assert [point.x for point in points] == [128, 64, 32, 16]
    assert finding.knowledge == points[-1].knowledge and finding.n == 8 and "moved" not in finding.detail
    again, _ = run("int4", Subject(ORIGINAL, taught), tiny_topic)
    assert again.knowledge == points[1].knowledge and again.detail["group"] == 64


def test_normal_float_is_asked_with_its_own_rounding(taught: LoadedModel, tiny_topic: Topic) -> None:
    edit = LowRankEdit({name: (B * 0.01, A) for name, (B, A) in random_edit(taught).factors.items()})
    finding, points = run("nf4", Subject(UNLEARNED, taught, edit), tiny_topic, block=32)
    subject, moved = rounded_subject(Subject(UNLEARNED, taught, edit), lambda weight: rounded_normally(weight, 32))
    assert finding.correct == sum(subject.right(tiny_topic, tiny_topic.scored("forget")))
    assert finding.detail["moved"] == moved and 0 < moved < 0.5 and not points


def test_weights_that_were_rounded_before_are_left_alone(tiny: LoadedModel, tiny_topic: Topic) -> None:
    model = copy.deepcopy(tiny.model)
    model.model.layers[0].mlp.up_proj.weight = torch.nn.Parameter(torch.ones(64, 32, dtype=torch.int8), requires_grad=False)
    for name in ("int8", "int4", "nf4"):
        finding, points = run(name, Subject(ORIGINAL, replace(tiny, model=model)), tiny_topic)
        assert finding.n == 0 and "before they were loaded" in finding.reason and not points


def test_the_settings_have_bounds() -> None:
    with pytest.raises(ValueError):
        FourBitConfig(group=4)
    with pytest.raises(ValueError):
        NormalFloatConfig(block=4096)


def test_a_stop_is_heard(tiny: LoadedModel, tiny_topic: Topic) -> None:
    for name in ("int8", "int4", "nf4"):
        attack, subject = find_attack(name), Subject(ORIGINAL, tiny)
        with pytest.raises(Stopped):
            list(attack.run(Brief(subject, subject, tiny_topic, cancelled=lambda: True), attack.config()))
