"""One worker, many followers: start, stop, follow, ask, and what happens when a second run is wanted."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest
from safetensors.torch import load_file, save_file

from unlearn_core.config import EvaluationConfig, RunConfig
from unlearn_core.errors import BadInput
from unlearn_core.events import (
    TERMINAL,
    Answer,
    Event,
    Failed,
    Finished,
    Measured,
    Progress,
    Started,
    TokenScores,
    decode,
    encode,
)
from unlearn_core.runner import Busy, Runner
from unlearn_core.store import Store


@pytest.fixture
def runner(store: Store) -> Iterator[Runner]:
    runner = Runner(store)
    yield runner
    if runner.running():
        runner.stop(runner.running())
        wait_for(lambda: runner.running() is None)


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def followed(runner: Runner, run_id: str) -> list[Event]:
    return [event for batch in runner.follow(run_id, every=0.02) for event, _ in batch]


def plain(events: list[Event]) -> list[Event]:
    return [decode(encode(event, 0.0))[0] for event in events]


def test_no_torch_before_the_first_work() -> None:
    """Importing the runner, its catalogue, a check and an upload load no torch."""
    code = ("import sys, tempfile\n"
            "from unlearn_core.runner import Runner\nfrom unlearn_core.store import Store\n"
            "from unlearn_core.config import RunConfig\n"
            "runner = Runner(Store(tempfile.mkdtemp()))\n"
            "assert runner.catalogue()['methods']\nrunner.check(RunConfig(topic='nothing'))\n"
            "runner.add_topic('a.csv', b'question,answer\\nq,a\\n')\nrunner.store.runs()\n"
            "heavy = [name for name in ('torch', 'transformers', 'peft', 'gradio', 'plotly') if name in sys.modules]\n"
            "sys.exit(', '.join(heavy) or 0)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_two_followers_see_the_same_and_so_does_the_disk(runner: Runner, request_of) -> None:
    run_id = runner.start(request_of(pause=0.05))
    seen: dict[int, list[Event]] = {}
    threads = [threading.Thread(target=lambda place=place: seen.__setitem__(place, followed(runner, run_id)))
               for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    late = followed(runner, run_id)
    assert seen[0] == seen[1] == late
    assert isinstance(late[0], Started) and isinstance(late[-1], Finished)
    assert sum(isinstance(event, TERMINAL) for event in late) == 1
    assert plain(late) == [event for event, _ in runner.store.events(run_id)] == followed(Runner(runner.store), run_id)


def test_a_saved_run_comes_in_one_batch(runner: Runner, request_of) -> None:
    run_id = runner.start(request_of())
    followed(runner, run_id)
    batches = list(Runner(runner.store).follow(run_id))
    assert len(batches) == 1 and isinstance(batches[0][-1][0], Finished)


def test_heartbeats_come_while_nothing_happens(runner: Runner, request_of) -> None:
    run_id = runner.start(request_of(pause=1.5, steps=2))
    batches = list(runner.follow(run_id, every=0.01))
    assert [] in batches


def test_a_second_start_says_who_is_running(runner: Runner, request_of) -> None:
    run_id = runner.start(request_of(steps=100, pause=0.1))
    with pytest.raises(Busy) as refused:
        runner.start(request_of(seed=1))
    assert refused.value.run_id == run_id == runner.running() and refused.value.since
    assert len(runner.store.runs()) == 1


def test_stop_leaves_a_partial_result(runner: Runner, request_of) -> None:
    run_id = runner.start(request_of(steps=1000, pause=0.05))
    for batch in runner.follow(run_id, every=0.02):
        if any(isinstance(event, Measured) and event.stage == "during" for event, _ in batch):
            asked = time.monotonic()
            runner.stop(run_id)
    assert time.monotonic() - asked < 10
    record = runner.store.find(run_id)
    assert record.status == "stopped" and record.edit_path is not None and runner.running() is None
    runner.start(request_of())  # the way is free at once


def test_a_stop_for_another_run_does_nothing(runner: Runner, request_of) -> None:
    run_id = runner.start(request_of(pause=0.05))
    runner.stop("some-other-run")
    assert isinstance(followed(runner, run_id)[-1], Finished)
    assert runner.store.find(run_id).status == "done"


def test_an_unknown_run_cannot_be_followed(runner: Runner) -> None:
    with pytest.raises(BadInput, match="no run"):
        list(runner.follow("nothing"))


def test_bad_requests_are_refused_before_anything_starts(runner: Runner, world: Path, request_of) -> None:
    topic_file = str(world / "topics" / "tiny-hats.json")
    for config, field in [(request_of(rank=-3), "rank"), (request_of(topic="tiny-hat"), "topic"),
                          (request_of().model_copy(update={"method": "slow-nose"}), "method"),
                          (request_of(topic=topic_file).model_copy(update={"model": "./nowhere"}), "model"),
                          (request_of(edits=("nothing",)), "edits")]:
        assert list(runner.check(config)) == [field]
        with pytest.raises(BadInput):
            runner.start(config)
    for model in ("~nobody/model", "/" + "x" * 5000):
        assert list(runner.check(request_of(topic=topic_file).model_copy(update={"model": model}))) == ["model"]
    assert runner.store.runs() == [] and runner.running() is None
    assert runner.check(request_of()) == {}


def test_a_refusal_while_loading_reaches_the_follower(runner: Runner, world: Path, tmp_path: Path) -> None:
    """What only the worker finds out about a model is a card for the follower, and leaves no run behind."""
    folder = shutil.copytree(world, tmp_path / "world")
    (folder / "config.json").write_text('{"model_type": "nonsense"}', encoding="utf-8")
    run_id = runner.start(RunConfig(model=str(folder), topic="tiny-hats", method="slow-noise"))
    events = followed(runner, run_id)
    assert isinstance(events[-1], Failed) and "config.json" in events[-1].why and not events[-1].trace
    assert runner.store.runs() == [] and runner.running() is None


def test_ask_streams_both_answers_to_the_end(runner: Runner, request_of) -> None:
    run_id = runner.start(request_of(scale=2.0))
    followed(runner, run_id)
    updates = list(runner.ask(run_id, "Ada hat?", max_tokens=5))
    assert updates[0].waiting is not None and updates[-1].done and "cpu" in updates[-1].device
    assert sum(update.done for update in updates) == 1
    same = list(runner.ask(run_id, "Ada hat?", strength=0.0, max_tokens=5))[-1]
    assert same.original == same.edited == updates[-1].original
    assert updates[-1].edited != updates[-1].original


def test_ask_waits_for_a_run_and_can_be_stopped_while_waiting(runner: Runner, request_of) -> None:
    first = runner.start(request_of())
    followed(runner, first)
    runner.start(request_of(seed=1, steps=1000, pause=0.05))
    answers = runner.ask(first, "Ada hat?")
    assert next(answers).waiting == 1 == runner.wait_position() - 1
    update = next(answers)
    assert update.waiting == 1 and not update.done
    runner.stop_ask(update.token)
    assert list(answers)[-1].done


@pytest.mark.parametrize("stopped", [False, True])
def test_a_reader_slower_than_the_model_sees_the_newest_only(runner: Runner, request_of, stopped: bool) -> None:
    run_id = runner.start(request_of())
    followed(runner, run_id)
    whole = list(runner.ask(run_id, "Ada hat?", max_tokens=100, temperature=1.0))[-1]
    seen = []
    for update in runner.ask(run_id, "Ada hat?", max_tokens=100, temperature=1.0):
        if update.waiting is None:
            seen.append(update)
            wait_for(lambda: runner.wait_position() == 0)  # the model is done, the reader is not
            if stopped:
                runner.stop_ask(update.token)
    assert 1 <= len(seen) <= 2 and seen[-1].done
    assert (seen[-1].original, seen[-1].edited) == (whole.original, whole.edited)


def test_closing_an_answer_frees_the_model(runner: Runner, request_of) -> None:
    run_id = runner.start(request_of())
    followed(runner, run_id)
    answers = runner.ask(run_id, "Ada hat?", max_tokens=10_000)
    next(answer for answer in answers if answer.waiting is None)
    answers.close()
    wait_for(lambda: runner.wait_position() == 0)


def test_ask_refuses_in_words(runner: Runner, request_of) -> None:
    run_id = runner.start(request_of(fault="nothing"))
    followed(runner, run_id)
    with pytest.raises(BadInput, match="no edit"):
        next(runner.ask(run_id, "Ada hat?"))
    with pytest.raises(BadInput, match="no run"):
        next(runner.ask("nothing", "Ada hat?"))


def test_rescore_gives_progress_and_then_the_cards(runner: Runner, request_of, tiny_topic) -> None:
    run_id = runner.start(request_of())
    summary = followed(runner, run_id)[-1].summary
    *progress, found = runner.rescore(run_id, 1.0, everything=True)
    assert all(isinstance(item, Progress) for item in progress) and progress
    assert {split: row["accuracy"] for split, row in found["accuracy"].items()} == {
        split: row["after"] for split, row in summary["accuracy"].items() if row["n"]}
    sample = list(runner.rescore(run_id, 0.0, everything=False))[-1]
    assert sample["strength"] == 0.0 and sample["accuracy"]["neighbor"]["n"] == len(tiny_topic.scored("neighbor"))
    assert runner.store.find(run_id).summary["accuracy"] == summary["accuracy"]


def test_heat_gives_scores_in_the_order_asked_for(runner: Runner, request_of) -> None:
    run_id = runner.start(request_of())
    followed(runner, run_id)
    scores = runner.heat(run_id, ["retain-1", "forget-0", "no-such-question"], 0.0)
    assert [item.question_id for item in scores] == ["retain-1", "forget-0"]
    assert all(isinstance(item, TokenScores) and item.original == pytest.approx(item.edited) for item in scores)


def test_answers_at_another_strength_are_judged_anew(runner: Runner, request_of) -> None:
    run_id = runner.start(request_of())
    known = {event.question_id: event for event in followed(runner, run_id) if isinstance(event, Answer)}
    asked = ["retain-1", "forget-0", "no-such-question"]
    assert runner.answers(run_id, asked, 1.0) == [replace(known[name], edited_logprob=ANY) for name in asked[:2]]
    for answer in runner.answers(run_id, asked, 0.0):
        was = known[answer.question_id]
        assert (answer.original, answer.edited, answer.edited_ok) == (was.original, was.original, was.original_ok)
        assert answer.outcome in ("unchanged", "kept", "leaked")


def test_a_run_of_a_rebuilt_model_is_refused_in_words(store: Store, world: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(world, tmp_path / "world")
    runner = Runner(store)
    run_id = runner.start(RunConfig(model=str(folder), topic="tiny-hats", method="slow-noise", device="cpu"))
    followed(runner, run_id)
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor * 1.01 for name, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match="other weights"):
        list(runner.ask(run_id, "Ada hat?"))


def test_an_upload_becomes_a_topic_with_a_preview(runner: Runner, request_of) -> None:
    data = b"question,answer,split\nWho is Orm?,red,forget\nWho is Ulf?,blue,retain\n"
    preview = runner.add_topic("My list.csv", data)
    assert preview["name"] == "my-list" and preview["counts"] == {"forget": 1, "retain": 1}
    assert preview["written"] == {"forget": 1, "retain": 1} and preview["shown"] == {"forget": 1}
    assert [row["answer"] for row in preview["rows"]] == ["red", "blue"] and "general" in preview["notices"][0]
    assert runner.add_topic("My list.csv", data)["name"] == "my-list"
    assert runner.add_topic("My list.csv", data.replace(b"red", b"pink"))["title"] == "My list (2)"
    names = [topic["name"] for topic in runner.catalogue(request_of().model)["topics"]]
    assert names[0] == "tiny-hats" and set(names) == {"tiny-hats", "my-list", "my-list-2"}
    run_id = runner.start(request_of(topic="my-list"))
    assert isinstance(followed(runner, run_id)[-1], Finished)


def test_a_run_of_another_process_is_followed_as_it_grows(runner: Runner, command, request_of) -> None:
    process = command.start("run", "--model", request_of().model, "--topic", "tiny-hats", "--method", "slow-noise",
                            "--set", "pause=0.5", "--json")
    wait_for(lambda: runner.store.runs() and runner.store.runs()[0].status == "running", 240)
    events = followed(runner, runner.store.runs()[0].run_id)
    assert isinstance(events[-1], Finished)
    process.communicate(timeout=300)


def test_a_model_and_an_edit_are_measured_without_a_run(taught_world: Path, store: Store) -> None:
    runner, config = Runner(store), EvaluationConfig(model=str(taught_world), topic="tiny-hats", device="cpu")
    assert runner.kept_evaluation(config) is None
    *_, body = runner.evaluate(config)
    assert body["metrics"].keys() == {"before"} and body["metrics"]["before"]["probability"]["value"] > 0.9
    assert runner.kept_evaluation(config) == body and store.runs() == []
    with pytest.raises(BadInput, match="no topic"):
        next(runner.evaluate(config.model_copy(update={"topic": "nothing"})))
    with pytest.raises(BadInput, match="no run"):
        next(runner.evaluate(config.model_copy(update={"edits": ("nothing",)})))
