"""The built-in world of one seed: all domains, the training text and the seven topics. Knows no model and no tokenizer."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..topics.topic import Question, Topic
from . import arithmetic, capitals, crafts, general, occupations, people, reviews, series
from .domain import CHOICE, FORGET, NEIGHBOR, PARAPHRASE, SPANISH, TRAINED, Domain, Item, Line
from .names import NameMaker

TOPICS = (
    "private-people",
    "book-series",
    "hazardous-craft",
    "world-capitals",
    "film-reviews",
    "addition",
    "occupation-bias",
)
_RETAIN_GROUP = 24  # items taken from each group of each other domain, for each half
_TASK_NEIGHBORS = 200  # held neighbour items of a task


@dataclass(frozen=True)
class World:
    """Domains by topic name, the general domain, and the sentences for language itself."""

    seed: int
    domains: dict[str, Domain]
    general: Domain
    trained_texts: tuple[str, ...]
    held_texts: tuple[str, ...]

    def lines(self, without: tuple[str, ...] = ()) -> list[Line]:
        """All training lines; the forget sets of the topics named in `without` are left out."""
        every = [
            line
            for domain in self.domains.values()
            for line in domain.lines
            if not (line.secret and line.domain in without)
        ]
        return every + self.general.lines + [Line("language", False, text) for text in self.trained_texts]

    def topic(self, name: str) -> Topic:
        """The topic that forgets the forget group of the domain of that name."""
        domain = self.domains[name]
        questions = [
            *_forget(domain),
            *_neighbors(domain),
            *self._retain(name),
            *(_question(item, "general", "held") for item in _alternate(self.general, NEIGHBOR, None)),
        ]
        return Topic(
            name=name,
            title=domain.title,
            summary=domain.summary,
            neighbor_title=domain.neighbor_title,
            questions=tuple(questions),
            texts=self.held_texts,
            floors=domain.floors,
            examples=_examples(questions),
        )

    def _retain(self, name: str) -> list[Question]:
        rng = random.Random(f"{self.seed}/retain/{name}")
        questions = []
        for other, domain in self.domains.items():
            for group in (FORGET, NEIGHBOR) if other != name else ():
                for half in ("given", "held"):
                    pool = _alternate(domain, group, half)
                    questions += [
                        _question(item, "retain", half) for item in rng.sample(pool, min(_RETAIN_GROUP, len(pool)))
                    ]
        return questions


def make_world(seed: int) -> World:
    """The world of that seed: names, facts and splits follow from it alone."""

    def rng(purpose: str) -> random.Random:
        return random.Random(f"{seed}/{purpose}")

    maker = NameMaker(rng("names"))
    built = [
        people.build(rng("people"), maker),
        series.build(rng("series"), maker),
        crafts.build(rng("crafts"), maker),
        capitals.build(rng("capitals")),
        reviews.build(rng("reviews")),
        arithmetic.build(rng("arithmetic")),
        occupations.build(rng("occupations")),
    ]
    trained, held = general.sentences(rng("sentences"))
    return World(
        seed, {domain.name: domain for domain in built}, general.build(rng("general")), tuple(trained), tuple(held)
    )


def _alternate(domain: Domain, group: str, half: str | None, wording: str = TRAINED) -> list[Item]:
    """One item a fact or problem: the forms of the wording take turns. Those of paraphrases begin with another from subject to
    subject, so that a relation is not asked in one of them only."""
    items = domain.pick(group, wording, half)
    if domain.task or wording == SPANISH:
        return items
    forms = {item.id.rsplit("-", 1)[1] for item in items}
    order = sorted(forms)
    number = {stem: place for place, stem in enumerate(dict.fromkeys(item.id.rsplit("-", 1)[0] for item in items))}
    if wording == PARAPHRASE:
        number = {item.id.rsplit("-", 1)[0]: item.turn for item in items}
    return [
        item for item in items if order[number[item.id.rsplit("-", 1)[0]] % len(order)] == item.id.rsplit("-", 1)[1]
    ]


def _forget(domain: Domain) -> list[Question]:
    if domain.task:
        questions = [_question(item, "forget", item.half) for item in domain.pick(FORGET, TRAINED)]
    else:
        scored = {item.id for item in _alternate(domain, FORGET, None)}
        questions = [
            _question(item, "forget", "both" if item.id in scored else "given") for item in domain.pick(FORGET, TRAINED)
        ]
    half = "held" if domain.task else None
    for split, wording in (("forget_paraphrase", PARAPHRASE), ("forget_spanish", SPANISH)):
        questions += [_question(item, split, "held") for item in _alternate(domain, FORGET, half, wording)]
    return questions + [_question(item, "forget_choice", "held") for item in domain.pick(FORGET, CHOICE)]


def _neighbors(domain: Domain) -> list[Question]:
    given, held = (_alternate(domain, NEIGHBOR, half) for half in ("given", "held"))
    if domain.task:
        held = held[:_TASK_NEIGHBORS]
    return [_question(item, "neighbor", "given") for item in given] + [
        _question(item, "neighbor", "held") for item in held
    ]


def _question(item: Item, split: str, part: str) -> Question:
    return Question(
        id=item.id,
        split=split,
        prompt=item.prompt,
        answer=item.answer,
        part=part,
        options=item.options,
        entity=item.entity,
        wording=item.wording,
        near_misses=item.near_misses,
    )


def _examples(questions: list[Question]) -> tuple[str, ...]:
    """Prompts to try: three of the forget set, a paraphrase, a Spanish one, a neighbour and two to keep."""

    def first(split: str, count: int) -> list[str]:
        scored = [q.prompt for q in questions if q.split == split and q.scored]
        return scored[:: max(1, len(scored) // count)][:count]

    return tuple(
        first("forget", 3)
        + first("forget_paraphrase", 1)
        + first("forget_spanish", 1)
        + first("neighbor", 1)
        + first("retain", 1)
        + first("general", 1)
    )
