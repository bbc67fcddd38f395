"""A linear probe: can the answer still be told from the model's hidden states by a linear map?

Most answers are names that stand once, so a classifier of answers has nothing to learn from. Ours maps the state from which the
answer's first token is predicted to the state that the original has there, by ridge regression on half of the entities, and is
judged on the other half: through the original's head, does the right answer score above wrong ones of the same kind? Guessing
gives a half, and a model that never saw the topic comes no further, as no linear map turns a question into a fact. It finds
what the logit lens does not: knowledge that was turned into another basis.

Any probe needs a model that never saw the topic beside it, and a control with shuffled labels (arXiv 2601.15111, 2605.01699):
here the same probe with states exchanged between questions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from .attack import Attack, AttackConfig, Brief, Finding, Point, Step, inapplicable
from .lens import COMBINED, answering

if TYPE_CHECKING:
    from torch import Tensor

    from ..topics.topic import Question

WRONG = 3  # wrong answers to a question, at most
FOLDS = 5
FEWEST = 4  # questions on either side
PENALTIES = (0.1, 1.0, 10.0)


class ProbeConfig(AttackConfig):
    """Settings of the probe."""

    questions: int = Field(240, ge=8, le=5000, description="Questions at most that the probe is trained on, and that it is "
                                                           "judged on")


@dataclass(frozen=True)
class Choices:
    """Questions with the first token of their right answer, and those of wrong ones; `own` and `wanted`: the states of the
    subject and of the original, (layers, questions, width)."""

    questions: list[Question]
    right: list[int]
    wrong: list[list[int]]
    own: Tensor
    wanted: Tensor


def _run(brief: Brief, config: ProbeConfig) -> Iterator[Step | Point | Finding]:
    if brief.subject.edit is not None and brief.subject.edit.combines_rows:
        yield inapplicable(COMBINED)
        return
    known, judged = (_choices(brief, half, config.questions) for half in brief.halves())
    if known is None or judged is None:
        yield inapplicable("Too few questions have wrong answers of the same kind for a probe to learn from.")
        return
    layers = len(known.own)
    best: list[tuple[float, float]] = []  # for each layer how well the attacker's half is told, and by which penalty
    told: list[list[float]] = []
    for layer in range(layers):
        best.append(max(((_inside(brief, known, layer, penalty), penalty) for penalty in PENALTIES), key=lambda pair: pair[0]))
        told.append(_told(brief, known, judged, layer, best[layer][1]))
        yield Point("probe", layer + 1, sum(told[layer]) / len(told[layer]))
        yield Step(layer + 1, layers, "layers")
    chosen = max(range(layers), key=lambda layer: best[layer][0])
    control = _told(brief, _exchanged(known, brief.seed), _exchanged(judged, brief.seed), chosen, best[chosen][1])
    yield Finding(sum(told[chosen]), len(told[chosen]), chance=0.5, detail={
        "layer": chosen + 1, "layers": layers, "control": sum(control) / len(control), "cross_validated": best[chosen][0],
        "trained": len(known.questions)})


# --- questions and wrong answers ----------------------------------------------------------------------------------------

def kinds_of(questions: Sequence[Question]) -> dict[str, str]:
    """value -> the kind it is of, named by one of its values: an answer is of one kind with its near-misses."""
    parent: dict[str, str] = {}

    def root(value: str) -> str:
        while parent.setdefault(value, value) != value:
            value = parent[value]
        return value

    for question in questions:
        for other in question.near_misses:
            parent[root(other)] = root(question.answer)
        root(question.answer)
    return {value: root(value) for value in list(parent)}


def wrong_answers(question: Question, others: Sequence[Question], kinds: Mapping[str, str]) -> list[str]:
    """Right answers to the other questions that are of the same kind, so that an answer by itself tells nothing; its
    near-misses where there are none."""
    same = {other.answer for other in others if kinds[other.answer] == kinds[question.answer]}
    return sorted(same - {question.answer}) or sorted(question.near_misses)


def _choices(brief: Brief, half: Sequence[Question], most: int) -> Choices | None:
    """The half's questions, `most` at most, for which there are wrong answers that begin otherwise; None where they are too few.
    Raises Stopped."""
    from ..models.prompts import encode_answer

    def first(answer: str) -> int:
        return encode_answer(brief.subject.loaded.tokenizer, answer)[0]

    kinds = kinds_of([question for question in brief.topic.questions if question.split == "forget"])
    draw = random.Random(f"probe {brief.seed}")
    picked, right, wrong = [], [], []
    for question in draw.sample(list(half), len(half)):
        own = first(question.answer)
        begin = [token for token in map(first, wrong_answers(question, half, kinds)) if token != own]
        if begin and len(picked) < most:
            picked.append(question)
            right.append(own)
            wrong.append(draw.sample(begin, min(WRONG, len(begin))))
    if len(picked) < FEWEST:
        return None
    own, wanted = (answering(subject, picked, brief.cancelled) for subject in (brief.subject, brief.original))
    return Choices(picked, right, wrong, own, wanted)


# --- the probe ----------------------------------------------------------------------------------------------------------

def _inside(brief: Brief, known: Choices, layer: int, penalty: float) -> float:
    """How well the probe tells questions of the attacker's half about entities that it was not trained on."""
    from .readout import held_out

    names = [question.entity or question.id for question in known.questions]
    numbers = {name: place % FOLDS for place, name in enumerate(dict.fromkeys(names))}
    read = held_out(known.own[layer], known.wanted[-1], penalty, [numbers[name] for name in names])
    shares = _shares(brief, known, read)
    return sum(shares) / len(shares)


def _told(brief: Brief, known: Choices, judged: Choices, layer: int, penalty: float) -> list[float]:
    """For each judged question the share of wrong answers below the right one, by a probe trained on the known ones."""
    from .readout import fitted

    return _shares(brief, judged, fitted(known.own[layer], known.wanted[-1], penalty)(judged.own[layer]))


def _shares(brief: Brief, asked: Choices, read: Tensor) -> list[float]:
    import torch

    from .residuals import through_head

    logits = torch.cat([block.cpu() for block in through_head(brief.original.loaded, read, brief.cancelled)])
    return [sum(bool(row[right] > row[token]) for token in wrong) / len(wrong)
            for row, right, wrong in zip(logits, asked.right, asked.wrong, strict=True)]


def _exchanged(choices: Choices, seed: int) -> Choices:
    """The same with each question's state exchanged for another's: nothing can be told, unless something is wrong."""
    from dataclasses import replace

    order = list(range(len(choices.questions)))
    random.Random(f"exchanged {seed}").shuffle(order)
    taken = dict(zip(order, order[1:] + order[:1], strict=True))  # nobody keeps their own
    return replace(choices, own=choices.own[:, [taken[place] for place in range(len(order))]])


PROBE = Attack(
    "probe",
    "Linear probe",
    "inside",
    "Learns on half of the questions to read the answer off hidden states by a linear map, and tells right from wrong answers to "
    "the other half; guessing gives a half.",
    "Read by a linear probe",
    "our own; controls after arXiv 2601.15111 and 2605.01699",
    ProbeConfig,
    _run,
    access="hidden states, with the original's, and half of the questions",
    x="layer",
    compares=True,
    got="tells {share} of {n} right answers from wrong ones",
)
