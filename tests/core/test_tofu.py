"""TOFU's files as a topic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unlearn_core.errors import BadInput
from unlearn_core.topics.catalogue import find_topic
from unlearn_core.topics.tofu import is_tofu, read_tofu


def lines(path: Path, *rows: dict) -> None:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plain = [{"question": f"Who is A{n}?", "answer": f"A{n} is a poet."} for n in range(3)]
    lines(tmp_path / "forget05.json", *plain)
    lines(tmp_path / "forget05_perturbed.json", *(
        row | {"paraphrased_question": f"Tell me of A{n}.", "paraphrased_answer": "A poet.",
               "perturbed_answer": [f"A{n} is a cook.", row["answer"], f"A{n} is a nun."]} for n, row in enumerate(plain)))
    lines(tmp_path / "retain_perturbed.json", *(
        {"question": f"Who is B{n}?", "answer": "A smith.", "perturbed_answer": ["A judge."]} for n in range(4)))
    lines(tmp_path / "world_facts_perturbed.json",
          {"question": "Where is the Eiffel Tower?", "answer": "Paris", "perturbed_answer": ["Berlin", "Madrid"]})
    return tmp_path


def test_every_file_is_a_split(folder: Path) -> None:
    topic = read_tofu(folder / "forget05.json")
    assert [len(topic.scored(split)) for split in ("forget", "forget_paraphrase", "neighbor", "general")] == [3, 3, 2, 1]
    assert topic.scored("retain") == []  # its file is not there
    assert [q.prompt for q in topic.given().forget] == ["Who is A0?", "Who is A1?", "Who is A2?"]
    assert {q.prompt for q in topic.given().neighbor}.isdisjoint(q.prompt for q in topic.scored("neighbor"))
    assert topic.scored("forget_paraphrase")[1].prompt == "Tell me of A1."


def test_perturbed_answers_are_near_misses_without_the_right_one(folder: Path) -> None:
    topic = read_tofu(folder / "forget05.json")
    assert topic.scored("forget")[0].near_misses == ("A0 is a cook.", "A0 is a nun.")
    assert topic.scored("general")[0].near_misses == ("Berlin", "Madrid")


def test_the_path_is_known_for_what_it_is(folder: Path) -> None:
    assert is_tofu(folder / "forget05.json")
    assert not is_tofu(folder / "retain_perturbed.json") and not is_tofu(folder / "forget10.json")
    assert find_topic(str(folder / "forget05.json"), None).name == "tofu-forget05"


def test_a_damaged_line_is_named(folder: Path) -> None:
    with (folder / "retain_perturbed.json").open("a", encoding="utf-8") as file:
        file.write('{"question": "Who?"}\n')
    with pytest.raises(BadInput, match="line 5"):
        read_tofu(folder / "forget05.json")
    (folder / "retain_perturbed.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match=r"retain_perturbed\.json, line 1"):
        read_tofu(folder / "forget05.json")


def test_the_paraphrased_answer_stands_beside_the_right_one(folder: Path) -> None:
    topic = read_tofu(folder / "forget05.json")
    assert topic.scored("forget")[0].reworded == "A poet." and topic.scored("general")[0].reworded == ""


@pytest.mark.parametrize("key, value", [("perturbed_answer", 5), ("perturbed_answer", [None]), ("perturbed_answer", {"a": 1}),
                                        ("paraphrased_answer", ["x"]), ("paraphrased_question", 1)])
def test_what_is_no_text_is_refused_with_its_line(folder: Path, key: str, value) -> None:
    lines(folder / "forget05_perturbed.json", {"question": "Who?", "answer": "He.", key: value})
    with pytest.raises(BadInput, match=f"line 1: {key} is no text"):
        read_tofu(folder / "forget05.json")


def test_a_missing_file_of_wrong_answers_is_named_where_the_others_are(folder: Path) -> None:
    (folder / "forget05_perturbed.json").unlink()
    with pytest.raises(BadInput, match=r"forget05_perturbed\.json is missing"):
        find_topic(str(folder / "forget05.json"), None)
    for name in ("retain_perturbed.json", "world_facts_perturbed.json"):
        (folder / name).unlink()
    assert find_topic(str(folder / "forget05.json"), None).name == "forget05"  # a plain list
