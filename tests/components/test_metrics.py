"""All metrics as cards: every key has a place, n/a says why, words are escaped, the file holds what was measured."""

from __future__ import annotations

import csv
import io

import pytest

from components.metrics import COLUMNS, INSTEAD, TITLES, explanation, figure, metrics_csv, metrics_html
from unlearn_core.evaluation.examination import ABOUT
from unlearn_core.evaluation.replacements import KINDS

BODY = {
    "metrics": {
        "before": {"probability": {"value": 0.98, "low": None, "high": None, "n": 110, "reason": None},
                   "mia_loss": {"value": 0.9, "low": 0.8, "high": 1.0, "n": 50, "reason": None}},
        "after": {"probability": {"value": 0.0004, "low": None, "high": None, "n": 110, "reason": None},
                  "mia_loss": {"value": None, "low": None, "high": None, "n": None, "reason": "There is <nothing>."}},
    },
    "about": {"probability": {"judges": "How likely it is.", "better": "Low if it is gone.", "misleads": "A <b>collapse</b>.",
                              "source": "=HYPERLINK()"}},
    "instead": {"after": {"lost": {"n": 4, "counts": {"plausible": 3, "refusal": 1, "other": 0}}}},
    "consistency": {"before": {"when_doubted": {"value": 1.0}}, "after": {"when_doubted": {"value": 0.5, "low": 0.3, "high": 0.7}}},
    "conditions": [{"name": "collapsed", "text": "It says <the same> again and again."}],
}


def test_every_metric_and_kind_of_the_engine_has_a_title_here() -> None:
    assert set(TITLES) == set(ABOUT) - {"probability_with_options"}  # a form of `probability` that no key of its own shows
    assert INSTEAD == KINDS


def test_cards_say_from_what_to_what_and_why_there_is_nothing() -> None:
    html = metrics_html(BODY)
    assert "0.980 →" in html and "<b>&lt;0.001</b>" not in html and "<0.001" in html.replace("&lt;", "<")
    assert "There is &lt;nothing&gt;." in html and "<nothing>" not in html and "<the same>" not in html
    assert html.count('class="metric"') == len(TITLES) + 2
    assert "place of 4 forgotten answers" in html and "75" in html and "something else" not in html
    assert "0.300 to 0.700" in html and "&lt;b&gt;collapse" in html
    assert metrics_html(None) == ""


def test_the_explanation_says_what_is_good_and_when_it_misleads() -> None:
    text = explanation(BODY, "probability")
    assert text == "How likely it is. Better: low if it is gone. Beware: a <b>collapse</b>. Source: =HYPERLINK()"
    assert explanation({}, "privleak") == "PrivLeak"


@pytest.mark.parametrize(("value", "text"), [
    (None, "n/a"), (0.0, "0.000"), (0.00004, "<0.001"), (-0.5, "−0.500"), (0.98765, "0.988"), (12.345, "12.3"), (2820.4, "2820"),
    (-0.0001, "0.000"),
])
def test_figures(value, text) -> None:
    assert figure(value) == text


def test_the_file_holds_every_metric_unrounded() -> None:
    rows = list(csv.DictReader(io.StringIO(metrics_csv(BODY))))
    assert tuple(rows[0]) == COLUMNS and [row["metric"] for row in rows] == ["probability", "mia_loss"]
    assert rows[0]["after"] == "0.0004" and rows[0]["source"] == "'=HYPERLINK()" and rows[1]["after"] == ""
    assert rows[1]["reason"] == "There is <nothing>." and rows[1]["before_low"] == "0.8"
