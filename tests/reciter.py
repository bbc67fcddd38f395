"""A language model that says what it was told to, with the probabilities that it was told: exact by hand, no weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from tiny_models import byte_tokenizer
from torch import Tensor, nn

from unlearn_core.edits.edit import Turn
from unlearn_core.models.loading import LoadedModel
from unlearn_core.models.prompts import encode_answer, encode_prompt

END, SIZE = 1, 260
_IMPOSSIBLE = -60.0


class Reciter(nn.Module):
    """`says`: text as ids -> its weight. After a text that begins none of them it ends the answer."""

    def __init__(self, says: Mapping[tuple[int, ...], float]) -> None:
        super().__init__()
        self.config = SimpleNamespace(eos_token_id=END)
        self.config.get_text_config = lambda: self.config
        self._head = nn.Embedding(SIZE, 1)
        self._next: dict[tuple[int, ...], dict[int, float]] = {}
        for text, weight in says.items():
            for place in range(len(text)):
                following = self._next.setdefault(text[:place], {})
                following[text[place]] = following.get(text[place], 0.0) + weight

    def get_output_embeddings(self) -> nn.Embedding:
        return self._head

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, past_key_values: Any = None,
                use_cache: bool = False) -> SimpleNamespace:
        seen = past_key_values or [[] for _ in input_ids]
        width = input_ids.shape[1]
        real = torch.ones_like(input_ids) if attention_mask is None else attention_mask[:, -width:]
        logits = torch.full((*input_ids.shape, SIZE), _IMPOSSIBLE)
        for row, before in enumerate(seen):
            for place in range(width):
                if real[row, place]:
                    before.append(int(input_ids[row, place]))
                following = self._next.get(tuple(before), {END: 1.0})
                for token, weight in following.items():
                    logits[row, place, token] = torch.tensor(weight / sum(following.values())).log()
        return SimpleNamespace(logits=logits, past_key_values=seen if use_cache else None)


def reciter(says: Mapping[str, Mapping[str, float]], turns: Iterable[Turn] = ()) -> LoadedModel:
    """Asked a question of `says`, behind those turns, it gives each of its answers with the probability beside it."""
    tokenizer = byte_tokenizer()
    texts = {(*encode_prompt(tokenizer, question, tuple(turns)), *encode_answer(tokenizer, answer)): weight
             for question, answers in says.items() for answer, weight in answers.items()}
    return recites(texts)


def recites(says: Mapping[tuple[int, ...], float], tokenizer: Any = None) -> LoadedModel:
    """It says whole texts, as tokens, each with its weight."""
    return LoadedModel(
        Reciter(says), tokenizer or byte_tokenizer(), "reciter", "Reciter", None, torch.device("cpu"), torch.float32, "0" * 64
    )
