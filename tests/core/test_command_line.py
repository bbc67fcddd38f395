"""The headless command: pure JSON, exit statuses, one sentence for bad input, and a stop that still reports."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from unlearn_core.__main__ import main
from unlearn_core.events import TERMINAL, Loss, Measured
from unlearn_core.store import Store

pytestmark = pytest.mark.timeout(400)  # every process loads torch anew


def arguments(world: Path, *more: str, topic: str = "tiny-hats") -> list[str]:
    return ["run", "--model", str(world), "--topic", topic, "--method", "slow-noise", *more]


@pytest.fixture
def here(command, capsys: pytest.CaptureFixture[str]):
    """The same command without a process of its own: (exit status, standard output, standard error)."""
    def run(*more: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([*more, "--runs-dir", str(command.runs_dir)])
        return status, *capsys.readouterr()

    return run


def one_sentence(errors: str) -> str:
    """Standard error of a refusal: one line, no traceback."""
    lines = errors.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in errors, errors
    return lines[0]


def test_run_prints_one_json_document_and_keeps_it(command, world: Path) -> None:
    status, output, errors = command.run(*arguments(world, "--seed", "3", "--set", "scale=0.5", "--json"))
    summary = json.loads(output)
    assert status == 0 and summary["status"] == "done" and summary["seed"] == 3
    assert summary["config"]["settings"] == {"scale": 0.5}
    record = Store(command.runs_dir, recorded=None).find(summary["run_id"])
    assert record.summary == summary and record.status == "done"
    assert "Measure before" in errors and "Loading weights" not in errors
    assert summary["seconds"] > 0.5  # from the start of the process, imports included


def test_run_without_json_prints_a_table(here, world: Path) -> None:
    status, output, _ = here(*arguments(world))
    assert status == 0 and "forget" in output and "before" in output and not output.startswith("{")


def test_bad_input_ends_the_process_with_status_2(command, world: Path) -> None:
    status, output, errors = command.run(*arguments(world, "--set", "rank=-3", "--json"))
    assert status == 2 and output == "" and one_sentence(errors)


@pytest.mark.parametrize(("more", "word"), [
    (("--set", "rank=-3"), "'rank' cannot be -3"), (("--set", "rnk=3"), "rank"), (("--set", "rank"), "key=value"),
    (("--seed", "x"), "--seed cannot be 'x'"), (("--seed", "-1"), "--seed cannot be -1. It should be a whole number from 0 to"),
    (("--seed", "99999999999999"), "It should be a whole number from 0 to 2147483647. Leave it out"),
    (("--edit", "nothing"), "no run"), (("--dtype", "int8"), "int8"), (("--model", " "), "No model was named"),
    (("--model", "a b"), "no model folder 'a b'"), (("--model", "no/where"), "this model is none"),
    (("--method", "Slow"), "method"), (("--method", "slownoise"), "slow-noise"),
    (("--method", "GradDiff"), "There is no method 'GradDiff'. Did you mean gradient-difference? Known: unlearn,"),
    (("--device", "tpu"), "--device cannot be 'tpu'. It should be auto, cpu, cuda or mps. Leave it out"),
    (("--dtype", "int8"), "--dtype cannot be 'int8'. It should be auto, float32, bfloat16 or float16. Leave it out"),
])
def test_a_bad_argument_is_one_sentence(command, here, world: Path, more: tuple[str, ...], word: str) -> None:
    status, output, errors = here(*arguments(world, *more, "--json"))
    assert status == 2 and output == "" and word in one_sentence(errors)
    assert Store(command.runs_dir, recorded=None).runs() == []


@pytest.mark.parametrize("more", [("race", "--topic", "tiny-hats"), ("sequence", "--topics", "tiny-hats"), ("audit", "any")])
def test_every_command_names_both_bounds_of_the_seed(here, more: tuple[str, ...]) -> None:
    status, output, errors = here(*more, "--seed", "99999999999999")
    assert status == 2 and output == "" and "a whole number from 0 to 2147483647" in one_sentence(errors)


def test_a_device_that_is_not_there_is_one_sentence(command, here, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status, output, errors = here(*arguments(world, "--device", "cuda", "--json"))
    assert status == 2 and output == "" and "offers no cuda device" in one_sentence(errors)
    assert Store(command.runs_dir, recorded=None).runs() == []


def test_a_rank_below_one_says_what_why_and_what_to_do(here, world: Path) -> None:
    _, _, errors = here(*arguments(world, "--set", "rank=-3"))
    assert one_sentence(errors) == ("The setting 'rank' cannot be -3. It should be greater than or equal to 1. "
                                    "Leave it out for the default (2).")


@pytest.mark.parametrize(("name", "data", "word"), [
    ("columns.csv", b"frage,antwort\na,b\n", "columns"), ("empty.csv", b"", "empty"),
    ("binary.csv", bytes(range(256)), "binary"), ("line.csv", b"question,answer\n" + b"x" * 10**7 + b",y\n", "10 MB"),
    ("twice.csv", b"question,answer,id\na,b,1\nc,d,1\n", "twice"),
    ("latin.csv", b"question,answer\ncaf\xe9,b\n", "UTF-8"), ("header.csv", b"question,answer\n", "no rows"),
    ("kept.csv", b"question,answer,split\na,b,retain\n", "no question to forget"),
])
def test_a_bad_topic_file_is_one_sentence(command, here, world: Path, tmp_path: Path, name: str, data: bytes,
                                          word: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    status, output, errors = here(*arguments(world, "--json", topic=str(path)))
    assert status == 2 and output == "" and word in one_sentence(errors)
    assert Store(command.runs_dir, recorded=None).runs() == []


@pytest.mark.parametrize(("changes", "word"), [
    ({"num_hidden_layers": 3}, "9 tensors are missing"), ({"vocab_size": 300}, "(260, 32) where config.json asks for (300, 32)")])
def test_weights_that_do_not_fit_are_one_sentence_and_no_table(command, world: Path, tmp_path: Path, changes: dict,
                                                               word: str) -> None:
    shutil.copytree(world, tmp_path / "m")
    config = json.loads((world / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | changes))
    status, output, errors = command.run("evaluate", "--model", str(tmp_path / "m"), "--topic", "tiny-hats")
    assert status == 2 and output == "" and word in one_sentence(errors)


def test_tensors_left_out_are_told_in_every_result(command, here, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "m")
    config = json.loads((world / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    for more in (arguments(tmp_path / "m"), ["evaluate", "--model", str(tmp_path / "m"), "--topic", "tiny-hats"]):
        _, output, errors = here(*more, "--json")
        assert "9 tensors are left out" in " ".join(json.loads(output)["notices"]) and "9 tensors are left out" in errors


def test_a_summary_says_where_the_model_was_and_in_which_format(here, world: Path) -> None:
    summary = json.loads(here(*arguments(world, "--device", "auto", "--json"))[1])
    assert summary["config"]["dtype"] == "auto" and summary["dtype"] == "float32"
    assert summary["config"]["device"] == "auto" and summary["device"] == ("cuda:0" if torch.cuda.is_available() else "cpu")
    halves = json.loads(here(*arguments(world, "--device", "cpu", "--dtype", "bfloat16", "--json"))[1])
    assert (halves["device"], halves["dtype"]) == ("cpu", "bfloat16")


def test_evaluate_and_list_refuse_in_one_sentence(command, here, world: Path, tmp_path: Path) -> None:
    nothing = str(tmp_path / "nothing")
    for more, word in (
        (("evaluate", "--model", nothing, "--topic", "tiny-hats"), "no model folder"),
        (("evaluate", "--model", str(world), "--topic", "tiny-cats"), "Did you mean tiny-hats"),
        (("evaluate", "--model", str(world), "--topic", "tiny-hats", "--edit", "nothing"), "no run"),
        (("list", "topics", "--model", nothing), "no model folder"), (("list", "cats"), "'cats'"),
    ):
        status, output, errors = here(*more, "--json")
        assert status == 2 and output == "" and word in one_sentence(errors)
    assert not command.runs_dir.exists()


def test_a_bad_model_is_one_sentence(command, here, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}", encoding="utf-8")
    (pickled / "pytorch_model.bin").write_bytes(b"x")
    for folder in (tmp_path / "nothing", pickled):
        status, output, errors = here(*arguments(folder, "--json"))
        assert status == 2 and output == "" and one_sentence(errors)
    assert Store(command.runs_dir, recorded=None).runs() == []


def test_a_failed_run_prints_its_json(here, world: Path) -> None:
    status, output, errors = here(*arguments(world, "--set", "fault=raise", "--json"))
    summary = json.loads(output)
    assert status == 1 and summary["status"] == "failed" and "too loud" in summary["error"]["why"]
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_within_a_step_and_still_reports(command, world: Path, number: int) -> None:
    process = command.start(*arguments(world, "--set", "steps=10000", "--set", "pause=0.05", "--json"))
    store = Store(command.runs_dir, recorded=None)
    wait_until_unlearning(store)
    before = steps_done(store)
    process.send_signal(number)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert 0 < before <= steps_done(store) < before + 100  # of 10,000; the signal itself may come late to a busy machine
    summary = json.loads(output)
    assert summary["status"] == "stopped" == store.find(summary["run_id"]).status
    assert store.find(summary["run_id"]).edit_path is not None


def test_a_killed_run_is_interrupted_and_opens(command, world: Path) -> None:
    process = command.start(*arguments(world, "--set", "steps=10000", "--set", "pause=0.05"))
    store = Store(command.runs_dir, recorded=None)
    wait_until_unlearning(store)
    assert store.runs()[0].status == "running"
    process.kill()
    process.communicate(timeout=300)
    record = store.runs()[0]
    assert record.status == "interrupted" and record.summary is None
    events = [event for event, _ in store.events(record.run_id)]
    assert any(isinstance(event, Measured) for event in events)
    assert not any(isinstance(event, TERMINAL) for event in events)


def steps_done(store: Store) -> int:
    """The last training step that the only run has told of."""
    return max(event.step for event, _ in store.events(store.runs()[0].run_id) if isinstance(event, Loss))


def wait_until_unlearning(store: Store) -> None:
    end = time.monotonic() + 240
    while time.monotonic() < end:
        runs = store.runs()
        if runs and any(isinstance(event, Measured) and event.stage == "during"
                        for event, _ in store.events(runs[0].run_id)):
            return
        time.sleep(0.05)
    raise AssertionError("the run did not begin to unlearn")


def test_list_gives_objects_with_name_title_and_summary(here, world: Path) -> None:
    for what, more in (("methods", ()), ("models", ()), ("topics", ("--model", str(world)))):
        status, output, _ = here("list", what, *more, "--json")
        found = json.loads(output)
        assert status == 0 and found and all({"name", "title", "summary"} <= set(entry) for entry in found)
        if what == "methods":
            assert all({"paper", "family", "config_schema"} <= set(entry) for entry in found)


def test_evaluate_measures_a_run_again_with_the_same_numbers(here, world: Path) -> None:
    summary = json.loads(here(*arguments(world, "--json"))[1])
    status, output, _ = here("evaluate", "--model", str(world), "--topic", "tiny-hats", "--edit", summary["run_id"],
                                    "--json")
    found = json.loads(output)
    assert status == 0 and found["accuracy"] == summary["accuracy"] and found["removed"] == summary["removed"]
    assert found["conditions"] == summary["conditions"]
    assert set(found["instead"]) == set(found["consistency"]) == set(found["metrics"]) == {"before", "after"}
    assert sum(found["instead"]["after"]["counts"].values()) == len(found["instead"]["after"]["items"]) == 8
    assert found["metrics"]["after"]["unlearning_depth"]["value"] is None
    alone = json.loads(here("evaluate", "--model", str(world), "--topic", "tiny-hats", "--json")[1])
    assert set(alone["instead"]) == set(alone["consistency"]) == {"before"} and alone["conditions"] == []
    table = here("evaluate", "--model", str(world), "--topic", "tiny-hats", "--edit", summary["run_id"])[1]
    assert "answers to forget" in table and "the same answer when doubted" in table and "gibberish" in table
    assert alone["accuracy"]["forget"]["before"] == summary["accuracy"]["forget"]["before"]
    assert alone["accuracy"]["forget"]["after"] is None
