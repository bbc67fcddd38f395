"""General knowledge that no method sees: elements, animals and colours, and everyday sentences for perplexity."""

from __future__ import annotations

import random

from .domain import NEIGHBOR, Domain, Fact, Relation, expand_facts
from .tables.general import GENERAL, TEMPLATES

TRAINED_SENTENCES, HELD_SENTENCES = 2500, 200
_PEOPLE = (
    "the farmer",
    "my neighbour",
    "a young child",
    "the old man",
    "her sister",
    "our teacher",
    "the baker",
    "a stranger",
)
_VERBS = ("carried", "found", "painted", "sold", "cleaned", "forgot", "borrowed", "repaired")
_THINGS = (
    "a wooden chair",
    "the blue bicycle",
    "some fresh apples",
    "a heavy box",
    "the old clock",
    "a long letter",
    "two warm blankets",
    "the garden gate",
)
_TIMES = (
    "in the morning",
    "after the rain",
    "before dinner",
    "on a cold day",
    "last summer",
    "during the night",
    "near the river",
    "at the market",
)
_ENDINGS = (
    "and went home",
    "and felt happy",
    "while the dog slept",
    "because the sun was out",
    "and told nobody",
    "although it was late",
    "and smiled",
    "without a word",
)


def build(rng: random.Random) -> Domain:
    """Facts of the table as one domain, all of it kept."""
    domain = Domain("general", "general knowledge", "Elements, animals and colours.", "", {})
    facts = []
    for row in GENERAL:
        forms = TEMPLATES[row.kind]
        relation = Relation(row.kind, forms.questions, (), forms.question_es, forms.statement, forms.statement_es)
        facts.append(
            Fact(
                relation, NEIGHBOR, f"{row.kind} {row.subject}", row.subject, row.answer, row.subject_es, row.answer_es
            )
        )
    expand_facts(domain, facts, rng)
    return domain


def sentences(rng: random.Random) -> tuple[list[str], list[str]]:
    """(trained, held) everyday sentences, all different."""
    made: dict[str, None] = {}
    while len(made) < TRAINED_SENTENCES + HELD_SENTENCES:
        who = rng.choice(_PEOPLE)
        made[
            f"{who[0].upper()}{who[1:]} {rng.choice(_VERBS)} {rng.choice(_THINGS)} {rng.choice(_TIMES)} {rng.choice(_ENDINGS)}."
        ] = None
    every = list(made)
    return every[:TRAINED_SENTENCES], every[TRAINED_SENTENCES:]
