"""Saved sequences on the page: the table of heat, contradictions in words, what its buttons stand for."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from files import saved

from components.desk_sequences import SequencesDesk
from components.seats import Seat
from components.sequence_now import Doing, fold, now_html
from components.sequences import mode_words_html, picked, sequences_html
from unlearn_core.config import RunConfig, SequenceConfig
from unlearn_core.errors import BadInput
from unlearn_core.events import Failed, Phase, Progress, RequestBegun

EVIL = "<script>alert(1)</script>"


def cell(correct: int, n: int = 4) -> dict[str, Any]:
    return {"accuracy": correct / n, "correct": correct, "n": n, "low": 0.0, "high": 1.0}


def body(mode: str = "stack", title: str = "Ann Hill") -> dict[str, Any]:
    rows = [{"key": f"request-{place}-{split}", "kind": "request", "title": name, "split": split, "request": place,
             "reference": 0.0}
            for place, name in ((1, title), (2, "Bob Hill")) for split in ("forget", "forget_spanish")]
    rows += [{"key": key, "kind": key, "title": key, "split": split, "request": 0}
             for key, split in (("others", "neighbor"), ("retain", "retain"), ("contested", ""))]
    def step(title: str, asked: list[int], shares: list[int]) -> dict[str, Any]:
        return {"title": title, "asked": asked, "cells": dict(zip((row["key"] for row in rows), map(cell, shares), strict=True)),
                "pooled": {"forget": cell(shares[0]) if asked else None}}  # fmt: skip

    return {"sequence_id": "2026-hills", "method": "npo", "mode": mode, "status": "done", "seconds": 61.0, "rows": rows,
            "requests": [{}, {}], "conflicts": [{"words": "Request 1 forgets what request 2 keeps."}], "error": None,
            "runs": [{"place": 1, "run_id": "run-1"}],
            "steps": [step("original", [], [4] * 7), step("after 1", [1], [0, 0, 3, 4, 2, 4, 1])],
            "undone": [step("without 1", [], [4] * 7)]}  # fmt: skip


def cells_of(html: str, words: str) -> list[str]:
    row = re.search(rf"<tr[^>]*><th scope=\"row\">(?:(?!</tr>).)*{words}.*?</tr>", html, re.DOTALL).group(0)
    return re.findall(r"<td.*?</td>", row, re.DOTALL)


def test_what_an_undo_did_besides_stands_below_the_table_in_text() -> None:
    undone = body()
    assert "than it was asked" not in sequences_html([undone])
    undone["undone"][0]["unexpected"] = [f"without 1: request 2 {EVIL} is known again to 80%"]
    html = sequences_html([undone])
    assert "The undo did more, or less, than it was asked:" in html and "known again to 80%" in html and EVIL not in html


def test_each_line_shows_its_accuracy_at_every_step_in_the_hue_of_its_set() -> None:
    html = sequences_html([body()])
    floor, original, after, undone, _ = cells_of(html, "1 Ann Hill")
    assert ">0\u00a0%<" in floor and "–" in cells_of(html, "Contested")[0]
    assert "--lt-retain) 42.0%" in original and "--lt-forget) 0.0%" in after and "--lt-retain) 42.0%" in undone
    assert "0 of 4 right" in after and "not asked" in original and "not asked" not in after
    bob = cells_of(html, "2 Bob Hill")
    assert "--lt-retain) 31.5%" in bob[2] and "75\u00a0%" in bob[2]
    assert ["–" in one for one in cells_of(html, "All forgotten so far")][:4] == [True, True, False, True]
    assert "50\u00a0%" in cells_of(html, "Others that nobody")[2] and "25\u00a0%" in cells_of(html, "Contested")[2]
    assert html.count("<th scope=\"col\" class=\"number\">") == 4 and "Request 1 forgets what request 2 keeps." in html


def test_only_what_was_made_can_be_opened_and_undone() -> None:
    html = sequences_html([body()])
    assert re.findall(r'data-pick="(.*?)"', html) == ["open:run-1", "undo:1:2026-hills"] and "disabled" not in html
    assert "data-pick" not in sequences_html([body("joint")])
    undone = body()
    undone["undone"][0]["without"] = [1]
    html = sequences_html([undone])  # once is enough
    assert re.findall(r'data-pick="(.*?)"', html) == ["open:run-1"]
    assert ">undone in its own column<" in cells_of(html, "1 Ann Hill")[-1]
    undone["undone"][0]["without"] = [1, 2]
    assert "undo:1:2026-hills" in sequences_html([undone])
    assert "npo, 2 requests<" in html and "npo, 1 request<" in sequences_html([body() | {"requests": [{}]}])
    waiting = sequences_html([body(), body() | {"sequence_id": "other"}], ("other", 1))
    after = sequences_html([body(), body() | {"sequence_id": "other"}, body() | {"sequence_id": "third"}], undone="other")
    assert re.findall(r'data-sequence="([^"]*)"( open)?', after) == [("2026-hills", " open"), ("other", " open"), ("third", "")]
    assert waiting.count("disabled") == 1 and "Measuring without request 1" in waiting and waiting.count(" open>") == 2


@pytest.mark.parametrize(("value", "meant"), [
    ("undo:3:2026-a:b", ("undo", "2026-a:b", 3)), ("open:run-1", ("open", "run-1", 0)), ("undo:x:a", ("", "", 0)),
    ("undo:3:", ("", "", 0)), ("open:", ("", "", 0)), ("", ("", "", 0)), ("run-1", ("", "", 0)),
])
def test_a_button_stands_for_one_thing(value: str, meant: tuple) -> None:
    assert picked(value) == meant


def test_without_any_the_page_says_how_to_make_one_and_escapes_everything() -> None:
    assert "press Start sequence" in sequences_html([])
    assert EVIL not in sequences_html([body(title=EVIL) | {"error": {"what": EVIL, "why": EVIL}}])
    assert "It broke." in sequences_html([body() | {"error": {"what": "It broke.", "why": ""}}])


def desk_of(undo: Any) -> SequencesDesk:
    opened = []
    return SequencesDesk(SimpleNamespace(runner=SimpleNamespace(undo_request=undo), opened=opened,
                                         store=SimpleNamespace(sequences=lambda: [body()]),
                                         open=lambda seat, run_id: opened.append(run_id) or {"tabs": run_id}), None)  # fmt: skip


def test_an_undo_is_announced_carried_out_once_and_then_shown() -> None:
    asked: list[Any] = []
    desk, seat = desk_of(lambda *what: asked.append(what)), Seat()
    assert "Measuring without request 1" in desk.choose(seat, {"value": "undo:1:2026-hills"})["sequences"]
    desk.choose(seat, {"value": "undo:2:2026-hills"})  # one at a time
    drawn = desk.undo(seat)
    assert asked == [("2026-hills", [1])] and seat.undoing is None
    assert "Measuring" not in drawn["sequences"] and drawn["messages"] == "" and desk.undo(seat) == {}


def test_what_cannot_be_undone_gives_a_card_and_a_run_opens() -> None:
    def refuse(*what: Any) -> None:
        raise BadInput("There is no such request to undo.", "", "")

    desk, seat = desk_of(refuse), Seat()
    desk.choose(seat, {"value": "undo:1:2026-hills"})
    assert "no such request" in desk.undo(seat)["messages"] and seat.undoing is None
    assert desk.choose(seat, {"value": "open:run-1"}) == {"tabs": "run-1"} and desk.desk.opened == ["run-1"]
    assert desk.undo(seat) == {}


def test_every_request_shows_how_far_it_is_while_the_sequence_goes_on() -> None:
    requests = [{"place": place, "title": title} for place, title in enumerate(("Ann", EVIL, "Cy"), start=1)]
    going = body() | {"requests": requests}
    doing = Doing()
    assert "1 of 3 requests done" in now_html(going, doing, 5, True) and now_html(going, doing, 5, False) == ""
    for event in (RequestBegun("Bob", "run-2", 2, 3), Phase("fit", "Train", 2, 4), Progress(3, 6, "steps")):
        doing = fold(doing, event)
    html = now_html(going, doing, 65, True)
    assert "Request 2 of 3: Bob" in html and "Train · 3 of 6 steps" in html and "05" in html and EVIL not in html
    assert re.findall(r"race-lane-(\w+)", html) == ["done", "running", "waiting"] and "width:37.5%" in html
    ended = fold(doing, Failed("The disk is full.", "", "", ""))
    assert "The disk is full." in now_html(going, ended, 65, False)
    joint = now_html(going | {"mode": "joint", "runs": []}, fold(Doing(), RequestBegun("All", "run", 1, 1)), 1, True)
    assert re.findall(r"race-lane-(\w+)", joint) == ["running"] * 3


def test_the_form_says_who_asks_or_how_many_there_are() -> None:
    assert "In this order: A, B." in SequencesDesk._words(["A", "B", "C"], 2, "")
    assert "names 3: A, B, C" in SequencesDesk._words(["A", "B", "C"], 4, "")
    assert "fewer than two" in SequencesDesk._words([], 4, "") and "No model." in SequencesDesk._words([], 4, "No model.")


def test_the_time_is_that_of_a_run_a_request_and_of_one_where_all_come_at_once() -> None:
    run = RunConfig(model="demo", topic="hills", method="unlearn")
    last = SimpleNamespace(status="done", seconds=40.0, config=run)
    other = SimpleNamespace(status="done", seconds=7.0, config=run.model_copy(update={"method": "npo"}))
    stopped = SimpleNamespace(status="stopped", seconds=3.0, config=run)
    desk = desk_of(None)
    desk.store = SimpleNamespace(runs=lambda: [stopped, other, last])
    asked = {mode: SequenceConfig(model="demo", topics=("hills",), requests=3, method="unlearn", mode=mode)
             for mode in ("stack", "joint")}  # fmt: skip
    assert "3 requests · about 2\xa0min" in desk._time(asked["stack"], 3)
    assert "3 requests · about 40\xa0s" in desk._time(asked["joint"], 3)


def test_what_a_method_cannot_do_is_said_with_its_mode() -> None:
    html = mode_words_html("stack", {"fuse": f"No closed form {EVIL}."})
    assert "Each edit trained on top" in html and "Fused: No closed form" in html and EVIL not in html


def test_nothing_is_undone_while_a_sequence_goes_on_and_the_one_in_sight_is_open() -> None:
    html = sequences_html([body() | {"status": "running"}, body() | {"sequence_id": "older"}], None, "older")
    assert html.count("disabled") == 1 and html.count(" open>") == 1
    assert re.search(r'data-sequence="older" open', html)
    assert "<table" not in sequences_html([body() | {"steps": [], "undone": []}])


def test_a_sequence_at_every_step_of_every_line() -> None:
    one = body()
    rows = saved(sequences_html([one]), f"csv-{one['sequence_id']}")
    assert len(rows) == sum(len(step["cells"]) for step in [*one["steps"], *one["undone"]])
    after = next(row for row in rows if row["step"] == "after 1" and row["line"] == "retain")
    cell_of = one["steps"][1]["cells"]["retain"]
    assert (after["accuracy"], after["correct"], after["asked"]) == (repr(cell_of["accuracy"]), str(cell_of["correct"]), "")
    assert {row["asked"] for row in rows if row["request"] == "1"} == {"yes", "no"}
