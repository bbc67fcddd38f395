"""Topic files and uploaded lists: what is read, how it is halved, and one sentence for every fault."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from unlearn_core.errors import BadInput
from unlearn_core.topics import Question, Topic, completed, find_topic, parse_upload, read_topic, topics, write_topic
from unlearn_core.topics.reader import MAX_TEXT
from unlearn_core.topics.uploads import MAX_ROWS

GOOD = b"question,answer\nWho is Orm?,red\nWho is Ulf?,blue\n"


HIGH = bytes(128 + (71 * place) % 127 for place in range(500))  # as of a picture, without NUL


def zipped(name: str) -> bytes:
    """An archive with one member of that name."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, "x")
    return target.getvalue()


def refusal(name: str, data: bytes) -> str:
    """The sentence for a bad upload."""
    with pytest.raises(BadInput) as error:
        parse_upload(name, data)
    assert error.value.field == "topic" and "\n" not in str(error.value) and len(str(error.value)) < 400
    return str(error.value)


def test_a_topic_file_comes_back_as_written(tiny_topic: Topic, tmp_path: Path) -> None:
    full = replace(tiny_topic, questions=(*tiny_topic.questions, Question(
        "c", "forget_choice", "Which?", "a", "held", ("a", "b"), "é", "choice", ("c", "d"))))
    write_topic(full, tmp_path / "t.json")
    assert read_topic(tmp_path / "t.json") == full
    assert parse_upload("t.json", (tmp_path / "t.json").read_bytes()) == full


@pytest.mark.parametrize(("change", "word"), [
    ({"questions": {}}, "not a list"), ({"questions": []}, "to forget"), ({"name": "Not a name"}, "name"),
    ({"name": "../up"}, "name"), ({"texts": [1]}, "texts"), ({"floors": {"forget": "zero"}}, "floors"),
    ({"questions": [{"id": "1", "split": "forget", "prompt": "q"}]}, "no answer"),
    ({"questions": [{"id": "1", "split": "elsewhere", "prompt": "q", "answer": "a"}]}, "elsewhere"),
    ({"questions": [{"id": "1", "split": "forget", "prompt": "q", "answer": "a", "part": "some"}]}, "part"),
    ({"questions": [{"id": "1", "split": "forget", "prompt": "q", "answer": "a", "options": ["b"]}]}, "options"),
    ({"questions": [{"id": "1", "split": "forget", "prompt": "q", "answer": "a"}] * 2}, "twice"),
    ({"questions": ["q"]}, "not an object"),
    ({"questions": [{"id": "1", "split": "forget", "prompt": "q", "answer": "a", "part": "held"}]}, "given to the method"),
])
def test_a_fault_in_a_topic_file_is_named(tmp_path: Path, change: dict, word: str) -> None:
    body = {"name": "mine", "questions": [{"id": "1", "split": "forget", "prompt": "q", "answer": "a", "part": "both"}]} | change
    (tmp_path / "t.json").write_text(json.dumps(body), encoding="utf-8")
    with pytest.raises(BadInput, match=word):
        read_topic(tmp_path / "t.json")


def test_rows_of_every_format_give_the_same_topic() -> None:
    rows = [{"question": "Who is Orm?", "answer": "red"}, {"question": "Who is Ulf?", "answer": "blue"}]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    found = [parse_upload("mine.csv", GOOD), parse_upload("mine.jsonl", lines), parse_upload("mine.txt", lines),
             parse_upload("mine.json", json.dumps(rows).encode()), parse_upload("mine.json", lines),
             parse_upload("mine.csv", b"\xef\xbb\xbf" + GOOD.replace(b",", b";").replace(b"\n", b"\r\n"))]
    assert len({topic.questions for topic in found}) == 1
    assert [(q.prompt, q.answer, q.part, q.split) for q in found[0].questions] == [
        ("Who is Orm?", "red", "both", "forget"), ("Who is Ulf?", "blue", "both", "forget")]


def test_quoted_cells_numbers_and_spare_columns() -> None:
    data = b'split,Prompt,expected,comment\nforget,"One, or two?\nThree?",4,x\nneighbours,"He said ""no""",no,\n'
    topic = parse_upload("a.csv", data)
    assert topic.questions[0].prompt == "One, or two?\nThree?" and topic.questions[1].prompt == 'He said "no"'
    assert [q.split for q in topic.questions] == ["forget", "neighbor"]
    assert parse_upload("a.jsonl", b'{"question": "1+1?", "answer": 2}').questions[0].answer == "2"


def test_kept_rows_are_halved_by_a_fixed_hash_whatever_their_order() -> None:
    rows = [{"question": f"q{number}", "answer": "a", "split": split} for number in range(21)
            for split in ("forget", "neighbor", "retain", "general")]
    rows = [row | {"question": f"{row['question']} {row['split']}"} for row in rows]
    parts = []
    for order in (rows, rows[::-1]):
        topic = parse_upload("a.json", json.dumps(order).encode())
        parts.append({q.prompt: q.part for q in topic.questions})
    assert parts[0] == parts[1]
    given = [prompt for prompt, part in parts[0].items() if part == "given"]
    assert sum("neighbor" in prompt for prompt in given) == sum("retain" in prompt for prompt in given) == 10
    assert not any("general" in prompt for prompt in given)


def test_options_make_a_forced_choice_with_chance_as_floor() -> None:
    topic = parse_upload("a.csv", b"question,answer,options\nq1,yes,yes|no\nq2,no,yes|no\n")
    assert topic.floors == {"forget": "chance"} and topic.questions[0].options == ("yes", "no")
    assert parse_upload("a.csv", GOOD).floors == {}


@pytest.mark.parametrize(("name", "data", "word"), [
    ("a.csv", b"", "empty"), ("a.csv", b" \n\n ", "empty"), ("a.csv", b"question,answer\n", "no rows"),
    ("a.csv", b"frage,antwort\na,b\n", "columns are: frage, antwort"), ("a.csv", b"just some text", "columns"),
    ("a.csv", bytes(range(256)) * 4, "binary"), ("a.png", b"\x89PNG\r\n\x1a\n\x00\x00", "PNG"),
    ("a.csv", b"\x89PNG\r\n\x1a\n" + HIGH, "it is a PNG picture, not a list of questions and answers. Bring"),
    ("a.csv", b"\xff\xd8\xff\xe0" + HIGH, "a JPEG picture"), ("a.csv", b"GIF89a" + HIGH, "a GIF picture"),
    ("a.csv", b"%PDF-1.4\n" + HIGH, "a PDF file"),
    ("a.csv", b"PAR1" + HIGH, "a Parquet file"), ("a.csv", b"SQLite format 3\x00", "an SQLite database"),
    ("a.csv", gzip.compress(GOOD, mtime=0), "a gzip file"), ("a.csv", HIGH, "a binary file, not a list of questions"),
    ("a.csv", bytes(range(1, 256)) * 4, "a binary file, not a list"), ("a.zip", zipped("a.csv"), "a ZIP archive"),
    ("a.xlsx", zipped("xl/workbook.xml"), "an Excel workbook, not a list of questions and answers. Export the sheet as CSV."),
    ("a.docx", zipped("word/document.xml"), "a Word document"),
    ("a.csv", "question,answer\nКто это?,красный\n".encode("cp1251"), "line 2 is not UTF-8"),
    ("a.csv", ("question,answer\n" + "谁是他的母亲和父亲以及孩子？,红色的帽子是他的\n" * 200).encode("gbk"), "line 2 is not UTF-8"),
    ("a.csv", "question,answer\na,b\n".encode("utf-16"), "UTF-16"),
    ("a.csv", b"question,answer\ncaf\xe9,b\n", "line 2 is not UTF-8"),
    ("a.csv", b"question,answer\n" + b"x" * 10 * 2**20 + b",y\n", "10 MB"),
    ("a.csv", b"question,answer\n" + b"x" * (MAX_TEXT + 1) + b",y\n", "characters"),
    ("a.csv", b"question,answer,id\na,b,1\nc,d,1\n", "id '1' is used twice"),
    ("a.csv", b"question,answer\na,b\nA,c\n", "there twice"),
    ("a.csv", b"question,answer\na,\n", "line 2 has no answer"), ("a.csv", b"question,answer\na,b,c\n", "3 cells"),
    ("a.csv", b'question,answer\n"a,b\n', "not CSV"), ("a.csv", b"question,answer,split\na,b,other\n", "split 'other'"),
    ("a.csv", b"question,answer,split\na,b,retain\n", "no question to forget"),
    ("a.csv", b"question,answer,options\na,b,c|d\n", "not one of its options"),
    ("a.csv", b"question,answer,options\na,b,b\n", "one option only"),
    ("a.csv", b"question,answer\n" + b"".join(b"q%d,a\n" % row for row in range(MAX_ROWS + 1)), "rows"),
    ("a.jsonl", b'{"question": "a", "answer": "b"}\n{"question": \n', "line 2"),
    ("a.jsonl", b'["a"]\n', "not an object"),
    ("a.jsonl", b'{"question": ["a"], "answer": "b"}\n', "not text"), ("a.json", b'{"some": "thing"}', "not a list"),
    ("a.jsonl", b'{"question": "Who \\ud800?", "answer": "a"}\n', "half of a character"),
    ("a.json", b'[{"question": "Who \\udc00?", "answer": "a"}]', "half of a character"),
    ("a.jsonl", b'{"question": "a", "answer": "b", "id": ' + b"9" * 5000 + b"}\n", "thousands of digits"),
    ("a.json", b'[{"question": "a", "answer": "b", "id": ' + b"9" * 5000 + b"}]", "thousands of digits"),
    ("a.json", b"[" * 100_000, "nested"), ("a.json", b"[1, 2", "not valid JSON"), ("a.json", b'"text"', "not a list"),
])
def test_a_bad_upload_is_one_sentence(name: str, data: bytes, word: str) -> None:
    assert word in refusal(name, data)


def test_two_halves_in_a_row_are_a_character() -> None:
    topic = parse_upload("a.jsonl", b'{"question": "Who is \\ud83d\\ude00?", "answer": "a"}\n')
    assert topic.questions[0].prompt == "Who is \U0001F600?"


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(BadInput, match="no file"):
        find_topic(str(tmp_path / "pipe.csv"), None)


@pytest.mark.parametrize("spec", ["", " "])
def test_no_name_is_no_folder(world: Path, spec: str) -> None:
    with pytest.raises(BadInput, match="There is no topic"):
        find_topic(spec, world)


def test_a_folder_is_said_to_be_one(world: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for spec in (tmp_path, tmp_path / "folder.csv", f"{tmp_path}/"):
        for model in (world, None):
            with pytest.raises(BadInput, match=r"is a folder, not a topic\..+Give one file with questions") as caught:
                find_topic(str(spec), model)
            assert caught.value.field == "topic" and "Known" not in str(caught.value)


def test_a_hostile_name_stays_a_plain_one() -> None:
    topic = parse_upload("../../<b>ev il</b>.csv", GOOD)
    assert topic.name == "b" and topic.title == "b>"


def test_topics_of_a_model_come_before_uploads_of_the_same_name(world: Path, tmp_path: Path, tiny_topic: Topic) -> None:
    write_topic(replace(tiny_topic, title="another"), tmp_path / "tiny-hats.json")
    write_topic(replace(tiny_topic, name="other"), tmp_path / "other.json")
    assert find_topic("tiny-hats", world, tmp_path).title == tiny_topic.title
    found = topics(world, tmp_path)
    assert [(entry["name"], entry["source"]) for entry in found] == [("tiny-hats", "built-in"), ("other", "uploaded")]
    assert found[0]["counts"] == {split: len(tiny_topic.scored(split)) for split in tiny_topic.splits()}
    assert topics(None) == []


def test_an_unknown_topic_names_near_ones(world: Path) -> None:
    with pytest.raises(BadInput, match="Did you mean tiny-hats"):
        find_topic("tiny-hat", world)
    for spec in ("x" * 5000, "a\0b", "~nobody"):
        with pytest.raises(BadInput, match="no topic"):
            find_topic(spec, world)
    with pytest.raises(BadInput, match="no file"):
        find_topic("missing.csv", world)
    with pytest.raises(BadInput, match="this model is none"):
        find_topic("anything", None)


def test_a_model_folder_without_topics_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no topics of its own"):
        find_topic("anything", tmp_path)


def test_a_changed_topic_file_is_read_again(tmp_path: Path, tiny_topic: Topic) -> None:
    (tmp_path / "topics").mkdir()
    path = tmp_path / "topics" / "tiny-hats.json"
    write_topic(tiny_topic, path)
    assert find_topic("tiny-hats", tmp_path).title == "the hats"
    write_topic(replace(tiny_topic, title="the bonnets"), path)
    assert find_topic("tiny-hats", tmp_path).title == "the bonnets"


def test_a_short_list_is_completed_from_the_world(world: Path, tiny_topic: Topic) -> None:
    asked = tiny_topic.scored("retain")[0]
    mine = parse_upload("mine.csv", f"question,answer\n{asked.prompt},{asked.answer}\n".encode())
    found = completed(mine, world)
    added = found.topic.questions[1:]
    assert {q.split for q in added} <= {"retain", "general"} and added
    assert asked.prompt not in [q.prompt for q in added] and all(q.answer != asked.answer for q in added)
    assert found.topic.texts == tiny_topic.texts and "built-in world" in found.notices[0]
    assert len({q.id for q in found.topic.questions}) == len(found.topic.questions)


def test_without_a_world_what_is_unmeasured_is_said(tiny_topic: Topic) -> None:
    found = completed(parse_upload("mine.csv", GOOD), None)
    assert len(found.notices) == 2 and "retain" in found.notices[0] and len(found.topic.questions) == 2
    assert completed(tiny_topic, None).notices == ()
