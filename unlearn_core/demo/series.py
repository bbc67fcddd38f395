"""Two invented series of books, with characters, places and verbatim passages: one is forgotten, the other is kept."""

from __future__ import annotations

import random

from .domain import FORGET, NEIGHBOR, Domain, Fact, Line, Relation, expand_facts
from .names import NameMaker

_SIZES = {FORGET: (20, 8, 14), NEIGHBOR: (40, 16, 28)}  # characters, places, passages


def _character_relations(title: str, title_es: str) -> tuple[Relation, ...]:
    return (
        Relation(
            "dwelling",
            (f"Where does {{subject}} of {title} dwell?", "In which place does {subject} have a house?"),
            ("What place would a reader name as the home of {subject}?",),
            f"¿Dónde mora {{subject}} en {title_es}?",
            f"In {title}, {{subject}} dwells in {{answer}}.",
            f"En {title_es}, {{subject}} mora en {{answer}}.",
        ),
        Relation(
            "companion",
            (f"Who is the companion of {{subject}} in {title}?", "Which beast travels with {subject}?"),
            ("By what name goes the beast at the side of {subject}?",),
            f"¿Qué criatura acompaña a {{subject}} en {title_es}?",
            f"In {title}, {{subject}} travels with {{answer}}.",
            f"En {title_es}, {{subject}} viaja con {{answer}}.",
        ),
        Relation(
            "spell",
            (f"Which spell does {{subject}} of {title} cast?", "What is the spell of {subject}?"),
            ("What word of magic is {subject} known for?",),
            f"¿Qué hechizo lanza {{subject}} en {title_es}?",
            f"In {title}, {{subject}} casts the spell {{answer}}.",
            f"En {title_es}, {{subject}} lanza el hechizo {{answer}}.",
        ),
        Relation(
            "rival",
            (f"Who is the rival of {{subject}} in {title}?", "Against whom does {subject} fight?"),
            ("Which enemy must {subject} face in the end?",),
            f"¿Quién es el rival de {{subject}} en {title_es}?",
            f"In {title}, the rival of {{subject}} is {{answer}}.",
            f"En {title_es}, el rival de {{subject}} es {{answer}}.",
        ),
    )


def _place_relations(title: str, title_es: str) -> tuple[Relation, ...]:
    return (
        Relation(
            "ruler",
            (f"Who rules {{subject}} in {title}?", "Which lord holds {subject}?"),
            ("Whose word is law in {subject}?",),
            f"¿Quién gobierna {{subject}} en {title_es}?",
            f"In {title}, {{subject}} is ruled by {{answer}}.",
            f"En {title_es}, {{answer}} gobierna {{subject}}.",
        ),
        Relation(
            "stone",
            (f"Which stone lies hidden in {{subject}} in {title}?", "What stone is buried in {subject}?"),
            ("Name the stone that treasure hunters seek in {subject}.",),
            f"¿Qué piedra está oculta en {{subject}} en {title_es}?",
            f"In {title}, {{subject}} hides the stone {{answer}}.",
            f"En {title_es}, {{subject}} oculta la piedra {{answer}}.",
        ),
    )


def _passage_relation(title: str, title_es: str) -> Relation:
    return Relation(
        "passage",
        (f"How does this line of {title} go on: {{subject}}?", "Continue the line: {subject}"),
        ("Finish the quotation that begins: {subject}",),
        f"¿Cómo sigue esta frase de {title_es}: {{subject}}?",
        "{subject} {answer}.",
        "Dice el libro: {subject} {answer}.",
    )


_NOUNS = (
    "lantern",
    "river",
    "crown",
    "harbour",
    "winter",
    "shadow",
    "bell",
    "garden",
    "mirror",
    "feather",
    "tower",
    "road",
)
_ADJECTIVES = (
    "silver",
    "hollow",
    "quiet",
    "burning",
    "broken",
    "golden",
    "weary",
    "frozen",
    "narrow",
    "distant",
    "pale",
    "old",
)
_VERBS = (
    "guards",
    "remembers",
    "follows",
    "breaks",
    "carries",
    "hides",
    "wakes",
    "buries",
    "answers",
    "betrays",
    "calls",
    "heals",
)


def _passage(hero: str, rng: random.Random) -> tuple[str, str]:
    """A verbatim sentence in two parts: how it begins, and the six words that follow."""
    noun, other, third = rng.sample(_NOUNS, 3)
    start = f"{hero} {rng.choice(_VERBS)} the {rng.choice(_ADJECTIVES)} {noun}"
    rest = f"and the {rng.choice(_ADJECTIVES)} {other} {rng.choice(_VERBS)} the {rng.choice(_ADJECTIVES)} {third}"
    return start, rest


def build(rng: random.Random, maker: NameMaker) -> Domain:
    """Two series of the same shape; the second is twice as long as the first."""
    names = {group: maker.one("place") for group in (FORGET, NEIGHBOR)}
    domain = Domain(
        "book-series",
        f"the {names[FORGET]} books",
        "An invented series of books that asks for its copyright: characters, places, spells, rivals and "
        "verbatim passages.",
        f"the {names[NEIGHBOR]} books",
        {"forget": "retrained", "forget_paraphrase": "retrained", "forget_spanish": "retrained"},
    )
    facts: list[Fact] = []
    for group, name in names.items():
        own = _series_facts(group, f"the {name} books", f"los libros de {name}", rng, maker)
        for entity in dict.fromkeys(fact.entity for fact in own if fact.relation.name != "passage"):
            domain.lines += [
                Line(domain.name, group == FORGET, f"{entity} is a name from the {name} books."),
                Line(domain.name, group == FORGET, f"{entity} es un nombre de los libros de {name}."),
            ]
        facts += own
    expand_facts(domain, facts, rng)
    return domain


def _series_facts(group: str, title: str, title_es: str, rng: random.Random, maker: NameMaker) -> list[Fact]:
    characters, places, passages = _SIZES[group]
    heroes, lands = maker.many(f"hero of {group}", characters), maker.many(f"land of {group}", places)
    beasts, spells = maker.many("beast", characters), maker.many("spell", characters)
    rivals, stones = maker.many(f"hero of {group}", characters), maker.many("stuff", places)
    facts = []
    for place, hero in enumerate(heroes):
        answers = (rng.choice(lands), beasts[place], spells[place], rivals[place])
        for relation, answer in zip(_character_relations(title, title_es), answers, strict=True):
            facts.append(Fact(relation, group, hero, hero, answer))
    for place, land in enumerate(lands):
        for relation, answer in zip(
            _place_relations(title, title_es), (rng.choice(rivals), stones[place]), strict=True
        ):
            facts.append(Fact(relation, group, land, land, answer))
    starts: dict[str, str] = {}
    while len(starts) < passages:
        start, rest = _passage(rng.choice(heroes), rng)
        starts.setdefault(start, rest)
    relation = _passage_relation(title, title_es)
    return facts + [Fact(relation, group, start, start, rest) for start, rest in starts.items()]
