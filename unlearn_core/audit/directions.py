"""Undoing unlearning along the direction in which it moved the hidden states, without any training.

Ablation (Łucki et al. 2024, arXiv 2409.18025): d = mean of the unlearned model's states − mean of the original's on forget
questions, layer by layer, and d is projected out of what leaves each layer, at every position; or the part along d is set to
the original's mean (Marshall et al. 2024, arXiv 2411.09003), whichever serves the attacker's half better. Steering (arXiv
2606.03291): h ← h − α‖h‖v in a few consecutive layers, with v the mean difference of states of unit length. Directions come
from the half of the forget questions that the attacker knows; what is asked is the other half. States are those at the place
from which an answer's first token is predicted.

Our reading: steering acts at every position, not at the last one alone, and the directions come from the very model under attack
(the paper takes them from another unlearning of the same kind, which an attacker without the original would have to).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from .asking import chance_of
from .attack import Attack, AttackConfig, Brief, Finding, Point, Step, inapplicable, tally
from .lens import COMBINED, answering

if TYPE_CHECKING:
    from torch import Tensor

    from ..topics.topic import Question

    Change = Callable[[Tensor], Tensor]

PUSHES = (0.1, 0.25, 0.5, 1.0)
SMALL = 1e-6  # of the states' length: below it a difference is rounding


class AblationConfig(AttackConfig):
    """Projecting the directions out has no settings."""


class SteeringConfig(AttackConfig):
    """Settings of steering back."""

    window: int = Field(2, ge=1, le=16, description="Consecutive layers in which the states are pushed")
    furthest: float = Field(1.0, gt=0.0, le=4.0, description="The largest push, as a share of a state's length; "
                                                             "a half, a quarter and a tenth of it are tried as well")


def _ablation(brief: Brief, config: AblationConfig) -> Iterator[Step | Point | Finding]:
    from .residuals import blocks, changed

    subject = brief.subject
    if subject.edit is not None and subject.edit.combines_rows:
        yield inapplicable(COMBINED)
        return
    known, judged = brief.halves()
    own, base = (answering(each, known, brief.cancelled) for each in (subject, brief.original))
    directions, layers = _unit(own.mean(1) - base.mean(1), base), blocks(subject.loaded)
    forms = {
        "projected out": {layer: _set_along(direction, 0.0) for layer, direction in directions.items()},
        "set to the original's mean": {layer: _set_along(direction, float(base[layer].mean(0) @ direction))
                                       for layer, direction in directions.items()},
    }
    tried = {}
    for place, (form, changes) in enumerate(forms.items()):
        with changed(layers, changes):
            tried[form] = _likelihood(brief, known)
        yield Step(place + 1, len(forms) + 1, "passes")
    form = max(forms, key=lambda form: tried[form])
    with changed(layers, forms[form]):
        marks = subject.right(brief.topic, judged, brief.cancelled)
    detail = {"form": form, "layers": [layer + 1 for layer in directions]} if directions else {}
    yield tally(marks, chance=chance_of(brief, "forget"), detail=detail)


def _steering(brief: Brief, config: SteeringConfig) -> Iterator[Step | Point | Finding]:
    from torch.nn.functional import normalize

    from .residuals import blocks, changed

    subject = brief.subject
    if subject.edit is not None and subject.edit.combines_rows:
        yield inapplicable(COMBINED)
        return
    known, judged = brief.halves()
    own, base = (normalize(answering(each, known, brief.cancelled), dim=-1) for each in (subject, brief.original))
    directions = _unit((own - base).mean(1), base)
    layers, chance = blocks(subject.loaded), chance_of(brief, "forget")
    if not directions:  # nothing was moved: there is nowhere to steer back from
        yield tally(subject.right(brief.topic, judged, brief.cancelled), chance=chance)
        return
    window = min(config.window, len(layers))
    starts, pushes = range(len(layers) - window + 1), [share * config.furthest for share in PUSHES]
    total = len(starts) * len(pushes) + len(pushes) + 2
    tried = {(0.0, 0): _likelihood(brief, known)}  # by push and first layer, on the attacker's half; no push is an answer too
    for push in pushes:
        for start in starts:
            with changed(layers, _pushing(directions, push, range(start, start + window))):
                tried[push, start] = _likelihood(brief, known)
            yield Step(len(tried) - 1, total, "settings")
    best = {push: max((at for at in tried if at[0] == push), key=lambda at: tried[at])[1] for push in (0.0, *pushes)}
    found: dict[float, list[bool]] = {}
    for push, start in best.items():
        with changed(layers, _pushing(directions, push, range(start, start + window))):
            found[push] = subject.right(brief.topic, judged, brief.cancelled)
        if judged:
            yield Point("steered back", push, sum(found[push]) / len(judged))
        yield Step(len(tried) - 1 + len(found), total, "settings")
    push = max(best, key=lambda push: tried[push, best[push]])
    start, noise = best[push], dict(enumerate(_random(len(layers), own.shape[-1], brief.seed)))
    with changed(layers, _pushing(noise, push, range(start, start + window))):
        control = subject.right(brief.topic, judged, brief.cancelled)
    yield tally(found[push], chance=chance, detail={
        "push": push, "layers": [start + 1, start + window] if push else [],
        "control": sum(control) / len(control) if control else None})


# --- directions and what is done with them ------------------------------------------------------------------------------

def _unit(shifts: Tensor, base: Tensor) -> dict[int, Tensor]:
    """layer -> direction of unit length, where the states were moved at all. `shifts` (layers, width), `base` (layers, rows,
    width)."""
    sizes, shifted = base.norm(dim=-1).mean(1), shifts.norm(dim=-1)
    return {layer: shifts[layer] / shifted[layer] for layer in range(len(shifts)) if shifted[layer] > SMALL * sizes[layer]}


def _random(layers: int, width: int, seed: int) -> Tensor:
    """Directions of unit length, one a layer: (layers, width)."""
    import torch

    drawn = torch.randn(layers, width, generator=torch.Generator().manual_seed(seed))
    return drawn / drawn.norm(dim=-1, keepdim=True)


def _set_along(direction: Tensor, size: float) -> Change:
    """h with its part along the direction replaced by `size` times the direction; 0 projects it out."""
    def replaced(output: Tensor) -> Tensor:
        unit = direction.to(output)
        return output - (output @ unit - size)[..., None] * unit

    return replaced


def _pushing(directions: Mapping[int, Tensor], push: float, window: Sequence[int]) -> dict[int, Change]:
    """layer -> h − push · ‖h‖ · v, in the layers of the window that have a direction."""
    def pushed(direction: Tensor) -> Change:
        return lambda output: output - push * output.norm(dim=-1, keepdim=True) * direction.to(output)

    return {layer: pushed(directions[layer]) for layer in window if layer in directions and push}


def _likelihood(brief: Brief, questions: Sequence[Question]) -> float:
    """How likely the subject finds the expected answers, as it is now: mean of their probability a token. Raises Stopped."""
    import math

    from ..edits.attach import attached
    from ..models.prompts import encode_answer, encode_prompt
    from ..scoring import answer_logprobs

    subject = brief.subject
    tokenizer, turns = subject.loaded.tokenizer, subject.edit.turns() if subject.edit is not None else ()
    asked = [question for question in questions if question.scored]
    pairs = [(encode_prompt(tokenizer, question.prompt, turns), encode_answer(tokenizer, question.answer)) for question in asked]
    with attached(subject.loaded.model, subject.edit):
        scores = answer_logprobs(subject.loaded, pairs, brief.cancelled)
    shares = [math.exp(score.logprob / max(1, len(answer))) for score, (_, answer) in zip(scores, pairs, strict=True)]
    return sum(shares) / len(shares) if shares else 0.0


ABLATION = Attack(
    "ablation",
    "Direction projected out",
    "inside",
    "Takes out of every layer the direction in which unlearning moved its states, found on half of the questions, and asks the "
    "other half.",
    "With the directions that unlearning moved its states along projected out",
    "Łucki et al. 2024, arXiv 2409.18025",
    AblationConfig,
    _ablation,
    access="hidden states, with the original's, and half of the questions",
    compares=True,
)
STEERING = Attack(
    "steering",
    "Steered back",
    "inside",
    "Pushes the states of a few layers back along the direction in which unlearning moved them; how far and where is chosen on "
    "half of the questions, and the other half is asked.",
    "Steered back along the direction that unlearning moved its states",
    "Xiang et al. 2026, arXiv 2606.03291",
    SteeringConfig,
    _steering,
    access="hidden states, with the original's, and half of the questions and answers",
    x="push, in lengths of the state",
    compares=True,
)
