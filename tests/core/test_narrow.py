"""A pass whose last steps read answer places alone against one that reads all: logits, gradients, what is left behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import random_edit, tiny_llama
from torch import Tensor, nn
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)

from unlearn_core.edits.attach import attached
from unlearn_core.edits.decoding import DecodingEdit
from unlearn_core.edits.layers import TrainedLayers
from unlearn_core.models.loading import LoadedModel
from unlearn_core.models.narrow import narrowed
from unlearn_core.training import Change, Row, score

SIZES = {"vocab_size": 260, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64,
         "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "initializer_range": 0.2}  # fmt: skip
INNER = {"intermediate_size": 48}
KINDS = {
    "llama": tiny_llama,
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, **INNER, num_key_value_heads=2, head_dim=8)),
    "gpt-neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES, **INNER)),
    "phi": lambda: PhiForCausalLM(PhiConfig(**SIZES, **INNER)),
    "opt": lambda: OPTForCausalLM(OPTConfig(**SIZES, ffn_dim=48, word_embed_proj_dim=32, init_std=0.2)),
    "bloom": lambda: BloomForCausalLM(BloomConfig(vocab_size=260, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.2)),
    "mixtral": lambda: MixtralForCausalLM(MixtralConfig(**SIZES, **INNER, num_key_value_heads=2, num_local_experts=4)),
}
LAST = dict.fromkeys(("llama", "gemma2", "phi"), "model.layers.1.mlp") | {"gpt-neox": "gpt_neox.layers.1.mlp"}
ROWS = [Row((0, 2, 50, 51, 52, 3, 60, 1), 6), Row((0, 2, 70, 3, 61, 62, 63, 1), 4), Row((0, 2, 80, 81, 3, 1), 5)]
TOKENS = 2 + 4 + 1


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(kind: str, tiny: LoadedModel) -> LoadedModel:
    """A random model of that kind; the tokenizer is not asked."""
    torch.manual_seed(3)
    return replace(tiny, model=KINDS[kind]().eval().requires_grad_(False))


def alone(model: nn.Module, row: Row) -> Tensor:
    """The logits that predict a row's answer, from a plain pass over the row and all of its places."""
    return model(input_ids=torch.tensor([row.ids]), use_cache=False).logits[0, row.start - 1 : -1]


def test_logits_are_those_of_plain_passes(model: LoadedModel) -> None:
    found = score(model, ROWS).logits
    assert found.shape == (TOKENS, 260)
    torch.testing.assert_close(found, torch.cat([alone(model.model, row) for row in ROWS]), rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_plain_passes(model: LoadedModel) -> None:
    """Of a change of every map; summed squares give every logit a gradient of its own."""
    change = Change(model.model, rank=2)
    for place, left in enumerate(change.left):
        nn.init.normal_(left, std=0.1, generator=torch.Generator().manual_seed(place))
    with change.active():
        score(model, ROWS).logits.square().sum().backward()
    found = [parameter.grad.clone() for parameter in change.parameters()]
    change.zero_grad()
    with change.active():
        sum(alone(model.model, row).square().sum() for row in ROWS).backward()
    wanted = [parameter.grad for parameter in change.parameters()]
    assert all(float(gradient.abs().max()) > 0 for gradient in wanted)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_the_last_block_and_the_head_read_answer_places_alone(model: LoadedModel, kind: str) -> None:
    read: dict[str, int] = {}
    parts = {"head": model.model.get_output_embeddings()}
    if kind in LAST:
        block = model.model.get_submodule(LAST[kind])
        parts |= {"block": next(part for part in block.modules() if isinstance(part, nn.Linear)),
                  "before": next(part for part in model.model.get_submodule(LAST[kind].replace(".1.", ".0.")).modules()
                                 if isinstance(part, nn.Linear))}
    handles = [part.register_forward_hook(
        lambda module, inputs, output, name=name: read.update({name: read.get(name, 0) + output[..., 0].numel()})
    ) for name, part in parts.items()]
    score(model, ROWS)
    for handle in handles:
        handle.remove()
    assert read["head"] == TOKENS
    if kind in LAST:
        assert read["block"] == TOKENS
        assert read["before"] >= sum(len(row.ids) - 1 for row in ROWS)


def test_layers_added_to_the_last_block_see_what_they_would(tiny: LoadedModel) -> None:
    layers = TrainedLayers(tiny.model, 4, seed=1)
    for place, outer in enumerate(layers.outer):
        nn.init.normal_(outer, std=0.3, generator=torch.Generator().manual_seed(place))
    with layers.active():
        found = score(tiny, ROWS).logits
        wanted = torch.cat([alone(tiny.model, row) for row in ROWS])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, score(tiny, ROWS).logits, atol=1e-2)


def test_a_rule_at_decoding_sees_every_place_of_both_its_rows(tiny: LoadedModel) -> None:
    """It puts rows into the batch twice, so that places counted without them are none of its own."""
    with attached(tiny.model, DecodingEdit(random_edit(tiny), 1.5)):
        found = score(tiny, ROWS).logits
        wanted = torch.cat([alone(tiny.model, row) for row in ROWS])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, score(tiny, ROWS).logits, atol=1e-2)


def test_the_model_is_as_before_even_after_an_error(tiny: LoadedModel) -> None:
    head, block = tiny.model.get_output_embeddings(), tiny.model.get_submodule("model.layers.1.mlp")
    block.forward = own = block.forward  # somebody else's, to be put back
    try:
        with pytest.raises(RuntimeError, match="stop"), narrowed(tiny.model, torch.tensor([0]), torch.tensor([0])):
            assert block.forward is not own
            raise RuntimeError("stop")
        assert block.__dict__["forward"] is own
        assert "forward" not in head.__dict__
    finally:
        del block.forward
