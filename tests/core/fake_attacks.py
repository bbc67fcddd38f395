"""Attacks that only tests know: one that sees through an edit, one that does not, and four that go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from unlearn_core.audit.attack import Attack, AttackConfig, Brief, Point, Step, tally
from unlearn_core.errors import BadInput

CALLS: list[tuple[str, str]] = []  # (attack, subject), as they were really carried out


class FakeConfig(AttackConfig):
    """Settings of the fake attacks."""

    strength: float = Field(0.0, ge=0, le=1, description="How much of the edit is left on")
    flag: str = Field("", description="A file; the attack waits until it exists")


def _fake(name: str, run: Any) -> Attack:
    def noted(brief: Brief, config: FakeConfig) -> Iterator[Any]:
        CALLS.append((name, brief.subject.name))
        yield from run(brief, config)

    return Attack(name, name.capitalize(), "asking", "A fake.", f"By {name}", "tests", FakeConfig, noted, x="strength")


def _sees_through(brief: Brief, config: FakeConfig) -> Iterator[Any]:
    questions = brief.topic.scored("forget")
    yield Step(1, 2, "looks")
    marks = brief.subject.right(brief.topic, questions, brief.cancelled, config.strength)
    yield Point("", config.strength, sum(marks) / len(marks))
    yield tally(marks, detail={"strength": config.strength})


def _refuses(brief: Brief, config: FakeConfig) -> Iterator[Any]:
    yield Step(1, 2, "looks")
    raise BadInput("The prompt is too long.", "The model reads less.", "Shorten it.")


def _breaks(brief: Brief, config: FakeConfig) -> Iterator[Any]:
    yield Step(1, 2, "looks")
    raise ZeroDivisionError("nothing here")


def _swells(brief: Brief, config: FakeConfig) -> Iterator[Any]:
    yield Step(1, 2, "looks")
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _stops(brief: Brief, config: FakeConfig) -> Iterator[Any]:
    if brief.subject.name == "unlearned":
        Path(config.flag).touch()  # the test's way to say "now"
    yield tally(brief.subject.right(brief.topic, brief.topic.scored("forget"), brief.cancelled))


LEAKY, REFUSES = _fake("leaky", _sees_through), _fake("refuses", _refuses)
BREAKS, STOPS, SWELLS = _fake("breaks", _breaks), _fake("stops", _stops), _fake("swells", _swells)
