"""Topic files: one JSON object a topic, read with every fault explained. Knows no model and no uploaded list."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..config import FORGET_SPLITS, SPLITS
from ..errors import BadInput
from .topic import Question, Topic

MAX_BYTES = 32 * 2**20
MAX_LINE = 2**20  # bytes
MAX_QUESTIONS = 50_000
MAX_TEXT = 4_000  # characters of one prompt, answer or option
MAX_HELD_TEXTS = 5_000
PARTS = ("given", "held", "both")
REFERENCES = ("retrained", "chance")
_TEXT = "Bring them as plain text: CSV, JSONL or JSON."
_BINARY = "a binary file", _TEXT
_SHEET = "Export the sheet as CSV."
_TABLE = "Export its table as CSV or JSONL."
_KINDS = (  # how a file begins, what it is, what to bring instead; a ZIP says more further on
    (b"\x89PNG", "a PNG picture", _TEXT), (b"\xff\xd8\xff", "a JPEG picture", _TEXT), (b"GIF8", "a GIF picture", _TEXT),
    (b"%PDF-", "a PDF file", _TEXT), (b"PAR1", "a Parquet file", _TABLE), (b"SQLite format 3", "an SQLite database", _TABLE),
    (b"\x1f\x8b", "a gzip file", "Unpack it first."), (b"PK\x03\x04", "a ZIP archive", "Unpack it first."))
_ZIPPED = ((b"word/document", "a Word document", _TEXT), (b"xl/workbook", "an Excel workbook", _SHEET),
           (b"opendocument.spreadsheet", "a spreadsheet", _SHEET), (b"opendocument.text", "a text document", _TEXT))
_CONTROL = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1a\x1b") + b"\x7f"
_PLAIN = bytes(range(32, 127)) + b"\t\n\r"
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FORMAT = "A topic file is a JSON object with name, title, summary, neighbor_title and questions."


def read_topic(path: Path | str) -> Topic:
    """The topic in a JSON topic file. Raises BadInput naming the file, the place and the fault."""
    path = Path(path)
    body = parse_json(decode_text(read_bytes(path), path.name), path.name)
    if not isinstance(body, dict) or "questions" not in body:
        raise BadInput(f"{path.name} is not a topic file.", _FORMAT, "See the README for an example.", field="topic")
    return topic_from_json(body, path.name)


def write_topic(topic: Topic, path: Path | str) -> None:
    """Write a topic as JSON; `read_topic` gives the same topic back."""
    body = {"name": topic.name, "title": topic.title, "summary": topic.summary, "neighbor_title": topic.neighbor_title,
            "floors": topic.floors, "examples": list(topic.examples), "texts": list(topic.texts)}
    rows = ",\n".join(json.dumps(_question_json(question), ensure_ascii=False) for question in topic.questions)
    head = json.dumps(body, ensure_ascii=False, indent=1)[:-2]
    Path(path).write_text(f'{head},\n "questions": [\n{rows}\n]}}\n', encoding="utf-8")


def topic_from_json(body: dict[str, Any], source: str) -> Topic:
    """A checked topic from parsed JSON; `source` names the file in messages."""
    rows = body["questions"]
    if not isinstance(rows, list):
        raise fault(source, "'questions' is not a list", _FORMAT)
    name = _text(body, "name", source, "")
    if not _NAME.fullmatch(name):
        raise fault(source, f"the topic's name is {name!r}", "A name is lower-case words joined by hyphens.")
    questions = tuple(_question(row, f"question {place}", source) for place, row in enumerate(rows, start=1))
    check_questions(questions, source)
    return Topic(name=name, title=_text(body, "title", source, name), summary=_text(body, "summary", source, ""),
                 neighbor_title=_text(body, "neighbor_title", source, "neighbours"), questions=questions,
                 texts=_texts(body, "texts", source), floors=_floors(body, source),
                 examples=_texts(body, "examples", source))


def check_questions(questions: tuple[Question, ...], source: str) -> None:
    """Faults that only show when all questions are together: none to forget, none of these given, too many, an id twice."""
    if len(questions) > MAX_QUESTIONS:
        raise fault(source, f"it has {len(questions):,} questions", f"The limit is {MAX_QUESTIONS:,}.")
    if not any(question.split == "forget" for question in questions):
        raise fault(source, "it has no question to forget", "At least one needs the split 'forget'.")
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise fault(source, f"the id '{shorten(question.id)}' is used twice", "Every question needs its own id.")
        seen.add(question.id)
    if not any(question.split == "forget" and question.given for question in questions):
        raise fault(
            source, "none of its forget questions is given to the method", "At least one needs the part 'given' or 'both'."
        )


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of at most `MAX_BYTES`; raises BadInput where it cannot be read."""
    try:
        if path.is_dir():
            raise folder_given(path)
        if not path.is_file() and path.exists():
            raise fault(path.name, "it is a device or a pipe, no file", "Give a file with questions and answers.")
        if path.stat().st_size > MAX_BYTES:
            raise fault(path.name, f"it is larger than {MAX_BYTES // 2**20} MB", "Take fewer questions.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadInput(f"There is no file {shorten(str(path), 200)}.", "", "Check the path.", field="topic") from error
    except OSError as error:
        raise fault(path.name, f"the file cannot be opened ({error.strerror})", "Check the path.") from error


def decode_text(data: bytes, source: str) -> str:
    """UTF-8 text of a small file; refuses empty, binary, oversized and wrongly encoded data in words."""
    if len(data) > MAX_BYTES:
        raise fault(source, f"it is larger than {MAX_BYTES // 2**20} MB", "Take fewer questions.")
    if not data.strip():
        raise fault(source, "the file is empty", "It needs questions and answers.")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise fault(source, "it is UTF-16 text", "Save the file as UTF-8.")
    if found := _no_text(data):
        raise _no_list(source, *found)
    longest = max(len(line) for line in data.splitlines())
    if longest > MAX_LINE:
        raise fault(source, f"one line is {longest / 2**20:.0f} MB long", "Put each question on a line of its own.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data.translate(None, _PLAIN)) > 0.98 * len(data):  # text of any language has a header, commas and lines
            raise _no_list(source, *_BINARY) from error
        place = data[:error.start].count(b"\n") + 1
        raise fault(source, f"line {place} is not UTF-8 text", "Save the file as UTF-8.") from error


def _no_text(data: bytes) -> tuple[str, str] | None:
    """What a file is that cannot be text in any encoding, and what to bring instead; None where it may be."""
    for begin, kind, remedy in _KINDS:
        if data.startswith(begin):
            inside = _ZIPPED if begin.startswith(b"PK") else ()
            return next(((what, how) for mark, what, how in inside if mark in data), (kind, remedy))
    strange = len(data) - len(data.translate(None, _CONTROL))
    return _BINARY if b"\x00" in data or strange > 0.05 * len(data) else None


def _no_list(source: str, kind: str, remedy: str) -> BadInput:
    return fault(source, f"it is {kind}, not a list of questions and answers", remedy)


def parse_json(text: str, source: str) -> Any:
    """Parsed JSON; raises BadInput with the place of the first fault."""
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text.strip() else ""  # one line of many is named in the source already
        raise fault(source, f"it is not valid JSON ({error.msg}, {line}column {error.colno})",
                    "Correct that place.") from error
    except RecursionError as error:
        raise fault(source, "its JSON is nested too deeply", _FORMAT) from error
    except ValueError as error:  # of Python's own limit
        raise fault(source, "a number in it has thousands of digits", "Shorten it, or put it in quotes.") from error
    if _HALF.search(text):  # two halves in a row make a character, one alone makes a text that cannot be written
        try:
            json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):04x}"
            raise fault(source, f"{half} in it is half of a character", "Write the character itself.") from error
    return body


def fault(source: str, why: str, remedy: str) -> BadInput:
    """The BadInput for a file that cannot be used."""
    return BadInput(f"{source} cannot be used as a topic:", f"{why}.", remedy, field="topic")


def folder_given(path: Path) -> BadInput:
    """The BadInput for a folder where a file belongs."""
    return BadInput(f"{shorten(str(path), 200)} is a folder, not a topic.", "",
                    "Give one file with questions and answers (CSV, JSONL or JSON), or a name from `list topics`.", field="topic")


def shorten(text: str, limit: int = 60) -> str:
    """Text for a message: one line, at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit - 1]}…"


def _question(row: Any, place: str, source: str) -> Question:
    if not isinstance(row, dict):
        raise fault(source, f"{place} is not an object", "Each needs id, split, prompt and answer.")
    for key in ("id", "split", "prompt", "answer"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise fault(source, f"{place} has no {key}", "Each needs id, split, prompt and answer, as text.")
        if len(row[key]) > MAX_TEXT:
            raise fault(source, f"{place} has {len(row[key]):,} characters in {key}", f"The limit is {MAX_TEXT:,}.")
    part = row.get("part", "held")
    if row["split"] not in SPLITS:
        raise fault(source, f"{place} has the split '{shorten(row['split'])}'", f"Use one of {', '.join(SPLITS)}.")
    if part not in PARTS:
        raise fault(source, f"{place} has the part {part!r}", f"Use one of {', '.join(PARTS)}.")
    options = _texts(row, "options", source)
    if options and row["answer"] not in options:
        raise fault(source, f"the answer of {place} is not one of its options", "Add it to the options.")
    return Question(id=row["id"], split=row["split"], prompt=row["prompt"], answer=row["answer"], part=part,
                    options=options, entity=_text(row, "entity", source, ""), wording=_text(row, "wording", source, ""),
                    near_misses=_texts(row, "near_misses", source), reworded=_text(row, "reworded", source, ""))


def _question_json(question: Question) -> dict[str, Any]:
    row: dict[str, Any] = {"id": question.id, "split": question.split, "prompt": question.prompt,
                           "answer": question.answer, "part": question.part, "entity": question.entity,
                           "wording": question.wording}
    if question.options:
        row["options"] = list(question.options)
    if question.near_misses:
        row["near_misses"] = list(question.near_misses)
    if question.reworded:
        row["reworded"] = question.reworded
    return row


def _text(body: dict[str, Any], key: str, source: str, default: str) -> str:
    value = body.get(key, default)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise fault(source, f"'{key}' is not a short text", _FORMAT)
    return value


def _texts(body: dict[str, Any], key: str, source: str) -> tuple[str, ...]:
    value = body.get(key, [])
    good = isinstance(value, list) and len(value) <= MAX_HELD_TEXTS
    if not good or not all(isinstance(item, str) and len(item) <= MAX_TEXT for item in value):
        raise fault(source, f"'{key}' is not a list of short texts", _FORMAT)
    return tuple(value)


def _floors(body: dict[str, Any], source: str) -> dict[str, str]:
    floors = body.get("floors", {})
    if not isinstance(floors, dict) or not all(split in FORGET_SPLITS and kind in REFERENCES
                                               for split, kind in floors.items()):
        raise fault(source, "'floors' is not a table of forget splits", "Each floor is 'retrained' or 'chance'.")
    return floors
