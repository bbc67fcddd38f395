"""The page's parts without a browser: settings made into controls and back, seats and followers, tables and answers."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel, Field
from scripted import events

from components import ask, runs, sidebar
from components.controls import Field as Setting
from components.controls import control, fields, is_default, read
from components.follower import follow, seconds_since
from components.screen import address, at_strength, draw
from components.seats import Seat, Seats
from components.settings import Settings
from components.view import replay
from unlearn_core.__main__ import _parser
from unlearn_core.config import RunConfig
from unlearn_core.events import Failed, Finished, Started
from unlearn_core.store import RunRecord, Store


class _Config(BaseModel):
    rank: int = Field(8, ge=1, le=64, description="directions")
    epsilon: float = Field(1e-3, ge=1e-8, le=1.0)
    limit: float = Field(4.0, ge=0.5, le=20.0)
    layers: int | None = Field(None, ge=1)
    exact: bool = False
    reading: str = "soft"


SETTINGS = {setting.name: setting for setting in fields(_Config.model_json_schema())}


def test_a_schema_becomes_fields_in_its_order():
    assert list(SETTINGS) == ["rank", "epsilon", "limit", "layers", "exact", "reading"]
    assert SETTINGS["rank"] == Setting("rank", "Rank", "directions", "integer", 8, 1, 64)
    assert SETTINGS["layers"].optional and not SETTINGS["rank"].optional


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rank", "Slider"),
        ("epsilon", "Dropdown"),
        ("limit", "Slider"),
        ("layers", "Textbox"),
        ("exact", "Checkbox"),
        ("reading", "Textbox"),
    ],
)
def test_each_field_gets_a_control_that_can_hold_its_default(name, kind):
    widget = control(SETTINGS[name])
    assert type(widget).__name__ == kind
    assert is_default(SETTINGS[name], read(SETTINGS[name], widget.value))


@pytest.mark.parametrize(
    ("name", "shown", "value"),
    [
        ("rank", 3.0, 3),
        ("rank", "-3", -3),
        ("rank", "many", "many"),
        ("epsilon", "1e-05", 1e-5),
        ("epsilon", "0,5", 0.5),
        ("layers", " ", None),
        ("rank", "2.5", 2.5),
    ],
)
def test_what_is_shown_is_read_as_what_it_means(name, shown, value):
    assert read(SETTINGS[name], shown) == value


def test_only_settings_that_differ_from_their_default_are_kept():
    assert sidebar.with_setting({"rank": 3}, SETTINGS["rank"], 8.0) == {}
    assert sidebar.with_setting({}, SETTINGS["epsilon"], "0.01") == {"epsilon": 0.01}


def test_a_form_that_makes_no_request_says_which_field_is_wrong():
    config, problems = sidebar.config_of("demo", "book-series", "unlearn", "7", "auto", {})
    assert config == RunConfig(topic="book-series", seed=7) and not problems
    for form, field in (
        (("", "a", "unlearn", "0"), "model"),
        (("demo", "", "unlearn", "0"), "topic"),
        (("demo", "a", "unlearn", "-1"), "seed"),
        (("demo", "a", "No Such", "0"), "method"),
    ):
        config, problems = sidebar.config_of(*form, "auto", {})
        assert config is None and list(problems) == [field]


# Following ----------------------------------------------------------------------------------------------------------


PROMISES = {
    "cards": "not measured yet",
    "pairs": "The answers come with the last measurement of this run",
    "change_words": "It comes with the end of this run",
}


class _Tape:
    """A runner that plays given batches; between two of them, anything may happen."""

    def __init__(self, batches, between=lambda index: None):
        self.batches, self.between = batches, between

    def follow(self, run_id, every=0.25):
        for index, batch in enumerate(self.batches):
            self.between(index)
            yield batch

    def running(self):
        return "run"


def tape(topic="book-series"):
    story = [
        (event, float(place)) for place, (_, event) in enumerate(events("run", RunConfig(topic=topic), "2026-01-01"))
    ]
    return [*story, (Finished("done", 9.0, {}), 9.0)]


def opened(seat: Seat, run_id: str = "run"):
    seat.open(run_id)
    return seat.begin()


def test_a_follower_draws_the_whole_run_and_says_that_it_is_over():
    story, seat = tape(), Seat()
    drawn = list(follow(opened(seat), _Tape([story[:40], story[40:]]), None))
    assert drawn[0]["standing"] == "live" and "verdict" in drawn[0]
    assert drawn[-1]["standing"] == "over"
    assert seat.view == replay(story) and seat.followers == 0


def test_what_an_interrupted_run_lacks_is_not_promised():
    story, seat = tape()[:40], Seat()
    drawn = list(follow(opened(seat), _Tape([story]), None))
    shown = {name: next(picture[name] for picture in reversed(drawn) if name in picture) for name in PROMISES}
    assert seat.view.status == "interrupted"
    assert "the program ended before it was measured" in shown["cards"]
    for name, promise in PROMISES.items():
        assert promise in drawn[0][name] and promise not in shown[name], name


def test_a_heartbeat_brings_nothing_but_the_clock():
    story = tape()
    drawn = list(follow(opened(Seat()), _Tape([story[:40], [], []]), None))
    assert set(drawn[1]) == {"strip", "standing"} == set(drawn[2])


def test_opening_another_run_ends_the_follower_of_the_first():
    story, seat = tape(), Seat()
    follower = follow(opened(seat), _Tape([story[:20], story[20:]], lambda place: place and seat.open("other")), None)
    drawn = list(follower)
    assert len(drawn) == 1 and seat.followers == 0 and seat.run_id == "other"


def test_a_new_follower_draws_again_once_the_old_one_has_ended():
    story, seat = tape(), Seat()
    old = follow(opened(seat), _Tape([story[:20], story[20:30]]), None)
    next(old)
    drawn = []
    for place, picture in enumerate(follow(opened(seat, "b"), _Tape([story[:20], [], []]), None)):
        drawn.append(picture)
        if place == 0:
            assert list(old) == []
    assert "verdict" in drawn[0] and "verdict" in drawn[1] and "verdict" not in drawn[2]


def test_a_seat_that_was_left_has_no_follower():
    seats = Seats()
    seat = seats.of("tab")
    turn = opened(seat)
    assert seats.of("tab") is seat and turn.current
    seats.leave("tab")
    assert not turn.current and seats.of("tab") is not seat
    assert seat.begin() is None


@pytest.mark.parametrize("kept", [True, False])
def test_a_failed_run_that_is_not_kept_is_neither_linked_nor_played_again(kept, tmp_path):
    seat, store = Seat(), Store(tmp_path, None)
    run_id = store.create(RunConfig(topic="book-series")).run_id if kept else "gone"
    story = [(Started(run_id, {}, "2026-01-01"), 0.0), (Failed("The hub cannot be reached.", "", "", ""), 1.0)]
    drawn = list(follow(opened(seat, run_id), _Tape([story]), store))
    assert drawn[-1]["standing"] == ("over" if kept else "idle")
    assert drawn[-1]["address"] == (f"?run={run_id}" if kept else "?")
    assert {"verdict", "cards", "pairs", "spectrum", "spectrum_words", "change_map", "angles_words"} <= set(drawn[-1])


def test_a_question_stays_in_the_address_of_the_run_that_it_was_asked_of():
    seat = Seat()
    seat.open("first")
    seat.question = "Who?"
    seat.open("first", "replay")
    assert address(seat) == "?run=first&q=Who%3F"
    seat.open("second")
    assert address(seat) == "?run=second"


def test_seconds_since_reads_times_with_and_without_a_zone():
    assert seconds_since("2000-01-01T00:00:00Z") > 7e8
    assert abs(seconds_since("2000-01-01T00:00:00") - seconds_since("2000-01-01T01:00:00+01:00")) < 5
    assert seconds_since("soon") == 0


# Drawing ------------------------------------------------------------------------------------------------------------


def test_only_what_changed_is_drawn_again():
    seat, view = Seat(), replay(tape())
    first = draw(view, seat)
    assert {"verdict", "cards", "pairs", "accuracy", "spectrum", "change_map", "angles"} <= set(first)
    assert draw(view, seat) == {}
    seat.mode = "plain"
    assert set(draw(view, seat)) == {"pairs"}
    seat.set_strength(0.5)
    assert "spectrum" in draw(view, seat)


def test_strength_scales_what_is_subtracted_and_nothing_else():
    spectrum = next(iter(replay(tape()).spectra.values()))
    half, none = at_strength(spectrum, 0.5), at_strength(spectrum, 0)
    assert half.removed == [value / 2 for value in spectrum.removed] and half.original == spectrum.original
    assert half.relative_change == pytest.approx(spectrum.relative_change / 2) and none.rank == 0


# Tables and answers -------------------------------------------------------------------------------------------------


def record(**more) -> RunRecord:
    values = {
        "run_id": "2026-01-01-x-1", "config": RunConfig(topic="book-series"), "status": "done", "path": None,
        "note": "",
        "title": "<b>mine</b>", "started_at": "2026-01-01T10:00:00+00:00", "seconds": 12.0,
        "summary": {"accuracy": {"forget": {"before": 1.0, "after": 0.02}}},
    }  # fmt: skip
    return RunRecord(**values | more)


def test_the_table_of_runs_escapes_names_and_marks_the_open_run():
    html = runs.table_html([record(), record(run_id="b", summary=None, seconds=None)], "b", None)
    titled = runs.table_html([record(title="")], "", None, {"book-series": "the <i>Vale</i> books", "unlearn": "UNLEARN"})
    assert "the &lt;i&gt;Vale&lt;/i&gt; books" in titled and ">UNLEARN</td>" in titled and "book-series</button>" not in titled
    assert "&lt;b&gt;mine" in html and "<b>mine" not in html
    assert "100 → 2\u00a0%" in html and "n/a" in html and html.count("open-mark") == 1
    assert "press Unlearn" in runs.table_html([], "", None)


@dataclass
class _Update:
    original: str = ""
    edited: str = ""
    done: bool = False
    waiting: int | None = None
    tokens_per_second: float = 0.0
    device: str = ""
    reference: str | None = None


def test_answers_show_both_sides_escaped_and_what_is_waited_for():
    updates = [_Update(waiting=2), _Update(waiting=0), _Update("<i>a</i>", "b", tokens_per_second=40, device="cpu"),
               _Update("<i>a</i> c", "", done=True)]  # fmt: skip
    waiting, loading, going, done = ask.answers(iter(updates), "<q>", 0.5)
    assert "2 before this one" in waiting and "Loading" in loading
    assert "&lt;i&gt;a" in going and "40 tokens/s · cpu" in going and "&lt;q&gt;" in going and "strength 0.5" in going
    assert "(no answer)" in done and 'data-done="yes"' in done


@pytest.mark.parametrize(
    ("question", "seed", "words"),
    [("", "0", "Write a question"), ("x" * 3000, "0", "longer than"), ("x", "-1", "whole number"), ("x", "5", None)],
)
def test_questions_are_checked_before_anything_is_asked(question, seed, words):
    fault = ask.check_question(question, seed)
    assert fault is None if words is None else words in fault


@pytest.mark.parametrize(
    ("shown", "strength"), [(7, 2), (-3, 0), (0.3, 0.25), (1.755, 1.75), (0.5, 0.5), (0, 0), (None, 1.5)]
)
def test_the_dial_has_no_positions_between_its_steps(shown, strength):
    assert ask.settled(shown, 1.5) == strength


def test_a_preview_says_in_words_how_many_of_each_there_are_and_how_they_are_divided():
    html = sidebar.preview_html(
        {"title": "pasted list", "written": {"forget": 3, "neighbor": 2, "retain": 1},
         "shown": {"forget": 3, "neighbor": 1}, "counts": {"forget": 3, "neighbor": 1, "retain": 1}}
    )  # fmt: skip
    assert "3 to forget · 2 neighbours · 1 retain" in html and "neighbor " not in html
    assert "Half of the neighbours and of retain is shown to the method, the other half is scored" in html
    assert "it sees 1 of 2 neighbours and 0 of 1 retain" in html
    assert "Half" not in sidebar.preview_html({"title": "x", "written": {"forget": 1}, "shown": {"forget": 1}})


def test_the_command_names_the_runs_folder_and_the_permission():
    config = RunConfig(topic="t")
    assert Settings().command(config) == config.command()
    chosen = Settings(runs_dir=Path("a b"), trust_remote_code=True).command(config)
    options = _parser().parse_args(shlex.split(chosen)[3:])
    assert options.runs_dir == Path("a b") and options.trust_remote_code


def test_a_third_pane_stands_beside_the_pair_only_where_there_is_a_model_for_it():
    two = ask.panes_html("Who?", "Ada", "no idea", True, "", 1.0)
    three = ask.panes_html("Who?", "Ada", "no idea", True, "", 1.0, "<b>Bo</b>")
    assert two.count("<section") == 2 and "three" not in two
    assert three.count("<section") == 3 and "Never saw the topic" in three and "&lt;b&gt;Bo&lt;/b&gt;" in three


def test_a_topic_file_goes_with_every_model_and_a_topic_of_another_says_so():
    before = [("my list.csv", "/somewhere/my list.csv"), ("the Vale books", "book-series")]
    entries = [{"name": "other", "title": "another topic"}]
    assert sidebar.offered(before, entries) == [
        ("my list.csv", "/somewhere/my list.csv"),
        ("the Vale books (not of this model)", "book-series"),
        ("another topic", "other"),
    ]
