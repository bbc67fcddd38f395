"""Two models' logits combined at every token (Who's Harry Potter at decoding): v − α · relu(v_reinforced − v).

The reinforced model is the base model with a low-rank edit, so that both share one forward pass: the edited rows are put into the
batch twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from ..objectives import generic_logits
from .attach import Attachment
from .edit import Edit, Forward, Wrap, foreign
from .low_rank import LowRankEdit

KIND = "decoding"
_OF_ROWS = ("input_ids", "decoder_input_ids", "attention_mask", "decoder_attention_mask", "position_ids")  # one row a text


@dataclass(frozen=True, eq=False)
class DecodingEdit(Edit):
    """`reinforced`: what makes the base model know the topic better; `alpha`: how much of the difference is taken off."""

    reinforced: LowRankEdit
    alpha: float = 1.0
    meta: Mapping[str, str] = field(default_factory=dict)
    kind = KIND

    @property
    def rank(self) -> int:
        """That of the reinforcing edit."""
        return self.reinforced.rank

    @property
    def parameters(self) -> int:
        """Those of the reinforcing edit."""
        return self.reinforced.parameters

    @property
    def combines_rows(self) -> bool:
        """Always: its logits are those of two rows."""
        return True

    def scaled(self, strength: float) -> DecodingEdit:
        """The same with alpha times `strength`."""
        return replace(self, alpha=self.alpha * strength)

    def check(self, model: nn.Module) -> None:
        """Raise BadInput unless the reinforcing edit fits."""
        self.reinforced.check(model)

    def wraps(self, model: nn.Module, strength: float, rows: slice | None) -> list[Wrap]:
        """The whole model's forward, with the chosen rows in the batch a second time."""
        return [(model, lambda forward: _combined(forward, model, self.reinforced, strength * self.alpha, rows))]

    def tensors(self) -> dict[str, Tensor]:
        """Those of the reinforcing edit."""
        return self.reinforced.tensors()

    def head(self) -> dict[str, str]:
        """Alpha, and the reinforcing edit's own."""
        return {"alpha": repr(self.alpha), **self.reinforced.head()}

    @classmethod
    def restored(cls, tensors: dict[str, Tensor], head: dict[str, str], path: str) -> DecodingEdit:
        """See Edit."""
        try:
            alpha = float(head.pop("alpha"))
        except (KeyError, ValueError) as error:
            raise foreign(path, "its alpha is missing or no number") from error
        inner = LowRankEdit.restored(tensors, head, path)
        return cls(LowRankEdit(inner.factors), alpha, inner.meta)

    def with_meta(self, meta: Mapping[str, str]) -> DecodingEdit:
        """The same edit with other notes."""
        return replace(self, meta=meta)


class _Doubled:
    """A key-value cache in which some rows stand twice: those of the reinforced model follow all others."""

    def __init__(self, inner: Any, rows: int, chosen: list[int]) -> None:
        self.inner, self._rows, self._chosen = inner, rows, chosen

    def batch_select_indices(self, rows: Tensor) -> None:
        """Keep those rows, and their doubles."""
        doubles = [self._rows + self._chosen.index(row) for row in rows.tolist() if row in self._chosen]
        self.inner.batch_select_indices(torch.cat([rows, torch.tensor(doubles, dtype=rows.dtype, device=rows.device)]))


def cache_field(output: Any) -> str:
    """The name of the key-value cache in a model's output: transformers calls it `cache` since 5.24, and warns of the old name."""
    return "cache" if hasattr(output, "cache") else "past_key_values"


def _combined(forward: Forward, model: nn.Module, reinforced: LowRankEdit, alpha: float, rows: slice | None) -> Forward:
    @wraps(forward)
    def combine(input_ids: Tensor | None = None, **options: Any) -> Any:
        given = {**({} if input_ids is None else {"input_ids": input_ids}), **options}
        lead = next(given[name] for name in _OF_ROWS if given.get(name) is not None)
        count = len(lead)
        chosen = list(range(count)) if rows is None else list(range(count))[rows]
        index = torch.tensor([*range(count), *chosen], device=lead.device)
        widened = {name: value[index] if name in _OF_ROWS and value is not None else value for name, value in given.items()}
        if widened.get("encoder_outputs") is not None:  # behind it stands a cache, in which both have read the prompt
            states = widened["encoder_outputs"].last_hidden_state
            widened["encoder_outputs"] = BaseModelOutput(last_hidden_state=states[index])
        # the cache, under whichever name the forward takes it
        plain = {name: value.inner if isinstance(value, _Doubled) else value for name, value in widened.items()}
        with Attachment(model, reinforced, 1.0, slice(count, count + len(chosen))):
            output = forward(**plain)
        first, second = output.logits[:count], output.logits[count:]
        logits = first.clone()
        logits[chosen] = generic_logits(first[chosen], second, alpha)
        output.logits = logits
        if getattr(output, "encoder_last_hidden_state", None) is not None:
            output.encoder_last_hidden_state = output.encoder_last_hidden_state[:count]
        name = cache_field(output)
        cache = getattr(output, name)
        if cache is not None:
            setattr(output, name, _Doubled(cache, count, chosen))
        return output

    return combine
