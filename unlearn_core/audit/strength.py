"""The edit at other strengths: a merged edit can be weakened by whoever has both models, an edit beside the model by anyone."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from .asking import chance_of
from .attack import Attack, AttackConfig, Brief, Finding, Point, Step, tally

STRENGTHS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


class StrengthConfig(AttackConfig):
    """Settings of the strength sweep."""

    least: float = Field(0.75, ge=0.0, le=1.0, description="The weakest strength that counts; weaker ones are only drawn")


def _run(brief: Brief, config: StrengthConfig) -> Iterator[Step | Point | Finding]:
    subject, questions = brief.subject, brief.topic.scored("forget")
    strengths = sorted({*STRENGTHS, config.least})
    if subject.edit is None:  # the same at every strength
        marks = subject.right(brief.topic, questions, brief.cancelled)
        found = dict.fromkeys(strengths, marks)
    else:
        found = {}
    for place, strength in enumerate(strengths):
        if strength not in found:
            found[strength] = subject.right(brief.topic, questions, brief.cancelled, strength)
            yield Step(place + 1, len(strengths), "strengths")
        if questions:
            yield Point("strength", strength, sum(found[strength]) / len(questions))
    best = max((strength for strength in strengths if strength >= config.least), key=lambda at: (sum(found[at]), -abs(at - 1)))
    detail = {"least": config.least} | ({} if subject.edit is None else {"strength": best})
    yield tally(found[best], chance=chance_of(brief, "forget"), detail=detail)


STRENGTH = Attack(
    "strength",
    "Edit at another strength",
    "inside",
    "Scales the edit and asks plainly; counts the best from three quarters of its strength upwards (our reading).",
    "With its edit scaled, from three quarters up",
    "our own",
    StrengthConfig,
    _run,
    access="the edit, or the weights before and after",
    x="strength",
)
