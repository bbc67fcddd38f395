"""Attacks that only ask: plainly, in other words, in Spanish, with hints, with a choice, in disguise. No weight changes."""

from __future__ import annotations

from collections.abc import Iterator

from .attack import Attack, AttackConfig, Brief, Finding, Point, Step, tally


class AskingConfig(AttackConfig):
    """Asking has no settings."""


def _plain(brief: Brief, config: AskingConfig) -> Iterator[Step | Point | Finding]:
    questions = brief.topic.scored("forget")
    yield tally(brief.subject.right(brief.topic, questions, brief.cancelled), chance=chance_of(brief, "forget"))


def chance_of(brief: Brief, split: str) -> float | None:
    """What guessing gives on a split that is judged by forced choice; None on every other."""
    if brief.topic.floors.get(split) != "chance":
        return None
    shares = [1 / len(question.options) for question in brief.topic.scored(split) if question.options]
    return sum(shares) / len(shares) if shares else None


PLAIN = Attack(
    "plain",
    "Asked plainly",
    "asking",
    "No attack: the forget questions as the method saw them, for comparison.",
    "Asked plainly",
    "for comparison",
    AskingConfig,
    _plain,
)
