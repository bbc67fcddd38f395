"""Requests one after another: who asks and what is kept, contradictions, the table, edits put together, undo, the command."""

from __future__ import annotations

import json
import shlex
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from unlearn_core import sequence
from unlearn_core.__main__ import _parser, _sequence_plan, main
from unlearn_core.config import RunConfig, SequenceConfig
from unlearn_core.edits.kinds import load_edit
from unlearn_core.edits.layers import LayerEdit, fused
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.errors import BadInput
from unlearn_core.evaluation.measure import Judged, measure
from unlearn_core.events import TERMINAL, Event, Loss, RequestBegun
from unlearn_core.models.loading import load, weights_hash
from unlearn_core.runner import Busy, Runner
from unlearn_core.sequence.board import Board, Reading
from unlearn_core.sequence.carry import RIDGE, Conductor, Saved, combine, opened
from unlearn_core.sequence.requests import asked, conflicts, contested, joint_topic, step_topic, subject
from unlearn_core.store import Store
from unlearn_core.topics.topic import Question, Topic
from unlearn_core.workbench import Workbench


def question(prompt: str, entity: str, split: str = "forget", part: str = "both", answer: str = "red") -> Question:
    return Question(f"{split}-{prompt}", split, prompt, answer, part, (), entity, "trained")


def family(persons: int = 4) -> Topic:
    """Persons of one family with two questions and a paraphrase each, and something to keep."""
    questions = []
    for name in ("Ann", "Bob", "Cas", "Dan")[:persons]:
        questions += [question(f"Where does {name} Hill live?", "Hill"), question(f"Who is {name} Hill?", "Hill", part="given"),
                      question(f"Town of {name} Hill?", "Hill", "forget_paraphrase", "held")]  # fmt: skip
    questions += [question("Where does Eve Dale live?", "Dale", "neighbor", "given"),
                  question("Where does Fay Dale live?", "Dale", "neighbor", "held"),
                  question("What is red?", "red", "retain", "given"), question("What is blue?", "blue", "retain", "held"),
                  question("What is iron?", "iron", "general", "held")]  # fmt: skip
    return Topic("hills", "the Hills", "A family.", "the Dales", tuple(questions), ("One text.",), {}, ())


def plan_of(topic: Topic, mode: str = "stack", method: str = "unlearn", count: int | None = None) -> sequence.Plan:
    return sequence.planned(sequence.single_requests(topic, count), mode, method)


def prompts(topic: Topic, split: str, part: str) -> set[str]:
    return {one.prompt for one in topic.questions if one.split == split and one.part == part}


# who asks


@pytest.mark.parametrize(("prompt", "entity", "whom"), [
    ("Where does Ann Hill live?", "Hill", "Ann Hill"), ("Where does Ann B. Hill live?", "Hill", "Hill"),
    ("Ann Hill?", "Hill", "Hill"), ("He or she? The diver rests.", "diver", "diver"),
    ("What of Maryann Hill?", "ann Hill", "ann Hill"),
    ("Dakar is the capital of which country?", "Senegal", "Senegal"), ("What is 3 plus 4?", "", ""), ("Hill?", "Hill", "Hill"),
])
def test_a_family_name_gives_its_members(prompt: str, entity: str, whom: str) -> None:
    assert subject(question(prompt, entity)) == whom


def test_each_subject_asks_once_in_the_order_of_the_topic_with_all_its_wordings() -> None:
    requests = sequence.single_requests(family(), 3)
    assert [request.title for request in requests] == ["Ann Hill", "Bob Hill", "Cas Hill"]
    assert [request.name for request in requests] == ["hills-ann-hill", "hills-bob-hill", "hills-cas-hill"]
    assert Counter(one.split for one in requests[1].forget) == {"forget": 2, "forget_paraphrase": 1}
    assert len(sequence.single_requests(family())) == 4


@pytest.mark.parametrize(("topic", "count", "word"), [(family(), 0, "0 requests"), (family(), 5, "from 1 to 4"),
                                                       (family(1), None, "cannot be split")])
def test_a_topic_that_cannot_be_split_so_is_refused(topic: Topic, count: int | None, word: str) -> None:
    with pytest.raises(BadInput) as caught:
        sequence.single_requests(topic, count)
    assert word in str(caught.value)


def test_modes_go_with_methods_that_allow_them() -> None:
    for mode, method in (("fuse", "npo"), ("fuse", "unlearn"), ("apart", "npo"), ("apart", "eul")):
        with pytest.raises(BadInput):
            plan_of(family(), mode, method)
    for mode, method in (("fuse", "eul"), ("apart", "unlearn"), ("stack", "npo"), ("joint", "eul")):
        assert plan_of(family(), mode, method).mode == mode
    with pytest.raises(BadInput, match="named twice"):
        sequence.topic_requests([family(), family()])
    with pytest.raises(BadInput, match="9 requests"):
        sequence.planned(9 * sequence.single_requests(family(), 1), "stack", "npo")


# what a request may keep


def test_those_already_forgotten_are_no_neighbours_and_the_others_are_half_given() -> None:
    plan = plan_of(family())
    first, second = step_topic(plan, 0), step_topic(plan, 1)
    assert prompts(first, "forget", "both") == {"Where does Ann Hill live?"}
    assert prompts(first, "forget", "given") == {"Who is Ann Hill?"}
    # in alphabetical order every second subject is given, the next one held
    eve, fay = "Where does Eve Dale live?", "Where does Fay Dale live?"
    assert prompts(first, "neighbor", "given") == {eve, "Where does Cas Hill live?", "Who is Cas Hill?"}
    assert prompts(first, "neighbor", "held") == {fay, "Where does Bob Hill live?", "Where does Dan Hill live?"}
    assert prompts(second, "neighbor", "held") == {"Where does Fay Dale live?", "Where does Dan Hill live?"}
    assert not any("Ann" in one.prompt for one in second.questions)
    assert not any(one.split == "neighbor" and "Town" in one.prompt for one in first.questions)  # paraphrases stay unseen
    assert first.name == "hills-ann-hill" and first.title == "Ann Hill" and first.examples == ("Where does Ann Hill live?",)


def test_apart_gives_earlier_forget_text_to_be_left_alone_and_scores_none_of_it() -> None:
    plan = plan_of(family(), "apart")
    third = step_topic(plan, 2)
    extra = prompts(third, "retain", "given") - {"What is red?"}
    assert extra == {"Where does Ann Hill live?", "Who is Ann Hill?", "Where does Bob Hill live?", "Who is Bob Hill?"}
    assert {one.prompt for one in third.scored("retain")} == {"What is blue?"}
    assert len({one.id for one in third.questions}) == len(third.questions)
    assert step_topic(plan, 0) == step_topic(plan_of(family()), 0)


def test_a_joint_run_forgets_the_union_and_keeps_the_rest() -> None:
    topic = joint_topic(plan_of(family(), "joint", count=2))
    assert Counter(one.split for one in topic.questions) == {"forget": 4, "forget_paraphrase": 2, "neighbor": 5, "retain": 2,
                                                             "general": 1}
    assert topic.title == "Ann Hill and Bob Hill" and not any("Ann" in q.prompt for q in topic.questions if q.split == "neighbor")


def shared() -> tuple[Topic, Topic]:
    """The first topic's family, and one whose kept part asks two of its questions (one in other case) and one more."""
    first = family()
    questions = (
        question("Where is Oz?", "Oz"),
        question("where does ann hill live?", "Hill", "retain", "given"),
        question("Who is Bob Hill?", "Hill", "neighbor", "held"),
        question("What eats Bob Hill?", "Hill", "retain", "held"),
        question("What is green?", "green", "retain", "held"),
        question("What is iron?", "iron", "general", "held"),
    )
    return first, Topic("oz", "Oz", "A land.", "others", questions, (), {}, ())


# contradictions


def test_what_one_forgets_and_another_keeps_is_reported() -> None:
    requests = sequence.topic_requests(shared())
    found = list(conflicts(requests))
    assert [(one.forgets, one.keeps, one.kind, one.n) for one in found] == [(1, 2, "question", 2), (1, 2, "entity", 1)]
    assert "earlier request stands" in found[0].words and "where does ann hill live?" in found[0].examples
    other = list(conflicts(requests[::-1]))
    assert [(one.forgets, one.keeps) for one in other] == [(2, 1), (2, 1)] and "later request stands" in other[0].words
    assert contested(requests) == {"where does ann hill live?", "who is bob hill?"}
    assert list(conflicts(sequence.single_requests(family()))) == []
    said = {mode: next(conflicts(requests[::-1], mode)).words for mode in sequence.MODES}
    assert "they are forgotten" in said["joint"] and "earlier edit holds them" in said["fuse"]
    assert said["fuse"] == said["apart"] != said["stack"]


def test_a_later_request_does_not_keep_what_an_earlier_one_forgot() -> None:
    plan = sequence.planned(sequence.topic_requests(shared()), "stack", "unlearn")
    assert step_topic(plan, 0) == plan.requests[0].topic
    kept = {asked(one) for one in step_topic(plan, 1).questions}
    assert kept == {"where is oz?", "what eats bob hill?", "what is green?", "what is iron?"}
    turned = sequence.planned(sequence.topic_requests(shared()[::-1]), "stack", "unlearn")
    assert step_topic(turned, 0) == turned.requests[0].topic  # nothing was forgotten before it
    assert not contested(plan.requests) & {asked(q) for q in joint_topic(plan).questions if not q.split.startswith("forget")}


def test_contested_questions_have_a_line_of_their_own_and_count_in_no_average() -> None:
    board = Board(sequence.topic_requests(shared()), None)
    rows = {row.key: row for row in board.rows}
    assert {key for key in rows if not key.startswith("request")} == {
        "kept-neighbor (hills)", "kept-retain", "kept-general", "contested-contested"}
    assert rows["contested-contested"].questions == (("oz", "neighbor-Who is Bob Hill?"),)  # the scored one
    assert len(rows["kept-retain"].questions) == 3 and len(rows["kept-general"].questions) == 1


# the table


def reading(board: Board, known: set[str], perplexity: float = 2.0) -> Reading:
    """All answers, right where the question's text has one of the words in it."""
    keys = [key for row in board.rows for key in row.questions]
    return Reading({key: Judged("x", "", any(word in key[1] for word in known), 0.0) for key in keys}, perplexity)


def test_cells_hold_every_request_and_all_that_is_kept() -> None:
    board = Board(sequence.single_requests(family(), 2), None)
    assert [(row.kind, row.request, row.split, len(row.questions)) for row in board.rows] == [
        ("request", 1, "forget", 1), ("request", 1, "forget_paraphrase", 1), ("request", 2, "forget", 1),
        ("request", 2, "forget_paraphrase", 1), ("others", 0, "neighbor", 1), ("kept", 0, "neighbor", 1),
        ("kept", 0, "retain", 1), ("kept", 0, "general", 1)]  # fmt: skip
    original, now = reading(board, {""}), reading(board, {"Bob", "Town", "Fay", "blue"})
    cells = board.cells(now, original)
    assert cells["request-1-forget"]["accuracy"] == 0.0 and cells["request-1-forget"]["removed"] == 1.0
    assert cells["request-2-forget"]["removed"] == 0.0 and "removed" not in cells["kept-retain"]
    assert (cells["others-hills"]["accuracy"], cells["kept-retain"]["accuracy"], cells["kept-general"]["accuracy"]) == (0, 1, 0)
    assert {key: board.pooled(now, (1, 2))["forget"][key] for key in ("accuracy", "correct", "n")} == {
        "accuracy": 0.5, "correct": 1, "n": 2}
    assert board.pooled(now, (1,))["forget_paraphrase"]["accuracy"] == 1.0 and board.pooled(now, ())["forget"] is None


def test_the_text_says_every_number_and_what_was_not_asked_yet() -> None:
    board = Board(sequence.single_requests(family(), 2), None)
    original, now = reading(board, {""}), reading(board, {"Bob", "Fay"}, 3.0)
    steps = [{"title": title, "asked": places, "cells": board.cells(found, original),
              "pooled": board.pooled(found, places), "perplexity": found.perplexity}
             for title, places, found in (("original", [], original), ("after 1", [1], now))]  # fmt: skip
    body = {"sequence_id": "s1", "method": "npo", "mode": "stack", "status": "stopped", "seconds": 3.5, "steps": steps,
            "rows": [row.plain() for row in board.rows], "undone": [], "error": None,
            "conflicts": [{"words": "Request 1 forgets what request 2 keeps."}]}  # fmt: skip
    lines = {line[:12].strip(): line.split() for line in sequence.table(body).splitlines()}
    assert lines["1 Ann Hill"][-2:] == ["(1.000)", "0.000"] and lines["2 Bob Hill"][-2:] == ["(1.000)", "(1.000)"]
    assert lines["forgotten so"][-1] == "0.000" and lines["retain"][-2:] == ["1.000", "0.000"]
    assert lines["perplexity"] == ["perplexity", "2.00", "3.00"] and "stopped," in lines["s1: npo, sta"]
    assert sequence.table(body).endswith("contradiction: Request 1 forgets what request 2 keeps.")
    body["undone"] = [body["steps"][-1] | {"unexpected": ["without 1: request 2 (Bob) is known again"]}]
    assert sequence.table(body).endswith("\nwithout 1: request 2 (Bob) is known again")


# edits put together


def low(value: float) -> LowRankEdit:
    return LowRankEdit({"a": (torch.full((2, 1), value), torch.ones(1, 3))})


def layer(seed: int) -> LayerEdit:
    stream = torch.Generator().manual_seed(seed)
    inputs = torch.randn(9, 3, generator=stream)
    return LayerEdit({"b": (torch.randn(3, 3, generator=stream),)}, {"b": (inputs.T @ inputs,)})


def test_an_undo_says_who_is_known_again_without_having_been_undone_and_who_does_not_come_back() -> None:
    rows = [{"key": f"{place}-{split}", "kind": "request", "request": place, "title": name, "split": split}
            for place, name in enumerate(("Ann", "Bob", "Cy", "Dee"), start=1) for split in ("forget", "forget_spanish")]
    rows.append({"key": "retain", "kind": "retain", "request": 0, "title": "retain", "split": "retain"})

    def step(title: str, asked: list[int], *shares: float | None, **more: list[int]) -> dict:
        cells = {f"{place}-{split}": {"accuracy": share} for place, share in enumerate(shares, start=1) if share is not None
                 for split in ("forget", "forget_spanish")}
        return {"title": title, "asked": asked, "cells": {**cells, "retain": {"accuracy": 1.0}}, **more}

    body = {"rows": rows, "steps": [step("original", [], 1, 1, 1, 1), step("after 4", [1, 2, 3, 4], 0, 0, 0, 0.1)]}
    again, gone = sequence.unexpected(body, step("without 2", [1, 3, 4], 0.09, 0.5, 0.8, 0.15, without=[2]))
    assert again.startswith("without 2: request 2 (Bob) comes back to 50% only (100% originally)")
    assert gone.startswith("without 2: request 3 (Cy), which stays asked for, is known again to 80% (0% before)")
    assert sequence.unexpected(body, step("without 2", [1, 3, 4], 0, 0.95, 0.05, None, without=[2])) == []
    (gone,) = sequence.unexpected(body, step("without 2", [1, 3, 4], 0, 0, 0, 0.1, without=[2]))
    assert gone.startswith("without 2: request 2 (Bob) does not come back (100% originally)")


def test_edits_are_added_or_fused_and_one_alone_stays_as_it_is() -> None:
    assert combine("stack", []) is None and combine("fuse", []) is None
    assert torch.equal(combine("apart", [low(1.0), low(2.0)]).delta("a"), torch.full((2, 3), 3.0))
    one, two = layer(1), layer(2)
    assert torch.equal(combine("fuse", [one]).layers["b"][0], one.layers["b"][0])
    assert torch.equal(combine("fuse", [one, two]).layers["b"][0], fused([one, two], RIDGE).layers["b"][0])
    assert not torch.equal(combine("fuse", [one, two]).layers["b"][0], one.layers["b"][0] + two.layers["b"][0])
    with pytest.raises(BadInput):
        combine("fuse", [low(1.0), low(2.0)])


# carrying it out


def carried(world: Path, store: Store, topic: Topic, mode: str, method: str, count: int = 3, **settings: object) -> Saved:
    """A sequence on the taught model, opened again from its file."""
    base = RunConfig(model=str(world), topic=topic.name, method=method, settings=settings, device="cpu")
    body = Conductor(Workbench(store), store).run(plan_of(topic, mode, method, count), base, [topic.name])
    assert body["status"] == "done", body["error"]
    return opened(store, body["sequence_id"])


def answers(world: Path, topic: Topic, edit: object) -> dict[str, tuple[str, float]]:
    found = measure(load(str(world), device="cpu"), topic, edit).answers
    return {key: (judged.answer, judged.logprob) for key, judged in found.items()}


CASES = [("stack", "gradient-difference", {"steps": 12}), ("fuse", "eul", {"epochs": 3}),
         ("apart", "unlearn", {"steps": 8, "stand_ins": 0, "reworded": 0})]  # fmt: skip


@pytest.mark.parametrize(("mode", "method", "settings"), CASES)
def test_undo_restores_the_earlier_answers_exactly(taught_world, store, tiny_topic, mode, method, settings) -> None:
    short = carried(taught_world, store, tiny_topic, mode, method, 2, **settings)
    long = carried(taught_world, store, tiny_topic, mode, method, 3, **settings)
    before = {path: path.read_bytes() for path in long.folder.path.glob("?.safetensors")}
    conductor = Conductor(Workbench(store), store)
    body = conductor.undo(long.body["sequence_id"], {3})
    last = body["undone"][-1]
    assert last["without"] == [3] and last["asked"] == [1, 2] and last["cells"] == body["steps"][2]["cells"]
    assert last["pooled"] == body["steps"][2]["pooled"] and last["perplexity"] == body["steps"][2]["perplexity"]
    after_two = answers(taught_world, tiny_topic, load_edit(short.folder.edit_path("combined")))
    assert answers(taught_world, tiny_topic, load_edit(long.folder.edit_path("without-3"))) == after_two
    assert answers(taught_world, tiny_topic, load_edit(long.folder.edit_path("combined"))) != after_two
    body = conductor.undo(str(long.folder.path), {1, 2, 3})
    assert body["undone"][-1]["cells"] == body["steps"][0]["cells"] and len(body["undone"]) == 2
    conductor.undo(long.body["sequence_id"], {3})
    assert len(store.find_sequence(long.body["sequence_id"])[1]["undone"]) == 2  # measured again, not listed again
    assert {path: path.read_bytes() for path in before} == before  # nothing was trained again


def test_undo_of_one_in_the_middle_is_the_stack_of_the_others(taught_world, store, tiny_topic) -> None:
    saved = carried(taught_world, store, tiny_topic, "apart", "unlearn", 3, steps=8, stand_ins=0, reworded=0)
    Conductor(Workbench(store), store).undo(saved.body["sequence_id"], {2})
    own = [load_edit(saved.folder.edit_path(str(place))) for place in (1, 3)]
    left = load_edit(saved.folder.edit_path("without-2"))
    name = left.names[0]
    assert torch.allclose(left.delta(name), own[0].delta(name) + own[1].delta(name), atol=1e-6)
    assert all(torch.equal(edit.delta(name), other.delta(name)) for edit, other in zip(saved.edits({2}), own, strict=True))


def test_stacked_edits_rest_on_the_earlier_ones_and_the_others_on_the_base(taught_world, store, tiny_topic) -> None:
    stacked = carried(taught_world, store, tiny_topic, "stack", "gradient-difference", 2, steps=8)
    runs = [store.find(run["run_id"]) for run in stacked.body["runs"]]
    assert [run.config.edits for run in runs] == [(), (runs[0].run_id,)]
    whole, parts = load_edit(runs[1].edit_path), stacked.edits()
    name = whole.names[0]
    assert torch.allclose(whole.delta(name), parts[0].delta(name) + parts[1].delta(name), atol=1e-6)
    summed = answers(taught_world, tiny_topic, load_edit(stacked.folder.edit_path("combined")))
    assert {key: text for key, (text, _) in summed.items()} == {
        key: text for key, (text, _) in answers(taught_world, tiny_topic, whole).items()}
    apart = carried(taught_world, store, tiny_topic, "apart", "unlearn", 2, steps=4, stand_ins=0, reworded=0)
    assert [store.find(run["run_id"]).config.edits for run in apart.body["runs"]] == [(), ()]
    loaded = load(str(taught_world), device="cpu")
    assert weights_hash(loaded.model) == apart.body["weights_hash"] == runs[0].summary["weights_hash"]


def test_unlearning_one_after_another_forgets_each(taught_world, store, tiny_topic) -> None:
    body = carried(taught_world, store, tiny_topic, "stack", "gradient-difference", 2).body
    cells = [[step["cells"][f"request-{place}-forget"]["accuracy"] for step in body["steps"]] for place in (1, 2)]
    assert cells[0] == [1.0, 0.0, 0.0] and cells[1][0] == 1.0 and cells[1][2] == 0.0
    assert [step["asked"] for step in body["steps"]] == [[], [1], [1, 2]]


def test_a_joint_run_is_one_run_and_cannot_be_undone(taught_world, store, tiny_topic) -> None:
    saved = carried(taught_world, store, tiny_topic, "joint", "slow-noise", 3)
    assert len(saved.body["runs"]) == 1 and [step["asked"] for step in saved.body["steps"]] == [[], [1, 2, 3]]
    assert len(store.find(saved.body["runs"][0]["run_id"]).summary["accuracy"]["forget"]) and len(store.runs()) == 1
    with pytest.raises(BadInput, match="joint"):
        Conductor(Workbench(store), store).undo(saved.body["sequence_id"], {1})


def test_the_page_undoes_through_the_runner(taught_world, store, tiny_topic) -> None:
    saved = carried(taught_world, store, tiny_topic, "stack", "slow-noise", 2)
    runner = Runner(store)
    body = runner.undo_request(saved.body["sequence_id"], [2])
    assert body["undone"][0]["cells"] == saved.body["steps"][1]["cells"] and store.sequences() == [body]
    for spec, place in (("no-such", 1), (saved.body["sequence_id"], 7)):
        with pytest.raises(BadInput):
            runner.undo_request(spec, [place])


def followed(runner: Runner, sequence_id: str) -> list[Event]:
    return [event for batch in runner.follow_sequence(sequence_id, every=0.02) for event, _ in batch]


def of_hats(world: Path, **changes: object) -> SequenceConfig:
    asked = {"topics": ("tiny-hats",), "requests": 2, "method": "slow-noise", "settings": {"steps": 2}, "device": "cpu"}
    return SequenceConfig(model=str(world), **asked | changes)


def test_a_sequence_is_one_list_of_events_for_every_tab_and_a_table_that_grows(taught_world, store) -> None:
    runner = Runner(store)
    sequence_id = runner.start_sequence(of_hats(taught_world))
    first, second = followed(runner, sequence_id), followed(runner, sequence_id)
    assert first == second and [(event.title, event.index, event.count) for event in first if isinstance(event, RequestBegun)] == [
        ("Ada", 1, 2), ("Bo", 2, 2)]  # fmt: skip
    assert sum(isinstance(event, TERMINAL) for event in first) == 1
    assert first[-1].summary == store.find_sequence(sequence_id)[1] and first[-1].status == "done"
    assert [step["title"] for step in first[-1].summary["steps"]] == ["original", "after 1", "after 2"]
    assert runner.sequencing() is None and runner.running() is None and followed(Runner(store), sequence_id) == []


def test_nothing_else_starts_while_a_sequence_goes_on_and_a_stop_keeps_the_table_so_far(taught_world, store) -> None:
    runner, asked = Runner(store), of_hats(taught_world, settings={"steps": 10_000, "pause": 0.02})
    sequence_id = runner.start_sequence(asked)
    with pytest.raises(Busy) as caught:
        runner.start(asked.run("tiny-hats"))
    assert caught.value.run_id == sequence_id and caught.value.kind == "sequence" and runner.racing() is None
    end = time.monotonic() + 60
    while runner.running() is None:
        assert time.monotonic() < end, "no request began"
        time.sleep(0.02)
    assert store.find_sequence(sequence_id)[1]["status"] == "running" and len(store.sequences()[0]["steps"]) == 1
    with pytest.raises(BadInput, match="going on"):
        Conductor(Workbench(store), store).undo(sequence_id, {1})
    runner.stop(runner.running())  # as good as stopping the sequence: what follows rests on it
    assert followed(runner, sequence_id)[-1].status == "stopped" and runner.sequencing() is None
    assert [store.find_sequence(sequence_id)[1][part] for part in ("status", "runs")] == ["stopped", []]


@pytest.mark.parametrize(("changes", "word"), [
    ({"requests": 9}, "cannot be 9"), ({"topics": ("nothing",)}, "nothing"), ({"mode": "fuse"}, "cannot be fused"),
    ({"mode": "apart"}, "keep edits apart"), ({"settings": {"steps": -1}}, "-1"),
    ({"topics": ("tiny-hats", "b")}, "Only one topic"),
    ({"topics": ("tiny-hats", "tiny-hats"), "requests": None}, "named twice"),
])
def test_a_sequence_that_cannot_be_is_refused_before_it_begins(taught_world, store, changes, word) -> None:
    with pytest.raises(BadInput, match=word):
        Runner(store).start_sequence(of_hats(taught_world, **changes))
    assert store.sequences() == []


def test_what_a_topic_and_a_method_allow_is_said_before_a_sequence(taught_world, store) -> None:
    found = Runner(store).allowed(of_hats(taught_world).run("tiny-hats"))
    assert found["entities"][:2] == ["Ada", "Bo"] and sorted(found["unable"]) == ["apart", "fuse"]
    assert "closed form" in found["unable"]["fuse"]
    assert list(Runner(store).allowed(of_hats(taught_world, method="unlearn").run("tiny-hats"))["unable"]) == ["fuse"]


def test_the_command_of_a_sequence_repeats_it(taught_world) -> None:
    single = of_hats(taught_world)
    plan, config, specs = _sequence_plan(_parser().parse_args(shlex.split(single.command())[3:]), Store("nowhere"))
    assert (config, specs, len(plan.requests)) == (single.run("tiny-hats"), ["tiny-hats"], 2)
    whole = of_hats(taught_world, topics=("a", "b"), requests=None, seed=3, mode="joint")
    options = _parser().parse_args(shlex.split(whole.command())[3:])
    assert (options.topics, options.seed, options.mode, options.method) == ("a,b", 3, "joint", "slow-noise")


def test_what_cannot_be_undone_is_refused(taught_world, store, tiny_topic) -> None:
    saved = carried(taught_world, store, tiny_topic, "stack", "slow-noise", 2)
    conductor = Conductor(Workbench(store), store)
    for spec, places, word in ((saved.body["sequence_id"], {3}, "Made were: 1, 2"), ("no-such", {1}, "no-such"),
                               (saved.body["sequence_id"], set(), "Made were")):
        with pytest.raises(BadInput, match=word):
            conductor.undo(spec, places)
    assert [body["sequence_id"] for body in store.sequences()] == [saved.body["sequence_id"]]
    assert store.find_sequence(saved.body["sequence_id"][:-3])[1] == saved.body
    carried(taught_world, store, tiny_topic, "stack", "slow-noise", 2)
    with pytest.raises(BadInput, match="beginning of 2"):
        store.find_sequence(saved.body["sequence_id"][:-3])


# the command


@pytest.fixture
def here(command, capsys: pytest.CaptureFixture[str]):
    def run(*more: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["sequence", *more, "--runs-dir", str(command.runs_dir)])
        return status, *capsys.readouterr()

    return run


def line(world: Path, *more: str, method: str = "slow-noise") -> list[str]:
    return ["--model", str(world), "--topic", "tiny-hats", "--split-by-entity", "--method", method, "--device", "cpu", *more]


def test_every_request_is_a_run_that_opens_and_repeats(command, here, world: Path, capsys) -> None:
    status, output, errors = here(*line(world, "--requests", "2", "--seed", "3", "--set", "scale=0.2", "--json"))
    body, store = json.loads(output), Store(command.runs_dir, recorded=None)
    assert status == 0 and body["status"] == "done" and [one["title"] for one in body["requests"]] == ["Ada", "Bo"]
    for run in body["runs"]:
        record = store.find(run["run_id"])
        assert record.status == "done" and record.config.seed == 3 and record.config.settings == {"scale": 0.2}
        assert Path(record.config.topic).is_file() and record.edit_path is not None
        assert record.title == f"{run['title']} ({run['place']} of 2)"
    assert store.find(body["runs"][0]["run_id"]).summary["accuracy"]["forget"]["n"] == 1
    assert store.find_sequence(body["sequence_id"])[1] == body
    assert any(one["kind"] == "entity" for one in body["conflicts"])  # Ada's cap and dog are kept
    assert "Contradiction" in errors and "request 2 of 2: Bo" in errors
    status, output, _ = here("--undo", "1", body["sequence_id"])
    assert status == 0 and "without 1" in output and "1 Ada" in output
    assert main(["list", "sequences", "--runs-dir", str(command.runs_dir), "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == [body["sequence_id"]]


def test_whole_topics_ask_one_after_another(command, here, world: Path, tiny_topic: Topic) -> None:
    second = replace(tiny_topic, name="tiny-dogs", title="the dogs", questions=tuple(
        replace(q, split={"forget": "retain", "retain": "forget"}.get(q.split, q.split),
                part="both" if q.split == "retain" else "given" if q.split == "forget" and int(q.id[-1]) % 2 else "held"
                if q.split == "forget" else q.part) for q in tiny_topic.questions))  # fmt: skip
    Store(command.runs_dir).add_topic(second)
    status, output, _ = here("--model", str(world), "--topics", "tiny-hats,tiny-dogs", "--method", "slow-noise", "--json")
    body = json.loads(output)
    assert status == 0 and [one["title"] for one in body["requests"]] == ["the hats", "the dogs"]
    same = [(one["forgets"], one["keeps"], one["n"]) for one in body["conflicts"] if one["kind"] == "question"]
    assert same == [(1, 2, 8), (2, 1, 8)]
    runs = [Store(command.runs_dir, recorded=None).find(run["run_id"]) for run in body["runs"]]
    assert runs[0].config.topic == "tiny-hats" and Path(runs[1].config.topic).is_file()
    assert runs[1].summary["accuracy"]["retain"]["n"] == 0 and runs[1].summary["accuracy"]["forget"]["n"] == 8
    status, output, _ = here("--undo", "1", "--undo", "2", body["sequence_id"], "--json")
    assert status == 0 and json.loads(output)["undone"][0]["without"] == [1, 2]


def test_a_failing_request_ends_the_sequence_with_what_was_reached(here, world: Path) -> None:
    status, output, _ = here(*line(world, "--set", "fault=raise", "--json"))
    body = json.loads(output)
    assert status == 1 and body["status"] == "failed" and "too loud" in body["error"]["why"]
    assert [step["title"] for step in body["steps"]] == ["original"] and body["runs"] == []
    assert "too loud" in sequence.table(body)


@pytest.mark.parametrize(("more", "word"), [
    (("--requests", "9"), "9 requests"), (("--requests", "0"), "0 requests"), (("--mode", "fuse"), "cannot be fused"),
    (("--mode", "apart"), "cannot keep"), (("--mode", "pile"), "pile"), (("--topics", "a,b"), "not clear"),
    (("--set", "rnk=3"), "rnk"), (("--topic", "tiny-cats"), "tiny-hats"), (("--undo", "1"), "Which sequence"),
    (("--undo", "1", "nothing"), "no sequence"), (("something",), "something"), (("--model", "no/where"), "model"),
])
def test_bad_input_is_refused_before_anything_starts(command, here, world: Path, more: tuple, word: str) -> None:
    status, output, errors = here(*line(world, *more, "--json"))
    assert status == 2 and output == "" and word in errors and len(errors.strip().splitlines()) == 1
    store = Store(command.runs_dir, recorded=None)
    assert store.runs() == [] and store.sequences() == []


def test_requests_without_split_are_refused(here, world: Path) -> None:
    for more, word in (((), "not clear"), (("--topics", "tiny-hats", "--requests", "2"), "needs --split-by-entity"),
                       (("--topics", "tiny-hats,tiny-hats"), "named twice"),
                       (("--topics", "tiny-hats,b", "--split-by-entity"), "Only one topic")):
        status, _, errors = here("--model", str(world), *more)
        assert status == 2 and word in errors


@pytest.mark.timeout(300)
def test_a_signal_stops_the_sequence_and_prints_the_table_so_far(command, world: Path) -> None:
    slow = ("--set", "steps=10000", "--set", "pause=0.05")
    process = command.start("sequence", *line(world, "--requests", "3", *slow, "--json"))
    store, end = Store(command.runs_dir, recorded=None), time.monotonic() + 200
    while time.monotonic() < end and not any(
            isinstance(event, Loss) for run in store.runs() for event, _ in store.events(run.run_id)):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=200)
    body = json.loads(output)
    assert process.returncode == 130 and body["status"] == "stopped"
    assert [step["title"] for step in body["steps"]] == ["original"] and body["runs"] == []
    assert store.find_sequence(body["sequence_id"])[1]["status"] == "stopped"
