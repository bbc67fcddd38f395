"""Invented names, built from syllables so that no name is copied from anywhere. Knows nothing of what they name."""

from __future__ import annotations

import random

_STARTS = ("Br", "D", "F", "G", "H", "K", "L", "M", "N", "P", "R", "S", "T", "V", "Tr", "Gl", "Cr", "Sk", "Th", "W")
_VOWELS = ("a", "e", "i", "o", "u", "ae", "io")
_MIDDLES = ("l", "r", "n", "m", "d", "v", "s", "nd", "rr", "ll", "st", "k")
_ENDS = {
    "person": ("a", "en", "is", "o", "ia", "el", "an", "ine"),
    "surname": ("ford", "wick", "mont", "dell", "berg", "quist", "ley", "stone"),
    "town": ("ton", "mouth", "dale", "port", "field", "haven", "brook", "gate"),
    "place": ("moor", "spire", "hollow", "fen", "reach", "keep", "glade", "isle"),
    "firm": ("co", "tek", "nova", "dyn", "lux", "mar", "corp", "wares"),
    "beast": ("ix", "ou", "ark", "un", "iff", "eo", "uk", "ax"),
    "hero of forget": ("wyn", "mir", "thor", "dric", "gast", "bert", "mund", "helm"),  # a series has a sound of its own
    "hero of neighbor": ("ara", "ilo", "essa", "ondo", "uri", "ema", "ino", "alia"),
    "land of forget": ("wold", "heim", "gard", "fell", "mark", "thal"),
    "land of neighbor": ("aria", "onia", "ezza", "opolis", "andia", "inia"),
    "spell": ("ento", "ara", "ivus", "orum", "iska", "ulo", "emis", "alba"),
    "stuff": ("ite", "ine", "ium", "ose", "ane", "yl", "ol", "ate"),
    "vessel": ("pot", "urn", "bowl", "vat", "flask", "tray", "jar", "pan"),
    "weave": ("cloth", "thread", "wool", "felt", "lace", "yarn", "twill", "silk"),
}


class NameMaker:
    """Gives names of a kind that differ from every name it gave before."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._given: set[str] = set()

    def one(self, kind: str) -> str:
        """A new name of that kind."""
        while True:
            name = self._build(kind)
            if name.casefold() not in self._given:
                self._given.add(name.casefold())
                return name

    def many(self, kind: str, count: int) -> list[str]:
        """`count` new names of that kind."""
        return [self.one(kind) for _ in range(count)]

    def _build(self, kind: str) -> str:
        pick = self._rng.choice
        return pick(_STARTS) + pick(_VOWELS) + pick(_MIDDLES) + pick(_ENDS[kind])
