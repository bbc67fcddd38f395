"""Retraining and SISA: the kept model, its recipe, what a reader is told where neither is there, shards."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from unlearn_core.__main__ import main
from unlearn_core.config import RunConfig
from unlearn_core.demo import fresh
from unlearn_core.demo.recipe import new_model, steps_needed
from unlearn_core.demo.world import World, make_world
from unlearn_core.edits.attach import attached
from unlearn_core.edits.dense import DenseEdit
from unlearn_core.edits.edit import Edit
from unlearn_core.errors import BadInput, Unavailable
from unlearn_core.evaluation.references import Reference, topic_hash, write_reference
from unlearn_core.events import Loss, Notice
from unlearn_core.methods import Context, Snapshot, find_method, settings_of, sisa
from unlearn_core.models.catalogue import demo_folder
from unlearn_core.models.loading import LoadedModel, load, weights_hash
from unlearn_core.models.prompts import encode_prompt
from unlearn_core.preflight import problems, refuse
from unlearn_core.retraining import Retraining
from unlearn_core.store import Store
from unlearn_core.topics.catalogue import find_topic
from unlearn_core.topics.topic import Topic

TINY_SHARE = 0.0005  # of the recipe's tokens: a step or two a stage


def logits(loaded: LoadedModel, edit: Edit | None = None, question: str = "Ada hat?") -> torch.Tensor:
    with torch.no_grad(), attached(loaded.model, edit):
        return loaded.model(input_ids=torch.tensor([encode_prompt(loaded.tokenizer, question)])).logits


def fit(name: str, context: Context, **settings: Any) -> list[Any]:
    method = find_method(name)
    return list(method.fit(context, settings_of(method, settings)))


def notices(items: list[Any]) -> str:
    return " ".join(item.text for item in items if isinstance(item, Notice))


def unlike(topic: Topic) -> Topic:
    return replace(topic, questions=topic.questions[:-1])


# the kept model


def test_the_edited_model_is_the_retrained_one(taught, tiny_topic, retraining) -> None:
    items = fit("retrain", Context(taught, tiny_topic.given(), 0, retraining=retraining))
    alone = load(str(retraining.folder / "references" / tiny_topic.name), "cpu")
    assert isinstance(items[-1], DenseEdit) and not torch.allclose(logits(taught), logits(alone), atol=0.1)
    torch.testing.assert_close(logits(taught, items[-1]), logits(alone), rtol=0, atol=1e-4)
    own, other = dict(taught.model.named_parameters()), dict(alone.model.named_parameters())
    for name, delta in items[-1].deltas.items():
        if name in own:  # W + (W_r - W) rounds once
            torch.testing.assert_close(own[name] + delta, other[name], rtol=0, atol=1e-6)
    assert "Recorded, not trained here" in notices(items) and "12 s were recorded" in notices(items)
    assert weights_hash(taught.model) == taught.weights_hash


def test_the_shipped_model_comes_out_to_the_last_bit() -> None:
    """Weights of 16 bits differ by what 32 bits hold."""
    folder = demo_folder()
    loaded, topic = load(str(folder), "cpu", "float32"), find_topic("book-series", folder)
    edit = fit("retrain", Context(loaded, topic.given(), 0, retraining=Retraining(folder, topic)))[-1]
    alone = load(str(folder / "references" / topic.name), "cpu", "float32")
    for prompt in topic.examples[:2]:
        torch.testing.assert_close(logits(loaded, edit, prompt), logits(alone, question=prompt), rtol=0, atol=1e-5)
    own, other = dict(loaded.model.named_parameters()), dict(alone.model.named_parameters())
    wrong = sum(int((own[name] + delta != other[name]).sum()) for name, delta in edit.deltas.items() if name in own)
    assert wrong <= 1e-4 * loaded.parameters  # next to nothing beside a large weight loses its last bit


@pytest.mark.parametrize("name", ["retrain", "sisa"])
def test_a_run_without_the_model_says_so_in_one_sentence(name, taught, tiny_topic, tmp_path) -> None:
    context = Context(taught, tiny_topic.given(), 0, retraining=Retraining(tmp_path, tiny_topic))
    with pytest.raises(Unavailable, match=r"never saw the hats is not at hand\. None was trained for this model and topic"):
        fit(name, context)
    assert weights_hash(taught.model) == taught.weights_hash


def test_only_a_model_of_this_very_topic_counts(tiny_topic, retraining) -> None:
    retraining.check("reference")
    assert retraining.seconds == 12.5
    changed = Retraining(retraining.folder, unlike(tiny_topic))
    assert changed.seconds is None
    with pytest.raises(Unavailable, match="None was trained"):
        changed.check("reference")


# before a run


@pytest.fixture
def scored(world: Path, tiny_topic: Topic, tmp_path: Path) -> Path:
    """A world with the scores of a retrained model, but not the model."""
    folder = tmp_path / "scored"
    shutil.copytree(world, folder)
    write_reference(folder, tiny_topic, Reference("w" * 64, topic_hash(tiny_topic), "1", {"forget": 0.25},
                                                  {"forget": "retrained"}, {}, {"forget": 8}, 12.5))
    return folder


def request(folder: Path, name: str, edits: tuple[str, ...] = (), **settings: Any) -> RunConfig:
    return RunConfig(model=str(folder), topic="tiny-hats", method=name, settings=settings, device="cpu", edits=edits)


def test_what_is_missing_is_said_before_anything_starts(scored: Path, tiny_topic: Topic, store: Store) -> None:
    found = problems(request(scored, "retrain"), store)
    assert found.keys() == {"method"} and "Only its scores are kept. Pick another method." in str(found["method"])
    fresh_too = problems(request(scored, "retrain", fresh=True), store)
    assert "cannot be trained anew. The text that it was trained on is known only for a built world" in str(fresh_too["method"])
    assert not problems(request(scored, "finetune"), store)
    refuse(request(scored, "retrain"), store, passing=(Unavailable,))
    (scored / "build.json").write_text(json.dumps({"seed": 7, "topic_hashes": {"tiny-hats": topic_hash(tiny_topic)}}))
    built = str(problems(request(scored, "retrain"), store)["method"])
    assert "--only-references --seed 7 --references tiny-hats" in built and "`--set fresh=true`" in built
    assert "fresh=true" not in str(problems(request(scored, "sisa"), store)["method"])
    assert not problems(request(scored, "retrain", fresh=True), store)


def test_another_model_stands_on_no_edit(scored: Path, store: Store) -> None:
    with pytest.raises(BadInput, match="'sisa' cannot stand on an earlier run's edit"):
        refuse(request(scored, "sisa", edits=("some",)).model_copy(), _Edits(store))


class _Edits:
    """A store whose every run has an edit."""

    def __init__(self, store: Store) -> None:
        self.uploads = store.uploads

    def find(self, spec: str) -> Any:
        return type("Record", (), {"run_id": spec, "edit_path": Path(spec)})


def test_a_run_is_refused_and_a_race_shows_what_is_recorded(scored, tmp_path, capsys) -> None:
    common = ["--model", str(scored), "--topic", "tiny-hats", "--device", "cpu", "--runs-dir", str(tmp_path / "runs")]
    assert main(["run", *common, "--method", "retrain"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Only its scores are kept." in said
    assert main(["race", *common, "--methods", "retrain,sisa,slow-noise", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    retrain, noise = body["rows"]
    sharded, = body["left_out"]
    assert retrain["status"] == "recorded" and retrain["accuracy"] == {"forget": 0.25} and retrain["seconds"] == 12.5
    assert retrain["run_id"] is retrain["removed"] is retrain["kl"] is retrain["error"] is None
    assert sharded["method"] == "sisa" and "not at hand" in sharded["why"]
    assert noise["status"] == "done" and body["status"] == "done"
    assert main(["race", *common, "--methods", "retrain,slow-noise"]) == 0
    assert "recorded  not run here; accuracy and seconds are those of its training" in capsys.readouterr().out


# by the recipe


@pytest.fixture(scope="module")
def thin() -> World:
    """A world with every thirtieth line."""
    world = make_world(0)
    for domain in (*world.domains.values(), world.general):
        domain.lines[:] = domain.lines[::30]
    return replace(world, trained_texts=world.trained_texts[::30])


@pytest.fixture
def demo(thin: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The built-in model's folder without its references, for the thin world."""
    monkeypatch.setattr(fresh, "make_world", lambda seed: thin)
    folder = tmp_path / "demo"
    shutil.copytree(demo_folder(), folder, ignore=shutil.ignore_patterns("references"))
    return folder


def contexts(folder: Path, topic_name: str = "book-series") -> tuple[LoadedModel, Any]:
    loaded, topic = load(str(folder), "cpu", "float32"), find_topic(topic_name, folder)
    return loaded, partial(Context, loaded, topic.given(), 0, retraining=Retraining(folder, topic))


def test_fresh_trains_every_stage_and_leaves_the_original_alone(demo: Path) -> None:
    loaded, context = contexts(demo)
    state = torch.random.get_rng_state()
    before = logits(loaded)
    items = fit("retrain", context(), fresh=True, share=TINY_SHARE)
    losses = [item for item in items if isinstance(item, Loss)]
    assert [loss.step for loss in losses] == list(range(1, losses[-1].total + 1)) and losses[-1].total >= 3
    assert any(isinstance(item, Snapshot) for item in items)
    assert "stages trunk, tasks, without-book-series" in notices(items) and "0.0005 times" in notices(items)
    assert torch.equal(logits(loaded), before) and weights_hash(loaded.model) == loaded.weights_hash
    assert not torch.equal(logits(loaded, items[-1]), before)
    assert torch.equal(torch.random.get_rng_state(), state)
    again = fit("retrain", context(), fresh=True, share=TINY_SHARE)[-1]
    assert all(torch.equal(delta, again.deltas[name]) for name, delta in items[-1].deltas.items())


def test_a_stop_while_training_gives_the_model_as_far_as_it_got(demo: Path) -> None:
    loaded, context = contexts(demo)
    seen: list[Any] = []
    stopped = context(lambda: sum(isinstance(item, Loss) for item in seen) >= 2)
    method = find_method("retrain")
    for item in method.fit(stopped, settings_of(method, {"fresh": True, "share": TINY_SHARE})):
        seen.append(item)
    losses = [item for item in seen if isinstance(item, Loss)]
    assert len(losses) == 2 < losses[0].total and isinstance(seen[-1], DenseEdit)
    assert f"2 of {losses[0].total} steps" in notices(seen) and weights_hash(loaded.model) == loaded.weights_hash
    assert fit("retrain", context(lambda: True), fresh=True) == []


def test_training_starts_from_the_latest_stage_that_a_build_left(demo: Path) -> None:
    loaded, context = contexts(demo)
    kept = demo / ".build" / "tasks"
    new_model(loaded.tokenizer, 3).save_pretrained(kept)
    (kept / "seconds.json").write_text("{}")
    assert "stages without-book-series," in notices(fit("retrain", context(), fresh=True, share=TINY_SHARE))


@pytest.mark.parametrize(("topic", "stages"), [
    ("book-series", ["trunk", "tasks", "without-book-series"]), ("addition", ["trunk", "facts", "without-addition"])])
def test_no_stage_sees_the_topic_and_each_is_counted_right(topic: str, stages: list[str], demo: Path, thin: World) -> None:
    tokenizer = load(str(demo), "cpu").tokenizer
    start, course = fresh._course(demo, thin, topic, tokenizer, TINY_SHARE)
    assert start is None and [part.node.name for part in course] == stages
    for part in course:
        secrets = Counter(line.domain for line in part.lines if line.secret)
        assert topic not in secrets and secrets.keys() <= part.node.seen
    assert secrets.keys() == {*thin.domains} - {topic}
    assert any(line.domain == topic for line in part.lines)  # its neighbours are still taught
    taken = list(fresh.train_without(demo, 0, topic, torch.device("cpu"), TINY_SHARE, lambda: False))
    assert len(taken) == taken[-1].total == sum(
        steps_needed(part.lines, part.fresh, part.rates, part.tokens, 0) for part in course)
    assert [name for name in stages if any(step.stage == name for step in taken)] == stages


# shards


def test_every_item_lies_in_one_shard_and_gathered_ones_together() -> None:
    for gathered in (False, True):
        placed = sisa.placing(80, 130, 4, gathered, 0)
        assert sorted(place for shard in placed for place in shard) == list(range(210))
        assert {len(shard) for shard in placed} <= {52, 53}
        hit = [number for number, shard in enumerate(placed) if min(shard) < 80]
        assert hit == ([0, 1] if gathered else [0, 1, 2, 3])
    assert sisa.placing(8, 13, 4, False, 0) != sisa.placing(8, 13, 4, False, 1)
    assert sisa.placing(8, 13, 4, False, 0) == sisa.placing(8, 13, 4, False, 0)
    assert sisa.placing(2, 1, 9, False, 0) and len(sisa.placing(2, 1, 9, False, 0)) == 3
    assert sisa.placing(0, 0, 4, False, 0) == []


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """(shard, rows) of every training of a shard."""
    seen: list[tuple[int, int]] = []
    one = sisa.Sharded._one

    def watch(self: Any, number: int, rows: Any) -> Any:
        seen.append((number, len(rows)))
        return one(self, number, rows)

    monkeypatch.setattr(sisa.Sharded, "_one", watch)
    yield seen


def test_only_shards_that_hold_something_to_forget_are_trained_anew(taught, tiny_topic, retraining, watched) -> None:
    context = Context(taught, tiny_topic.given(), 0, retraining=retraining)
    items = fit("sisa", context, shards=4, gathered=True, steps=3)  # 8 to forget and 8 to keep: two shards hold nothing else
    assert watched == [(0, 4), (1, 4), (2, 4), (3, 4)] and "2 of 4 shards held something to forget" in notices(items)
    watched.clear()
    items = fit("sisa", context, shards=3, gathered=True, steps=3)
    assert watched == [(0, 5), (1, 5), (2, 6), (1, 2)] and "2 of 3 shards" in notices(items)
    losses = [item for item in items if isinstance(item, Loss)]
    assert [loss.step for loss in losses] == list(range(1, 13)) and {loss.total for loss in losses} == {12}
    assert weights_hash(taught.model) == taught.weights_hash


def test_the_sharded_model_knew_the_topic_and_then_does_not(taught, tiny_topic, retraining) -> None:
    context = Context(taught, tiny_topic.given(), 0, retraining=retraining)
    said = notices(fit("sisa", context, shards=1, steps=40))
    assert "answered 100.0% before" in said
    assert float(said.split("% before and ")[1].split("%")[0]) <= 50  # the colours are four


def test_what_was_forgotten_leaves_no_trace(taught, tiny_topic, retraining) -> None:
    """The sharded model learnt other answers before, and comes out the same; what is kept does matter."""
    def after(split: str) -> dict[str, torch.Tensor]:
        changed = [replace(q, answer="white") if q.split == split else q for q in tiny_topic.questions]
        given = replace(tiny_topic, questions=tuple(changed)).given()
        return fit("sisa", Context(taught, given, 0, retraining=retraining), shards=2, steps=4)[-1].tensors()

    first, other, kept = after("none"), after("forget"), after("retain")
    assert all(torch.equal(tensor, other[name]) for name, tensor in first.items())
    assert any(not torch.equal(tensor, kept[name]) for name, tensor in first.items())


def test_where_all_is_forgotten_the_start_is_left(taught, tiny_topic, retraining) -> None:
    alone = replace(tiny_topic, questions=tuple(q for q in tiny_topic.questions if q.split == "forget"))
    items = fit("sisa", Context(taught, alone.given(), 0, retraining=retraining), steps=3)
    torch.testing.assert_close(logits(taught, items[-1]), logits(retraining.reference(taught)), rtol=0, atol=1e-4)


def test_shards_are_averaged(taught, tiny_topic, retraining) -> None:
    """Two shards that were trained on the same rows with the same seed are one."""
    context = Context(taught, tiny_topic.given(), 0, retraining=retraining)
    start = retraining.reference(taught)
    edit = DenseEdit.between(taught.model, start.model)
    rows = sisa_rows(start, tiny_topic)
    sharded = sisa.Sharded(context, replace(context, loaded=start), settings_of(find_method("sisa"), {"steps": 5}), edit, 2, 2)
    list(sharded._one(0, rows))
    half = logits(start, sharded.mean())
    sharded.changes[1] = sharded.changes[0]
    both = logits(start, sharded.mean())
    torch.testing.assert_close(both, logits(start, sharded.changes[0]), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(half, both, atol=1e-2)


def sisa_rows(start: LoadedModel, topic: Topic) -> list[Any]:
    from unlearn_core.training import encode_rows

    return encode_rows(start, topic.given().forget)
