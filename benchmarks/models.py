"""Random models of two sizes and random edits: time and memory depend on shapes, not on what the weights know."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from unlearn_core.demo.recipe import Shape
from unlearn_core.demo.tokens import VOCABULARY
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.models.loading import LoadedModel, linears

CONTEXT = 256
_BUILT_IN = Shape()
SHAPES: dict[str, tuple[Shape, int]] = {  # name: (shape, vocabulary)
    "built-in size": (_BUILT_IN, VOCABULARY),
    "100 M": (Shape(width=768, layers=12, heads=12, inner=2048), 16_384),
    "tiny": (Shape(width=32, layers=2, heads=4, inner=64), 512),  # to see that a benchmark works
}


def random_model(name: str, device: torch.device, dtype: torch.dtype) -> LoadedModel:
    """A Llama of that size without an end token, so that every answer has as many tokens as are asked for."""
    shape, vocabulary = SHAPES[name]
    config = LlamaConfig(vocab_size=vocabulary, hidden_size=shape.width, intermediate_size=shape.inner,
                         num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
                         max_position_embeddings=CONTEXT, tie_word_embeddings=True, bos_token_id=None,
                         eos_token_id=None, pad_token_id=None, initializer_range=0.1)
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).to(device, dtype).eval().requires_grad_(False)
    return LoadedModel(model, _byte_tokenizer(), name, name, None, device, dtype, "")


def random_edit(loaded: LoadedModel, rank: int) -> LowRankEdit:
    """A change of every linear map of the decoder layers."""
    stream = torch.Generator().manual_seed(1)
    return LowRankEdit({
        name: (torch.randn(linear.out_features, rank, generator=stream) * 0.05,
               torch.randn(rank, linear.in_features, generator=stream) * 0.05)
        for name, linear in linears(loaded.model).items()
    })


def millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count < 1e8 else f"{count / 1e6:.0f} M"


def _byte_tokenizer() -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)
