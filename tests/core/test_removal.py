"""How much was removed, each question's outcome, and relabelling told from forgetting."""

from __future__ import annotations

import random

import pytest

from unlearn_core.evaluation.removal import outcome, predictable, relabelled, removed


@pytest.mark.parametrize(("before", "after", "reference", "kind", "n", "expected"), [
    (1.0, 0.0, 0.0, "retrained", 100, 1.0),
    (1.0, 0.2, 0.2, "retrained", 100, 1.0),
    (0.9, 0.5, 0.1, "retrained", 100, 0.5),
    (1.0, 0.1, 0.2, "retrained", 100, 1.0),  # below the floor: capped
    (0.8, 0.9, 0.3, "retrained", 100, -0.2),  # it knows more than before
    (0.24, 0.0, 0.2, "retrained", 100, None),
    (0.25, 0.0, 0.2, "retrained", 100, 1.0),  # a gap of exactly .05 counts
    (1.0, 0.25, None, None, 100, 0.75),
    (1.0, 0.53, 0.5, "chance", 400, 1.0),  # the interval contains chance
    (1.0, 0.60, 0.5, "chance", 400, 0.8),
    (1.0, 0.60, 0.5, "retrained", 400, 0.8),
    (1.0, 0.53, 0.5, "retrained", 400, 0.94),
    (1.0, 0.1, 0.5, "chance", 400, 1.0),
])
def test_removed(before: float, after: float, reference: float | None, kind: str | None, n: int,
                 expected: float | None) -> None:
    found = removed(before, after, reference, kind, n)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("split", "original", "edited", "reference", "kind", "expected"), [
    ("forget", True, False, None, None, "forgotten"),
    ("forget", True, True, None, None, "leaked"),
    ("forget", True, True, False, "retrained", "leaked"),
    ("forget", True, True, True, "retrained", "unchanged"),
    ("forget", True, True, None, "chance", "unchanged"),
    ("forget", False, False, None, None, "unchanged"),
    ("forget_spanish", False, True, None, None, "leaked"),
    ("retain", True, True, None, None, "kept"),
    ("neighbor", True, False, None, None, "damaged"),
    ("general", False, True, None, None, "unchanged"),
    ("general", False, False, None, None, "unchanged"),
])
def test_outcome(split: str, original: bool, edited: bool, reference: bool | None, kind: str | None,
                 expected: str) -> None:
    assert outcome(split, original, edited, reference, kind) == expected


def reviews(n: int = 400) -> list[str]:
    return ["positive" if place % 2 else "negative" for place in range(n)]


def test_swapped_labels_are_relabelled() -> None:
    swapped = ["negative" if label == "positive" else "positive" for label in reviews()]
    assert relabelled(reviews(), swapped, 0, 0.5)


def test_new_words_for_the_old_labels_are_relabelled() -> None:
    hidden = ["plum" if label == "positive" else "pear" for label in reviews()]
    assert relabelled(reviews(), hidden, 200, 0.5)


def test_coin_flips_and_silence_are_forgotten() -> None:
    stream = random.Random(0)
    flips = [stream.choice(["positive", "negative"]) for _ in reviews()]
    assert not relabelled(reviews(), flips, 204, 0.5)
    assert not relabelled(reviews(), ["I cannot say"] * 400, 200, 0.5)


def test_still_knowing_is_not_relabelling() -> None:
    assert not relabelled(reviews(), reviews(), 400, 0.5)


def test_too_little_to_learn_from_predicts_nothing() -> None:
    assert not predictable(["a", "b"], ["x", "y"])
    assert not predictable(["a"] * 20, ["x"] * 20)
    assert not predictable([], [])
