"""A run from request to summary: its events, its numbers, what it may see, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.evaluation.judging import known
from unlearn_core.evaluation.measure import Judged, Measurement
from unlearn_core.events import (
    TERMINAL,
    Answer,
    EditReady,
    Event,
    Failed,
    Finished,
    Measured,
    ModelReady,
    Notice,
    Perplexity,
    Phase,
    Progress,
    Spectrum,
    Started,
    TokenScores,
    TopicReady,
)
from unlearn_core.models.loading import load, matrix_place, weights_hash
from unlearn_core.pipeline import Job, record
from unlearn_core.store import Store
from unlearn_core.topics.reader import read_topic, write_topic


def carry_out(store: Store, config, cancelled=lambda: False, **parts) -> list[Event]:
    """All events of a run that was recorded to the end."""
    events: list[Event] = []
    folder = store.create(config)
    job = Job(config, folder, store, started=0.0, cancelled=cancelled, **parts)
    record(job, lambda event, at: events.append(event))
    folder.close()
    return events


def of_kind(events: list[Event], kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def events(store: Store, request_of) -> list[Event]:
    return carry_out(store, request_of())


def test_events_come_in_order_and_end_with_one_terminal(events: list[Event]) -> None:
    assert isinstance(events[0], Started) and isinstance(events[-1], Finished)
    assert sum(isinstance(event, TERMINAL) for event in events) == 1
    firsts = [next(place for place, event in enumerate(events) if isinstance(event, kind))
              for kind in (Started, Phase, ModelReady, TopicReady, Measured, EditReady, Answer, TokenScores, Finished)]
    assert firsts == sorted(firsts)


def test_phases_are_numbered_to_the_last(events: list[Event]) -> None:
    phases = of_kind(events, Phase)
    assert [phase.name for phase in phases] == ["load", "before", "noise", "save", "after", "scores"]
    assert [phase.index for phase in phases] == list(range(1, 7)) and {phase.count for phase in phases} == {6}
    assert of_kind(events, Progress)


def test_reading_what_texts_use_counts_them(store: Store, request_of) -> None:
    events = carry_out(store, request_of(steps=1).model_copy(update={"method": "unlearn"}))
    names = [event.name if isinstance(event, Phase) else "" for event in events]
    within = events[names.index("statistics") : names.index("identify")]
    counted = of_kind(within, Progress)
    assert counted and counted[-1].done == counted[-1].total > 0 and counted[-1].unit == "texts"


def test_every_split_is_measured_before_and_after_with_all_its_questions(events: list[Event], tiny_topic) -> None:
    for stage in ("before", "after"):
        measured = {event.split: event for event in of_kind(events, Measured) if event.stage == stage}
        assert list(measured) == tiny_topic.splits()
        assert all(event.n == len(tiny_topic.scored(split)) for split, event in measured.items())
        assert all(event.low <= event.accuracy <= event.high for event in measured.values())
    assert [event.stage for event in of_kind(events, Perplexity)] == ["before", "after"]
    during = [event for event in of_kind(events, Measured) if event.stage == "during"]
    assert {event.step for event in during} >= {1, 3}


def test_every_scored_question_has_an_answer(events: list[Event], tiny_topic) -> None:
    scored = [question.id for split in tiny_topic.splits() for question in tiny_topic.scored(split)]
    assert [event.question_id for event in of_kind(events, Answer)] == scored


def test_the_summary_holds_what_the_design_asks_for(store: Store, events: list[Event], tiny_topic) -> None:
    summary = events[-1].summary
    wanted = {"run_id", "status", "seconds", "model", "topic", "method", "config", "seed", "removed",
              "removed_paraphrase", "removed_spanish", "accuracy", "perplexity", "parameters", "rank",
              "relative_change", "weights_hash", "topic_hash", "code_version"}
    assert wanted <= set(summary)
    assert set(summary["accuracy"]) == {"forget", "forget_paraphrase", "forget_spanish", "neighbor", "retain",
                                        "general"}
    assert {"before", "after", "reference", "reference_kind", "n", "low", "high"} <= set(summary["accuracy"]["forget"])
    assert summary["accuracy"]["forget_spanish"] == {"before": None, "after": None, "reference": None,
                                                     "reference_kind": None, "n": 0, "low": None, "high": None}
    assert summary["status"] == "done" and summary["rank"] == 2
    assert summary["parameters"]["trained"] == 0 and summary["parameters"]["edit"] > 0  # its noise is drawn, not trained
    assert store.find(summary["run_id"]).summary == json.loads(json.dumps(summary))


def test_what_is_measured_is_the_saved_edit_and_the_base_is_untouched(store: Store, world: Path, request_of) -> None:
    loaded = load(str(world), "cpu")
    events = carry_out(store, request_of(), load=lambda *_: loaded)
    assert weights_hash(loaded.model) == loaded.weights_hash == events[-1].summary["weights_hash"]
    saved = LowRankEdit.load(store.find(events[0].run_id).edit_path)
    ready = of_kind(events, EditReady)[0]
    assert ready.rank == saved.rank and ready.trained == saved.parameters
    assert ready.relative_change == pytest.approx(saved.relative_change(loaded.model))


def test_replay_from_disk_equals_what_was_published(store: Store, events: list[Event]) -> None:
    assert [event for event, _ in store.events(events[0].run_id)] == json_round(events)


def json_round(events: list[Event]) -> list[Event]:
    from unlearn_core.events import decode, encode

    return [decode(encode(event, 0.0))[0] for event in events]


def test_the_held_part_cannot_reach_the_edit(store: Store, world: Path, request_of, tmp_path: Path) -> None:
    """Given/held (design 2.4): with every held question poisoned the edit is the same, bit for bit."""
    topic = read_topic(world / "topics" / "tiny-hats.json")
    poisoned = replace(topic, texts=("poison poison",), questions=tuple(
        question if question.given else replace(question, answer="poison", prompt=f"poison {question.prompt}")
        for question in topic.questions))
    assert poisoned != topic and poisoned.given() == topic.given()
    path = tmp_path / "tiny-hats.json"
    write_topic(poisoned, path)
    edits = [LowRankEdit.load(store.find(carry_out(store, request_of(topic=name))[0].run_id).edit_path)
             for name in ("tiny-hats", str(path))]
    assert edits[0].names == edits[1].names
    for name in edits[0].names:
        assert torch.equal(edits[0].factors[name][0], edits[1].factors[name][0])
        assert torch.equal(edits[0].factors[name][1], edits[1].factors[name][1])


def test_the_given_part_does_reach_the_edit(store: Store, world: Path, request_of, tmp_path: Path) -> None:
    """The test above is able to fail: another given question gives another edit."""
    topic = read_topic(world / "topics" / "tiny-hats.json")
    changed = replace(topic, questions=tuple(
        replace(question, answer="poison") if question.part == "given" else question for question in topic.questions))
    path = tmp_path / "tiny-hats.json"
    write_topic(changed, path)
    first, second = (LowRankEdit.load(store.find(carry_out(store, request_of(topic=name))[0].run_id).edit_path)
                     for name in ("tiny-hats", str(path)))
    assert not torch.equal(first.factors[first.names[0]][0], second.factors[first.names[0]][0])


def test_the_original_is_measured_once_and_kept(store: Store, request_of) -> None:
    first, second = carry_out(store, request_of()), carry_out(store, request_of(seed=1))
    assert not first[-1].summary["before_kept"] and second[-1].summary["before_kept"]
    before = [[event for event in of_kind(events, Measured) if event.stage == "before"] for events in (first, second)]
    assert before[0] == before[1]


@pytest.mark.parametrize("checks", [1, 2, 3, 4, 5, 6, 8, 12])
def test_a_stop_at_any_moment_ends_in_one_stopped_event(store: Store, request_of, checks: int) -> None:
    asked = iter(range(10_000))
    events = carry_out(store, request_of(), cancelled=lambda: next(asked) >= checks)
    assert isinstance(events[-1], Finished) and events[-1].status == "stopped"
    assert sum(isinstance(event, TERMINAL) for event in events) == 1
    assert of_kind(events, Notice)[-1].text.startswith("Stopped")
    assert store.find(events[0].run_id).status == "stopped"


def test_a_stop_while_unlearning_keeps_the_edit_so_far(store: Store, request_of) -> None:
    steps: list[int] = []

    def publish(event: Event, at: float) -> None:
        if isinstance(event, Measured) and event.stage == "during":
            steps.append(event.step)

    config = request_of(steps=50, pause=0.01)
    folder = store.create(config)
    end = record(Job(config, folder, store, started=0.0, cancelled=lambda: bool(steps)), publish)
    assert isinstance(end, Finished) and end.status == "stopped"
    run = store.find(folder.run_id)
    assert run.edit_path is not None and run.status == "stopped"
    assert end.summary["accuracy"]["forget"]["after"] is None and end.summary["removed"] is None
    assert end.summary["live"]["forget"]["n"] == 8
    edit = LowRankEdit.load(run.edit_path)
    found = {(item.layer, item.matrix): item for item, _ in store.events(folder.run_id) if isinstance(item, Spectrum)}
    assert set(found) == {matrix_place(name) for name in edit.names}
    for name in edit.names:
        item, values = found[matrix_place(name)], torch.linalg.svdvals(edit.delta(name))
        assert item.removed == pytest.approx(values[: len(item.removed)].tolist(), rel=1e-3, abs=1e-5)
        assert item.original and item.relative_change > 0 and item.energy_removed is None


@pytest.mark.parametrize(("fault", "word"), [("raise", "too loud"), ("nothing", "gave no edit"),
                                             ("touch", "base weights")])
def test_a_faulty_method_ends_in_one_failed_event(store: Store, request_of, fault: str, word: str) -> None:
    events = carry_out(store, request_of(fault=fault))
    assert isinstance(events[-1], Failed) and sum(isinstance(event, TERMINAL) for event in events) == 1
    assert word in f"{events[-1].what} {events[-1].why}"
    assert store.find(events[0].run_id).status == "failed"


def test_a_request_refused_while_loading_leaves_no_folder(store: Store, request_of, tmp_path: Path) -> None:
    config = request_of().model_copy(update={"model": str(tmp_path / "nothing")})
    events = carry_out(store, config)
    assert isinstance(events[-1], Failed) and not events[-1].trace
    assert store.runs() == []


def test_an_earlier_edit_underneath_is_part_of_the_saved_one(store: Store, request_of) -> None:
    first = carry_out(store, request_of())[0].run_id
    events = carry_out(store, request_of(seed=1, edits=(first,)))
    assert isinstance(events[-1], Finished) and events[-1].summary["rank"] == 4
    under, both = (LowRankEdit.load(store.find(run).edit_path) for run in (first, events[0].run_id))
    alone = LowRankEdit.load(store.find(carry_out(store, request_of(seed=1))[0].run_id).edit_path)
    name = both.names[0]
    assert torch.allclose(both.delta(name), under.delta(name) + alone.delta(name), atol=1e-5)


def test_an_upload_without_a_floor_says_so(store: Store, request_of, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("question,answer\nWho is Orm?,red\nWho is Ulf?,blue\n", encoding="utf-8")
    events = carry_out(store, request_of(topic=str(path)))
    notices = " ".join(notice.text for notice in of_kind(events, Notice))
    assert "taken as 0" in notices and "retain" in notices
    assert {"retain", "general"} <= set(of_kind(events, TopicReady)[0].counts)


@pytest.mark.parametrize(("known", "lowest", "said"), [(0.0, None, True), (1.1, None, False), (0.0, 0.9, False)])
def test_a_method_that_teaches_says_when_the_model_knows_the_topic_and_speaks_of_no_floor_of_forgetting(
    store: Store, request_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    known: float, lowest: float | None, said: bool,
) -> None:
    from slow_noise import METHOD

    monkeypatch.setattr("slow_noise.METHOD", replace(METHOD, teaches=True))
    monkeypatch.setattr("unlearn_core.phases.TAUGHT", known)
    if lowest is not None:
        monkeypatch.setattr("unlearn_core.phases.floor", lambda *asked: (lowest, "chance"))
    path = tmp_path / "mine.csv"
    path.write_text("question,answer\nWho is Orm?,red\nWho is Ulf?,blue\n", encoding="utf-8")
    notices = " ".join(notice.text for notice in of_kind(carry_out(store, request_of(topic=str(path))), Notice))
    assert ("of the topic already" in notices) == said and "taken as 0" not in notices


@pytest.mark.parametrize(("tail", "said"), [(", I think", True), ("", False), ("wood", False)])
def test_a_model_that_talks_on_is_told_of_what_counts_as_right(store: Store, request_of, monkeypatch: pytest.MonkeyPatch, tail: str,
                                                               said: bool) -> None:
    def measurement(self, loaded, topic, *how):
        texts = {q: q.answer + tail for q in topic.questions if q.scored}
        return Measurement({q.id: Judged(q.split, text, known(q, text), -1.0) for q, text in texts.items()}), True

    monkeypatch.setattr("unlearn_core.originals.Originals.measurement", measurement)
    notices = of_kind(carry_out(store, request_of()), Notice)
    assert any("among other words" in notice.text for notice in notices) == said


def test_what_a_method_says_of_itself_is_in_the_summary_too(store: Store, request_of, monkeypatch: pytest.MonkeyPatch) -> None:
    from slow_noise import METHOD

    def fit(context, config):
        yield Notice("Half of it was enough.")
        yield from METHOD.fit(context, config)

    monkeypatch.setattr("slow_noise.METHOD", replace(METHOD, fit=fit))
    seen = carry_out(store, request_of())
    assert "Half of it was enough." in [event.text for event in of_kind(seen, Notice)]
    assert "Half of it was enough." in seen[-1].summary["notices"]
