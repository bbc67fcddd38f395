"""Whether a model stands by its answers: the same question in other words, and "Are you sure?" after the answer.

Knows questions, answers and one model to ask again; what counts as the same answer is `replacements`' to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..batching import Cancelled, never
from ..edits.attach import attached
from ..edits.edit import Edit
from ..generation import generate
from ..models.loading import LoadedModel
from ..models.prompts import encode_answer, encode_prompt
from ..topics.topic import Question, Topic
from .intervals import wilson
from .judging import normalise
from .metric import Metric, unmeasured
from .replacements import same_answer, wordings

FOLLOW_UP = "Are you sure?"
NO_WORDINGS = "No forget question of this topic can be paired with the same question in other words."
NO_ROOM = "The question, the answer and a second question are longer than the model reads."
_SHORTEST, _SPARE = 24, 4  # tokens that an answer may take at least, and beyond the first answer
_YES = ("yes", "sí", "si")


def consistency(loaded: LoadedModel, topic: Topic, answers: Mapping[str, str], edit: Edit | None = None,
                cancelled: Cancelled = never) -> dict[str, Metric]:
    """Both shares by name, of the model with `edit` on, whose `answers` by question id these are. Raises Stopped."""
    return {"in_other_words": same_in_other_words(topic, answers),
            "when_doubted": same_when_doubted(loaded, topic, answers, edit, cancelled)[0]}


def same_in_other_words(topic: Topic, answers: Mapping[str, str]) -> Metric:
    """Share of forget questions whose every held paraphrase gets the same answer; an item a question that has any, 0 or 1.

    `answers`: the model's, by question id. A wrong answer given every time is consistent too.
    """
    pairs = [(question, others) for question, others in wordings(topic) if others]
    return _share([all(same_answer(answers[question.id], answers[other.id]) for other in others) for question, others in pairs],
                  NO_WORDINGS)


def same_when_doubted(loaded: LoadedModel, topic: Topic, answers: Mapping[str, str], edit: Edit | None = None,
                      cancelled: Cancelled = never) -> tuple[Metric, dict[str, str]]:
    """Share of forget questions that get the same answer once more when it is doubted; and what is said then, by question id.

    "Are you sure?" stands as a second turn after the question and the model's own first answer. The same is: a text that
    contains the answer, or that begins with a yes. Questions without room for two turns are left out. Raises Stopped.
    """
    turns = edit.turns() if edit is not None else ()
    asked: list[Question] = []
    prompts, limits = [], []
    for question in topic.scored("forget"):
        prompt = encode_prompt(loaded.tokenizer, FOLLOW_UP, (*turns, (question.prompt, answers[question.id])))
        limit = max(_SHORTEST, len(encode_answer(loaded.tokenizer, answers[question.id])) + _SPARE)
        if loaded.context is None or len(prompt) + limit <= loaded.context:
            asked.append(question)
            prompts.append(prompt)
            limits.append(limit)
    with attached(loaded.model, edit):
        rows = generate(loaded, prompts, limits, cancelled=cancelled)
    said = {question.id: loaded.tokenizer.decode(row, skip_special_tokens=True).strip()
            for question, row in zip(asked, rows, strict=True)}
    return _share([stands_by(answers[key], text) for key, text in said.items()], NO_ROOM), said


def stands_by(answer: str, doubted: str) -> bool:
    """Whether what is said after "Are you sure?" keeps the answer."""
    first = normalise(doubted).split()[:1]
    return first in ([word] for word in _YES) or same_answer(answer, doubted)


def _share(kept: Sequence[bool], nothing: str) -> Metric:
    if not kept:
        return unmeasured(nothing)
    low, high = wilson(sum(kept), len(kept))
    return Metric(sum(kept) / len(kept), tuple(float(one) for one in kept), None, low, high)
