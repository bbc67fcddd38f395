"""All metrics as cards: every key has a place, n/a says why, words are escaped, the file holds what was measured."""

from __future__ import annotations

import csv
import io

import pytest

from components.metrics import (
    COLUMNS,
    INSTEAD,
    RATE,
    TITLES,
    explanation,
    figure,
    file_html,
    item_rows,
    metric_rows,
    metrics_html,
)
from components.spreadsheet import csv_text
from unlearn_core.evaluation.examination import ABOUT
from unlearn_core.evaluation.replacements import KINDS

BODY = {
    "metrics": {
        "before": {"probability": {"value": 0.98, "low": None, "high": None, "n": 110, "reason": None},
                   "mia_loss": {"value": 0.9, "low": 0.8, "high": 1.0, "n": 50, "reason": None},
                   "mia_loss_tpr": {"value": 0.25, "low": 0.0, "high": 1.0, "n": 50, "reason": None}},
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
    rates = {name for name in ABOUT if name.endswith(RATE)}  # they stand on the cards of their attacks
    assert set(TITLES) == set(ABOUT) - rates
    assert {name.removesuffix(RATE) for name in rates} == {name for name in TITLES if name.startswith("mia_")}
    assert INSTEAD == KINDS


def test_cards_say_from_what_to_what_and_why_there_is_nothing() -> None:
    html = metrics_html(BODY)
    assert "0.980 →" in html and "<b>&lt;0.001</b>" not in html and "<0.001" in html.replace("&lt;", "<")
    assert "There is &lt;nothing&gt;." in html and "<nothing>" not in html and "<the same>" not in html
    assert html.count('class="metric"') == len(TITLES) + 2
    assert "place of 4 forgotten answers" in html and "75" in html and "something else" not in html
    assert "0.300 to 0.700" in html and "&lt;b&gt;collapse" in html
    assert "25\u00a0% → n/a" in html and html.count("TPR at 1 % FPR") == 1
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
    rows = list(csv.DictReader(io.StringIO(csv_text(COLUMNS, metric_rows(BODY)))))
    assert tuple(rows[0]) == COLUMNS and [row["metric"] for row in rows] == [
        "probability", "mia_loss", "mia_loss_tpr", "when_doubted", "instead_plausible", "instead_refusal", "instead_other"]
    assert rows[0]["after"] == "0.0004" and rows[0]["source"] == "'=HYPERLINK()" and rows[1]["after"] == ""
    assert rows[1]["reason"] == "There is <nothing>." and rows[1]["before_low"] == "0.8"
    assert (rows[3]["before"], rows[3]["after"], rows[4]["after"], rows[4]["n"]) == ("1.0", "0.5", "0.75", "4")


def test_the_file_by_question_has_a_row_for_each_with_the_values_before_and_after(view) -> None:
    answer = view.answers[0]
    body = BODY | {"items": {"before": {"probability": {answer.question_id: 0.5, "gone": 1.0}, "kl_to_original": {"k1": 0.0}},
                             "after": {"probability": {answer.question_id: 0.125}}}}
    rows = list(csv.DictReader(io.StringIO(csv_text(*item_rows(body, view.answers)))))
    assert [row["question_id"] for row in rows] == [answer.question_id, "gone", "k1"]
    assert (rows[0]["question"], rows[0]["expected"], rows[0]["split"]) == (answer.prompt, answer.expected, answer.split)
    assert (rows[0]["probability_before"], rows[0]["probability_after"], rows[0]["kl_to_original_before"]) == ("0.5", "0.125", "")
    assert rows[1]["question"] == "" and rows[1]["probability_after"] == "" and rows[2]["kl_to_original_before"] == "0.0"
    assert "metrics-items-csv" in file_html(body, "run", view.answers) and file_html(None, "run") == ""
    assert "metrics-items-csv" not in file_html(BODY, "run")
