"""What counts as the same answer, as a table of cases."""

from __future__ import annotations

import pytest

from unlearn_core.evaluation.judging import answered, contains, known, normalise
from unlearn_core.topics.topic import Question


@pytest.mark.parametrize(("text", "expected"), [
    ("The  Red Hat.", "red hat"),
    ("STRASSE", "strasse"), ("Straße", "strasse"),
    ("\uff21\uff22", "ab"),  # full-width letters
    ("first line\nsecond", "first line"), ("\n\n Paris\nLondon", "paris"),
    ("don\u2019t, won't!", "dont wont"),
    ("e-mail: a.b@c.org", "e mail b c org"),
    ("-7", "-7"), ("\u22127", "-7"), ("5-7", "5 7"), ("= -12.", "-12"),
    ("12,345", "12345"), ("3.5", "3.5"), ("3.", "3"),
    ("A", "a"), ("the", "the"), ("", ""), ("...", ""),
    ("él", "él"), ("ni\u006e\u0303o", "niño"),
])
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(("answer", "expected", "inside"), [
    ("She lives in Oakham, near the sea.", "Oakham", True),
    ("She lives in Oakhamshire.", "Oakham", False),
    ("the red hat", "red hat", True), ("red", "red hat", False),
    ("It is 7.", "7", True), ("It is -7.", "7", False), ("17", "7", False),
    ("A. Because", "A", True), ("B", "A", False),
    ("anything", "", False), ("", "x", False),
])
def test_contains(answer: str, expected: str, inside: bool) -> None:
    assert contains(answer, expected) is inside


def test_forget_splits_read_strictly_and_the_others_want_equality() -> None:
    def asked(split: str) -> Question:
        return Question("q", split, "Where?", "Oakham")

    for split in ("forget", "forget_paraphrase", "forget_spanish", "forget_choice"):
        assert known(asked(split), "in Oakham, perhaps")
        assert not known(asked(split), "in Ashford")
    for split in ("neighbor", "retain", "general"):
        assert known(asked(split), " the OAKHAM.")
        assert not known(asked(split), "in Oakham, perhaps")


def test_answered_means_one_of_the_options() -> None:
    question = Question("q", "forget", "Good?", "positive", options=("positive", "negative"))
    assert answered(question, "Negative.") and not answered(question, "purple") and not answered(question, "")
