"""The models under attack and what the attacks do to them: ask, put text before questions, merge an edit into the weights.

Knows models and edits; no attack. The base model's weights are never written to: who changes weights gets a copy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from ..batching import never
from ..edits.dense import DenseEdit
from ..edits.edit import Edit, Turn
from ..edits.low_rank import LowRankEdit
from ..edits.prompt import PromptEdit
from ..edits.stack import StackedEdit, stack
from ..evaluation.measure import Judged, measure
from ..models.loading import LoadedModel, linears
from ..topics.topic import Question, Topic


@dataclass(frozen=True)
class Subject:
    """`loaded` with `edit` on it; `name` is one of SUBJECTS."""

    name: str
    loaded: LoadedModel
    edit: Edit | None = None

    def judged(self, topic: Topic, questions: Sequence[Question], cancelled: Callable[[], bool] = never,
               strength: float = 1.0) -> list[Judged]:
        """What the subject answers, judged as the questions' split is, in the order given. Raises Stopped."""
        unique = [replace(question, id=f"{place}") for place, question in enumerate(questions)]
        found = measure(self.loaded, topic, self.edit, strength, unique, cancelled).answers
        return [found[question.id] for question in unique]

    def right(self, topic: Topic, questions: Sequence[Question], cancelled: Callable[[], bool] = never,
              strength: float = 1.0) -> list[bool]:
        """Which of the questions the subject answers as expected. Raises Stopped."""
        return [judged.ok for judged in self.judged(topic, questions, cancelled, strength)]

    def after(self, turns: Sequence[Turn]) -> Subject:
        """The subject with questions and answers before every question put to it, behind those of its own edit."""
        shown = PromptEdit(tuple(turns))
        return replace(self, edit=shown if self.edit is None else stack([self.edit, shown]))

    def merged(self) -> Subject:
        """The same subject with changes of weights written into a copy of the weights. What is no change of weights (added
        layers, a context, a decoding rule) stays beside them as its edit."""
        model = copy.deepcopy(self.loaded.model)
        rest = [part for part in parts(self.edit) if not _merge(model, part)]
        loaded = replace(self.loaded, model=model)
        return Subject(self.name, loaded, stack(rest) if rest else None)


def parts(edit: Edit | None) -> tuple[Edit, ...]:
    """The edits that an edit consists of."""
    if edit is None:
        return ()
    return edit.parts if isinstance(edit, StackedEdit) else (edit,)


@torch.no_grad()
def _merge(model: torch.nn.Module, edit: Edit) -> bool:
    """Write an edit into the weights, in float32 and rounded to their format once; False where it is no change of weights."""
    if isinstance(edit, LowRankEdit):
        places = linears(model)
        changes = {places[name].weight: B.float() @ A.float() for name, (B, A) in edit.factors.items()}
    elif isinstance(edit, DenseEdit):
        named = dict(model.named_parameters(remove_duplicate=False))
        changes = {named[name]: delta.float() for name, delta in edit.deltas.items()}
    else:
        return False
    for weight, change in changes.items():
        weight.copy_((weight.float() + change.to(weight.device)).to(weight.dtype))
    return True
