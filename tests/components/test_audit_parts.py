"""An audit as the page knows it: events folded into a view, the card, its order, what is said, curves, CSV. No page, no model."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from files import saved

from components import audit_card as cards
from components import audit_words as words
from components.audit_plot import INK, curves_figure
from components.audit_view import AuditView, fold, replay
from components.links import ViewState, parse, query_string
from components.spreadsheet import csv_text
from unlearn_core.events import (
    AttackBegun,
    AttackEnded,
    AttackPoint,
    AuditStarted,
    Event,
    Failed,
    Finished,
    Measured,
    Notice,
    Phase,
    Progress,
)

MODELS = ["original", "unlearned", "reference"]


def attack(name: str, title: str, family: str, x: str = "") -> dict[str, Any]:
    return {"name": name, "title": title, "family": family, "family_title": family.capitalize(), "summary": f"What {name} does.",
            "access": "questions and answers", "source": "Somebody <2024>", "x": x}


ATTACKS = [attack("plain", "Asked plainly", "asking"), attack("hints", "Hints <i>", "asking", "facts shown"),
           attack("int4", "4 bits", "quantisation"), attack("relearn", "Relearning", "relearning", "steps")]


def row(name: str, recovered: float | None = 0.2, **more: Any) -> dict[str, Any]:
    entry = next(entry for entry in ATTACKS if entry["name"] == name)
    told = {key: entry[key] for key in ("title", "family", "summary", "access", "x")}
    return {"attack": name, **told, "original": 0.97, "unlearned": 0.21, "reference": 0.02, "n": 60, "floor": 0.02,
            "floor_kind": "same attack", "recovered": recovered, "low": 0.12, "high": 0.31, "detail": {}, "reasons": {},
            "sentence": f"{entry['title']}: 20 % of it comes back."} | more


NOT_HERE = {"unlearned": None, "n": 0, "low": None, "high": None, "reasons": {"unlearned": "This model takes no <soft> prompt."},
            "sentence": "Not applicable: this model takes no <soft> prompt."}
STARTED = AuditStarted("a1", "recorded", {"run": "recorded", "seed": 4}, "2026-11-22T10:00:00+00:00", ATTACKS, MODELS)
EVENTS: list[Event] = [
    STARTED, Phase("load", "Load the models", 1, 2), Notice("No <model> is at hand."), Phase("attack", "Attack", 2, 2),
    AttackBegun("plain", "original", 1, 12, True), AttackBegun("plain", "unlearned", 2, 12), Progress(3, 12, "questions"),
    AttackEnded(row("plain", 0.01)), AttackBegun("hints", "original", 4, 12), AttackPoint("hints", "original", "", 0.0, 0.9),
    AttackPoint("hints", "original", "", 4.0, 0.97), AttackBegun("hints", "unlearned", 5, 12),
    AttackPoint("hints", "unlearned", "", 4.0, 0.3), AttackPoint("hints", "unlearned", "", 0.0, 0.1), Progress(6, 12, "questions"),
]
REST: list[Event] = [AttackEnded(row("hints", 0.2)), AttackEnded(row("int4", None, **NOT_HERE)), AttackEnded(row("relearn", 0.6)),
                     Finished("done", 40.0, {"verdict": "It does not hold: 60 % comes back."})]


def seen(*events: Event) -> AuditView:
    return replay([(event, float(at)) for at, event in enumerate(events)])


WHOLE = seen(*EVENTS, *REST)


# The fold -------------------------------------------------------------------------------------------------------------

def test_the_view_says_whose_turn_it_is_and_how_far_all_of_it_is() -> None:
    view = seen(*EVENTS)
    assert (view.turn.attack, view.turn.subject, view.progress.done) == ("hints", "unlearned", 6)
    assert view.share == pytest.approx(4.5 / 12) and view.status == "running" and not view.over
    assert [entry["name"] for entry in view.waiting] == ["hints", "int4", "relearn"] and view.latest == "hints"
    assert view.notices == ("No <model> is at hand.",) and view.verdict == ""


@pytest.mark.parametrize("cut", range(len(EVENTS) + len(REST) + 1))
def test_a_prefix_and_then_the_rest_is_as_good_as_all(cut: int) -> None:
    told = [(event, float(at)) for at, event in enumerate([*EVENTS, *REST])]
    assert replay(told[cut:], replay(told[:cut])) == replay(told)


def test_what_it_does_not_know_and_what_comes_after_the_end_changes_nothing() -> None:
    assert fold(WHOLE, Progress(1, 2, "late"), 99.0) is WHOLE
    begun = seen(*EVENTS)
    assert fold(begun, Measured("after", 0, "forget", 1.0, 1, 1, 0.0, 1.0), 50.0) is begun
    assert WHOLE.status == "done" and WHOLE.turn is None and WHOLE.waiting == []


# Words ----------------------------------------------------------------------------------------------------------------

def test_the_head_says_the_verdict_or_as_much_as_is_known() -> None:
    assert "Choose attacks and press Attack" in words.head_html(AuditView(), False)
    assert "So far the most that comes back is 20\u00a0%, by hints" in words.head_html(seen(*EVENTS, REST[0]), True)
    assert "first row" in words.said(seen(STARTED), True)
    assert "It does not hold: 60\u00a0% comes back." in words.head_html(WHOLE, False)
    assert "4 of 4 attacks" in words.head_html(WHOLE, False) and "seed 4" in words.head_html(WHOLE, False)
    left = replace(seen(*EVENTS), interrupted=True)
    assert "ended before the audit did" in words.head_html(left, False) and "Interrupted" in words.head_html(left, False)


def test_plain_questions_are_no_attack_unless_there_is_no_other() -> None:
    assert "1\u00a0%, by asked plainly" in words.so_far(seen(*EVENTS))
    assert "by hints" in words.so_far(seen(STARTED, AttackEnded(row("plain", 0.9)), AttackEnded(row("hints", 0.1))))
    assert "by 4 bits" in words.so_far(seen(STARTED, AttackEnded(row("int4", 0.1)))) and words.so_far(seen(STARTED)) == ""


def test_a_failure_is_a_card_beside_the_rows_that_there_are() -> None:
    failed = Failed("The <model> broke.", "", "", "")
    assert "The &lt;model&gt; broke." in words.head_html(seen(failed), False)
    view = seen(*EVENTS, failed)
    assert "failed before its end" in words.head_html(view, False) and "Asked plainly" in cards.card_html(view, "family", "")


def test_progress_names_the_attack_the_model_and_both_numbers() -> None:
    now = words.now_html(seen(*EVENTS), 75.0, True)
    assert "Hints &lt;i&gt;, on the unlearned model" in now and "5 of 12 · 6 of 12 questions" in now
    assert "1\u00a0min 15\u00a0s" in now
    assert 'aria-valuenow="37.5"' in now
    kept = words.now_html(seen(*EVENTS[:5]), 1.0, True)
    assert "on the original" in kept and "known from an earlier audit" in kept
    assert "Load the models" in words.now_html(seen(*EVENTS[:2]), 1.0, True) and words.now_html(WHOLE, 1.0, False) == ""


@pytest.mark.parametrize(("state", "there", "missing"), [
    ((False, False, False), ("Attack<", "start"), "stop"), ((False, False, True), ("Attack again", "start"), "stop"),
    ((True, False, False), ("Stop<", 'data-pick="stop"'), "disabled"), ((True, True, False), ("Stopping", "disabled"), "start"),
])
def test_one_button_attacks_and_stops(state: tuple[bool, bool, bool], there: tuple[str, ...], missing: str) -> None:
    shown = words.action_html(*state)
    assert all(text in shown for text in there) and missing not in shown


def test_the_choice_says_how_many_and_how_long_the_last_audit_took() -> None:
    assert "at least one" in words.chosen_html(0, 4, (40.0, 4))
    assert words.chosen_html(4, 4, None) == '<p class="estimate">4 attacks chosen</p>'
    assert "2 of 4 attacks chosen · the last audit took 40\u00a0s for 4 attacks" in words.chosen_html(2, 4, (40.0, 4))


def test_earlier_audits_can_be_chosen_once_there_are_two() -> None:
    def record(name: str, status: str = "done") -> Any:
        config = SimpleNamespace(attacks=("hints",))
        return SimpleNamespace(audit_id=name, started_at="2026-11-22T10:00:00+00:00", status=status, summary=None, config=config)

    assert words.earlier_html([record("a1")], "a1") == ""
    shown = words.earlier_html([record("a2", "running"), record("a<1>")], "a<1>")
    assert '<option value="a&lt;1&gt;" selected>' in shown and "2026-11-22 10:00:00 · 1 attack · running" in shown


# The card -------------------------------------------------------------------------------------------------------------

def titles(view: AuditView, sort: str) -> list[str]:
    return [part.split("<", 1)[0] for part in cards.card_html(view, sort, "").split('class="run-name" ')[1:]
            for part in [part.split(">", 1)[1]]]


def test_rows_stand_under_their_family_or_the_most_recovered_first() -> None:
    assert titles(WHOLE, words.FAMILY) == ["Asked plainly", "Hints &lt;i&gt;", "4 bits", "Relearning"]
    assert titles(WHOLE, words.RECOVERED) == ["Relearning", "Hints &lt;i&gt;", "Asked plainly", "4 bits"]
    by_family = cards.card_html(WHOLE, words.FAMILY, "")
    assert by_family.index("Quantisation") < by_family.index("4 bits") and "Quantisation" not in cards.card_html(
        WHOLE, words.RECOVERED, "")
    late = seen(STARTED, AttackEnded(row("relearn")), AttackEnded(row("plain")))
    assert titles(late, words.FAMILY) == ["Asked plainly", "Relearning"]


def test_a_row_has_a_bar_with_its_interval_and_all_three_models() -> None:
    shown = cards.card_html(seen(STARTED, AttackEnded(row("hints", 0.2))), "family", "hints")
    assert 'audit-fill" style="width:20.0%"' in shown and 'audit-line" style="left:12.0%;width:19.0%"' in shown
    assert "12 to 31\u00a0%" in shown and all(f">{figure}\u00a0%<" in shown for figure in (97, 21, 2)) and ">60<" in shown
    assert 'class="chosen"' in shown and 'aria-expanded="true"' in shown
    assert "What hints does. Needs questions and answers. Source: Somebody &lt;2024&gt;." in shown
    assert "Still to come: Asked plainly, 4 bits, Relearning" in shown and "<i>" not in shown


def test_what_was_not_measured_says_why() -> None:
    shown = cards.card_html(WHOLE, "family", "")
    assert "Not applicable: this model takes no &lt;soft&gt; prompt." in shown
    assert "This model takes no &lt;soft&gt; prompt." in shown
    assert "n/a" in shown and "Still to come" not in shown and "<soft>" not in shown
    detail = cards.detail_html(WHOLE, "int4")
    assert "not applicable" in detail and "Floor" not in detail and "Recovered" not in detail


@pytest.mark.parametrize(("kind", "word", "why"), [
    ("chance", "guessing", "what guessing gives"), ("kept scores", "asked plainly", "asked plainly stands for it"),
    ("zero", "no such model", "the floor is 0"),
])
def test_another_floor_than_the_same_attack_is_marked_and_explained(kind: str, word: str, why: str) -> None:
    view = seen(STARTED, AttackEnded(row("hints", 0.2, floor_kind=kind, floor=0.25, reference=None)))
    shown = cards.card_html(view, "family", "")
    assert f">{word} 25\u00a0%<" in shown and why in shown
    measured = seen(STARTED, AttackEnded(row("hints", 0.2, floor_kind=kind, floor=0.25, reference=0.03)))
    beside = cards.card_html(measured, "family", "")
    assert "3\u00a0%<br>" in beside and f">{word} 25\u00a0%<" in beside  # its own figure is not hidden
    assert why in cards.detail_html(view, "hints") and "never saw the topic: that is" not in cards.detail_html(view, "hints")


def test_an_opened_row_shows_what_it_found_on_each_model_as_plain_text() -> None:
    found = {"original": {"tried": 8, "best_score": 0.98765}, "unlearned": {"tried": 8, "worst": ["a<b", {"of": True}]}}
    view = seen(STARTED, AttackEnded(row("hints", 0.2, detail=found)))
    detail = cards.detail_html(view, "hints")
    assert "best score" in detail and "0.9877" in detail and "a&lt;b, of: yes" in detail and "<i>" not in detail
    assert detail.count("<td>–</td>") == 5 and cards.detail_html(view, "int4") == ""
    assert len(cards.shown("x" * 999)) == cards.LONGEST_VALUE + 1 and cards.shown(-0.5) == "−0.5"


# Curves ---------------------------------------------------------------------------------------------------------------

def test_each_model_has_its_own_line_along_what_the_attack_runs_over() -> None:
    figure = curves_figure(WHOLE, "hints")
    original, unlearned = figure.data
    assert figure.layout.xaxis.title.text == "facts shown" and figure.layout.meta["points"] == 4
    assert list(unlearned.x) == [0.0, 4.0] and list(unlearned.y) == [10.0, 30.0]
    assert unlearned.line.color == INK and original.line.color != INK and "◆" not in original.name
    assert curves_figure(WHOLE, "int4") is None
    lone = seen(STARTED, AttackPoint("relearn", "reference", "on <half>", 0.0, 0.5))
    figure = curves_figure(lone, "relearn")
    assert figure.data[0].line.dash == "dot" and "<extra>Never saw it: on &lt;half&gt;</extra>" in figure.data[0].hovertemplate
    assert figure.layout.xaxis.range == (-0.5, 0.5)


def test_several_curves_of_one_attack_differ_by_their_marks() -> None:
    events = [AttackPoint("relearn", "unlearned", series, x, 0.5) for series in ("all", "half") for x in (0.0, 1.0)]
    figure = curves_figure(seen(STARTED, *events), "relearn")
    assert [trace.name for trace in figure.data] == ["Unlearned", "Unlearned"]
    assert [trace.showlegend for trace in figure.data] == [True, False] and "Unlearned: half" in figure.data[1].hovertemplate
    told = seen(STARTED, *events, AttackEnded(row("relearn")))
    assert "○ ■ ✖ all · ▲ half" in cards.detail_html(told, "relearn") and "Curves" not in cards.detail_html(WHOLE, "hints")
    assert figure.data[0].marker.symbol != figure.data[1].marker.symbol


# The file and the link ------------------------------------------------------------------------------------------------

def test_the_card_as_csv_keeps_numbers_quotes_text_and_guards_formulas() -> None:
    risky = row("hints", 0.2, title='=HYPERLINK("x")', sentence='He said "no",\nthen left.')
    view = seen(STARTED, AttackEnded(risky), AttackEnded(row("int4", None, **NOT_HERE)))
    link = cards.file_html(view)
    first, second = saved(link, "audit-csv")
    assert first["title"] == '\'=HYPERLINK("x")' and first["sentence"] == 'He said "no",\nthen left.'
    assert (first["recovered"], first["recovered_low"], first["n"], first["source"]) == ("0.2", "0.12", "60", "Somebody <2024>")
    assert second["recovered"] == "" and second["floor_kind"] == "same attack"
    assert 'download="lethe-a1.csv"' in link and cards.file_html(seen(STARTED)) == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", " =1", "\t=1", "＝1"])
def test_no_cell_is_taken_for_a_formula(text: str) -> None:
    assert next(csv.reader(io.StringIO(csv_text(["a", "b"], [{"a": text, "b": -1.5}]).split("\r\n", 1)[1]))) == [f"'{text}", "-1.5"]


def test_a_link_names_an_earlier_audit_only_where_it_is_possible() -> None:
    state = ViewState(run="r1", tab="audit", audit="2026-01-01-audit-r1-00000000")
    assert query_string(state) == "?run=r1&tab=audit&audit=2026-01-01-audit-r1-00000000"
    assert parse({"run": "r1", "tab": "audit", "audit": state.audit}) == (state, [])
    _, messages = parse({"audit": "../x"})
    assert "no possible audit" in messages[0]


def test_what_an_attack_found_on_each_model() -> None:
    found = {"original": {"best_score": 1 / 3}, "unlearned": {"worst": ["a<b", 2]}}
    view = seen(STARTED, AttackEnded(row("hints", 0.2, detail=found)))
    rows = saved(cards.detail_html(view, "hints"), "audit-found-csv")
    assert [(row["found"], row["original"], row["unlearned"], row["reference"]) for row in rows] == [
        ("best score", repr(1 / 3), "", ""), ("worst", "", '["a<b", 2]', "")]
