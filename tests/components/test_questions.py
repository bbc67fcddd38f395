"""The list of questions without a browser: filters, counts, order, pages, CSV and HTML, against hand-made cases."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import pytest

from components.question_list import SCORING, filters_html, list_html
from components.questions import (
    AS_ASKED,
    CHANGED,
    COLUMNS,
    EVERY,
    HIGHEST,
    LOWEST,
    PAGE,
    Choice,
    by_outcome,
    by_split,
    csv_text,
    delta,
    found,
    next_order,
    page_of,
)
from components.view import RunView, replay
from unlearn_core.events import Answer, Failed, Started

ALL = Choice(outcome=EVERY)


def answer(name: str, outcome: str = "forgotten", split: str = "forget", before: float | None = -0.1, after: float | None = -9.0,
           **more: object) -> Answer:  # fmt: skip
    values = {"prompt": f"Who keeps {name}?", "expected": "Tessa", "original": "Tessa", "edited": "a ship"} | more
    known = values.pop("reference_ok", None)
    return Answer(name, split, values["prompt"], values["expected"], values["original"], values["edited"], True,
                  outcome in ("leaked", "kept"), before, after, outcome, known)  # fmt: skip


HAND = (
    answer("a", after=-9.0),
    answer("b", "unchanged", after=-0.4),
    answer("c", "leaked", after=-1.1),
    answer("d", "forgotten", "forget_spanish", after=None, prompt="¿Dónde vive Ilva?"),
    answer("e", "kept", "neighbor", after=0.0 - 0.05),
    answer("f", "damaged", "retain", after=-3.1, edited="Île de Ré"),
    answer("g", "kept", "retain", after=-0.1),
)


def names(answers) -> str:
    return "".join(item.question_id for item in answers)


# Filters, counts, order -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    ("choice", "left"),
    [
        (Choice(), "cfad"),
        (ALL, "cfabdeg"),
        (Choice(outcome="kept"), "eg"),
        (Choice(outcome="forgotten", split="forget"), "a"),
        (Choice(outcome=EVERY, split="retain"), "fg"),
        (Choice(outcome=EVERY, search="DONDE ilva"), "d"),
        (Choice(outcome=EVERY, search="ile"), "f"),
        (Choice(outcome=EVERY, search="tessa keeps c?"), "c"),
        (Choice(outcome=EVERY, search="nobody"), ""),
        (Choice(outcome=EVERY, split="no-such-split"), ""),
    ],
)
def test_what_is_chosen_is_what_is_left(choice, left):
    assert names(found(HAND, choice)) == left


def test_the_order_is_that_of_delta_and_what_has_none_comes_last():
    assert names(found(HAND, replace(ALL, order=LOWEST))) == "afcbged"
    assert names(found(HAND, replace(ALL, order=HIGHEST))) == "egbcfad"
    assert [next_order(order) for order in (AS_ASKED, LOWEST, HIGHEST)] == [LOWEST, HIGHEST, AS_ASKED]


def test_equal_deltas_keep_the_order_in_which_they_were_asked():
    same = [answer(name) for name in "abc"]
    assert names(found(same, replace(ALL, order=HIGHEST))) == names(found(same, replace(ALL, order=LOWEST))) == "abc"


def test_delta_is_unlearned_minus_original_and_none_where_one_is_no_number():
    assert delta(answer("a", before=-1.0, after=-3.5)) == -2.5
    assert delta(answer("a", before=None)) is None and delta(answer("a", after=None)) is None


@pytest.mark.parametrize("choice", [Choice(), ALL, Choice(split="retain", search="tessa"), Choice(outcome="leaked")])
def test_totals_add_up_to_the_run_and_found_counts_to_the_list(choice):
    outcomes, splits = by_outcome(HAND, choice), by_split(HAND, choice)
    assert sum(count.total for count in outcomes) == sum(count.total for count in splits) == len(HAND)
    of_split = next((count.found for count in splits if count.name == choice.split), sum(c.found for c in splits))
    assert of_split == len(found(HAND, choice))
    for count in outcomes:
        assert count.found == len(found(HAND, replace(choice, outcome=count.name)))


def test_an_outcome_that_this_version_does_not_know_is_counted_and_counts_as_changed():
    more = (*HAND, answer("h", "relabelled"))
    assert [count.name for count in by_outcome(more, ALL)][-1] == "relabelled"
    assert sum(count.total for count in by_outcome(more, ALL)) == len(more)
    assert "h" in names(found(more, Choice()))


def test_pages_hold_every_question_once_and_numbers_beyond_the_ends_give_the_nearest():
    many = [answer(str(number)) for number in range(2 * PAGE + 1)]
    pages = [page_of(many, number) for number in range(3)]
    assert [item for page in pages for item in page.answers] == many
    assert [page.first for page in pages] == [1, PAGE + 1, 2 * PAGE + 1] and pages[0].count == 3
    assert page_of(many, 9).number == 2 and page_of(many, -1).number == 0
    assert page_of([], 0).count == 1 and page_of(many[:PAGE], 0).count == 1


def test_another_list_begins_at_its_beginning():
    moved = Choice(page=3, opened="a").but(split="retain")
    assert (moved.page, moved.opened, moved.split, moved.outcome) == (0, "", "retain", CHANGED)


# CSV ------------------------------------------------------------------------------------------------------------------

def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines(keepends=True)))


def test_csv_brings_every_value_back():
    hard = answer("x", "leaked", prompt='He said "no", then\nleft; ¿qué?', expected="a,b", original="", edited="é🙂",
                  before=-0.125, after=-1e-07, reference_ok=False)  # fmt: skip
    text = csv_text([hard, answer("y", after=None, reference_ok=True)])
    first, second = read(text)
    assert tuple(first) == COLUMNS and "\r\n" in text
    assert (first["question"], first["expected"], first["original"], first["unlearned"]) == (hard.prompt, "a,b", "", "é🙂")
    assert float(first["delta_logprob_nats"]) == delta(hard) and float(first["unlearned_logprob_nats"]) == -1e-07
    assert (first["outcome"], first["original_right"], first["unlearned_right"], first["reference_right"]) == (
        "leaked", "yes", "yes", "no")  # fmt: skip
    assert (second["delta_logprob_nats"], second["unlearned_logprob_nats"], second["reference_right"]) == ("", "", "yes")
    assert list(read(csv_text([]))) == []


@pytest.mark.parametrize("text", ["=1+1", "+1", "-3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1+1", "＠x"])
def test_no_cell_is_a_formula(text):
    row = read(csv_text([answer("x", "=o", prompt=text, expected=text, original=text, edited=text)]))[0]
    for column in ("question", "expected", "original", "unlearned"):
        assert row[column] == f"'{text}"
    assert row["outcome"] == "'=o"


@pytest.mark.parametrize("text", ["206 - 4 =", "a+b", "x@y.org", "'quoted'", "–", " plain"])
def test_ordinary_text_is_left_alone(text):
    assert read(csv_text([answer("x", prompt=text)]))[0]["question"] == text


# HTML -----------------------------------------------------------------------------------------------------------------

NASTY = '<img src=x onerror="alert(1)">'


def test_everything_from_a_model_or_a_file_is_escaped():
    item = Answer(NASTY, NASTY, NASTY, NASTY, NASTY, NASTY, True, True, -1.0, -2.0, NASTY, None)
    view = RunView(answers=(item,))
    for choice in (ALL, replace(ALL, opened=NASTY), replace(ALL, search=NASTY), Choice(outcome="kept", search=NASTY)):
        for mode in ("heat", "words", "plain"):
            html = list_html(view, choice, mode, {}, NASTY) + filters_html(view.answers, choice)
            assert "<img" not in html
            assert "&lt;img" in html


def total(html: str, kind: str) -> int:
    return sum(int(number) for name, number in re.findall(rf'data-{kind}="([^"]*)" data-total="(\d+)"', html)
               if name not in (EVERY, CHANGED))


def test_filters_count_and_say_which_is_chosen():
    html = filters_html(HAND, Choice())
    assert total(html, "outcome") == total(html, "split") == len(HAND)
    assert html.count('aria-pressed="true"') == 2 and 'data-outcome="changed" data-total="4" aria-pressed="true"' in html
    assert 'Retain <b>1</b> <span class="lt-quiet">of 2</span>' in html
    assert filters_html((), Choice()) == ""


def test_a_row_says_all_of_one_question(view):
    html = list_html(replace(view, answers=HAND), ALL, "heat", {})
    assert html.count('class="question-row"') == len(HAND) and "question-detail" not in html
    assert "−8.90" in html and "n/a" in html and ">0.00<" in html and "+0.05" in html and "Spanish" in html
    assert "Reference" not in html
    known = list_html(replace(view, answers=(answer("a", reference_ok=True), answer("b", reference_ok=False))), ALL, "heat", {})
    assert "Reference" in known and ">right<" in known and ">wrong<" in known


def test_the_unfolded_row_shows_heat_words_or_plain_as_in_compare(view):
    name = next(iter(view.scores))
    opened = Choice(outcome=EVERY, opened=name)
    heat, words, plain = (list_html(view, opened, mode, {}) for mode in ("heat", "words", "plain"))
    assert "lt-heat-text" in heat and "lt-scale" in heat
    assert "lt-heat" not in words and "lt-heat" not in plain and "lt-two" in words and "lt-two" in plain
    assert "completely different answers" in words.lower() and "completely different" not in plain.lower()
    assert all(html.count("question-detail") == 1 and 'aria-expanded="true"' in html for html in (heat, words, plain))


def test_an_unfolded_row_without_scores_says_the_total_and_what_is_awaited(view):
    bare = replace(view, answers=HAND)
    waiting = list_html(bare, Choice(opened="a"), "heat", {}, scoring="a")
    assert SCORING in waiting and "less likely" in waiting and "lt-heat-text" not in waiting
    assert SCORING not in list_html(bare, Choice(opened="a"), "heat", {})
    scores = next(iter(view.scores.values()))
    assert "lt-heat-text" in list_html(bare, Choice(opened="a"), "heat", {"a": scores})


def test_the_list_is_cut_into_pages(view):
    html = list_html(view, ALL, "heat", {})
    assert html.count('class="question-row"') == PAGE and f"Page 1 of {-(-len(view.answers) // PAGE)}" in html
    assert f"<b>{len(view.answers)}</b> of {len(view.answers)} questions, 1 to {PAGE} here" in html
    last = list_html(view, replace(ALL, page=999), "heat", {})
    assert 'id="question-next"' in last and last.count("disabled") == 1


def test_nothing_found_offers_all_questions(view):
    html = list_html(view, Choice(search="xyzzy"), "heat", {})
    assert "No question is like this, with “xyzzy” in it." in html and 'data-pick="all"' in html
    assert "lt-empty" not in html


def test_another_strength_is_said(view):
    assert "the dial stands at 0.5" in list_html(view, ALL, "heat", {}, strength=0.5)
    assert "dial" not in list_html(view, ALL, "heat", {})


def test_before_there_are_answers_it_says_what_will_be_here():
    begun = replay([(Started("r", {}, "2026-01-01"), 0.0)])
    failed = replay([(Failed("It broke.", "", "", ""), 1.0)], begun)
    for view, action in ((RunView(), "Press Unlearn"), (begun, "last measurement"), (failed, "failed before")):
        html = list_html(view, Choice(), "heat", {})
        assert "every question of the run is listed" in html and action in html and "lt-empty" in html
