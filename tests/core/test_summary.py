"""The numbers of a summary, against values worked out by hand."""

from __future__ import annotations

import pytest

from unlearn_core.config import RunConfig
from unlearn_core.evaluation.measure import Judged, Measurement
from unlearn_core.evaluation.references import Reference, topic_hash
from unlearn_core.summary import Results, finite, relabelled_splits, scores, summarise
from unlearn_core.topics.topic import Question, Topic


def topic_of(count: int = 10, floors: dict[str, str] | None = None, options: tuple[str, ...] = ()) -> Topic:
    questions = [Question(f"{split}-{place}", split, f"{split} {place}?",
                          options[place % len(options)] if options else "yes",
                          "both" if split == "forget" else "held", options if split == "forget" else ())
                 for split in ("forget", "neighbor") for place in range(count)]
    return Topic("t", "the t", "", "others", tuple(questions), floors=floors or {})


def measured(topic: Topic, correct: dict[str, int], **same: object) -> Measurement:
    """A measurement with the first `correct[split]` questions of each split right."""
    return Measurement({q.id: Judged(q.split, "yes", int(q.id.split("-")[1]) < correct[q.split], -1.0, **same)
                        for q in topic.questions}, 3.0)


def reference_of(topic: Topic, forget: float) -> Reference:
    return Reference("w", topic_hash(topic), "c", {"forget": forget, "neighbor": 1.0},
                     {"forget": "retrained", "neighbor": "retrained"}, {})


def test_removed_is_the_share_of_the_way_to_the_reference() -> None:
    topic = topic_of()
    body = scores(topic, reference_of(topic, 0.2), measured(topic, {"forget": 10, "neighbor": 10}),
                  measured(topic, {"forget": 4, "neighbor": 9}))
    assert body["removed"] == pytest.approx((1.0 - 0.4) / (1.0 - 0.2))
    assert body["removed_paraphrase"] is None and body["removed_spanish"] is None
    forget, neighbor = body["accuracy"]["forget"], body["accuracy"]["neighbor"]
    assert (forget["before"], forget["after"]) == (1.0, 0.4)
    assert (forget["reference"], forget["reference_kind"]) == (0.2, "retrained")
    assert (forget["low"], forget["high"]) == (pytest.approx(0.1682, abs=1e-4), pytest.approx(0.6873, abs=1e-4))
    assert neighbor["paired"]["difference"] == pytest.approx(-0.1) and "answered" not in neighbor
    assert neighbor["paired"]["low"] < -0.1 < neighbor["paired"]["high"]


def test_without_a_reference_the_floor_is_zero_and_without_after_nothing_is_claimed() -> None:
    topic = topic_of()
    before, after = measured(topic, {"forget": 8, "neighbor": 10}), measured(topic, {"forget": 2, "neighbor": 10})
    assert scores(topic, None, before, after)["removed"] == pytest.approx(0.75)
    assert scores(topic, None, before, None)["removed"] is None
    assert scores(topic, None, before, None)["accuracy"]["forget"]["after"] is None
    assert scores(topic, None, measured(topic, {"forget": 0, "neighbor": 10}), after)["removed"] is None
    assert scores(topic, None, after, before)["removed"] < 0


def test_a_chance_floor_is_one_over_the_options_and_says_how_many_answered() -> None:
    topic = topic_of(400, {"forget": "chance"}, ("good", "bad"))
    before = measured(topic, {"forget": 400, "neighbor": 400}, answered=True)
    after = measured(topic, {"forget": 205, "neighbor": 400}, answered=False)
    body = scores(topic, None, before, after)
    assert body["accuracy"]["forget"]["reference"] == 0.5 and body["accuracy"]["forget"]["reference_kind"] == "chance"
    assert body["accuracy"]["forget"]["answered"] == 0.0
    assert body["removed"] == 1.0  # 205 of 400 cannot be told from chance
    assert relabelled_splits(topic, after) == {"forget": False}
    assert relabelled_splits(topic, measured(topic, {"forget": 100, "neighbor": 400})) == {"forget": True}


def test_a_summary_states_the_condition_that_the_model_is_in() -> None:
    topic = topic_of()
    before, after = measured(topic, {"forget": 10, "neighbor": 10}), measured(topic, {"forget": 0, "neighbor": 2})
    results = Results(RunConfig(topic="t"), "run", topic, reference_of(topic, 0.9), before, after)
    assert [one["name"] for one in summarise(results, "done", 1.0)["conditions"]] == ["collapsed", "over-forgotten"]
    assert summarise(Results(RunConfig(topic="t"), "run", topic, None, before), "stopped", 1.0)["conditions"] == []


def test_a_summary_is_plain_and_finite() -> None:
    results = Results(RunConfig(topic="t", edits=("a",)), "run", rank=2, relative_change=float("nan"))
    body = summarise(results, "stopped", 1.23456)
    assert body["relative_change"] is None and body["seconds"] == 1.23 and body["edits"] == ["a"]
    assert body["accuracy"]["retain"]["after"] is None
    assert body["parameters"] == {"trained": None, "edit": None, "total": None}
    assert finite({"a": (float("inf"), 1, "b")}) == {"a": [None, 1, "b"]}
