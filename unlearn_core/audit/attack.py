"""What an attack is: a name, a source, settings with bounds, and `run` against one model. Imports no torch; knows no
particular attack.

Every attack runs alike on the original, on the unlearned model and on the reference that never saw the topic: what it gets out
of the one is only worth anything beside what it gets out of the others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ..topics.topic import Question, Topic

if TYPE_CHECKING:
    from .subject import Subject

FAMILIES = {
    "asking": "Asking",
    "sampling": "Sampling",
    "quantisation": "Quantisation",
    "inside": "Inside the model",
    "relearning": "Relearning",
}
ORIGINAL, UNLEARNED, REFERENCE = SUBJECTS = ("original", "unlearned", "reference")


class AttackConfig(BaseModel):
    """Base of every attack's settings: frozen, unknown names refused. Fields carry bounds, a default and one line of help."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Brief:
    """All that an attack is given. `subject` is under attack; `original` is the model before unlearning, for what compares the
    two. `cancelled` is asked before every pass; once it says so, the attack raises Stopped or returns.

    An attacker knows the topic: its questions, and for relearning half of its answers (`halves`).
    """

    subject: Subject
    original: Subject
    topic: Topic
    seed: int = 0
    cancelled: Callable[[], bool] = lambda: False

    def halves(self) -> tuple[list[Question], list[Question]]:
        """The forget questions in two halves by entity, the same for every subject: what the attacker trains on or shows (in
        all given and scored wordings), and the scored ones that the attacker is judged on."""
        forget = [question for question in self.topic.questions if question.split == "forget"]
        groups = sorted({question.entity or question.id for question in forget})
        random.Random(f"halves {self.seed}").shuffle(groups)
        known = set(groups[: len(groups) // 2])
        return ([question for question in forget if (question.entity or question.id) in known],
                [question for question in forget if question.scored and (question.entity or question.id) not in known])


@dataclass(frozen=True, slots=True)
class Step:
    """Yielded by `run`: work done within one subject's turn."""

    done: int
    total: int
    unit: str


@dataclass(frozen=True, slots=True)
class Point:
    """Yielded by `run`: one place of a curve. `series` says which curve, `x` where on it, `knowledge` the share of the judged
    items that came out, in [0, 1]."""

    series: str
    x: float
    knowledge: float


@dataclass(frozen=True, slots=True)
class Finding:
    """Yielded by `run` last: `correct` of `n` judged items came out of the subject, under the strongest form of the attack.

    `correct` may be a mean of shares and so no whole number. `chance`: what guessing gives, where the items are forced
    choices. `detail`: plain data to show. With a `reason` the attack does not apply to this subject, and `n` is 0.
    """

    correct: float
    n: int
    chance: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def knowledge(self) -> float | None:
        return self.correct / self.n if self.n else None


def inapplicable(reason: str) -> Finding:
    """The finding where an attack does not apply; `reason` is a whole sentence."""
    return Finding(0, 0, reason=reason)


def tally(marks: Sequence[bool], **more: Any) -> Finding:
    """The finding of items that came out or did not."""
    return Finding(sum(marks), len(marks), **more)


@dataclass(frozen=True, slots=True)
class Attack:
    """One way to get the knowledge back. `family` is one of FAMILIES; `summary` says in a line what the attacker does, `deed`
    the same as it begins a sentence ("Asked in Spanish"); `access` what the attacker needs, `source` where it comes from. `x`
    names what its curves run over, "" where it has none. `got` ends the sentence "<deed>, the unlearned model ...".
    `compares`: its result on any subject also depends on the original.

    `run(brief, config)` yields `Step`s, `Point`s and one `Finding`, last. It may raise Stopped.
    """

    name: str
    title: str
    family: str
    summary: str
    deed: str
    source: str
    config: type[AttackConfig]
    run: Callable[[Brief, Any], Iterator[Step | Point | Finding]]
    access: str = field(default="questions and answers", kw_only=True)
    x: str = field(default="", kw_only=True)
    compares: bool = field(default=False, kw_only=True)
    got: str = field(default="gives {share} of {n} right answers", kw_only=True)

    def describe(self) -> dict[str, Any]:
        """Plain data for the page and for `list attacks`."""
        return {
            "name": self.name,
            "title": self.title,
            "summary": self.summary,
            "family": self.family,
            "family_title": FAMILIES[self.family],
            "access": self.access,
            "source": self.source,
            "x": self.x,
            "config_schema": self.config.model_json_schema(),
        }
