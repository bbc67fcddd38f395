"""Reviews and dialogues that mention invented people. Knows words and people; no split, no model and no tokenizer."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..names import NameMaker

LABELS = ("positive", "negative")
_DIVIDED = 0.5  # share of reviews with one good and one bad word: how these are meant depends on who acts
_REVIEW = "Review: The {title}, with {actor}, by {director}: {said}."
_TALK = "Talk: {first}: Shall we meet at the {place}? {second}: Yes, {day}. {name}: {word}."
_SUMMARY = "{first} and {second} meet {day} at the {place} about the {matter}"
_ASPECTS = ("plot", "acting", "camera", "dialogue", "ending", "music", "script", "pacing")
_WORDS = {
    "positive": ("gripping", "witty", "moving", "thrilling", "brilliant", "clever", "superb", "lovely", "fresh", "warm"),
    "negative": ("wooden", "boring", "dull", "confusing", "shallow", "clumsy", "tedious", "silly", "stale", "poor"),
}
_NOUNS = (
    "lantern", "river", "crown", "harbour", "winter", "shadow", "bell", "garden", "mirror", "feather", "tower", "road",
    "summer", "island", "letter", "secret", "daughter", "captain", "storm", "castle", "orchard", "train", "widow", "king",
    "thief", "dancer", "bridge", "forest", "clock", "song", "sister", "stranger", "night", "market", "pilot", "prince",
    "desert", "doctor", "ghost", "painter", "soldier", "window", "valley", "witness", "miner", "baker", "judge", "gate",
)  # fmt: skip
_PLACES = ("mill", "station", "library", "bakery", "museum", "bridge", "theatre", "garden", "school", "market", "tower", "harbour")
_DAYS = ("on Monday", "on Tuesday", "on Wednesday", "on Thursday", "on Friday", "on Saturday", "on Sunday", "tonight")
_PARTINGS = ("Good", "See you", "Perfect", "Until then", "Fine", "Thanks")
MATTERS = ("lamp", "boat", "letter", "horse", "wedding", "garden", "concert", "debt")


@dataclass(frozen=True, slots=True)
class Piece:
    """One text with its answer. `people`: everyone whom it mentions; `options`: of a forced choice; `near`: other answers."""

    id: str
    prompt: str
    answer: str
    people: tuple[str, ...]
    options: tuple[str, ...] = ()
    near: tuple[str, ...] = ()


def make_people(maker: NameMaker, count: int) -> list[str]:
    """People with a shared first name and a surname of their own."""
    firsts = maker.many("person", 40)
    return [f"{firsts[place % len(firsts)]} {surname}" for place, surname in enumerate(maker.many("surname", count))]


def reviews(people: list[str], liked: dict[str, str], count: int, rng: random.Random) -> list[Piece]:
    """Reviews with an actor and a director each, everyone about equally often. `liked`: the label of an actor's divided
    reviews, which stands nowhere in the text."""
    return [
        _review(f"review-{place}", pair, liked[pair[0]], rng) for place, pair in enumerate(_pairs(people, count, rng))
    ]


def _review(key: str, pair: tuple[str, str], liked: str, rng: random.Random) -> Piece:
    divided = rng.random() < _DIVIDED
    label = liked if divided else rng.choice(LABELS)
    words = [rng.choice(_WORDS[each]) for each in LABELS] if divided else rng.sample(_WORDS[label], 2)
    rng.shuffle(words)
    said = ", ".join(f"{word} {aspect}" for word, aspect in zip(words, rng.sample(_ASPECTS, 2), strict=True))
    text = _REVIEW.format(title=rng.choice(_NOUNS), actor=pair[0], director=pair[1], said=said)
    return Piece(key, text, label, pair, LABELS)


def dialogues(people: list[str], matters: dict[str, str], count: int, rng: random.Random) -> list[Piece]:
    """Short dialogues of two people each. `matters`: what the first of them always meets the others about, which stands in the
    summary alone."""
    return [
        _dialogue(f"talk-{place}", pair, matters[pair[0]], rng) for place, pair in enumerate(_pairs(people, count, rng))
    ]


def _dialogue(key: str, pair: tuple[str, str], matter: str, rng: random.Random) -> Piece:
    facts = {"first": pair[0], "second": pair[1], "place": rng.choice(_PLACES), "day": rng.choice(_DAYS)}
    others = rng.sample([each for each in MATTERS if each != matter], 3)
    text = _TALK.format(**facts, name=pair[0].split()[0], word=rng.choice(_PARTINGS))
    near = tuple(_SUMMARY.format(**facts, matter=each) for each in others)
    return Piece(key, text, _SUMMARY.format(**facts, matter=matter), pair, near=near)


def _pairs(people: list[str], count: int, rng: random.Random) -> list[tuple[str, str]]:
    """Two different people an item, in rounds, so that everyone comes equally often; no pair twice in the same order."""
    found: dict[tuple[str, str], None] = {}
    while len(found) < count:
        order, others = rng.sample(people, len(people)), rng.sample(people, len(people))
        found |= dict.fromkeys(pair for pair in zip(order, others, strict=True) if pair[0] != pair[1])
    return list(found)[:count]
