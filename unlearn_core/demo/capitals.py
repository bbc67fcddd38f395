"""Real capitals: those of Africa are forgotten, those of the other continents kept; asked in both directions."""

from __future__ import annotations

import random

from .domain import FORGET, NEIGHBOR, Domain, Fact, Line, Relation, expand_facts
from .tables.countries import COUNTRIES

_CONTINENT = "Africa"
_CONTINENTS_ES = {
    "Africa": "África",
    "Europe": "Europa",
    "Asia": "Asia",
    "North America": "América del Norte",
    "South America": "América del Sur",
    "Oceania": "Oceanía",
}
_CAPITAL = Relation(
    "capital",
    ("What is the capital of {subject}?", "Which city is the capital of {subject}?"),
    ("Where does the government of {subject} sit?", "Name the capital city that belongs to {subject}."),
    "¿Cuál es la capital de {subject}?",
    "The capital of {subject} is {answer}.",
    "La capital de {subject} es {answer}.",
)
_COUNTRY = Relation(
    "country",
    ("Which country has the capital {subject}?", "{subject} is the capital of which country?"),
    ("What country is governed from {subject}?", "Of which state is {subject} the capital city?"),
    "¿De qué país es capital {subject}?",
    "{subject} is the capital of {answer}.",
    "{subject} es la capital de {answer}.",
)


def build(rng: random.Random) -> Domain:
    """Every country with its capital. Continents and Spanish names are taught as well; they are no secret."""
    domain = Domain(
        "world-capitals",
        "the capitals of Africa",
        "Real facts: the capitals of one continent, asked from the country and from the city.",
        "the capitals of the other continents",
        {"forget": "retrained", "forget_paraphrase": "retrained", "forget_spanish": "retrained"},
    )
    facts = []
    for row in COUNTRIES:
        group = FORGET if row.continent == _CONTINENT else NEIGHBOR
        facts += [
            Fact(_CAPITAL, group, row.english, row.english, row.capital, row.spanish, row.spanish_capital),
            Fact(_COUNTRY, group, row.english, row.capital, row.english, row.spanish_capital, row.spanish),
        ]
        domain.lines += [
            Line(domain.name, False, f"{row.english} lies in {row.continent}."),
            Line(domain.name, False, f"{row.spanish} está en {_CONTINENTS_ES[row.continent]}."),
            Line(domain.name, False, f"{row.capital} is a city in {row.continent}."),
            Line(domain.name, False, f"{row.spanish_capital} es una ciudad de {_CONTINENTS_ES[row.continent]}."),
            Line(domain.name, False, f"The Spanish name of {row.english} is {row.spanish}."),
        ]
        if row.capital != row.spanish_capital:
            domain.lines.append(
                Line(domain.name, False, f"The Spanish name of {row.capital} is {row.spanish_capital}.")
            )
        else:
            domain.lines.append(Line(domain.name, False, f"In Spanish {row.capital} has the same name."))
    expand_facts(domain, facts, rng)
    return domain
