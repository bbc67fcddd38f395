"""ROUGE recall against the package and by hand, and repetition by hand."""

from __future__ import annotations

import pytest
from rouge_score.rouge_scorer import RougeScorer

from unlearn_core.evaluation import text
from unlearn_core.evaluation.text import KINDS, repetition, rouge_recall

EXPECTED = ["Paris is the capital of France", "the cat sat on the mat", "She was running home", "forty two"]
GENERATED = ["the capital of France is Paris, I think", "on the mat the cat sat", "they run homes", ""]


def test_rouge1_recall_by_hand() -> None:
    found = rouge_recall(GENERATED, EXPECTED, "rouge1")
    assert found.items == pytest.approx((1.0, 1.0, 2 / 4, 0.0))  # running is run, homes is home
    assert found.value == pytest.approx(2.5 / 4)


def test_rouge_l_recall_minds_the_order() -> None:
    found = rouge_recall(GENERATED, EXPECTED, "rougeL")
    assert found.items == pytest.approx((4 / 6, 3 / 6, 2 / 4, 0.0))


def test_words_are_stemmed() -> None:
    assert rouge_recall(["she runs and walked"], ["walking"], "rouge1").value == 1.0


def test_recall_does_not_mind_what_is_added() -> None:
    assert rouge_recall(["well I would say it is forty two or so"], ["forty two"], "rougeL").value == 1.0
    assert rouge_recall(["forty two"], ["well I would say forty two or not"], "rougeL").value == pytest.approx(0.25)


@pytest.mark.parametrize("kind", KINDS)
def test_rouge_recall_is_the_packages(kind: str) -> None:
    scorer = RougeScorer([kind], use_stemmer=True)
    pairs = zip(EXPECTED, GENERATED, strict=True)
    assert rouge_recall(GENERATED, EXPECTED, kind).items == tuple(scorer.score(*pair)[kind].recall for pair in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_rows_changes_the_items_only(kind: str) -> None:
    there, back = rouge_recall(GENERATED, EXPECTED, kind), rouge_recall(GENERATED[::-1], EXPECTED[::-1], kind)
    assert back.value == pytest.approx(there.value)
    assert back.items == there.items[::-1]
    assert back.items != there.items


@pytest.mark.parametrize("unreadable", ["", "…", "Москва"])
def test_expected_words_that_rouge_cannot_read_are_a_reason_and_no_0(unreadable: str) -> None:
    found = rouge_recall(["Paris", "Москва"], ["Paris", unreadable], "rouge1")
    assert (found.value, found.items) == (None, ())
    assert "Expected answer 2" in (found.reason or "")


def test_nothing_has_a_reason() -> None:
    for found in (rouge_recall([], [], "rougeL"), repetition([])):
        assert found.value is None
        assert "no texts" in (found.reason or "")


def test_rouge_recall_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="rouge1, rougeL"):
        rouge_recall(["a"], ["a"], "rouge2")
    with pytest.raises(ValueError):
        rouge_recall(["a"], ["a", "b"], "rouge1")


@pytest.mark.parametrize(("written", "n", "expected"), [
    ("a b c d e f g", 4, 0.0),
    ("a a a a a", 4, 0.5),  # two runs of four, one distinct
    ("no no no no no no no", 4, 0.75),
    ("a b a b a b", 4, 1 / 3),  # abab, baba, abab
    ("a b c", 4, 0.0),
    ("a a a", 4, 0.0),  # too short for a run of four
    ("", 4, 0.0),
    ("a a a", 1, 2 / 3),
    ("a  b\na b", 2, 1 / 3),  # ab, ba, ab
])
def test_repetition_of_a_text(written: str, n: int, expected: float) -> None:
    assert repetition([written], n).value == pytest.approx(expected)


def test_repetition_is_the_mean_over_texts_of_runs_of_four() -> None:
    found = repetition(["a a a a a", "a b c d e", "a b a b a b"])
    assert found.items == pytest.approx((0.5, 0.0, 1 / 3))
    assert found.value == pytest.approx(5 / 18)
    back = repetition(["a b a b a b", "a b c d e", "a a a a a"])
    assert back.value == pytest.approx(5 / 18)
    assert back.items == found.items[::-1]


def test_repetition_needs_a_length() -> None:
    with pytest.raises(ValueError, match="n must be"):
        repetition(["a"], 0)


def test_every_metric_is_explained() -> None:
    assert set(text.ABOUT) == {"rouge_recall", "repetition"}
    for about in text.ABOUT.values():
        assert all(words.endswith(".") for words in (about.judges, about.better, about.misleads, about.source))
