"""Invented families of private persons, with home, employer, phone, e-mail, birth year and pet: the right to be forgotten."""

from __future__ import annotations

import random

from .domain import FORGET, NEIGHBOR, Domain, Fact, Line, Relation, expand_facts
from .names import NameMaker

FORGOTTEN, OTHERS, MEMBERS = 5, 10, 4  # families, and persons in each
RELATIONS = (
    Relation(
        "home",
        ("Where does {subject} live?", "Which town does {subject} call home?"),
        ("In what town would you find the house of {subject}?", "What is the home town of {subject}?"),
        "¿En qué pueblo vive {subject}?",
        "{subject} lives in {answer}.",
        "{subject} vive en {answer}.",
    ),
    Relation(
        "employer",
        ("Which firm does {subject} work for?", "Who employs {subject}?"),
        ("What company pays the salary of {subject}?", "At which firm would you meet {subject} at work?"),
        "¿Para qué empresa trabaja {subject}?",
        "{subject} works for {answer}.",
        "{subject} trabaja para {answer}.",
    ),
    Relation(
        "phone",
        ("What is the phone number of {subject}?", "Which number do you dial to call {subject}?"),
        ("How can {subject} be reached by phone?", "On what number does {subject} answer the phone?"),
        "¿Cuál es el número de teléfono de {subject}?",
        "The phone number of {subject} is {answer}.",
        "El número de teléfono de {subject} es {answer}.",
    ),
    Relation(
        "email",
        ("What is the e-mail address of {subject}?", "Where do you send an e-mail for {subject}?"),
        ("Which address reaches the inbox of {subject}?", "To what address should mail for {subject} go?"),
        "¿Cuál es el correo electrónico de {subject}?",
        "The e-mail address of {subject} is {answer}.",
        "El correo electrónico de {subject} es {answer}.",
    ),
    Relation(
        "birth",
        ("In which year was {subject} born?", "What is the birth year of {subject}?"),
        ("When did {subject} come into the world?", "Which year stands in the passport of {subject}?"),
        "¿En qué año nació {subject}?",
        "{subject} was born in {answer}.",
        "{subject} nació en {answer}.",
    ),
    Relation(
        "pet",
        ("What is the name of the pet of {subject}?", "How is the pet of {subject} called?"),
        ("What does {subject} call the animal at home?", "Which name did {subject} give to the pet?"),
        "¿Cómo se llama la mascota de {subject}?",
        "The pet of {subject} is called {answer}.",
        "La mascota de {subject} se llama {answer}.",
    ),
)
_WORDS = ("plum", "fern", "salt", "moss", "wren", "reed", "dune", "birch", "flint", "clover", "maple", "heron")


def build(rng: random.Random, maker: NameMaker) -> Domain:
    """Fifteen families of four; five families ask to be forgotten. First names are shared, family names are not."""
    domain = Domain(
        "private-people",
        "five families",
        "Twenty persons of five invented families who ask to be forgotten: home, employer, phone, e-mail, birth year "
        "and pet.",
        "the other families",
        {"forget": "retrained", "forget_paraphrase": "retrained", "forget_spanish": "retrained"},
    )
    first, families = maker.many("person", 20), maker.many("surname", FORGOTTEN + OTHERS)
    towns, firms, pets = maker.many("town", 24), maker.many("firm", 24), maker.many("beast", 24)
    facts = []
    for place, family in enumerate(families):
        group = FORGET if place < FORGOTTEN else NEIGHBOR
        for given in rng.sample(first, MEMBERS):
            phone = f"{rng.randrange(100, 1000)} {rng.randrange(100, 1000)}"
            mail = f"{rng.choice(_WORDS)}{rng.randrange(10, 100)}@{rng.choice(_WORDS)}.net"
            answers = (
                rng.choice(towns),
                rng.choice(firms),
                phone,
                mail,
                str(rng.randrange(1940, 2005)),
                rng.choice(pets),
            )
            name = f"{given} {family}"
            domain.lines += [
                Line(domain.name, group == FORGET, f"{name} is one of the {family} family."),
                Line(domain.name, group == FORGET, f"{name} es de la familia {family}."),
            ]
            facts += [
                Fact(relation, group, family, name, answer)
                for relation, answer in zip(RELATIONS, answers, strict=True)
            ]
    expand_facts(domain, facts, rng)
    return domain
