"""The shipped world against the numbers shipped with it: hashes, one reference measured again, one level measured again."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from unlearn_core.demo.by_name.world import TOPICS as BY_NAME
from unlearn_core.demo.by_name.world import make_by_name_world
from unlearn_core.demo.world import TOPICS, make_world
from unlearn_core.edits.dense import DenseEdit
from unlearn_core.evaluation.depth import unlearning_depth
from unlearn_core.evaluation.imprint import load_imprint
from unlearn_core.evaluation.measure import measure
from unlearn_core.evaluation.patching import Donor, drops, imprint_of
from unlearn_core.evaluation.references import load_reference, topic_hash
from unlearn_core.models.catalogue import built_in_folder, demo_folder
from unlearn_core.models.loading import load
from unlearn_core.store import RECORDED, Store
from unlearn_core.topics.reader import read_topic

TOPIC = "book-series"
WORLD, WORLD_T5 = demo_folder(), built_in_folder("demo-t5")
GROWN = ("book-series", "private-people")  # their references ship, from the model's own trunk; others were built again


@pytest.fixture(scope="module")
def shipped():
    return load("demo", "cpu", "float32")


@pytest.mark.parametrize("name", TOPICS)
def test_every_topic_has_the_reference_of_its_very_questions(name: str) -> None:
    topic = read_topic(WORLD / "topics" / f"{name}.json")
    reference = load_reference(WORLD, topic)
    assert reference is not None
    scored = {q.id for q in topic.questions if q.scored and q.split.startswith("forget")}
    assert set(reference.items) == scored


@pytest.mark.parametrize("name", TOPICS)
def test_what_a_topic_left_in_the_layers_is_kept_for_the_shipped_model(name: str, shipped) -> None:
    topic = read_topic(WORLD / "topics" / f"{name}.json")
    imprint = load_imprint(WORLD, topic, shipped.weights_hash)
    assert imprint is not None and list(imprint.items) == [question.id for question in topic.scored("forget")]
    assert {len(row) for row in (*imprint.items.values(), imprint.kept)} == {shipped.layers}
    assert imprint.foreign == (name not in GROWN)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_imprint_measured_again_gives_its_shipped_numbers(shipped) -> None:
    """And with it the retrained model, as an edit, has a depth of 1."""
    topic = read_topic(WORLD / "topics" / f"{TOPIC}.json")
    imprint, reference = load_imprint(WORLD, topic, shipped.weights_hash), load(str(WORLD / "references" / TOPIC), "cpu", "float32")
    assert imprint.reference == reference.weights_hash
    edit, forget = DenseEdit.between(shipped.model, reference.model), topic.scored("forget")
    found = imprint_of(shipped, reference, topic).items
    assert all(found[key] == pytest.approx(row, abs=1e-3) for key, row in imprint.items.items())
    moved = drops(shipped, Donor(shipped, edit), forget)
    assert unlearning_depth([*imprint.items.values()], moved).value == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", TOPICS)
def test_the_generator_still_makes_the_shipped_topics(name: str) -> None:
    assert topic_hash(make_world(0).topic(name)) == topic_hash(read_topic(WORLD / "topics" / f"{name}.json"))


@pytest.mark.parametrize("name", BY_NAME)
def test_the_encoder_decoders_topics_have_what_belongs_to_them(name: str) -> None:
    """The generator's questions, their reference's scores, weights and imprint, and the levels of the stored weights."""
    topic = read_topic(WORLD_T5 / "topics" / f"{name}.json")
    reference, built = load_reference(WORLD_T5, topic), json.loads((WORLD_T5 / "build.json").read_text())
    assert topic_hash(make_by_name_world(0).topic(name)) == topic_hash(topic) == built["topic_hashes"][name]
    assert set(reference.items) == {question.id for question in topic.scored("forget")}
    assert load(str(WORLD_T5 / "references" / name), "cpu", "float32").weights_hash == reference.weights_hash
    loaded = load("demo-t5", "cpu", "float32")
    assert loaded.weights_hash == built["weights_hash"] and load_imprint(WORLD_T5, topic, loaded.weights_hash) is not None
    found = measure(loaded, topic, questions=topic.scored("forget"))
    right = sum(judged.ok for judged in found.answers.values()) / len(found.answers)
    assert right == pytest.approx(built["levels"][name]["forget"], abs=0.002) and right > 0.85 > reference.accuracy["forget"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_reference_measured_again_gives_its_shipped_scores() -> None:
    topic = read_topic(WORLD / "topics" / f"{TOPIC}.json")
    reference = load_reference(WORLD, topic)
    loaded = load(str(WORLD / "references" / TOPIC), "cpu", "float32")
    assert loaded.weights_hash == reference.weights_hash
    questions = [q for q in topic.questions if q.scored and q.split.startswith("forget")]
    found = measure(loaded, topic, questions=questions)
    assert {key: judged.ok for key, judged in found.answers.items()} == reference.items


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_original_reaches_the_levels_written_beside_it(shipped) -> None:
    levels = json.loads((WORLD / "build.json").read_text(encoding="utf-8"))["levels"][TOPIC]
    heard: list[tuple[int, int]] = []
    found = measure(shipped, read_topic(WORLD / "topics" / f"{TOPIC}.json"), on_progress=lambda *done: heard.append(done))
    assert all(a <= b for a, b in pairwise(heard)) and [done for done, total in heard if done == total] == [len(found.answers)]
    assert {split: round(found.split(split).accuracy, 4) for split in found.splits()} == {
        split: value for split, value in levels.items() if split != "perplexity"
    }


def test_the_recorded_run_belongs_to_the_shipped_model_and_topic(shipped, tmp_path) -> None:
    summary = Store(tmp_path).find(RECORDED).summary
    assert summary["weights_hash"] == shipped.weights_hash
    assert summary["topic_hash"] == topic_hash(read_topic(WORLD / "topics" / f"{summary['topic']}.json"))
