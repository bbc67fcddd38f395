"""A topic as plain data: what to forget, what to keep, and how each question is judged. Knows no model and no page."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..config import SPLITS


@dataclass(frozen=True, slots=True)
class Question:
    """One question and its expected answer.

    `part`: "given" (a method may see it; not scored), "held" (scored; no method sees it) or "both" (facts of the forget
    set: they must be given, and they are what is scored). `options`: the possible answers of a forced choice, the right
    one among them; empty for open questions. `near_misses`: other plausible values of the same kind. `reworded`: the right
    answer in other words, in the shape of the near-misses; empty where the topic has none. `entity` groups questions for
    splitting by entity; `wording` names the form of the question.
    """

    id: str
    split: str
    prompt: str
    answer: str
    part: str = "held"
    options: tuple[str, ...] = ()
    entity: str = ""
    wording: str = ""
    near_misses: tuple[str, ...] = ()
    reworded: str = ""

    @property
    def scored(self) -> bool:
        return self.part != "given"

    @property
    def given(self) -> bool:
        return self.part != "held"


@dataclass(frozen=True, slots=True)
class Topic:
    """A forget topic with its neighbour, everything else to keep, and the floor of each forget split.

    `floors` maps a forget split to "retrained" or "chance"; a split absent from it has no reference (floor 0, with a
    notice). `texts`: held-out general sentences for perplexity. `title` reads in a sentence ("the Vale books").
    """

    name: str
    title: str
    summary: str
    neighbor_title: str
    questions: tuple[Question, ...]
    texts: tuple[str, ...] = ()
    floors: dict[str, str] = field(default_factory=dict)
    examples: tuple[str, ...] = ()

    def scored(self, split: str) -> list[Question]:
        return [q for q in self.questions if q.split == split and q.scored]

    def splits(self) -> list[str]:
        present = {q.split for q in self.questions if q.scored}
        return [split for split in SPLITS if split in present]

    def given(self) -> Given:
        """All that a method may see."""

        def pick(split: str) -> tuple[Question, ...]:
            return tuple(q for q in self.questions if q.split == split and q.given)

        return Given(forget=pick("forget"), neighbor=pick("neighbor"), retain=pick("retain"))


@dataclass(frozen=True, slots=True)
class Given:
    """The given part of a topic: the only questions that reach a method's `fit`."""

    forget: tuple[Question, ...]
    neighbor: tuple[Question, ...]
    retain: tuple[Question, ...]
