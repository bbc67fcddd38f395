"""How strongly each answer pulls at the weights: the norm of its own gradient. Knows models and token ids; judges nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..activations import WeightGradients
from ..batching import Cancelled, by_length, never
from ..errors import Stopped
from ..models.loading import LoadedModel
from ..scoring import Pair, answer_logits

ROWS, TOKENS = 32, 2048  # of one batch


def gradient_norms(loaded: LoadedModel, pairs: Sequence[Pair], cancelled: Cancelled = never) -> list[float]:
    """For each answer the norm of the gradient of its mean NLL by the weights of a linear map, averaged over the maps.

    Rows of a batch do not mix, so any batch size gives the same. Raises Stopped. (MIA by gradient norm: Wang et al. 2024, in
    the form of OpenUnlearning, which needs batches of one.)
    """
    found = [0.0] * len(pairs)
    with WeightGradients(loaded.model) as flows, torch.enable_grad():
        for batch in by_length([len(prompt) + len(answer) for prompt, answer in pairs], ROWS, TOKENS):
            if cancelled():
                raise Stopped
            chosen = [pairs[place] for place in batch]
            lengths = [len(answer) for _, answer in chosen]
            target = torch.tensor([token for _, answer in chosen for token in answer], device=loaded.device)
            nll = torch.nn.functional.cross_entropy(answer_logits(loaded, chosen, lengths).float(), target, reduction="none")
            norms = flows.row_norms(sum(part.mean() for part in nll.split(lengths)))
            for place, norm in zip(batch, norms.tolist(), strict=True):
                found[place] = norm
    return found
