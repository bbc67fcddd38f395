"""Properties of the fold: a run is its list of events, and a view is nothing else."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

from components.race_view import RaceView
from components.view import RunView, fold, replay
from unlearn_core.events import Answer, Failed, Finished, Notice, Progress, decode, encode


def test_prefix_then_rest_equals_all(events):
    whole = replay(events)
    for cut in [0, 1, 5, len(events) // 2, len(events) - 1, len(events)]:
        assert replay(events[cut:], replay(events[:cut])) == whole


def test_folding_changes_no_earlier_view(events):
    cut = len(events) // 2
    first = replay(events[:cut])
    before = (first.at, len(first.answers), dict(first.after), dict(first.spectra))
    replay(events[cut:], first)
    assert (first.at, len(first.answers), dict(first.after), dict(first.spectra)) == before


def test_through_the_file_and_back(events):
    assert replay(decode(encode(event, at)) for event, at in events) == replay(events)


def test_unknown_kinds_are_skipped(events):
    @dataclass(frozen=True)
    class FromTheFuture:
        text: str = "?"

    rng = random.Random(0)
    mixed = list(events)
    for _ in range(50):
        mixed.insert(rng.randrange(len(mixed)), (FromTheFuture(), 1.0))
    assert replay(mixed) == replay(events)
    unreadable = ['{"kind": "Telepathy", "at": 3}', '{"kind": "Notice", "te', "", "[]", '{"kind": "Notice", "x": 1}']
    assert replay(decode(line) for line in unreadable) == RunView()


def test_nothing_follows_the_end(events):
    ended = replay(events)
    assert fold(ended, Notice("late"), 99.0) is ended
    assert fold(ended, Finished("stopped", 1.0, {}), 99.0) is ended


@pytest.mark.parametrize(("cut", "status"), [(0, "empty"), (1, "running"), (300, "running"), (None, "done")])
def test_status(events, cut, status):
    assert replay(events[:cut]).status == status


def test_status_of_bad_ends(story):
    assert story(status="stopped").status == "stopped"
    assert story(status="failed").status == "failed"


@pytest.mark.parametrize("begun", [RunView(run_id="x"), RaceView(race_id="x")])
def test_runs_and_races_stand_alike(begun):
    assert type(begun)().status == "empty" and begun.status == "running"
    assert replace(begun, interrupted=True).status == "interrupted"
    assert replace(begun, interrupted=True, end=Finished("stopped", 1.0, {})).status == "stopped"
    assert replace(begun, end=Failed("", "", "", "")).status == "failed" and not begun.over


def test_everything_arrives(view):
    assert len(view.answers) == 900
    assert len(view.spectra) == len(view.overlaps) == 28
    assert len(view.scores) == 16
    assert set(view.before) == set(view.after)
    assert view.perplexity["after"].value == pytest.approx(9.58)
    assert {item.stage for item in view.live} == {"during"}


def test_progress_belongs_to_its_phase(events):
    after_phase = next(i for i, (event, _) in enumerate(events) if isinstance(event, Progress)) + 1
    assert replay(events[:after_phase]).progress is not None
    assert replay(events).progress.unit == "questions"


def test_one_notice_once(events):
    view = replay(events[:4])
    twice = fold(fold(view, Notice("Slow disk."), 2.0), Notice("Slow disk."), 3.0)
    assert twice.notices == (*view.notices, "Slow disk.")


def test_answers_keep_their_order(view):
    assert [a.question_id for a in view.answers if isinstance(a, Answer)][:3] == ["forget-0", "forget-1", "forget-2"]
