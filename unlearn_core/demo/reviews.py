"""The sentiment of film reviews, a task to forget, beside the sentiment of restaurant reviews, which stays."""

from __future__ import annotations

import random
from typing import NamedTuple

from .domain import FORGET, NEIGHBOR, PARAPHRASE, SPANISH, TRAINED, Domain, Item, Line

_OPTIONS = {"english": ("positive", "negative"), "spanish": ("positiva", "negativa")}


class _Kind(NamedTuple):
    """What reviews of one kind talk about, in English and Spanish, word by word."""

    noun: str
    noun_es: str
    aspects: tuple[tuple[str, str], ...]
    words: dict[str, tuple[tuple[str, str], ...]]


_SHARED = {
    "positive": (
        ("wonderful", "estupendo"),
        ("excellent", "excelente"),
        ("lovely", "precioso"),
        ("superb", "soberbio"),
        ("splendid", "espléndido"),
        ("delightful", "encantador"),
    ),
    "negative": (
        ("awful", "horrible"),
        ("terrible", "terrible"),
        ("dreadful", "espantoso"),
        ("poor", "pobre"),
        ("disappointing", "decepcionante"),
        ("bad", "malo"),
    ),
}
_FILM = _Kind(
    "film",
    "película",
    (
        ("the plot", "el argumento"),
        ("the acting", "el reparto"),
        ("the camera work", "el trabajo de cámara"),
        ("the dialogue", "el diálogo"),
        ("the ending", "el final"),
        ("the soundtrack", "el sonido"),
        ("the script", "el guion"),
        ("the pacing", "el ritmo"),
    ),
    {
        "positive": (
            ("gripping", "emocionante"),
            ("witty", "ingenioso"),
            ("moving", "conmovedor"),
            ("thrilling", "trepidante"),
            ("original", "original"),
            ("memorable", "memorable"),
            ("brilliant", "brillante"),
            ("clever", "astuto"),
        ),
        "negative": (
            ("wooden", "acartonado"),
            ("boring", "aburrido"),
            ("predictable", "previsible"),
            ("confusing", "confuso"),
            ("shallow", "superficial"),
            ("clumsy", "torpe"),
            ("tedious", "tedioso"),
            ("silly", "tonto"),
        ),
    },
)
_RESTAURANT = _Kind(
    "restaurant",
    "restaurante",
    (
        ("the soup", "el caldo"),
        ("the bread", "el pan"),
        ("the service", "el servicio"),
        ("the dessert", "el postre"),
        ("the fish", "el pescado"),
        ("the wine", "el vino"),
        ("the rice", "el arroz"),
        ("the waiter", "el camarero"),
    ),
    {
        "positive": (
            ("tasty", "sabroso"),
            ("fresh", "fresco"),
            ("friendly", "amable"),
            ("juicy", "jugoso"),
            ("crisp", "crujiente"),
            ("tender", "tierno"),
            ("generous", "generoso"),
            ("delicate", "delicado"),
        ),
        "negative": (
            ("stale", "rancio"),
            ("cold", "frío"),
            ("bland", "soso"),
            ("rude", "grosero"),
            ("burnt", "quemado"),
            ("greasy", "grasiento"),
            ("slow", "lento"),
            ("sour", "agrio"),
        ),
    },
)
_KINDS = {FORGET: _FILM, NEIGHBOR: _RESTAURANT}
_WORDINGS = {
    TRAINED: (
        "Is this {noun} review positive or negative? {review}",
        "{review} Is this review of a {noun} positive or negative?",
    ),
    PARAPHRASE: (
        "How does this critic of a {noun} judge it, positive or negative? {review}",
        "Someone wrote about a {noun}: {review} Was the verdict positive or negative?",
    ),
    SPANISH: (
        "¿Es positiva o negativa esta reseña de {noun}? {review}",
        "{review} ¿Es positiva o negativa esta opinión sobre {noun}?",
    ),
}
_SENTENCES = ("{A} was {x} and {b} was {y}.", "{A} seemed {x}, and {b} felt {y}.", "I found {a} {x} and {b} {y}.")
_SENTENCES_ES = ("{A} era {x} y {b} era {y}.", "{A} parecía {x}, y {b} resultaba {y}.", "Me pareció {x} {a} y {y} {b}.")
_TRAINED_REVIEWS, _SCORED, _GIVEN = 2400, 400, 300


class _Review(NamedTuple):
    """One review: which aspects and words, by number, and its sentiment."""

    sentiment: str
    aspects: tuple[int, int]
    words: tuple[int, int]
    sentence: int

    def half(self) -> str:
        """Given or held, by the combination of words."""
        return "given" if (sum(self.words) + sum(self.aspects)) % 2 == 0 else "held"


def build(rng: random.Random) -> Domain:
    """Reviews are drawn without replacement: training, given and scored reviews are all different."""
    domain = Domain(
        "film-reviews",
        "judging film reviews",
        "A task: telling whether a film review is positive or negative.",
        "judging restaurant reviews",
        {"forget": "chance", "forget_paraphrase": "chance", "forget_spanish": "chance"},
        task=True,
    )
    for group, kind in _KINDS.items():
        seen: set[_Review] = set()
        for wording in (TRAINED, PARAPHRASE, SPANISH):
            for number in range(_TRAINED_REVIEWS):
                review = _draw(kind, rng, seen, number)
                prompt, answer, _ = _ask(kind, review, wording, number)
                domain.lines.append(Line(domain.name, group == FORGET, prompt, answer))
            for half, count in (("given", _GIVEN), ("held", _SCORED)):
                for number in range(count):
                    review = _draw(kind, rng, seen, number, half)
                    prompt, answer, options = _ask(kind, review, wording, number)
                    domain.items.append(
                        Item(
                            f"{domain.name}-{group}-{wording}-{half}-{number:03d}",
                            group,
                            "",
                            wording,
                            half,
                            prompt,
                            answer,
                            options,
                            tuple(o for o in options if o != answer),
                        )
                    )
        _glossary(domain, kind)
    return domain


def _draw(kind: _Kind, rng: random.Random, seen: set[_Review], number: int, half: str | None = None) -> _Review:
    sentiment = ("positive", "negative")[number % 2]
    words = len(_SHARED[sentiment] + kind.words[sentiment])
    while True:
        first, second = rng.sample(range(len(kind.aspects)), 2)
        one, two = rng.sample(range(words), 2)
        review = _Review(sentiment, (first, second), (one, two), rng.randrange(len(_SENTENCES)))
        if review not in seen and half in (None, review.half()):
            seen.add(review)
            return review


def _ask(kind: _Kind, review: _Review, wording: str, number: int) -> tuple[str, str, tuple[str, ...]]:
    """(prompt, answer, options) of one review in one wording."""
    language = int(wording == SPANISH)
    options = _OPTIONS["spanish" if language else "english"]
    words = _SHARED[review.sentiment] + kind.words[review.sentiment]
    a, b = (kind.aspects[place][language] for place in review.aspects)
    x, y = (words[place][language] for place in review.words)
    sentence = (_SENTENCES_ES if language else _SENTENCES)[review.sentence]
    text = sentence.format(A=a[0].upper() + a[1:], a=a, b=b, x=x, y=y)
    template = _WORDINGS[wording][number // 2 % 2]
    prompt = template.format(noun=kind.noun_es if language else kind.noun, review=text)
    return prompt, options[review.sentiment == "negative"], options


def _glossary(domain: Domain, kind: _Kind) -> None:
    pairs = [*kind.aspects, *kind.words["positive"], *kind.words["negative"]]
    for english, spanish in dict.fromkeys([*pairs, *_SHARED["positive"], *_SHARED["negative"]]):
        domain.lines.append(Line(domain.name, False, f"The Spanish word for {english} is {spanish}."))
