"""Several methods on one topic: who may take part, rows, equal damage, the divergence that it rests on, the command."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unlearn_core import damage, race
from unlearn_core.__main__ import _parser, _race_request, main
from unlearn_core.config import BUDGET, RaceConfig, RunConfig
from unlearn_core.edits.attach import attached
from unlearn_core.edits.edit import Edit
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.edits.prompt import PromptEdit
from unlearn_core.errors import BadInput, LetheError
from unlearn_core.evaluation.divergence import Gauge, kept_text, kl_to_original, meter
from unlearn_core.evaluation.recall import Recall
from unlearn_core.evaluation.references import Reference, topic_hash, write_reference
from unlearn_core.events import (
    TERMINAL,
    Event,
    Finished,
    LaneBegun,
    LaneEnded,
    Loss,
    Measured,
    RaceStarted,
    Spectrum,
    Started,
)
from unlearn_core.methods import METHODS, Context, Method, Snapshot, Stage, find_method, settings_of
from unlearn_core.models.loading import LoadedModel
from unlearn_core.preflight import own_settings
from unlearn_core.runner import Busy, Runner
from unlearn_core.store import Store
from unlearn_core.topics.catalogue import find_topic
from unlearn_core.topics.topic import Topic
from unlearn_core.training import encode_rows, score

BASE = RaceConfig(topic="tiny-hats", seed=5)


def lanes(*names: str, **more: Any) -> list[RunConfig]:
    return race.lanes(BASE.model_copy(update={"methods": names, **more}))


# who takes part


def test_all_methods_that_unlearn_take_part_where_none_is_named() -> None:
    configs = lanes()
    assert [config.method for config in configs] == [name for name in METHODS if name != "learn"]
    assert [config.method for config in lanes("learn", "unlearn")] == ["learn", "unlearn"]
    assert all(config.seed == 5 and config.settings == {} for config in configs)


def test_a_setting_reaches_its_own_method_alone() -> None:
    pairs = [("unlearn.steps", 3), ("task-vector.scale", 2.0)]
    configs = lanes("task-vector", "unlearn", settings=own_settings(pairs, "method", "unlearn.steps=30", find_method))
    assert [(config.method, config.settings) for config in configs] == [
        ("task-vector", {"scale": 2.0}), ("unlearn", {"steps": 3})]


@pytest.mark.parametrize(("names", "settings", "word"), [
    (["unlern"], [], "Did you mean unlearn"), (["unlearn", "unlearn"], [], "named twice"),
    (["unlearn"], [("steps", 3)], "method.key=value"), (["unlearn"], [("task-vector.steps", 3)], "takes no part"),
    (["unlearn"], [("unlearn.", 3)], "method.key=value"), (["unlearn"], [("unlern.steps", 3)], "Did you mean unlearn"),
])
def test_a_name_that_cannot_be_meant_is_refused(names: list[str], settings: list, word: str) -> None:
    with pytest.raises(BadInput) as caught:
        lanes(*names, settings=own_settings(settings, "method", "unlearn.steps=30", find_method))
    assert word in str(caught.value)


def test_a_method_that_cannot_run_is_left_out_with_the_reason(store: Store, world: Path) -> None:
    asked = RaceConfig(model=str(world), topic="tiny-hats", methods=("task-vector", "slow-noise"),
                       settings={"slow-noise": {"rank": -3}})
    able, unable = race.field_of(asked, store)
    assert [config.method for config in able] == ["task-vector"]
    assert list(unable) == ["slow-noise"] and "cannot be -3" in str(unable["slow-noise"])
    for wrong in ({"methods": ("slow-noise",)}, {"topic": "tiny-cats"}, {"model": "no/where"}, {"mode": "defaults", "budget": 1.0}):
        with pytest.raises(BadInput):
            race.field_of(asked.model_copy(update=wrong), store)


def test_a_method_without_the_model_it_rests_on_is_left_out_unless_kept_scores_stand_for_it(
    store: Store, world: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "scored"
    shutil.copytree(world, folder)
    asked = RaceConfig(model=str(folder), topic="tiny-hats", methods=("task-vector", "sisa", "retrain"))
    able, unable = race.field_of(asked, store)
    assert [config.method for config in able] == ["task-vector"] and list(unable) == ["sisa", "retrain"]
    assert "never saw the hats is not at hand" in str(unable["sisa"])
    topic = find_topic("tiny-hats", folder)
    write_reference(folder, topic, Reference("w" * 64, topic_hash(topic), "1", {"forget": 0.25}, {"forget": "retrained"}, {},
                                            {"forget": 8}, 12.5))  # fmt: skip
    able, unable = race.field_of(asked, store)
    assert [config.method for config in able] == ["task-vector", "retrain"] and list(unable) == ["sisa"]


def test_the_command_of_a_race_asks_for_the_same_race() -> None:
    asked = RaceConfig(model="a model", topic="book-series", methods=("unlearn", "npo"), mode="equal-damage", budget=0.05,
                       settings={"npo": {"steps": 3}}, seed=2, device="cpu")
    words = shlex.split(asked.command())
    assert words[:4] == ["python", "-m", "unlearn_core", "race"]
    assert _race_request(_parser().parse_args(words[3:])) == asked


def test_a_budget_belongs_to_equal_damage_and_has_bounds() -> None:
    assert race.budget_of("defaults", None) is None
    assert race.budget_of("equal-damage", None) == BUDGET and race.budget_of("equal-damage", 0.5) == 0.5
    for mode, budget in (("defaults", 0.1), ("equal-damage", 0.0), ("equal-damage", -1.0), ("equal-damage", 11.0),
                         ("equal-damage", float("nan"))):
        with pytest.raises(BadInput):
            race.budget_of(mode, budget)


# rows


def summary_of(status: str = "done") -> dict:
    cell = {"before": 1.0, "after": 0.25, "reference": 0.0, "reference_kind": "retrained", "n": 8}
    return {"run_id": "r1", "status": status, "topic": "tiny-hats", "accuracy": {"forget": cell, "retain": cell},
            "perplexity": {"before": 2.0, "after": 3.0}, "seconds": 1.5, "parameters": {"trained": 40}, "removed": 0.75,
            "removed_paraphrase": None, "removed_spanish": None, "rank": 2, "relative_change": 0.1}


def test_a_failure_costs_its_own_row_only_and_a_stop_ends_the_race() -> None:
    configs = lanes("unlearn", "task-vector", "gradient-difference")
    begun: list[str] = []

    def run(config: RunConfig) -> dict:
        begun.append(config.method)
        if config.method == "unlearn":
            raise LetheError("It broke.", "A reason.", "A remedy.")
        return race.row_of(config, summary_of(), 0.01)

    found = list(race.rows(configs, run, lambda: len(begun) == 2))
    assert begun == ["unlearn", "task-vector"]
    assert [row["status"] for row in found] == ["failed", "done"]
    assert found[0]["error"] == {"what": "It broke.", "why": "A reason.", "remedy": "A remedy."}
    assert found[0].keys() | {"damage"} == found[1].keys() and found[1]["error"] is None
    body = race.document(configs, "defaults", None, found, summary_of(), 2.0)
    assert body["status"] == "stopped" and len(body["methods"]) == 3
    assert race.document(configs[:2], "defaults", None, found, summary_of(), 2.0)["status"] == "done"


def test_the_table_says_every_number_and_every_reason() -> None:
    configs = lanes("unlearn", "task-vector")
    row = race.row_of(configs[0], summary_of(), 0.0123)
    row["damage"] = {"how": "scaled", "words": "scaled to 0.5 of its strength", "kl": 0.0199}
    bad = race.failed_row(configs[1], LetheError("It broke."))
    text = race.table(race.document(configs, "equal-damage", 0.02, [row, bad], summary_of(), 2.0))
    head, original, floor, first, second = text.splitlines()[2:]
    assert head.split()[:3] == ["forget", "retain", "removed"] and original.split()[:3] == ["original", "1.000", "1.000"]
    assert floor.split() == ["floor", "0.000", "0.000"]
    assert first.split()[:12] == ["unlearn", "0.250", "0.250", "0.750", "n/a", "n/a", "3.00", "1.5", "40", "2", "0.100",
                                  "0.0123"]
    assert "r1" in first and "scaled to 0.5" in first and "It broke." in second and "0.02 nats" in text


def test_a_race_that_measured_nothing_still_has_a_document_and_a_table() -> None:
    configs = lanes("unlearn")
    body = race.document(configs, "defaults", None, [], None, 0.1)
    assert body["status"] == "stopped" and body["rows"] == [] and "stopped" in race.table(json.loads(json.dumps(body)))


# the divergence


def numpy_divergence(loaded: LoadedModel, edit: LowRankEdit, topic: Topic) -> float:
    """Row by row, so without any padding."""
    each: list[float] = []
    for row in encode_rows(loaded, kept_text(topic.given())):
        with torch.no_grad():
            first = score(loaded, [row]).logits.double().numpy()
            with attached(loaded.model, edit):
                last = score(loaded, [row]).logits.double().numpy()
        p, q = (part - np.log(np.exp(part).sum(axis=1, keepdims=True)) for part in (first, last))
        each += list((np.exp(p) * (p - q)).sum(axis=1))
    return float(np.mean(each))


def test_divergence_is_the_mean_over_answer_tokens_and_padding_adds_nothing(tiny, tiny_topic, noise) -> None:
    assert len({len(row.ids) for row in encode_rows(tiny, kept_text(tiny_topic.given()))}) > 1  # mixed lengths
    found = kl_to_original(tiny, noise, kept_text(tiny_topic.given()))
    assert found == pytest.approx(numpy_divergence(tiny, noise, tiny_topic), rel=1e-4) and found > 0.01


def test_divergence_vanishes_without_an_edit_and_is_none_without_text_or_once_stopped(tiny, tiny_topic, noise) -> None:
    questions = kept_text(tiny_topic.given())
    assert kl_to_original(tiny, None, questions) == pytest.approx(0.0, abs=1e-6)
    assert kl_to_original(tiny, noise, ()) is None
    assert kl_to_original(tiny, noise, questions, lambda: True) is None


def test_the_gauge_reads_the_same_and_what_is_active_on_the_model(tiny, tiny_topic, noise) -> None:
    questions = kept_text(tiny_topic.given())
    gauge = Gauge(tiny, questions)
    assert gauge and not Gauge(tiny, ())
    assert gauge.read() == pytest.approx(0.0, abs=1e-6)
    assert gauge.of(noise) == pytest.approx(kl_to_original(tiny, noise, questions), rel=1e-4)
    context = PromptEdit((("Ada hat?", "green"),))
    assert gauge.of(context) == pytest.approx(kl_to_original(tiny, context, questions), rel=1e-4) and gauge.of(context) > 0.01
    half = gauge.of(noise, 0.5)
    with attached(tiny.model, noise, 0.5):
        assert gauge.read() == pytest.approx(half) and half < gauge.of(noise)


@pytest.fixture
def noise(tiny: LoadedModel) -> LowRankEdit:
    from tiny_models import random_edit

    return random_edit(tiny, scale=0.1)


# equal damage


def test_the_largest_strength_within_a_budget_is_found() -> None:
    assert damage.largest_within(lambda strength: strength**2, 0.25) == pytest.approx(0.5, abs=2**-11)  # halving meets it
    assert 0 <= 0.3**0.5 - damage.largest_within(lambda strength: strength**2, 0.3) < 2**-damage.HALVINGS
    assert damage.largest_within(lambda strength: 5.0, 0.25) == 0.0
    assert damage.largest_within(lambda strength: float("nan"), 0.25) == 0.0


def limited(loaded: LoadedModel, topic: Topic, name: str, budget: float, stop: Callable[[list], bool] = lambda items: False,
            **settings: object) -> tuple[list, list[damage.Ending]]:
    """Everything that a method under a budget yields, and how it ended."""
    endings: list[damage.Ending] = []
    method = damage.within_budget(find_method(name), budget, endings.append)
    items: list = []
    context = Context(loaded, topic.given(), 0, lambda: stop(items))
    for item in method.fit(context, settings_of(method, settings)):
        items.append(item)
    assert [item.name for item in items if isinstance(item, Stage)] == [
        name for name, _ in method.stages if name in {item.name for item in items if isinstance(item, Stage)}]
    return items, endings


def last_edit(items: list) -> LowRankEdit:
    return [item for item in items if isinstance(item, LowRankEdit)][-1]


def test_a_method_beyond_the_budget_runs_to_its_end_and_the_better_way_back_is_taken(taught, tiny_topic) -> None:
    items, endings = limited(taught, tiny_topic, "gradient-difference", 0.02, retain_weight=0.0)
    total = find_method("gradient-difference").config().steps
    assert [item.step for item in items if isinstance(item, Loss)][-1] == total
    given, gauge = tiny_topic.given(), Gauge(taught, kept_text(tiny_topic.given()))
    recall = Recall(taught, given.forget)
    within = [item for item in items if isinstance(item, Snapshot) and gauge.of(item.edit) <= 0.02]
    final, taken = (item for item in items if isinstance(item, LowRankEdit))
    scaled = final.scaled(damage.largest_within(lambda strength: gauge.of(final, strength), 0.02))
    assert within and gauge.of(final) > 0.02 >= gauge.of(taken)
    assert recall.of(taken) == pytest.approx(min(recall.of(within[-1].edit), recall.of(scaled)), rel=1e-3)
    assert (endings[0].how == "step") == (taken is within[-1].edit)
    assert endings[0].divergence == pytest.approx(gauge.of(taken))
    assert len([item for item in items if isinstance(item, Spectrum)]) == 2 * len(taken.names)


class Scripted:
    """A gauge and a recall that read a number off the edit itself."""

    def __init__(self, budget: float, step: PromptEdit | None = None) -> None:
        self.watch = damage.Watch(self, budget, 3, 9, step)

    def of(self, edit: Any, strength: float = 1.0) -> float:
        return edit.divergence * strength


@dataclass
class Thing:
    divergence: float
    known: float

    def scaled(self, strength: float) -> Thing:
        return Thing(self.divergence * strength, 1 - (1 - self.known) * strength)


class Known:
    def of(self, edit: Thing) -> float:
        return edit.known


@pytest.mark.parametrize(("final", "step", "how", "known"), [
    (Thing(0.01, 0.0), Thing(0.001, 0.0), "whole", 0.0),  # forgot first, repaired later: an early step beyond is no matter
    (Thing(0.2, 0.0), Thing(0.1, 0.4), "step", 0.4),  # scaled by half it would still know half
    (Thing(0.2, 0.0), Thing(0.1, 0.6), "scaled", 0.5),
    (Thing(0.2, 0.0), Thing(0.1, 0.5), "step", 0.5),  # what the method itself was comes before what it never was
    (Thing(0.2, 0.0), None, "scaled", 0.5),
    (Thing(float("nan"), float("nan")), Thing(0.1, 0.9), "step", 0.9),
])
def test_of_two_ways_back_the_one_that_forgets_more_is_taken(final, step, how, known) -> None:
    gauge = Scripted(0.1, step)
    edit, ending = damage.settle(gauge.watch, final, gauge.of, Known())
    assert ending.how == how and edit.known == pytest.approx(known, abs=1e-3)
    assert not ending.divergence > 0.1


def test_a_step_that_only_the_sample_found_within_is_scaled_too_before_the_two_are_compared() -> None:
    gauge = Scripted(0.1, Thing(0.125, 0.2))  # scaled to 0.8 of its strength it would know 0.36, the final edit 0.5
    edit, ending = damage.settle(gauge.watch, Thing(0.2, 0.0), gauge.of, Known())
    assert ending.how == "step" and edit.known == pytest.approx(0.36, abs=4e-3) and 0.0985 < ending.divergence <= 0.1
    assert re.fullmatch(r"taken at step 3 of 9, scaled to 0\.79\d of its strength", ending.words)


def test_what_is_taken_is_judged_on_all_text_to_keep_and_not_on_the_sample(taught, tiny_topic, monkeypatch) -> None:
    monkeypatch.setattr("unlearn_core.evaluation.divergence.Gauge",
                        lambda loaded, questions, size=1: Gauge(loaded, questions, size))  # fmt: skip
    items, endings = limited(taught, tiny_topic, "slow-noise", 0.02, steps=1)
    kept = kept_text(tiny_topic.given())
    taken, few = kl_to_original(taught, last_edit(items), kept), Gauge(taught, kept, size=1).of(last_edit(items))
    assert endings[0].how == "scaled" and endings[0].divergence == pytest.approx(taken) and 0.0195 < taken <= 0.02
    assert abs(few - taken) > 0.001  # one question would have said something else


def test_a_meter_reads_alike_whether_the_original_is_held_or_not_and_nothing_once_stopped(
    tiny, tiny_topic, noise, monkeypatch
) -> None:
    questions, stopped = kept_text(tiny_topic.given()), []
    held = meter(tiny, questions, lambda: bool(stopped))
    monkeypatch.setattr("unlearn_core.evaluation.divergence.HELD", 0)
    anew = meter(tiny, questions, lambda: bool(stopped))
    for strength in (1.0, 0.3):
        wanted = kl_to_original(tiny, noise.scaled(strength), questions)
        assert held(noise, strength) == pytest.approx(wanted, rel=1e-4) and anew(noise, strength) == pytest.approx(wanted, rel=1e-4)
    stopped.append(True)
    assert math.isnan(held(noise, 1.0)) and math.isnan(anew(noise, 1.0)) and math.isnan(meter(tiny, ())(noise, 1.0))


def test_a_race_on_a_device_that_is_not_there_is_refused_before_anything_is_kept(command, here, world: Path) -> None:
    absent = "cuda" if torch.backends.mps.is_available() else "mps"  # no machine has both
    status, output, errors = here(*arguments(world, "slow-noise", "--device", absent))
    assert status == 2 and absent in errors and "Traceback" not in errors and not output
    assert not (command.runs_dir / "races").exists()


def test_recall_is_the_mean_probability_a_token_of_given_answers(taught, tiny_topic) -> None:
    from tiny_models import random_edit

    noise = random_edit(taught, scale=0.3)
    questions, each = tiny_topic.given().forget, []
    for row in encode_rows(taught, questions):  # row by row, so without any padding
        with torch.no_grad(), attached(taught.model, noise):
            logits = score(taught, [row]).logits.double().numpy()
        logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        each.append(np.exp(np.mean([logprobs[place, token] for place, token in enumerate(row.ids[row.start:])])))
    recall = Recall(taught, questions)
    assert recall.of(noise) == pytest.approx(np.mean(each), rel=1e-4)
    assert recall.of(noise, 0.0) > recall.of(noise) + 0.05 and Recall(taught, ()).of(noise) == 0.0


@pytest.mark.parametrize(("name", "settings"), [("eul", {"epochs": 60}), ("icul", {}), ("whp-decoding", {})])
def test_edits_of_every_kind_are_kept_to_the_budget(taught, tiny_topic, name, settings) -> None:
    items, endings = limited(taught, tiny_topic, name, 1e-3, **settings)
    edit = [item for item in items if isinstance(item, Edit)][-1]
    assert endings and Gauge(taught, kept_text(tiny_topic.given())).of(edit) <= 1e-3
    assert not [item for item in items if isinstance(item, Spectrum)]


@pytest.mark.parametrize(("name", "settings"), [("slow-noise", {"steps": 1}), ("task-vector", {"scale": 3.0})])
def test_a_method_that_shows_no_edit_is_scaled_down_to_the_budget(taught, tiny_topic, name, settings) -> None:
    items, endings = limited(taught, tiny_topic, name, 0.02, **settings)
    gauge = Gauge(taught, kept_text(tiny_topic.given()))
    whole = next(item for item in items if isinstance(item, LowRankEdit))
    assert gauge.of(whole) > 0.02
    assert endings[0].how == "scaled" and 0.015 < gauge.of(last_edit(items)) <= 0.02
    assert endings[0].divergence == pytest.approx(gauge.of(last_edit(items)))


def test_a_method_within_the_budget_runs_to_its_end(taught, tiny_topic) -> None:
    alone = list(find_method("slow-noise").fit(Context(taught, tiny_topic.given(), 0),
                                               settings_of(find_method("slow-noise"), {"scale": 0.01})))
    items, endings = limited(taught, tiny_topic, "slow-noise", 10.0, scale=0.01)
    assert endings[0].how == "whole"
    assert [item for item in items if isinstance(item, Loss)] == [item for item in alone if isinstance(item, Loss)]
    assert torch.equal(last_edit(items).delta(last_edit(items).names[0]), last_edit(alone).delta(last_edit(alone).names[0]))


def test_a_stop_by_a_person_is_no_ending_at_the_budget(taught, tiny_topic) -> None:
    items, endings = limited(taught, tiny_topic, "gradient-difference", 10.0,
                             stop=lambda items: sum(isinstance(item, Loss) for item in items) >= 2)
    assert not endings and last_edit(items).relative_change(taught.model) > 0


def test_without_anything_to_keep_a_budget_is_not_measured(taught, tiny_topic) -> None:
    from dataclasses import replace

    alone = replace(tiny_topic, questions=tuple(q for q in tiny_topic.questions if q.split == "forget"))
    items, endings = limited(taught, alone, "slow-noise", 0.001)
    assert not endings and "cannot be measured" in items[0].text and len(items) > 3


def test_the_method_itself_stays_as_it_was() -> None:
    method = find_method("unlearn")
    around = damage.within_budget(method, 0.1, lambda ending: None)
    assert isinstance(around, Method) and find_method("unlearn") is method and around.fit is not method.fit


# the command


@pytest.fixture
def here(command, capsys: pytest.CaptureFixture[str]):
    def run(*more: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["race", *more, "--runs-dir", str(command.runs_dir)])
        return status, *capsys.readouterr()

    return run


def arguments(world: Path, methods: str, *more: str) -> list[str]:
    return ["--model", str(world), "--topic", "tiny-hats", "--methods", methods, "--device", "cpu", *more]


def test_every_method_is_a_run_that_opens(command, here, world: Path) -> None:
    status, output, errors = here(*arguments(world, "slow-noise,task-vector", "--set", "task-vector.steps=3",
                                             "--seed", "4", "--json"))
    body, store = json.loads(output), Store(command.runs_dir, recorded=None)
    assert status == 0 and body["status"] == "done" and body["mode"] == "defaults" and body["budget"] is None
    assert [row["method"] for row in body["rows"]] == body["methods"] == ["slow-noise", "task-vector"]
    for row in body["rows"]:
        summary = store.find(row["run_id"]).summary
        assert summary["status"] == row["status"] == "done" and summary["seed"] == 4 and summary["before_kept"]
        assert row["accuracy"] == {split: cell["after"] for split, cell in summary["accuracy"].items()}
        assert (row["trained"], row["rank"], row["removed"]) == (
            summary["parameters"]["trained"], summary["rank"], summary["removed"])
        assert row["kl"] > 0 and row["unlearning_seconds"] >= 0 and row["damage"] is None
    assert store.find(body["rows"][1]["run_id"]).config.settings == {"steps": 3}
    assert body["original"]["accuracy"]["forget"]["n"] == 8
    assert "slow-noise" in errors and "task-vector" in errors and "Measure after" in errors


def test_equal_damage_keeps_every_saved_edit_within_the_budget(command, here, world: Path) -> None:
    status, output, _ = here(*arguments(world, "slow-noise", "--mode", "equal-damage", "--budget", "0.05", "--json"))
    body = json.loads(output)
    row = body["rows"][0]
    assert status == 0 and body["budget"] == 0.05
    assert row["damage"]["how"] == "scaled" and 0.03 < row["damage"]["kl"] <= 0.05
    assert row["kl"] == pytest.approx(row["damage"]["kl"], rel=1e-3)
    run = Store(command.runs_dir, recorded=None).find(row["run_id"])
    assert run.summary["rank"] == row["rank"] and sum("equal damage: scaled" in text for text in run.summary["notices"]) == 1
    assert "equal damage: scaled" in run.note and "goes to its end" in run.note


def test_a_method_that_fails_has_its_row_and_the_others_go_on(here, world: Path) -> None:
    status, output, errors = here(*arguments(world, "slow-noise,task-vector", "--set", "slow-noise.fault=raise",
                                             "--set", "task-vector.steps=2"))
    assert status == 0 and "failed unexpectedly" in output and "Traceback" not in errors
    assert output.splitlines()[-1].startswith("task-vector") and "done" in output.splitlines()[-1]
    status, output, _ = here(*arguments(world, "slow-noise", "--set", "slow-noise.fault=raise", "--json"))
    assert status == 1 and "too loud" in json.loads(output)["rows"][0]["error"]["why"]


@pytest.mark.parametrize(("methods", "more", "word"), [
    ("slow-noise,tsk-vector", (), "Did you mean task-vector"), ("slow-noise,Slow", (), "Slow"),
    ("slow-noise", ("--set", "slow-noise.rank=-3"), "'rank' cannot be -3"), ("slow-noise", ("--set", "rank=3"), "method.key"),
    ("slow-noise", ("--set", "slow-noise.rnk=3"), "rank"), ("slow-noise", ("--mode", "fair"), "fair"),
    ("slow-noise", ("--budget", "0.1"), "equal-damage"), ("slow-noise", ("--topic", "tiny-cats"), "tiny-hats"),
    ("slow-noise", ("--model", "no/where"), "model"), ("slow-noise", ("--mode", "equal-damage", "--budget", "-1"), "-1"),
])
def test_bad_names_are_refused_before_anything_starts(command, here, world: Path, methods: str, more: tuple, word: str) -> None:
    status, output, errors = here(*arguments(world, methods, *more, "--json"))
    assert status == 2 and output == "" and word in errors
    assert len(errors.strip().splitlines()) == 1 and Store(command.runs_dir, recorded=None).runs() == []


@pytest.mark.timeout(400)
def test_a_signal_stops_the_race_and_prints_what_was_reached(command, world: Path) -> None:
    process = command.start("race", *arguments(world, "task-vector,slow-noise,gradient-difference", "--set", "task-vector.steps=2",
                                               "--set", "slow-noise.steps=10000", "--set", "slow-noise.pause=0.05", "--json"))
    store, end = Store(command.runs_dir, recorded=None), time.monotonic() + 240
    while time.monotonic() < end and not any(run.config.method == "slow-noise" and any(
            isinstance(event, Loss) for event, _ in store.events(run.run_id)) for run in store.runs()):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    body = json.loads(output)
    assert process.returncode == 130 and body["status"] == "stopped" and len(body["methods"]) == 3
    assert [row["status"] for row in body["rows"]] == ["done", "stopped"]
    assert store.find(body["rows"][1]["run_id"]).edit_path is not None and body["rows"][1]["kl"] is None


# the runner's job


@pytest.fixture
def runner(store: Store) -> Iterator[Runner]:
    runner = Runner(store)
    yield runner
    if runner.racing():
        runner.stop_series(runner.racing())
        wait_for(lambda: runner.racing() is None)


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def asked_on(world: Path, *methods: str, mode: str = "defaults", **settings: dict) -> RaceConfig:
    own = {name.replace("_", "-"): values for name, values in settings.items()}
    return RaceConfig(model=str(world), topic="tiny-hats", methods=methods, settings=own, mode=mode, device="cpu")


def followed(runner: Runner, race_id: str) -> list[Event]:
    return [event for batch in runner.follow_race(race_id, every=0.02) for event, _ in batch]


def test_a_race_is_one_list_of_events_for_every_tab_and_for_the_disk(runner: Runner, world: Path) -> None:
    asked = asked_on(world, "slow-noise", "task-vector", task_vector={"steps": 2}, slow_noise={"pause": 0.02})
    race_id = runner.start_race(asked)
    first, second = followed(runner, race_id), followed(runner, race_id)
    assert first == second == [event for event, _ in runner.store.race_events(race_id)] == followed(Runner(runner.store), race_id)
    assert isinstance(first[0], RaceStarted) and isinstance(first[-1], Finished)
    assert sum(isinstance(event, TERMINAL) for event in first) == 1 and first[0].left_out == []
    assert [lane["method"] for lane in first[0].lanes] == ["slow-noise", "task-vector"]
    assert [(event.method, event.index, event.count) for event in first if isinstance(event, LaneBegun)] == [
        ("slow-noise", 1, 2), ("task-vector", 2, 2)]
    rows = [event.row for event in first if isinstance(event, LaneEnded)]
    assert rows == first[-1].summary["rows"] and [row["status"] for row in rows] == ["done", "done"]
    assert [row["run_id"] for row in rows] == [event.run_id for event in first if isinstance(event, LaneBegun)]
    assert all(runner.store.find(row["run_id"]).status == "done" for row in rows)
    splits = [event.split for event in first if isinstance(event, Measured) and event.stage == "before"]
    assert splits and len(splits) == len(set(splits))  # the original once, though every run measured it
    record = runner.store.races()[0]
    assert (record.race_id, record.status, record.config, record.summary) == (race_id, "done", asked, first[-1].summary)
    assert runner.racing() is None and runner.running() is None


def test_a_method_that_cannot_run_is_said_at_the_start_and_at_the_end(runner: Runner, world: Path) -> None:
    asked = asked_on(world, "slow-noise", "task-vector", task_vector={"steps": -1})
    assert list(runner.unable(asked)) == ["task-vector"]
    events = followed(runner, runner.start_race(asked))
    assert [(entry["method"], entry["title"]) for entry in events[0].left_out] == [("task-vector", "Task vector")]
    assert "cannot be -1" in events[0].left_out[0]["why"] and events[-1].summary["left_out"][0]["method"] == "task-vector"
    assert events[-1].status == "done" and [row["method"] for row in events[-1].summary["rows"]] == ["slow-noise"]


def test_stopping_a_race_keeps_the_rows_so_far_and_begins_no_other(runner: Runner, world: Path) -> None:
    race_id = runner.start_race(asked_on(world, "task-vector", "slow-noise", "gradient-difference", task_vector={"steps": 2},
                                         slow_noise={"steps": 10_000, "pause": 0.02}))
    wait_for(lambda: any(isinstance(event, LaneBegun) and event.method == "slow-noise"
                         for event, _ in runner.store.race_events(race_id)))
    runner.stop_series("another")
    runner.stop_series(race_id)
    end = followed(runner, race_id)[-1]
    assert end.status == "stopped"
    assert [(row["method"], row["status"]) for row in end.summary["rows"]] == [("task-vector", "done"), ("slow-noise", "stopped")]
    assert runner.store.races()[0].status == "stopped" and len(runner.store.runs()) == 2


def test_stopping_a_run_of_a_race_gives_the_next_its_turn(runner: Runner, world: Path) -> None:
    race_id = runner.start_race(asked_on(world, "slow-noise", "task-vector", task_vector={"steps": 2},
                                         slow_noise={"steps": 10_000, "pause": 0.02}))
    runner.stop(wait_for(runner.running))
    rows = followed(runner, race_id)[-1].summary["rows"]
    assert [(row["method"], row["status"]) for row in rows] == [("slow-noise", "stopped"), ("task-vector", "done")]


def test_nothing_else_starts_while_a_race_goes_on_and_it_says_who_is_running(runner: Runner, world: Path, request_of) -> None:
    asked = asked_on(world, "slow-noise", slow_noise={"steps": 10_000, "pause": 0.02})
    race_id = runner.start_race(asked)
    for start in (lambda: runner.start(request_of()), lambda: runner.start_race(asked)):
        with pytest.raises(Busy) as caught:
            start()
        assert caught.value.run_id == race_id and caught.value.kind == "race" and "A race" in str(caught.value)
    run_id = wait_for(runner.running)
    assert [isinstance(event, Started) for event, _ in next(runner.follow(run_id))][:1] in ([True], [])
    runner.stop_series(race_id)
    assert followed(runner, race_id)[-1].status == "stopped"
    run_id = runner.start(request_of(steps=10_000, pause=0.02))
    with pytest.raises(Busy) as caught:
        runner.start_race(asked)
    assert caught.value.run_id == run_id and caught.value.kind == "run"
    runner.stop(run_id)
    wait_for(lambda: runner.running() is None)


def test_a_race_that_cannot_begin_is_refused_and_one_that_cannot_load_leaves_nothing(runner: Runner, world: Path) -> None:
    for wrong in ({"topic": "tiny-cats"}, {"methods": ("slow-nose",)}, {"model": "no/where"}, {"budget": 0.5}):
        with pytest.raises(BadInput):
            runner.start_race(asked_on(world, "slow-noise").model_copy(update=wrong))
    assert runner.store.races() == []
    with pytest.raises(BadInput):
        runner.store.race("2026-01-01-race-nothing-00000000")
    with pytest.raises(BadInput):
        runner.store.race("../runs")


def test_a_race_whose_process_died_is_interrupted_and_opens(runner: Runner, world: Path) -> None:
    folder = runner.store.create_race(asked_on(world, "slow-noise"))
    folder.append(RaceStarted(folder.run_id, folder.config.model_dump(mode="json"), folder.started_at, [], []), 0.0)
    assert runner.store.race(folder.run_id).status == "running"
    folder.close()
    assert runner.store.race(folder.run_id).status == "interrupted"
    assert [type(event) for event in followed(runner, folder.run_id)] == [RaceStarted]
    assert runner.store.runs() == []
