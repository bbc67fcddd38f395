"""How much of what is to be forgotten a model still gives: on given forget questions only. Knows edits; no method."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from ..edits.attach import attached
from ..edits.edit import Edit
from ..models.loading import LoadedModel
from ..topics.topic import Question
from ..training import answer_nlls, encode_rows

SAMPLE = 64  # questions of the fixed sample


class Recall:
    """Mean over a fixed sample of questions of the expected answer's probability per token: exp(−NLL / its tokens).

    Bounded, so that a few answers made impossible cannot hide many that were left as they are.
    """

    def __init__(self, loaded: LoadedModel, questions: Sequence[Question], size: int = SAMPLE, seed: int = 0) -> None:
        picked = random.Random(seed).sample(range(len(questions)), min(size, len(questions)))
        self._loaded, self._questions = loaded, [questions[place] for place in sorted(picked)]

    @torch.no_grad()
    def of(self, edit: Edit, strength: float = 1.0) -> float:
        """Of the model with an edit on; 0.0 where there is nothing to forget."""
        rows = encode_rows(self._loaded, self._questions, turns=edit.turns(strength))
        if not rows:
            return 0.0
        with attached(self._loaded.model, edit, strength):
            nlls = answer_nlls(self._loaded, rows)
        lengths = torch.tensor([len(row.ids) - row.start for row in rows], device=nlls.device)
        return float(torch.exp(-nlls / lengths).mean())
