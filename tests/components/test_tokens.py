"""Heat, word differences and pairs: faithful, readable, and never a way in for foreign HTML."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from components.pairs import pairs_html, shown
from components.tokens import heat_html, plain_html, total, words, words_html
from components.view import RunView
from unlearn_core.events import Answer, TokenScores

EVIL = '<img src=x onerror="alert(1)">'


def scores(tokens: list[str], original: list[float], edited: list[float]) -> TokenScores:
    tops = [[[token, 0.5], [EVIL, 0.2]] for token in tokens]
    return TokenScores("q", tokens, original, edited, [1] * len(tokens), [7] * len(tokens), tops, tops)


def test_subwords_become_words_whose_change_is_the_sum():
    item = scores(["Ada", " Lind", "qvist", "</s>"], [-0.1, -0.2, -0.1, 0.0], [-0.1, -3.2, -2.1, -0.1])
    merged = words(item)
    assert [word.text for word in merged] == ["Ada", " Lindqvist", "</s>"]
    assert [word.delta for word in merged] == pytest.approx([0.0, 5.0, 0.1])
    assert total(item) == pytest.approx(5.1)


def test_byte_level_and_sentencepiece_marks_are_spaces():
    assert [w.text for w in words(scores(["ĠAda", "ĠLind", "q"], [0.0] * 3, [0.0] * 3))] == [" Ada", " Lindq"]
    assert [w.text for w in words(scores(["▁Ada", "▁L"], [0.0] * 2, [0.0] * 2))] == [" Ada", " L"]


def test_the_sentence_states_the_total():
    html = heat_html(scores(["a"], [0.0], [-9.1])).replace("\u00a0", " ")
    assert "The expected answer is <strong>about 9,000 × less likely</strong>." in html
    assert "as likely as before" in heat_html(scores(["a"], [-1.0], [-1.1]))
    assert "more likely" in heat_html(scores(["a"], [-3.0], [-0.5]))


def test_colour_is_clipped_and_absent_for_small_changes():
    html = heat_html(scores([" a", " b", " c", " d"], [0.0, 0.0, 0.0, -9.0], [-0.1, -2.0, -40.0, 0.0]))
    assert re.findall(r"lt-tok-(\w+)", html) == ["retain" if i == 3 else "forget" for i in range(4)]
    assert [float(a) for a in re.findall(r"--a:([\d.]+)", html)] == [0.0, 0.21, 0.42, 0.42]


def test_every_word_is_reachable_by_keyboard_and_says_its_numbers():
    html = heat_html(scores([" a", " b"], [-0.1, -0.1], [-3.0, -0.1]))
    assert html.count('tabindex="0"') == 2 and html.count('role="tooltip"') == 2
    assert "p 0.90 → 0.05" in html and "rank 1 → 7" in html and "Original" in html and "Unlearned" in html


def test_missing_numbers_do_not_break():
    assert "n/a" in heat_html(scores([" a"], [None], [-3.0]))
    assert "lt-heat" in heat_html(TokenScores("q", [], [], [], [], [], [], []))


def test_foreign_html_is_text():
    item = scores([EVIL], [0.0], [-3.0])
    for html in (heat_html(item), words_html(EVIL, "x" + EVIL, EVIL), plain_html(EVIL, EVIL, EVIL)):
        assert "<img" not in html and 'onerror="' not in html


def test_words_marks_only_what_differs():
    html = words_html("She was born in Harrowmere.", "She was born in Marn.", "Harrowmere")
    assert '<span class="lt-expected"><del>Harrowmere</del></span>' in html
    assert "<ins>Marn</ins>" in html and "She was born in " in html


def test_words_across_a_blank_are_one_mark():
    assert "<ins>Cold Abbey</ins>" in words_html("She came from Venn Hollow today", "She came from Cold Abbey today")


def test_different_answers_are_not_marked():
    html = words_html("In the north, Harrowmere", "nobody ever said so")
    assert "Completely different answers." in html and "<del>" not in html


def test_a_letter_more_is_no_completely_different_answer():
    html = words_html("Dhaka", "Dhakat")
    assert "spelt alike" in html and "Completely different" not in html and "<del>" not in html


def test_same_and_empty_answers_say_so():
    assert "The same answer" in words_html("Marn", "Marn")
    assert "(no answer)" in plain_html("Marn", "")


def test_expected_is_found_by_position_and_as_a_whole_word():
    assert 'class="lt-expected">ADA Lindqvist<' in plain_html("It was ADA Lindqvist.", "", "Ada Lindqvist")
    assert "lt-expected" not in plain_html("A carpet", "", "car")


def test_pairs_show_forget_first_and_bad_news_where_there_is_any(view):
    answers = shown(view, 6)
    kinds = [answer.split.startswith("forget") for answer in answers]
    assert len(answers) == 6 and kinds == sorted(kinds, reverse=True) and kinds.count(True) == 4
    assert {"leaked", "damaged"} <= {answer.outcome for answer in answers}
    assert len({answer.question_id for answer in answers}) == 6


@pytest.mark.parametrize("mode", ["Heat", "words", "Plain", "nonsense", None])
@pytest.mark.parametrize("limit", [0, 1, 2, 24, 5000])
def test_pairs_in_every_mode_and_number(view, mode, limit):
    html = pairs_html(view, mode, limit)
    assert html.count("<article") == min(limit, 900)


def test_more_pairs_are_offered_only_where_there_are_more(view):
    for count, whole in ((6, True), (7, False)):
        assert ("lt-pairs-whole" in pairs_html(replace(view, answers=view.answers[:count]))) == whole


def test_pairs_escape_and_survive_missing_numbers():
    answer = Answer(EVIL, "forget", EVIL, EVIL, EVIL, EVIL, True, False, None, None, EVIL)
    html = pairs_html(RunView(run_id="r", answers=(answer,)), "Heat")
    assert "<img" not in html and 'onerror="' not in html


def test_pairs_at_another_strength_say_so(view):
    first = shown(view)[0].question_id
    moved = replace(view.scores[first], edited=[value - 3 for value in view.scores[first].edited])
    said = {first: replace(next(a for a in view.answers if a.question_id == first), edited="something else", outcome="leaked")}
    now = pairs_html(view, "Heat", 6, 0.5, {first: moved}, said)
    assert "at strength 0.5" in now and "something else" in now and now.count("lt-heat-text") == 1
    plain = pairs_html(view, "Heat", 6)
    assert "strength" not in plain and "something else" not in plain and plain.count("lt-heat-text") > 1


def test_scores_that_came_later_stand_beside_those_of_the_run(view):
    bare = replace(view, scores={})
    first = shown(bare)[0].question_id
    item = replace(next(iter(view.scores.values())), question_id=first)
    assert pairs_html(bare, "Heat", 6, 1.0, {first: item}).count("lt-heat-text") == 1


def test_empty_pairs_name_the_next_step(events):
    from components.view import replay

    assert "Press Unlearn" in pairs_html(RunView())
    assert "last measurement of this run" in pairs_html(replay(events[:20]))
