"""Colours by measured contrast, the style sheet against the palette, cards, strip, and how numbers are written."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from components import palette, terms
from components.cards import CARDS, cards_html
from components.numbers import (
    count,
    duration,
    factor,
    interval,
    percent,
    points,
    points_interval,
    probability,
    seed_fault,
    size,
)
from components.palette import DARK, LIGHT, blend, contrast
from components.problems import card, empty_html, notice_html, problem_html
from components.strip import remaining, share, strip_html
from components.view import RunView, fold, replay
from unlearn_core.errors import LetheError
from unlearn_core.events import Finished, Loss, Phase

STYLE = (Path(__file__).parents[2] / "assets" / "style.css").read_text(encoding="utf-8")
EVIL = "<script>alert(1)</script>"


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_contrast(theme):
    for back in (theme.paper, theme.panel):
        for front in (theme.ink, theme.muted, theme.forget, theme.retain):
            assert contrast(front, back) >= palette.MINIMUM_TEXT_CONTRAST, (front, back)
        for hue in (theme.forget, theme.retain):
            hottest = blend(hue, back, palette.HEAT_ALPHA)
            assert contrast(theme.ink, hottest) >= palette.MINIMUM_TEXT_CONTRAST, (hue, back)
        assert contrast(theme.original, back) >= palette.MINIMUM_MARK_CONTRAST
    assert contrast(theme.forget_ink, theme.forget_tint) >= palette.MINIMUM_TEXT_CONTRAST
    assert contrast(theme.retain_ink, theme.retain_tint) >= palette.MINIMUM_TEXT_CONTRAST


@pytest.mark.parametrize("colour", [palette.PLOT_FORGET, palette.PLOT_RETAIN, palette.PLOT_GREY])
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_marks_of_figures_read_on_both_themes(colour, theme):
    assert contrast(colour, theme.paper) >= palette.MINIMUM_MARK_CONTRAST


def test_contrast_against_known_values():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#ffffff") == 1
    assert blend("#ffffff", "#000000", 0.5) == "#808080"


@pytest.mark.parametrize(("selector", "theme"), [(":root", LIGHT), (".dark", DARK)])
def test_style_sheet_has_the_palette(selector, theme):
    block = re.search(rf"^{re.escape(selector)} {{(.*?)^}}", STYLE, re.DOTALL | re.MULTILINE).group(1)
    for name, value in palette.css_variables(theme).items():
        assert f"{name}: {value};" in block


def test_style_sheet_fetches_nothing():
    assert "url(" not in STYLE and "@import" not in STYLE and "http" not in STYLE


def test_no_colour_says_good_or_bad():
    assert not re.search(r"\b(red|green)\b|#(dc2626|16a34a|ef4444|22c55e)", STYLE, re.IGNORECASE)


def test_every_class_on_the_page_is_styled_or_plain(view):
    from components import pairs, verdict

    html = verdict.verdict_html(view) + cards_html(view) + pairs.pairs_html(view) + strip_html(view, 3.0, True)
    used = {name for group in re.findall(r'class="([^"]*)"', html) for name in group.split() if name.startswith("lt")}
    plain = {"lt-card-forget", "lt-card-retain", "lt-outcome-forgotten", "lt-outcome-kept", "lt-outcome-unchanged",
             "lt-strip", "lt-heat-text", "lt-tone-running"}
    assert {name for name in used if f".{name}" not in STYLE} <= plain


def test_terms_are_sentences_and_escaped(monkeypatch):
    for text in terms.TERMS.values():
        assert text.endswith(".") and len(text) < 260
    assert terms.info("no such term") == "" and terms.explained("<b>", "no such term") == "&lt;b&gt;"
    monkeypatch.setitem(terms.TERMS, "evil", EVIL)
    assert "<script" not in terms.info("evil") and 'tabindex="0"' in terms.info("evil")
    assert {card.term for card in CARDS} <= set(terms.TERMS)


# Cards and strip ----------------------------------------------------------------------------------------------------

def test_cards_of_a_whole_run(view):
    html = cards_html(view).replace("\u00a0", " ")
    for words in ("0.8 %", "from 100 %", "−99 pts", "removed", "never saw it", "the Tarn books", "9.42 → 9.58",
                  "90 % → 2 %"):
        assert words in html
    assert html.count("<section") == 4 and "n/a" not in html


def test_unmeasured_is_never_zero():
    html = cards_html(RunView(run_id="r"))
    assert html.count("n/a") >= 4 and "not measured yet" in html and ">0" not in html


def test_cards_while_running_show_the_sample(events):
    html = cards_html(replay(events[:60]))
    assert "sample of 24" in html and "was 95" in html
    assert " pts" not in html.replace("\u00a0", " ")  # 24 questions are not compared with all


def test_cards_at_another_strength(view):
    rescored = {"strength": 0.5, "everything": False, "perplexity": 9.5,
                "accuracy": {"forget": {"accuracy": 0.5, "correct": 12, "n": 24, "low": 0.31, "high": 0.69},
                             "retain": (24, 24)}}
    html = cards_html(view, rescored).replace("\u00a0", " ")
    assert "At strength 0.5, measured on the live sample" in html and "50 %" in html and "n 24" in html
    assert "9.42 → 9.5" in html and html.count("n/a") >= 2


def test_no_reference_is_said(view):
    bare = {split: replace(item, reference=None, reference_kind=None) for split, item in view.after.items()}
    start = {split: replace(item, reference=None, reference_kind=None) for split, item in view.before.items()}
    assert cards_html(replace(view, before=start, after=bare)).count("no reference: floor 0") == 2
    assert "floor 0" not in cards_html(view)


@pytest.mark.parametrize(("kind", "words"), [("done", "Done"), ("stopped", "Stopped"), ("failed", "memory")])
def test_strip_of_an_ended_run(story, kind, words):
    html = strip_html(story(status=kind), 99.0, False)
    assert words in html and "progressbar" not in html


def test_strip_of_a_running_and_of_an_interrupted_run(events):
    view = replay(events[:60])
    stopped = replace(view, end=Finished("stopped", 1.0, {}), edit=None)
    assert "before there was an edit" in strip_html(stopped, 1.0, False)
    html = strip_html(view, view.at + 0.4, True)
    assert "phase 3 of 6" in html and "steps" in html and "left in this phase" in html and "aria-valuenow" in html
    assert "Interrupted" in strip_html(view, view.at, False)
    assert "Nothing is running" in strip_html(RunView(), 0.0, False)


def test_training_counts_its_steps_even_where_the_method_reports_losses_alone(view):
    training = replace(view, end=None, progress=None, phase=Phase("remove", "Remove", 3, 6), phase_at=view.at)
    html = strip_html(fold(training, Loss(30, 60, 1.0, 0.1), view.at), view.at, True)
    assert "30 of 60 steps" in html and 'aria-valuenow="50.0"' in html


def test_remaining_comes_from_the_phase_itself(events):
    view = replay(events[:60])
    assert share(view) == pytest.approx(view.progress.done / view.progress.total)
    assert remaining(view, view.phase_at + 4.0) == pytest.approx(4.0 * (1 - share(view)) / share(view))
    assert remaining(replay(events[:2]), 1.0) is None


def test_problem_cards_escape_and_fold_the_trace():
    html = problem_html(EVIL, EVIL, EVIL, EVIL) + empty_html(EVIL, EVIL) + notice_html(EVIL)
    assert "<script" not in html and "<details><summary>" in html
    assert "Something went wrong." in problem_html("")
    assert "<script" not in problem_html("No.", action=(EVIL, EVIL))


def test_a_card_has_a_button_that_leads_on():
    led = card(LetheError("No such folder.", "", "Check the path.", field="model"))
    assert 'data-go="#model"' in led and ">Choose another model</button>" in led
    assert 'data-go="#send"' in card(LetheError("No.", field="model"), ("Ask again", "#send"))
    assert "<button" not in card(LetheError("The disk is full.", "", "Make room."))


@pytest.mark.parametrize("seed", ["-1", "x", "²", "1.5", "2147483648", "9" * 5000])
def test_a_seed_that_cannot_be_used_is_refused_with_its_bounds(seed):
    assert "from 0 to 2147483647" in seed_fault(seed)
    assert seed_fault("2147483647") is None and seed_fault("0") is None


# Numbers ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("value", "text"), [
    (0, "0 %"), (1, "100 %"), (0.38, "38 %"), (0.994, "99.4 %"), (0.9999, ">99.9 %"), (0.004, "0.4 %"),
    (0.0001, "<0.1 %"), (None, "n/a"), (math.nan, "n/a")])
def test_percent(value, text):
    assert percent(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(("nats", "text"), [
    (0.1, "as likely as before"), (9.1, "about 9,000 × less likely"), (-1.0, "about 2.7 × more likely"),
    (math.log(4e6), "about 4 million × less likely"), (math.log(3e10), "about 30 billion × less likely"),
    (40.0, "about 10¹⁷ × less likely"), (math.log(47), "about 47 × less likely")])
def test_factor(nats, text):
    assert factor(nats).replace("\u00a0", " ") == text


@pytest.mark.parametrize(("logprob", "text"), [
    (0.0, "1.00"), (math.log(0.97), "0.97"), (math.log(0.002), "0.002"), (math.log(3e-7), "3·10⁻⁷"),
    (math.log(9.99e-5), "1·10⁻⁴"), (None, "n/a")])
def test_probability(logprob, text):
    assert probability(logprob) == text


def test_small_numbers_in_words():
    plain = [text.replace("\u00a0", " ") for text in (
        points(-0.81), points(0.0), points(0.004), points_interval(-0.021, 0.0004), interval(0.01, 0.05), duration(7.6),
        duration(65), duration(7800), count(2_541_312), count(81_920), size(340_000))]
    assert plain == ["−81 points", "±0 points", "+0.4 points", "−2.1 to 0 points", "1 to 5 %", "8 s", "1 min 05 s",
                     "2 h 10 min", "2.5 M", "81,920", "340.0 kB"]
