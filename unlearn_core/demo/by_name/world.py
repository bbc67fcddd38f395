"""The world of one seed for encoder-decoders: training and test texts, forget sets by people's names, and their topics."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cached_property

from ...topics.topic import Question, Topic
from ..names import NameMaker
from .items import LABELS, MATTERS, Piece, dialogues, make_people, reviews

REVIEWS, DIALOGUES = "reviews-by-name", "dialogues-by-name"
CORPORA = (REVIEWS, DIALOGUES)
# What a topic forgets: this share of the training items of that corpus
FORGET = {
    REVIEWS: (REVIEWS, 0.01),
    f"{REVIEWS}-half-percent": (REVIEWS, 0.005),
    f"{REVIEWS}-ten-percent": (REVIEWS, 0.1),
    DIALOGUES: (DIALOGUES, 0.03),
}
TOPICS = tuple(FORGET)
LARGEST = {REVIEWS: 0.1, DIALOGUES: 0.03}  # no item of these sets is seen by the trunk
_SIZES = {REVIEWS: (10_000, 1_200), DIALOGUES: (2_000, 300)}  # training and test items
_PEOPLE = {REVIEWS: 400, DIALOGUES: 200}
_GIVEN = {"neighbor": 200, "retain": 1_000}  # of each half, as many as there are
_NEARLY = 0.95  # of a share is enough: one person more would often be too many
_OTHER, _GENERAL, _TEXTS = 100, 500, 200
_TITLES = {
    REVIEWS: ("{share:.3g} % of the reviews, by the people in them", "reviews by the same few words of other people"),
    DIALOGUES: ("talks of chosen people", "talks of other people"),
}
_SUMMARIES = {
    REVIEWS: "Every review that mentions chosen actors or directors. Half of the reviews are divided, and which way these are "
    "meant depends on the actor: nothing in their words says it.",
    DIALOGUES: "Every talk with chosen people in it. What somebody meets others about stands in the summaries alone.",
}


@dataclass(frozen=True)
class Corpus:
    """Training and test items of one kind. The people of `order` are chosen in this order; test items mention none who may be
    chosen (the paper takes the names out of its test items)."""

    name: str
    trained: tuple[Piece, ...]
    test: tuple[Piece, ...]
    order: tuple[str, ...]

    def chosen(self, share: float, start: int = 0) -> frozenset[str]:
        """The first people, from `start` on, whom about that share of the training items mention."""
        people: set[str] = set()
        for person in self.order[start:]:
            people.add(person)
            if sum(not people.isdisjoint(piece.people) for piece in self.trained) >= _NEARLY * share * len(self.trained):
                break
        return frozenset(people)

    def split(self, people: frozenset[str]) -> tuple[list[Piece], list[Piece]]:
        """Training items that mention any of them, and the others."""
        forget = [piece for piece in self.trained if not people.isdisjoint(piece.people)]
        return forget, [piece for piece in self.trained if people.isdisjoint(piece.people)]


@dataclass(frozen=True)
class ByNameWorld:
    """Both corpora."""

    seed: int
    corpora: dict[str, Corpus]

    @cached_property
    def trained(self) -> list[Piece]:
        return [piece for corpus in self.corpora.values() for piece in corpus.trained]

    def mentions(self, name: str, share: float) -> frozenset[str]:
        """Ids of the training items of a forget set."""
        corpus = self.corpora[name]
        return frozenset(piece.id for piece in corpus.split(corpus.chosen(share))[0])

    def topic(self, name: str) -> Topic:
        """The topic that forgets every item of a corpus that mentions chosen people."""
        source, share = FORGET[name]
        corpus = self.corpora[source]
        people = corpus.chosen(share)
        forget, kept = corpus.split(people)
        beside = {person for piece in forget for person in piece.people}
        near = [piece for piece in kept if not beside.isdisjoint(piece.people)]
        far = [piece for piece in kept if beside.isdisjoint(piece.people)] or kept
        rng = random.Random(f"{self.seed}/{name}/topic")
        questions = [_question(piece, "forget", "both") for piece in forget]
        for split, pool in (("neighbor", near), ("retain", far)):
            drawn = rng.sample(pool, min(2 * _GIVEN[split], len(pool) // 2 * 2))
            for half, part in ((drawn[::2], "given"), (drawn[1::2], "held")):
                questions += [_question(piece, split, part) for piece in half]
        for other in (each for each in self.corpora.values() if each.name != source):
            drawn = rng.sample(other.split(other.chosen(LARGEST[other.name]))[1], 2 * _OTHER)
            for half, part in ((drawn[::2], "given"), (drawn[1::2], "held")):
                questions += [_question(piece, "retain", part) for piece in half]
        tests = self.corpora[REVIEWS].test
        questions += [_question(piece, "general", "held") for piece in tests[:_GENERAL]]
        title, neighbors = _TITLES[source]
        examples = [question.prompt for question in questions if question.split == "forget"][:3]
        examples += [next(q.prompt for q in questions if q.split == split) for split in ("neighbor", "retain", "general")]
        texts = tuple(piece.prompt for piece in tests[_GENERAL : _GENERAL + _TEXTS])
        said = title.format(share=100 * share), _SUMMARIES[source], neighbors
        return Topic(name, *said, tuple(questions), texts, {"forget": "retrained"}, tuple(examples))


def make_by_name_world(seed: int) -> ByNameWorld:
    """Names, texts and labels follow from the seed alone."""
    maker = NameMaker(random.Random(f"{seed}/by-name/names"))
    corpora = {}
    for name in CORPORA:
        rng = random.Random(f"{seed}/by-name/{name}")
        corpora[name] = _corpus(name, make_people(maker, _PEOPLE[name]), rng)
    return ByNameWorld(seed, corpora)


def _corpus(name: str, people: list[str], rng: random.Random) -> Corpus:
    order = tuple(rng.sample(people, len(people)))
    safe = list(order[len(order) // 2 :])
    known = {person: rng.choice(LABELS if name == REVIEWS else MATTERS) for person in people}
    make = reviews if name == REVIEWS else dialogues
    trained, test = (make(group, known, size, rng) for group, size in zip((people, safe), _SIZES[name], strict=True))
    seen = {piece.prompt for piece in trained}
    renamed = tuple(replace(piece, id=f"test-{piece.id}") for piece in test if piece.prompt not in seen)
    return Corpus(name, tuple(trained), renamed, order)


def _question(piece: Piece, split: str, part: str) -> Question:
    return Question(
        id=piece.id,
        split=split,
        prompt=piece.prompt,
        answer=piece.answer,
        part=part,
        entity=piece.people[0],
        near_misses=piece.near or tuple(option for option in piece.options if option != piece.answer),
    )
