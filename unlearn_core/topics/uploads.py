"""Questions and answers from a person's own list (CSV, JSONL, JSON) as a topic. Knows no model and writes no file."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Any, NamedTuple

from ..config import SPLITS
from .reader import MAX_TEXT, check_questions, decode_text, fault, parse_json, shorten, topic_from_json
from .topic import Question, Topic

MAX_ROWS = 5_000
_QUESTION, _ANSWER = ("question", "prompt"), ("answer", "expected")
_COLUMNS = "It needs the columns question and answer, and may have split, options and id."
_HALVED = ("neighbor", "retain")
_SPLIT_WORDS = {"neighbour": "neighbor", "neighbours": "neighbor", "neighbors": "neighbor", "": "forget"}


class Row(NamedTuple):
    """One row as read: `place` is where it stands ("line 7")."""

    place: str
    values: dict[str, Any]


def parse_upload(name: str, data: bytes) -> Topic:
    """The topic in an uploaded file: our own topic format, or rows of question, answer [, split, options, id].

    Questions to forget are given and scored ("both"); neighbor and retain rows are halved into given and held by a
    fixed hash; the other splits are only scored. Raises BadInput with one sentence for the first fault.
    """
    source = PurePath(name).name or "The list"
    text = decode_text(data, source)
    suffix = PurePath(name).suffix.lower()
    if suffix == ".csv" or (suffix not in (".json", ".jsonl") and text.lstrip()[:1] not in "[{"):
        rows = list(_csv_rows(text, source))
    else:
        body = _json_body(text, source, lines=suffix == ".jsonl")
        if isinstance(body, dict):
            return topic_from_json(body, source)
        rows = [Row(f"row {place}", row) for place, row in enumerate(body, start=1)]
    return from_rows(source, rows)


def from_rows(name: str, rows: list[Row]) -> Topic:
    """A topic from rows of named values; see `parse_upload`."""
    if not rows:
        raise fault(name, "it has no rows", _COLUMNS)
    if len(rows) > MAX_ROWS:
        raise fault(name, f"it has {len(rows):,} rows", f"The limit for a list is {MAX_ROWS:,}.")
    questions = _halved([_question(row, number, name) for number, row in enumerate(rows, start=1)])
    _check_repeats(questions, name)
    check_questions(questions, name)
    title = re.sub(r"[-_\s]+", " ", PurePath(name).stem).strip() or "your list"
    forget = [question for question in questions if question.split == "forget"]
    floors = {"forget": "chance"} if all(len(question.options) > 1 for question in forget) else {}
    return Topic(name=slug(title), title=title, summary=f"{len(forget)} question{'s' * (len(forget) != 1)} to forget, from {name}",
                 neighbor_title="its neighbours", questions=questions, floors=floors,
                 examples=tuple(question.prompt for question in forget[:3]))


def slug(text: str) -> str:
    """Lower-case words joined by hyphens, for a topic's name."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "-".join(words)[:40].strip("-") or "list"


def numbered(topic: Topic, number: int) -> Topic:
    """The same topic under a name and a title that no other of its name has."""
    return replace(topic, name=f"{topic.name}-{number}", title=f"{topic.title} ({number})")


def _csv_rows(text: str, source: str) -> Iterator[Row]:
    sample = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=sample.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader)]
        _check_columns(header, source)
        for cells in reader:
            place = f"line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                raise fault(source, f"{place} has {len(cells)} cells for {len(header)} columns",
                            "Put quotes round text with commas.")
            yield Row(place, dict(zip(header, cells, strict=False)))
    except csv.Error as error:
        raise fault(source, f"line {reader.line_num} is not CSV ({error})", "Check the quotes there.") from error


def _check_columns(header: list[str], source: str) -> None:
    if not set(header) & set(_QUESTION) or not set(header) & set(_ANSWER):
        found = ", ".join(shorten(cell, 30) for cell in header[:8] if cell) or "none"
        raise fault(source, f"its columns are: {found}", _COLUMNS)


def _json_body(text: str, source: str, lines: bool) -> dict[str, Any] | list[Any]:
    """A JSON object with questions (a topic file), or a list of rows."""
    if not lines:
        try:
            json.loads(text)
        except (ValueError, RecursionError) as error:
            lines = getattr(error, "msg", "") == "Extra data"
        body = None if lines else parse_json(text, source)
        if isinstance(body, list) or (isinstance(body, dict) and "questions" in body):
            return body
        if not lines:
            raise fault(source, "it is not a list of questions", _COLUMNS)
    return [parse_json(line, f"{source}, line {place},") for place, line in enumerate(text.split("\n"), start=1)
            if line.strip()]


def _question(row: Row, number: int, source: str) -> Question:
    if not isinstance(row.values, dict):
        raise fault(source, f"{row.place} is not an object", _COLUMNS)
    values = {str(key).strip().lower(): value for key, value in row.values.items()}
    prompt = _cell(values, _QUESTION, row.place, source)
    answer = _cell(values, _ANSWER, row.place, source)
    split = str(values.get("split") or "").strip().lower()
    split = _SPLIT_WORDS.get(split, split)
    if split not in SPLITS:
        raise fault(source, f"{row.place} has the split '{shorten(split)}'", f"Use one of {', '.join(SPLITS)}.")
    options = _options(values.get("options"), row.place, source)
    if options and answer not in options:
        raise fault(source, f"the answer on {row.place} is not one of its options", "Add it to the options.")
    part = "both" if split == "forget" else "held"
    identity = str(values.get("id") or "").strip() or f"row-{number}"
    return Question(id=identity[:MAX_TEXT], split=split, prompt=prompt, answer=answer, part=part, options=options)


def _cell(values: dict[str, Any], names: tuple[str, ...], place: str, source: str) -> str:
    value = next((values[name] for name in names if values.get(name) is not None), None)
    if isinstance(value, (dict, list)):
        raise fault(source, f"the {names[0]} on {place} is not text", _COLUMNS)
    text = "" if value is None else str(value).strip()
    if not text:
        raise fault(source, f"{place} has no {names[0]}", _COLUMNS)
    if len(text) > MAX_TEXT:
        raise fault(source, f"the {names[0]} on {place} has {len(text):,} characters", f"The limit is {MAX_TEXT:,}.")
    return text


def _options(value: Any, place: str, source: str) -> tuple[str, ...]:
    """Options as a list, or as text with | between them; at least two where there are any."""
    parts = value if isinstance(value, list) else str(value or "").split("|")
    options = tuple(dict.fromkeys(str(part).strip() for part in parts if str(part).strip()))
    if len(options) == 1 or any(len(option) > MAX_TEXT for option in options):
        raise fault(source, f"{place} has one option only", "Write the options as a|b|c, the answer among them.")
    return options


def _halved(questions: list[Question]) -> tuple[Question, ...]:
    """Neighbor and retain questions in two halves, given and held (the odd one is held), by the hash of the prompt."""
    given: set[str] = set()
    for split in _HALVED:
        prompts = sorted((q.prompt for q in questions if q.split == split), key=_digest)
        given |= {f"{split}:{prompt}" for prompt in prompts[1::2]}
    return tuple(replace(q, part="given") if f"{q.split}:{q.prompt}" in given else q for q in questions)


def _digest(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()


def _check_repeats(questions: tuple[Question, ...], source: str) -> None:
    """The same question twice would be given and held at once, or be forgotten and kept at once."""
    seen: set[str] = set()
    for question in questions:
        key = " ".join(question.prompt.casefold().split())
        if key in seen:
            raise fault(source, f"the question '{shorten(question.prompt)}' is there twice", "Keep one of the two.")
        seen.add(key)
