"""A model read on from a key-value cache: prompts once, then what follows them, a token or a few at a time."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from .batching import pad_left, pad_right
from .edits.decoding import cache_field
from .models.loading import LoadedModel
from .models.passes import mask_of


def _cache_argument(model: torch.nn.Module) -> str:
    """The name under which the model's forward takes its cache: `cache` since transformers 5.24, `past_key_values` before."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


class Steps:
    """A batch's key-value cache: `forward` gives the next logits (rows, vocabulary), `append` the chosen tokens; or several tokens
    a row, filled up behind, and `logits` what each of them predicts."""

    def __init__(self, loaded: LoadedModel, prompts: Sequence[Sequence[int]]) -> None:
        self._model = loaded.model
        pad = loaded.tokenizer.pad_token_id
        self._ids, mask = pad_left(prompts, 0 if pad is None else pad, loaded.device)
        self._mask = None if bool(mask.all()) else mask
        accepted = inspect.signature(loaded.model.forward).parameters
        self._positions = (mask.cumsum(1) - 1).clamp_min(0) if "position_ids" in accepted else None
        self._loaded, self._cache = loaded, None
        self._cache_argument = _cache_argument(loaded.model)

    def forward(self) -> Tensor:
        """The logits that the last token of every row predicts."""
        return self.logits(1)[:, -1]

    @torch.inference_mode()
    def logits(self, count: int) -> Tensor:
        """(rows, count, vocabulary): what the last `count` tokens predict."""
        options: dict[str, Any] = dict(self._loaded.few_logits(count))
        if self._positions is not None:
            options["position_ids"] = self._positions
        if self._mask is not None:
            options["attention_mask"] = self._mask
        output = self._model(input_ids=self._ids, use_cache=True, **{self._cache_argument: self._cache}, **options)
        self._cache = getattr(output, cache_field(output))
        return output.logits[:, -count:]

    @torch.inference_mode()
    def append(self, tokens: Tensor) -> None:
        """(rows,) or (rows, tokens) ids behind what was read. Filling must come last: nothing real may follow it."""
        self._ids = tokens.view(len(tokens), -1)
        width = self._ids.shape[1]
        if self._positions is not None:
            self._positions = self._positions[:, -1:] + torch.arange(1, width + 1, device=tokens.device)
        if self._mask is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), width)], dim=1)

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> bool:
        """Drop all rows but these, which may repeat; False, with nothing done, where the cache cannot."""
        if not hasattr(self._cache, "batch_select_indices"):
            return False
        self._cache.batch_select_indices(rows)
        self._ids = self._ids[rows]
        self._positions = None if self._positions is None else self._positions[rows]
        self._mask = None if self._mask is None else self._mask[rows]
        return True


class ApartSteps:
    """The same of an encoder-decoder: the encoder reads the prompts at the first `forward`, once. Answers that have begun
    have all the same length."""

    def __init__(self, loaded: LoadedModel, prompts: Sequence[Sequence[int]], begun: Sequence[Sequence[int]]) -> None:
        self._model = loaded.model
        self._source, self._mask = pad_right(prompts, 0, loaded.device), mask_of(prompts, loaded.device).long()
        start = loaded.model.config.decoder_start_token_id
        self._ids = torch.tensor([[start, *tokens] for tokens in begun], device=loaded.device)
        self._read: Any = None
        self._cache: Any = None
        self._cache_argument = _cache_argument(loaded.model)

    @torch.inference_mode()
    def forward(self) -> Tensor:
        read = {"input_ids": self._source} if self._read is None else {"encoder_outputs": self._read}
        output = self._model(attention_mask=self._mask, decoder_input_ids=self._ids, use_cache=True, **read,
                             **{self._cache_argument: self._cache})
        if self._read is None:
            self._read = BaseModelOutput(last_hidden_state=output.encoder_last_hidden_state)
        self._cache = getattr(output, cache_field(output))
        return output.logits[:, -1]

    def append(self, tokens: Tensor) -> None:
        self._ids = tokens[:, None]

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> bool:
        if not hasattr(self._cache, "batch_select_indices"):
            return False
        self._cache.batch_select_indices(rows)
        self._ids, self._mask = self._ids[rows], self._mask[rows]
        self._read.last_hidden_state = self._read.last_hidden_state[rows]
        return True


def steps_of(loaded: LoadedModel, prompts: Sequence[Sequence[int]], begun: Sequence[Sequence[int]]) -> Steps | ApartSteps:
    """The kind that fits the model. `begun`: tokens that answers have already, where the prompts are read apart from them."""
    return ApartSteps(loaded, prompts, begun) if loaded.reads_apart else Steps(loaded, prompts)
