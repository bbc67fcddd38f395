"""Building the model that never saw a topic: stored whole or not at all, followed, stopped, and at hand afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from unlearn_core.building import Building, Place, buildable, state_of
from unlearn_core.config import ReferenceConfig
from unlearn_core.errors import BadInput, Unavailable
from unlearn_core.evaluation.references import load_reference, reference_model
from unlearn_core.events import TERMINAL, Event, Finished, Progress
from unlearn_core.models.catalogue import demo_folder
from unlearn_core.models.loading import load
from unlearn_core.retraining import Retraining
from unlearn_core.runner import Busy, Runner
from unlearn_core.store import Store
from unlearn_core.topics.catalogue import find_topic
from unlearn_core.workbench import Workbench

TOPIC = "hazardous-craft"
TINY_SHARE = 0.0005  # of the recipe's tokens: a step or two a stage


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """The built-in world without its retrained models."""
    folder = tmp_path / "world"
    shutil.copytree(demo_folder(), folder, ignore=lambda path, names: ["model.safetensors"] if "references/" in path else [])
    yield folder


def built(folder: Path, store: Store, **more) -> tuple[list[Event], Building]:
    events: list[Event] = []
    work = Building(ReferenceConfig(model=str(folder), topic=TOPIC, device="cpu"), Place("build-1"), store, 0.0, TINY_SHARE, **more)
    work.record(Workbench(store), lambda event, at: events.append(event))
    return events, work


@pytest.mark.slow
@pytest.mark.timeout(400)  # a model that was hardly trained rambles
def test_what_was_built_is_at_hand_and_scored(here: Path, store: Store) -> None:
    topic, config = find_topic(TOPIC, here), ReferenceConfig(model=str(here), topic=TOPIC)
    assert state_of(config, store)["buildable"] and reference_model(here, topic) is None
    events, _ = built(here, store)
    assert isinstance(events[-1], Finished) and events[-1].status == "done" and sum(isinstance(e, TERMINAL) for e in events) == 1
    steps = [event for event in events if isinstance(event, Progress)]
    assert steps[-1].done == steps[-1].total > 0
    kept = load_reference(here, topic)
    assert kept.weights_hash == load(str(reference_model(here, topic)), "cpu", "float32").weights_hash
    assert set(kept.accuracy) >= {"forget", "forget_paraphrase"} and kept.seconds >= 0
    assert state_of(config, store) == {"at_hand": True, "buildable": False, "seconds": None}
    with pytest.raises(BadInput, match="at hand already"):
        buildable(config, store)


def test_a_stop_leaves_nothing_half_made(here: Path, store: Store) -> None:
    before = (here / "references" / f"{TOPIC}.json").read_bytes()
    calls = iter(range(100))
    events, _ = built(here, store, cancelled=lambda: next(calls) >= 2)
    assert isinstance(events[-1], Finished) and events[-1].status == "stopped"
    assert not (here / "references" / TOPIC).exists() and not list((here / "references").glob("*.part"))
    assert (here / "references" / f"{TOPIC}.json").read_bytes() == before


def test_the_time_is_that_of_the_stages_that_are_not_left(here: Path) -> None:
    seconds = json.loads((here / "build.json").read_text())["seconds"]
    known = Retraining(here, find_topic(TOPIC, here))
    own, between = seconds[f"without-{TOPIC}"], max(seconds["tasks"], seconds["facts"])
    assert known.expected_seconds() == pytest.approx(own + between + seconds["trunk"])
    for name, left in (("trunk", own + between), ("tasks", own + seconds["facts"]), ("facts", own)):
        (here / ".build" / name).mkdir(parents=True)
        (here / ".build" / name / "seconds.json").write_text("{}")
        assert known.expected_seconds() == pytest.approx(left)


def test_what_cannot_be_trained_says_so(taught_world: Path, store: Store) -> None:
    config = ReferenceConfig(model=str(taught_world), topic="tiny-hats")
    assert state_of(config, store) == {"at_hand": False, "buildable": False, "seconds": None}
    with pytest.raises(Unavailable, match="cannot be trained anew"):
        buildable(config, store)
    assert state_of(ReferenceConfig(topic="no-such-topic"), store)["buildable"] is False


def test_tabs_follow_a_build_and_a_run_waits_for_its_end(here: Path, store: Store, request_of) -> None:
    runner = Runner(store)
    config = ReferenceConfig(model=str(here), topic=TOPIC, device="cpu")
    build_id = runner.start_build(config)
    assert runner.building() == build_id and runner.running() is None
    with pytest.raises(Busy, match="A build is in progress"):
        runner.start(request_of())
    runner.stop_series(build_id)
    events = [event for batch in runner.follow_build(build_id) for event, _ in batch]
    assert isinstance(events[-1], Finished) and events[-1].status == "stopped" and runner.building() is None
    assert list(runner.follow_build("build-of-yesterday")) == []
