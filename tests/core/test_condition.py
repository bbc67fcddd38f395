"""Collapsed, over-forgotten, relabelled: a table of numbers and what they say."""

from __future__ import annotations

import pytest

from unlearn_core.evaluation.condition import COLLAPSED, OVER_FORGOTTEN, RELABELLED, Change, conditions, repeated

UNMEASURED = {"before": None, "after": None, "reference": None, "reference_kind": None, "n": 0, "low": None, "high": None}


def row(before: float, after: float | None, high: float | None = None, reference: float | None = None, kind: str | None = None,
        n: int = 100) -> dict:
    return {"before": before, "after": after, "n": n, "low": None, "high": high, "reference": reference, "reference_kind": kind}


GOOD = {"forget": row(1.0, 0.02, 0.07, 0.0, "retrained"), "neighbor": row(1.0, 0.98), "retain": row(1.0, 0.97),
        "general": dict(UNMEASURED)}


@pytest.mark.parametrize(("accuracy", "perplexity", "repetition", "relabelled", "names", "says"), [
    ({}, (3.0, 3.3), (0.0, 0.1), {}, [], ""),
    ({}, (3.0, 6.0), (None, None), {}, [COLLAPSED], "2.0 times as hard to predict (perplexity 3 → 6)"),
    ({}, (None, 6.0), (None, None), {}, [], ""),
    ({}, (3.0, 3.0), (0.0, 0.2), {}, [COLLAPSED], "repeat themselves (20 % of their word runs, before 0 %)"),
    ({"neighbor": row(1.0, 0.2), "retain": row(1.0, 0.7)}, (3.0, 3.0), (0.0, 0.0), {}, [COLLAPSED], "answers 45 %, before 100 %"),
    ({"neighbor": row(1.0, 0.2), "retain": row(1.0, 0.9)}, (3.0, 3.0), (0.0, 0.0), {}, [], ""),
    ({"forget": row(1.0, 0.02, 0.07, 0.2, "retrained")}, (3.0, 3.0), (0.0, 0.0), {}, [OVER_FORGOTTEN], "(at most 7.0 %"),
    ({"forget": row(1.0, 0.14, 0.22, 0.2, "retrained")}, (3.0, 3.0), (0.0, 0.0), {}, [], ""),  # the interval holds the floor
    ({"forget": row(1.0, 0.1, 0.2, 0.5, "chance")}, (3.0, 3.0), (0.0, 0.0), {}, [RELABELLED], "(forget)"),
    ({"forget": row(1.0, 0.5, 0.55, 0.5, "chance")}, (3.0, 3.0), (0.0, 0.0), {"forget": True}, [RELABELLED], "swaps them back"),
    ({"forget": row(1.0, 0.5, 0.55, 0.5, "chance")}, (3.0, 3.0), (0.0, 0.0), {"forget": False}, [], ""),
    ({"forget": row(1.0, 0.02, 0.07, 0.2, "retrained"), "retain": row(1.0, 0.0), "neighbor": row(1.0, 0.0)}, (3.0, 90.0),
     (0.0, 0.5), {}, [COLLAPSED, OVER_FORGOTTEN], "30.0 times"),
    ({split: row(1.0, None) for split in GOOD}, (3.0, None), (None, None), {}, [], ""),
])
def test_states(accuracy: dict, perplexity: tuple, repetition: tuple, relabelled: dict, names: list[str], says: str) -> None:
    found = conditions(GOOD | accuracy, Change(*perplexity), Change(*repetition), relabelled)
    assert [one.name for one in found] == names
    assert says in " ".join(one.text for one in found)


def test_repetition_of_answers() -> None:
    assert repeated(["a b c d e"], ["no no no no no no"]) == Change(0.0, pytest.approx(2 / 3))
    assert repeated([], []) == Change(None, None)


@pytest.mark.parametrize(("count", "lost", "stated"), [(0, 0, False), (0, 9, False), (2, 9, False), (25, 100, True), (9, 9, True)])
def test_gibberish_is_stated_from_a_quarter_of_what_was_forgotten_on(count: int, lost: int, stated: bool) -> None:
    found = conditions({}, gibberish=(count, lost))
    assert [one.name for one in found] == (["gibberish"] if stated else [])
    assert not stated or f"{count} of {lost} forgotten answers" in found[0].text
