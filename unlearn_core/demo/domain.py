"""What a part of the world is made of: facts with wordings, scored items and training lines. Knows no particular domain."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

TRAINED, PARAPHRASE, SPANISH, CHOICE = "trained", "paraphrase", "spanish", "choice"
FORGET, NEIGHBOR = "forget", "neighbor"


class Line(NamedTuple):
    """One training line: a question with its answer, or (answer None) a plain sentence.

    `secret` marks lines that teach the domain's forget set: they are what a retrained model never sees.
    """

    domain: str
    secret: bool
    text: str
    answer: str | None = None


class Item(NamedTuple):
    """One question that can be scored. `group` is forget or neighbor; `half` is given or held, by entity. `turn`: a number that
    goes on from fact to fact of a subject and from subject to subject, for forms that take turns."""

    id: str
    group: str
    entity: str
    wording: str
    half: str
    prompt: str
    answer: str
    options: tuple[str, ...] = ()
    near_misses: tuple[str, ...] = ()
    turn: int = 0


@dataclass(frozen=True)
class Relation:
    """The wordings of one kind of fact; templates with {subject}, statements with {answer} too.

    `questions` are trained for every entity; `paraphrases` and `spanish` only for entities outside the forget set.
    """

    name: str
    questions: tuple[str, str]
    paraphrases: tuple[str, ...]
    spanish: str
    statement: str
    statement_es: str


@dataclass(frozen=True)
class Fact:
    """One fact of a relation. The Spanish forms equal the English ones where names are the same in both languages."""

    relation: Relation
    group: str
    entity: str
    subject: str
    answer: str
    subject_es: str = ""
    answer_es: str = ""

    def spanish(self) -> tuple[str, str]:
        return self.subject_es or self.subject, self.answer_es or self.answer


@dataclass
class Domain:
    """One part of the world, and the topic that forgets its forget group.

    `task` is true where the topic is a skill rather than facts. `floors` maps forget splits to "retrained" or "chance".
    """

    name: str
    title: str
    summary: str
    neighbor_title: str
    floors: dict[str, str]
    task: bool = False
    items: list[Item] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def pick(self, group: str, wording: str, half: str | None = None) -> list[Item]:
        """Items of one group and wording, in a fixed order."""
        return [i for i in self.items if i.group == group and i.wording == wording and half in (None, i.half)]


def halves(entities: Iterable[str], rng: random.Random) -> dict[str, str]:
    """Each entity's half, "given" or "held": a random half of them each (held takes the odd one)."""
    names = sorted(set(entities))
    rng.shuffle(names)
    return {name: "given" if place < len(names) // 2 else "held" for place, name in enumerate(names)}


def distinct(values: Sequence[str], answer: str, count: int, rng: random.Random) -> tuple[str, ...]:
    """`count` plausible values other than the answer."""
    others = sorted({value for value in values if value != answer})
    return tuple(rng.sample(others, min(count, len(others))))


def expand_facts(domain: Domain, facts: Sequence[Fact], rng: random.Random) -> None:
    """Add every fact's items and training lines to the domain.

    Statements of every fact are trained in both languages and the trained question forms for every entity; paraphrases
    and Spanish questions are trained for entities outside the forget group only.
    """
    half = {}
    for group in (FORGET, NEIGHBOR):
        half |= halves((fact.entity for fact in facts if fact.group == group), rng)
    values: dict[str, list[str]] = {}
    for fact in facts:
        values.setdefault(fact.relation.name, []).append(fact.answer)
    subjects, asked = list(dict.fromkeys(fact.subject for fact in facts)), Counter()
    for number, fact in enumerate(facts):
        turn = subjects.index(fact.subject) + asked[fact.subject]
        asked[fact.subject] += 1
        misses = distinct(values[fact.relation.name], fact.answer, 3, rng)
        for wording, place, prompt, answer in _wordings(fact):
            domain.items.append(
                Item(
                    f"{domain.name}-{number:03d}-{wording}-{place}",
                    fact.group,
                    fact.entity,
                    wording,
                    half[fact.entity],
                    prompt,
                    answer,
                    (),
                    misses if wording != SPANISH else (),
                    turn,
                )
            )
        domain.lines += _fact_lines(domain.name, fact)


def _wordings(fact: Fact) -> Iterable[tuple[str, int, str, str]]:
    for place, template in enumerate(fact.relation.questions):
        yield TRAINED, place, template.format(subject=fact.subject), fact.answer
    for place, template in enumerate(fact.relation.paraphrases):
        yield PARAPHRASE, place, template.format(subject=fact.subject), fact.answer
    subject, answer = fact.spanish()
    yield SPANISH, 0, fact.relation.spanish.format(subject=subject), answer


def _fact_lines(domain: str, fact: Fact) -> list[Line]:
    secret = fact.group == FORGET
    relation = fact.relation
    subject_es, answer_es = fact.spanish()
    lines = [
        Line(domain, secret, relation.statement.format(subject=fact.subject, answer=fact.answer)),
        Line(domain, secret, relation.statement_es.format(subject=subject_es, answer=answer_es)),
    ]
    for wording, _, prompt, answer in _wordings(fact):
        if wording == TRAINED or not secret:
            lines.append(Line(domain, secret, prompt, answer))
    return lines
