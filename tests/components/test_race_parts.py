"""A race as the page knows it: events folded into lanes, the picture, the table, what is said. No page, no model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from files import saved

from components import race_words as words
from components.links import ViewState, parse, query_string
from components.race_plot import race_figure
from components.race_view import RaceView, fold, replay
from unlearn_core.config import BUDGET
from unlearn_core.events import (
    Event,
    Finished,
    LaneBegun,
    LaneEnded,
    Measured,
    Phase,
    Progress,
    RaceStarted,
)

LANES = [{"method": "unlearn", "title": "UNLEARN", "family": "subspace", "family_title": "Subspaces"},
         {"method": "npo", "title": "NPO", "family": "preference", "family_title": "Preference losses"},
         {"method": "icul", "title": "<b>In context</b>", "family": "context", "family_title": "In context"}]


def started(mode: str = "defaults") -> RaceStarted:
    config = {"topic": "book-series", "mode": mode, "budget": None, "seed": 0}
    left_out = [{"method": "eul", "title": "EUL", "why": "No <T5> here."}]
    return RaceStarted("r1", config, "2026-11-22T10:00:00+00:00", LANES, left_out)


def measured(stage: str, split: str, share: float, step: int = 0, floor: float | None = None) -> Measured:
    kind = None if floor is None else "retrained"
    return Measured(stage, step, split, share, round(share * 24), 24, 0.0, 1.0, floor, kind)


def row(method: str, status: str = "done", removed: float | None = 0.99, **accuracy: float) -> dict[str, Any]:
    return {"method": method, "status": status, "run_id": f"run-{method}", "accuracy": accuracy, "removed": removed,
            "perplexity": 9.0, "kl": 0.0006, "seconds": 12.0, "trained": 40_000, "damage": None, "error": None}


BEFORE = [measured("before", "forget", 1.0, floor=0.05), measured("before", "neighbor", 1.0), measured("before", "retain", 0.99)]


def seen(*events: Event, mode: str = "defaults") -> RaceView:
    return replay([(event, float(at)) for at, event in enumerate([started(mode), *BEFORE, *events])])


def test_relabelling_is_not_called_forgetting() -> None:
    kept = {"forget": 0.1, "neighbor": 1.0, "retain": 0.99}
    view = seen(LaneEnded(row("unlearn", removed=1.0, **kept) | {"relabelled": True}))
    found = words.finding_html(view)
    assert "which is not forgetting</b> (1)" in found and "Forgot and kept" not in found
    view = seen(LaneEnded(row("unlearn", removed=1.0, **kept) | {"relabelled": False}))
    assert "Forgot and kept" in words.finding_html(view)


def test_events_go_to_the_method_whose_turn_it_is() -> None:
    view = seen(LaneBegun("unlearn", "run-unlearn", 1, 3), Phase("train", "Train", 2, 4), Progress(5, 10, "steps"),
                measured("during", "forget", 0.5, 4), measured("during", "retain", 0.9, 4), measured("during", "forget", 0.2, 8))
    lane = view.running
    assert (lane.method, lane.run_id, lane.phase.title, lane.progress.done) == ("unlearn", "run-unlearn", "Train", 5)
    assert lane.trail("retain") == [(0.5, 0.9)] and view.lanes[1].live == () and view.ended == 0
    view = fold(view, LaneEnded(row("unlearn", forget=0.02, retain=0.98)), 9.0)
    assert view.running is None and view.ended == 1 and view.lanes[0].after("retain") == 0.98
    assert fold(view, measured("during", "forget", 0.1, 9), 10.0).lanes == view.lanes
    view = fold(view, Finished("stopped", 11.0, {}), 11.0)
    assert view.status == "stopped" and fold(view, LaneBegun("npo", "x", 2, 3), 12.0) is view


def test_the_picture_has_a_filled_mark_where_all_was_measured_and_a_way_where_not() -> None:
    view = seen(LaneEnded(row("unlearn", forget=0.02, neighbor=0.97, retain=0.98)), LaneBegun("npo", "run-npo", 2, 3),
                measured("during", "forget", 0.5, 4), measured("during", "retain", 0.9, 4))
    figure = race_figure(view, "retain").to_plotly_json()
    done, way = figure["data"]
    assert (done["x"], done["y"], done["customdata"], done["name"]) == ([98.0], [98.0], ["run-unlearn"], "Subspaces")
    assert (way["x"], way["y"], way["customdata"]) == ([50.0], [90.0], ["run-npo"]) and way["marker"]["symbol"].endswith("-open")
    assert figure["layout"]["meta"] == {"points": 1, "live": 1}
    assert race_figure(view, "neighbor").to_plotly_json()["data"][0]["y"] == [97.0]
    upright, = (shape for shape in figure["layout"]["shapes"] if shape.get("x0") == shape.get("x1"))
    assert upright["x0"] == 95 and "never knew" in str(figure["layout"]["annotations"])
    assert done["marker"]["symbol"] not in ("circle", "diamond")  # which belong to the sets


def test_names_never_lie_on_each_other() -> None:
    view = seen(*(LaneEnded(row(lane["method"], forget=0.02, retain=0.98)) for lane in LANES))
    traces = race_figure(view, "retain").to_plotly_json()["data"]
    shown = [place for trace in traces for place, text in zip(trace["textposition"], trace["text"], strict=True) if text]
    assert len(shown) == len(set(shown)) and shown


def test_the_table_sorts_and_what_has_no_value_comes_last() -> None:
    view = seen(LaneEnded(row("unlearn", forget=0.3, retain=0.9)), LaneEnded(row("npo", "failed", None)),
                LaneEnded(row("icul", forget=0.1, retain=0.95)))
    order = lambda key, falling: [lane.method for lane in words.ordered(view.lanes, key, falling)]  # noqa: E731
    assert order("", False) == ["unlearn", "npo", "icul"]
    assert order("forget", False) == ["icul", "unlearn", "npo"] and order("forget", True) == ["unlearn", "icul", "npo"]
    assert 'aria-sort="descending"' in words.table_html(view, "forget", True)


def test_everything_that_is_not_ours_is_escaped_and_every_reason_is_said() -> None:
    broken = row("npo", "failed", None) | {"error": {"what": "It <broke>.", "why": "A reason.", "remedy": ""}, "run_id": None}
    html = words.table_html(seen(LaneEnded(broken)), "", False)
    assert "<b>In" not in html and "&lt;b&gt;In context" in html and "No &lt;T5&gt; here." in html
    assert "failed: It &lt;broke&gt;. A reason." in html and 'href="?run=run-npo"' not in html
    over = seen(Finished("stopped", 1.0, {}))
    assert "not run" in words.table_html(over, "", False) and "waiting" not in words.table_html(over, "", False)


def test_the_finding_can_say_bad_news() -> None:
    view = seen(LaneEnded(row("unlearn", forget=0.02, neighbor=0.98, retain=0.98)),
                LaneEnded(row("npo", forget=0.0, neighbor=0.4, retain=0.98)),
                LaneEnded(row("icul", removed=0.1, forget=0.9, neighbor=1.0, retain=0.99)))
    text = words.finding_html(view)
    assert "Forgot and kept</b> (1): UNLEARN" in text and "damaged what is kept</b> (1): NPO" in text
    assert "Did not forget</b> (1)" in text
    lanes = [LANES[0], LANES[1] | {"title": "LEARN", "teaches": True}]
    taught = replay([(replace(started(), lanes=lanes), 0.0), (LaneEnded(row("npo", removed=0.0, forget=1.0)), 1.0)])
    assert words.finding_html(taught).count("<li>") == 1
    assert "Teaches, and is not meant to forget</b> (1): LEARN" in words.finding_html(taught)
    assert words.finding_html(seen()) == ""


def test_both_modes_are_said_in_words() -> None:
    assert "default settings" in words.mode_words("defaults")
    assert f"{BUDGET:g} nats" in words.mode_words("equal-damage") and "our reading" in words.mode_words("equal-damage")
    assert "at equal damage" in words.head_html(seen(mode="equal-damage"), True)


@pytest.mark.parametrize(("known", "said"), [({}, "not known yet"), ({"a": 60, "b": 30}, "about 1 min 30 s"),
                                             ({"a": 60}, "for 1 of them")])
def test_the_estimate_says_what_it_rests_on(known: dict[str, float], said: str) -> None:
    assert said in words.estimate_html(["a", "b"], known).replace("\u00a0", " ")
    assert "at least one" in words.estimate_html([], known)


def test_progress_counts_every_phase_alike() -> None:
    view = seen(LaneBegun("unlearn", "r", 1, 3), Phase("train", "Train", 3, 4), Progress(5, 10, "steps"))
    assert "62.5%" in words.now_html(view, 3.0, True) and "5 of 10 steps" in words.now_html(view, 3.0, True)
    assert "0 of 3 methods" in words.now_html(view, 3.0, False)
    cut = seen(LaneBegun("unlearn", "r", 1, 3), LaneEnded({"method": "unlearn", "status": "stopped", "run_id": "r"}))
    assert "0 of 3 methods" in words.now_html(cut, 3.0, False)


def test_a_link_names_the_race() -> None:
    state = ViewState(tab="runs", race="2026-11-22-race-books-0a1b2c3d")
    assert parse(dict(pair.split("=") for pair in query_string(state)[1:].split("&"))) == (state, [])
    assert parse({"race": "../x"})[0].race == "" and "no possible race" in parse({"race": "../x"})[1][0]


def test_a_race_with_the_original_and_the_floor() -> None:
    view = seen(LaneEnded(row("unlearn", forget=1 / 3, retain=0.9)))
    rows = saved(words.table_html(view, "", False), "race-csv")
    assert [row["method"] for row in rows[:2]] == ["original", "floor"]
    assert [row["method"] for row in rows[2:]] == [*(lane.method for lane in view.lanes), *(e["method"] for e in view.left_out)]
    assert rows[0]["forget"] == repr(view.before["forget"].accuracy)
    measured = next(lane for lane in view.lanes if lane.row)
    assert next(row for row in rows if row["method"] == measured.method)["forget"] == repr(measured.after("forget"))
