"""What is measured of an original once: kept in the store, found again by another process, and only for the very same things."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from unlearn_core.models.loading import LoadedModel
from unlearn_core.originals import Originals
from unlearn_core.store import Store
from unlearn_core.topics.topic import Topic
from unlearn_core.workbench import Workbench


def never() -> bool:
    return False


def test_metrics_are_found_once_for_the_same_things(taught: LoadedModel, tiny_topic: Topic, store: Store) -> None:
    asked: list[int] = []

    def found() -> dict:
        asked.append(1)
        return {"metrics": {"probability": {"value": 0.1 * len(asked)}}}

    first = Originals(store).metrics(taught, tiny_topic, ["a", ""], found)
    assert Originals(Store(store.root)).metrics(taught, tiny_topic, ["a", ""], found) == first and len(asked) == 1
    Originals(store).metrics(taught, tiny_topic, ["b", ""], found)
    Originals(store).metrics(taught, replace(tiny_topic, questions=tiny_topic.questions[1:]), ["a", ""], found)
    assert len(asked) == 3


def test_a_second_evaluation_takes_the_originals_metrics_as_they_were(
        taught_world: Path, store: Store, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Workbench(store)
    loaded = bench.load(str(taught_world), "cpu")
    first = bench.evaluate(loaded, tiny_topic, [], never, lambda done, total: None)
    assert first["items"]["before"]["probability"].keys() == {q.id for q in tiny_topic.scored("forget")}
    monkeypatch.setattr("unlearn_core.workbench.examine", None)  # whoever calls it now fails
    again = Workbench(store)
    second = again.evaluate(again.load(str(taught_world), "cpu"), tiny_topic, [], never, lambda done, total: None)
    assert {name: second[name] for name in ("metrics", "items", "consistency")} == {
        name: first[name] for name in ("metrics", "items", "consistency")}
