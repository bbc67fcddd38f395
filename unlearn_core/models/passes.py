"""Forward passes of an encoder-decoder, which reads a prompt and writes its answer apart, and what each module there sees.

A causal model reads both as one text; the callers do that themselves, with the logits that they need and no others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..batching import pad_right
from .loading import LoadedModel

# What looks at the prompt: the encoder, and the decoder's keys and values of it (T5's and BART's names)
_PROMPT_SIDE = re.compile(r"(?:^|\.)encoder\.|(?:EncDecAttention|encoder_attn)\.(?:k|v|k_proj|v_proj)$")


@dataclass(frozen=True)
class Masks:
    """Which places of a batch are real, (rows, tokens): of the one text, or of the prompts and of the answers."""

    read: Tensor
    written: Tensor | None = None

    def of(self, name: str) -> Tensor:
        """The mask of what a module reads."""
        return self.read if self.written is None or _PROMPT_SIDE.search(name) else self.written

    def count(self) -> int:
        """How many places are real."""
        return int(self.read.sum()) + (0 if self.written is None else int(self.written.sum()))


def mask_of(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """True where a row has a token, (rows, longest)."""
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return torch.arange(max(len(row) for row in rows), device=device) < lengths[:, None]


def apart_logits(
    loaded: LoadedModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> tuple[Tensor, Masks]:
    """Logits (rows, longest answer, vocabulary) that predict each answer's tokens, by teacher forcing; and the masks."""
    output, masks = apart_pass(loaded, prompts, answers)
    return output.logits, masks


def apart_pass(
    loaded: LoadedModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], states: bool = False
) -> tuple[Any, Masks]:
    """The whole output of such a pass, with the hidden states of all layers if asked for; and the masks."""
    start = loaded.model.config.decoder_start_token_id
    masks = Masks(mask_of(prompts, loaded.device), mask_of(answers, loaded.device))
    output = loaded.model(
        input_ids=pad_right(prompts, 0, loaded.device),
        attention_mask=masks.read.long(),
        decoder_input_ids=pad_right([[start, *answer][: len(answer)] for answer in answers], 0, loaded.device),
        decoder_attention_mask=masks.written.long(),
        use_cache=False,
        output_hidden_states=states,
    )
    return output, masks


def read_texts(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    announce: Callable[[Masks], object] = lambda masks: None,
) -> None:
    """One forward pass for what the modules see, over prompts with their answers; `announce` gets the masks before it."""
    if loaded.reads_apart:
        announce(Masks(mask_of(prompts, loaded.device), mask_of(answers, loaded.device)))
        apart_logits(loaded, prompts, answers)
        return
    texts = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    mask = mask_of(texts, loaded.device)
    announce(Masks(mask))
    ids = pad_right(texts, 0, loaded.device)
    loaded.model(input_ids=ids, attention_mask=mask.long(), use_cache=False, **loaded.few_logits(1))
