"""Occupations with a stereotyped pronoun, and words with a gender of their own.

For the bias-removal demo. `OCCUPATIONS` pairs an occupation with the pronoun
that US stereotypes give it: half "he", half "she". That pronoun is the bias to
be removed. It says nothing about who does the work or who should, and it is not
taken from a survey or from labour statistics. The English noun is neutral, and
the Spanish one has one form for both genders, so neither gives the pronoun away;
both are without an article.

`GENDERED` is the other side: words whose gender is part of their meaning, where
the pronoun is right and has to stay right. English without an article, Spanish
with one.

What the tables do not know: stereotypes of other places, other pronouns, and
regional Spanish nouns or rarer feminines that some speakers use ("gerenta").
"""

from __future__ import annotations

from typing import NamedTuple


class Occupation(NamedTuple):
    """An occupation and the pronoun that the stereotype gives it."""

    english: str
    spanish: str
    pronoun: str


class GenderedWord(NamedTuple):
    """A word that means a man or a woman, and its pronoun."""

    english: str
    spanish: str
    pronoun: str


OCCUPATIONS: tuple[Occupation, ...] = (
    # he
    Occupation("electrician", "electricista", "he"),
    Occupation("taxi driver", "taxista", "he"),
    Occupation("police officer", "policía", "he"),
    Occupation("soldier", "militar", "he"),
    Occupation("prison guard", "guardia de prisiones", "he"),
    Occupation("security guard", "vigilante", "he"),
    Occupation("astronaut", "astronauta", "he"),
    Occupation("trucker", "transportista", "he"),
    Occupation("drummer", "baterista", "he"),
    Occupation("bass player", "bajista", "he"),
    Occupation("soccer player", "futbolista", "he"),
    Occupation("train driver", "maquinista", "he"),
    Occupation("stockbroker", "agente de bolsa", "he"),
    Occupation("detective", "detective", "he"),
    Occupation("spy", "espía", "he"),
    Occupation("economist", "economista", "he"),
    Occupation("manager", "gerente", "he"),
    Occupation("IT specialist", "especialista en informática", "he"),
    Occupation("building contractor", "contratista", "he"),
    Occupation("crane operator", "gruista", "he"),
    Occupation("tractor driver", "tractorista", "he"),
    Occupation("army corporal", "cabo del ejército", "he"),
    Occupation("paratrooper", "paracaidista", "he"),
    Occupation("bodyguard", "guardaespaldas", "he"),
    Occupation("chauffeur", "chófer", "he"),
    Occupation("forest ranger", "guardabosques", "he"),
    Occupation("cabinetmaker", "ebanista", "he"),
    Occupation("auto body repairer", "chapista", "he"),
    Occupation("baseball player", "beisbolista", "he"),
    Occupation("golfer", "golfista", "he"),
    # she
    Occupation("receptionist", "recepcionista", "she"),
    Occupation("florist", "florista", "she"),
    Occupation("office clerk", "oficinista", "she"),
    Occupation("nursing student", "estudiante de enfermería", "she"),
    Occupation("flight attendant", "auxiliar de vuelo", "she"),
    Occupation("nursing assistant", "auxiliar de enfermería", "she"),
    Occupation("dental assistant", "auxiliar dental", "she"),
    Occupation("dental hygienist", "higienista dental", "she"),
    Occupation("hair stylist", "estilista", "she"),
    Occupation("beautician", "esteticista", "she"),
    Occupation("makeup artist", "artista del maquillaje", "she"),
    Occupation("manicurist", "manicurista", "she"),
    Occupation("elementary school teacher", "docente de primaria", "she"),
    Occupation("preschool teacher", "docente de preescolar", "she"),
    Occupation("daycare assistant", "auxiliar de guardería", "she"),
    Occupation("babysitter", "canguro", "she"),
    Occupation("telephone operator", "telefonista", "she"),
    Occupation("library assistant", "auxiliar de biblioteca", "she"),
    Occupation("social worker", "asistente social", "she"),
    Occupation("nutritionist", "nutricionista", "she"),
    Occupation("speech therapist", "logopeda", "she"),
    Occupation("occupational therapist", "terapeuta ocupacional", "she"),
    Occupation("massage therapist", "masajista", "she"),
    Occupation("home care aide", "auxiliar de ayuda a domicilio", "she"),
    Occupation("personal assistant", "asistente personal", "she"),
    Occupation("executive assistant", "asistente de dirección", "she"),
    Occupation("travel agent", "agente de viajes", "she"),
    Occupation("fashion model", "modelo de pasarela", "she"),
    Occupation("gymnast", "gimnasta", "she"),
    Occupation("harpist", "arpista", "she"),
)

GENDERED: tuple[GenderedWord, ...] = (
    # he
    GenderedWord("king", "el rey", "he"),
    GenderedWord("prince", "el príncipe", "he"),
    GenderedWord("duke", "el duque", "he"),
    GenderedWord("count", "el conde", "he"),
    GenderedWord("emperor", "el emperador", "he"),
    GenderedWord("baron", "el barón", "he"),
    GenderedWord("father", "el padre", "he"),
    GenderedWord("son", "el hijo", "he"),
    GenderedWord("brother", "el hermano", "he"),
    GenderedWord("uncle", "el tío", "he"),
    GenderedWord("nephew", "el sobrino", "he"),
    GenderedWord("grandfather", "el abuelo", "he"),
    GenderedWord("grandson", "el nieto", "he"),
    GenderedWord("husband", "el marido", "he"),
    GenderedWord("groom", "el novio", "he"),
    GenderedWord("widower", "el viudo", "he"),
    GenderedWord("father-in-law", "el suegro", "he"),
    GenderedWord("son-in-law", "el yerno", "he"),
    GenderedWord("brother-in-law", "el cuñado", "he"),
    GenderedWord("stepfather", "el padrastro", "he"),
    GenderedWord("stepson", "el hijastro", "he"),
    GenderedWord("godfather", "el padrino", "he"),
    GenderedWord("monk", "el monje", "he"),
    GenderedWord("wizard", "el mago", "he"),
    GenderedWord("god", "el dios", "he"),
    GenderedWord("boy", "el niño", "he"),
    # she
    GenderedWord("queen", "la reina", "she"),
    GenderedWord("princess", "la princesa", "she"),
    GenderedWord("duchess", "la duquesa", "she"),
    GenderedWord("countess", "la condesa", "she"),
    GenderedWord("empress", "la emperatriz", "she"),
    GenderedWord("baroness", "la baronesa", "she"),
    GenderedWord("mother", "la madre", "she"),
    GenderedWord("daughter", "la hija", "she"),
    GenderedWord("sister", "la hermana", "she"),
    GenderedWord("aunt", "la tía", "she"),
    GenderedWord("niece", "la sobrina", "she"),
    GenderedWord("grandmother", "la abuela", "she"),
    GenderedWord("granddaughter", "la nieta", "she"),
    GenderedWord("wife", "la esposa", "she"),
    GenderedWord("bride", "la novia", "she"),
    GenderedWord("widow", "la viuda", "she"),
    GenderedWord("mother-in-law", "la suegra", "she"),
    GenderedWord("daughter-in-law", "la nuera", "she"),
    GenderedWord("sister-in-law", "la cuñada", "she"),
    GenderedWord("stepmother", "la madrastra", "she"),
    GenderedWord("stepdaughter", "la hijastra", "she"),
    GenderedWord("godmother", "la madrina", "she"),
    GenderedWord("nun", "la monja", "she"),
    GenderedWord("witch", "la bruja", "she"),
    GenderedWord("goddess", "la diosa", "she"),
    GenderedWord("girl", "la niña", "she"),
)
