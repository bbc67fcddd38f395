"""Reference scores on disk: found for the very topic, ignored for another, refused when damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from unlearn_core.errors import BadInput
from unlearn_core.evaluation.references import Reference, floor, load_reference, topic_hash, write_reference
from unlearn_core.topics.topic import Question, Topic


def reference_of(topic: Topic) -> Reference:
    return Reference("w" * 64, topic_hash(topic), "1", {"forget": 0.25, "retain": 0.9}, {"forget": "retrained"},
                     {"forget-0": True}, {"forget": 8}, 12.5)


def test_written_and_read_again(tiny_topic: Topic, tmp_path: Path) -> None:
    path = write_reference(tmp_path, tiny_topic, reference_of(tiny_topic))
    assert path == tmp_path / "references" / "tiny-hats.json"
    assert load_reference(tmp_path, tiny_topic) == reference_of(tiny_topic)


def test_none_where_there_is_none(tiny_topic: Topic, tmp_path: Path) -> None:
    assert load_reference(tmp_path, tiny_topic) is None and load_reference(None, tiny_topic) is None


def test_a_changed_topic_has_no_reference(tiny_topic: Topic, tmp_path: Path) -> None:
    write_reference(tmp_path, tiny_topic, reference_of(tiny_topic))
    changed = replace(tiny_topic, questions=tiny_topic.questions[:-1])
    assert topic_hash(changed) != topic_hash(tiny_topic)
    assert load_reference(tmp_path, changed) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"accuracy": {}}'])
def test_damaged_files_are_refused(tiny_topic: Topic, tmp_path: Path, content: str) -> None:
    write_reference(tmp_path, tiny_topic, reference_of(tiny_topic)).write_text(content)
    with pytest.raises(BadInput, match="cannot be read"):
        load_reference(tmp_path, tiny_topic)


def test_floors(tiny_topic: Topic) -> None:
    reference = reference_of(tiny_topic)
    assert floor(tiny_topic, "forget", reference) == (0.25, "retrained")
    assert floor(tiny_topic, "forget", None) == (None, None)
    assert floor(tiny_topic, "general", reference) == (None, None)


def test_chance_is_one_over_the_number_of_options(tiny_topic: Topic) -> None:
    questions = tuple(Question(str(n), "forget", "?", "a", "both", tuple("abcd"[:2 if n else 4])) for n in range(2))
    topic = replace(tiny_topic, questions=questions, floors={"forget": "chance"})
    assert floor(topic, "forget", None) == (pytest.approx((1 / 4 + 1 / 2) / 2), "chance")
    assert floor(topic, "forget", reference_of(tiny_topic))[1] == "chance"
