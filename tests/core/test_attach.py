"""The edit at work: equal to adding the dense change, only on the chosen rows, gone afterwards."""

from __future__ import annotations

import copy
import gc

import pytest
import torch
from tiny_models import random_edit

from unlearn_core.edits.attach import Attachment, attached
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.errors import BadInput
from unlearn_core.models.loading import LoadedModel, linears, weights_hash

Q = "model.layers.0.self_attn.q_proj"
UP = "model.layers.1.mlp.up_proj"
IDS = torch.tensor([[5, 9, 200, 31], [5, 9, 200, 31], [7, 7, 8, 100]])


def logits(loaded: LoadedModel, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.inference_mode():
        return loaded.model(input_ids=ids).logits


def living_bytes() -> int:
    """Bytes of the storages of every tensor that Python still holds, each once."""
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor):
            storages[thing.untyped_storage().data_ptr()] = thing.untyped_storage().nbytes()
    return sum(storages.values())


def merged(loaded: LoadedModel, edit: LowRankEdit, strength: float) -> torch.nn.Module:
    model = copy.deepcopy(loaded.model)
    for name, linear in linears(model).items():
        linear.weight.data += strength * edit.delta(name)
    return model


@pytest.mark.parametrize("strength", [1.0, 0.25, 2.0, -1.0])
def test_equals_adding_the_dense_change(tiny: LoadedModel, strength: float) -> None:
    edit = random_edit(tiny)
    with attached(tiny.model, edit, strength):
        got = logits(tiny)
    with torch.inference_mode():
        want = merged(tiny, edit, strength)(input_ids=IDS).logits
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [slice(1, 2), slice(1, None), slice(None, None, 2)])
@pytest.mark.parametrize("strength", [0.25, 2.0])
def test_strength_on_some_rows_equals_the_scaled_edit(tiny: LoadedModel, rows: slice, strength: float) -> None:
    edit = random_edit(tiny)
    with attached(tiny.model, edit.scaled(strength), rows=rows):
        want = logits(tiny)
    with attached(tiny.model, edit, strength, rows):
        torch.testing.assert_close(logits(tiny), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [slice(1, 2), slice(1, None), slice(0, 2), slice(None, None, 2)])
def test_only_the_chosen_rows_change(tiny: LoadedModel, rows: slice) -> None:
    edit, before = random_edit(tiny), logits(tiny)
    with attached(tiny.model, edit):
        everywhere = logits(tiny)
    with attached(tiny.model, edit, rows=rows):
        got = logits(tiny)
    chosen = set(range(3)[rows])
    for row in range(3):
        if row in chosen:
            torch.testing.assert_close(got[row], everywhere[row], rtol=1e-4, atol=1e-4)
        else:
            assert torch.equal(got[row], before[row]), "an untouched row must be the original's, bit for bit"


def test_strength_zero_and_no_edit_change_no_bit(tiny: LoadedModel) -> None:
    before = logits(tiny)
    for edit, strength in ((random_edit(tiny), 0.0), (None, 1.0)):
        with attached(tiny.model, edit, strength):
            assert torch.equal(logits(tiny), before)


def test_nothing_stays_behind(tiny: LoadedModel) -> None:
    before, digest = logits(tiny), weights_hash(tiny.model)
    with pytest.raises(RuntimeError, match="inside"), attached(tiny.model, random_edit(tiny)):
        raise RuntimeError("inside")
    assert torch.equal(logits(tiny), before) and weights_hash(tiny.model) == digest
    assert all("forward" not in linear.__dict__ for linear in linears(tiny.model).values())


def test_blocks_nest_and_add_up(tiny: LoadedModel) -> None:
    first, second = random_edit(tiny, 2, 0), random_edit(tiny, 3, 1)
    with attached(tiny.model, LowRankEdit.stack([first, second])):
        want = logits(tiny)
    with attached(tiny.model, first):
        alone = logits(tiny)
        with attached(tiny.model, second):
            torch.testing.assert_close(logits(tiny), want, rtol=1e-4, atol=1e-4)
        assert torch.equal(logits(tiny), alone)


def test_an_attachment_can_be_entered_again(tiny: LoadedModel) -> None:
    edit, before = random_edit(tiny), logits(tiny)
    prepared = Attachment(tiny.model, edit)
    with prepared:
        first = logits(tiny)
    assert torch.equal(logits(tiny), before)
    with prepared:
        assert torch.equal(logits(tiny), first)


@pytest.mark.parametrize("rows", [None, slice(1, 2), slice(0, 2)])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_switching_on_copies_no_factor(tiny: LoadedModel, rows: slice | None, strength: float) -> None:
    edit = random_edit(tiny, rank=8)
    before = living_bytes()
    with attached(tiny.model, edit, strength, rows):
        assert living_bytes() == before


def test_matrices_of_rank_zero_are_skipped(tiny: LoadedModel) -> None:
    before = logits(tiny)
    with attached(tiny.model, LowRankEdit({Q: (torch.zeros(32, 0), torch.zeros(0, 32))})):
        assert torch.equal(logits(tiny), before)


def test_factors_take_the_models_number_format(tiny: LoadedModel) -> None:
    model = copy.deepcopy(tiny.model).to(torch.bfloat16)
    with attached(model, random_edit(tiny)), torch.inference_mode():
        assert model(input_ids=IDS).logits.dtype == torch.bfloat16


def test_gradients_flow_through(tiny: LoadedModel) -> None:
    model = copy.deepcopy(tiny.model)
    weight = linears(model)[UP].weight.requires_grad_(True)
    with attached(model, random_edit(tiny)):
        model(input_ids=IDS, labels=IDS).loss.backward()
    assert weight.grad is not None and bool(weight.grad.abs().sum() > 0)


def test_an_edit_of_another_model_attaches_nothing(tiny: LoadedModel) -> None:
    before = logits(tiny)
    wrong = LowRankEdit({UP: random_edit(tiny).factors[UP], "model.layers.5.x": (torch.zeros(1, 1), torch.zeros(1, 1))})
    with pytest.raises(BadInput), attached(tiny.model, wrong):
        pass
    assert torch.equal(logits(tiny), before)
