"""Which topics there are for a model, and how a name, a path or a short list becomes one. Knows no runs and no page."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import BadInput, did_you_mean
from .reader import folder_given, read_bytes, read_topic, shorten
from .tofu import is_tofu, read_tofu
from .topic import Question, Topic
from .uploads import parse_upload

UPLOADED = (".csv", ".json", ".jsonl", ".tsv", ".txt")


@dataclass(frozen=True, slots=True)
class Completed:
    """A topic with what it lacked added from its model's world, and sentences that say so."""

    topic: Topic
    notices: tuple[str, ...]


def topics(model_folder: Path | None, uploads: Path | None = None) -> list[dict[str, Any]]:
    """Plain data on every topic of a model's folder, then on the uploaded ones.

    Each: name, title, summary, neighbor_title, counts (split to scored items), source ("built-in" or "uploaded").
    """
    found: dict[str, dict[str, Any]] = {}
    for source, paths in (("built-in", _own(model_folder)), ("uploaded", _files(uploads))):
        for path in paths:
            topic = _read(path)
            found.setdefault(topic.name, {**describe(topic), "source": source})
    return list(found.values())


def describe(topic: Topic) -> dict[str, Any]:
    """Plain data on one topic."""
    return {"name": topic.name, "title": topic.title, "summary": topic.summary, "neighbor_title": topic.neighbor_title,
            "counts": {split: len(topic.scored(split)) for split in topic.splits()}}


def find_topic(spec: str, model_folder: Path | None, uploads: Path | None = None) -> Topic:
    """The topic of that name (the model's own before uploaded ones) or in that file.

    Raises BadInput for an unknown name, with near matches, and for every fault of a file.
    """
    paths = {path.stem: path for path in [*_files(uploads), *_own(model_folder)]}
    if spec in paths:
        return _read(paths[spec])
    path = Path(os.path.expanduser(spec))
    if is_tofu(path):
        return read_tofu(path)
    if path.suffix.lower() in UPLOADED or os.path.isfile(path):
        return parse_upload(path.name, read_bytes(path))
    if spec.strip() and os.path.isdir(path):
        raise folder_given(path)
    known = list(paths)
    if not known:
        why = ("This model comes with no topics of its own." if model_folder is not None else
               "Only a model folder on this machine can bring topics of its own, and this model is none.")
        raise BadInput(f"There is no topic '{shorten(spec)}'.", why,
                       "Give the path of a CSV, JSONL or JSON file with questions and answers.", field="topic")
    raise BadInput(f"There is no topic '{shorten(spec)}'.", "", did_you_mean(shorten(spec), known), field="topic")


def completed(topic: Topic, model_folder: Path | None) -> Completed:
    """The topic, with retain and general questions of the model's world where it has none of its own."""
    missing = [split for split in ("retain", "general") if not topic.scored(split)]
    if not missing:
        return Completed(topic, ())
    donor = next((_read(path) for path in _own(model_folder) if path.stem != topic.name), None)
    if donor is None:
        return Completed(topic, tuple(_unmeasured(missing)))
    added = _untouched([question for question in donor.questions if question.split in missing], topic)
    notice = (f"Your list has no {' or '.join(missing)} questions: {len(added)} of the built-in world are used, "
              f"without those that your list also asks.")
    texts = topic.texts or donor.texts
    return Completed(replace(topic, questions=(*topic.questions, *_renamed(added)), texts=texts), (notice,))


def _unmeasured(missing: list[str]) -> list[str]:
    notices = []
    if "retain" in missing:
        notices.append("The topic has no retain questions: what else the model knows is not measured. "
                       "Add rows with the split 'retain'.")
    if "general" in missing:
        notices.append("The topic has no general questions: general knowledge is not measured.")
    return notices


def _untouched(questions: list[Question], topic: Topic) -> list[Question]:
    """Those that the topic does not ask itself, and whose answer it does not forget (answers by options aside)."""
    asked = {question.prompt for question in topic.questions}
    forgotten = {question.answer.casefold() for question in topic.questions if question.split == "forget"}
    return [question for question in questions if question.prompt not in asked
            and (question.options or question.answer.casefold() not in forgotten)]


def _renamed(questions: list[Question]) -> list[Question]:
    return [replace(question, id=f"world-{question.id}") for question in questions]


def _own(model_folder: Path | None) -> list[Path]:
    """The topics in a model's folder; of a model that never saw one (`references/TOPIC`), those of the world that it is of."""
    if model_folder is None:
        return []
    own = _files(model_folder / "topics")
    return own or (_files(model_folder.parent.parent / "topics") if model_folder.parent.name == "references" else [])


def _files(folder: Path | None) -> list[Path]:
    return sorted(folder.glob("*.json")) if folder is not None and folder.is_dir() else []


def _read(path: Path) -> Topic:
    return _read_version(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read_version(path: Path, version: int) -> Topic:
    return read_topic(path)
