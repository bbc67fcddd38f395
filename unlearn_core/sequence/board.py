"""What is measured after every request: the questions of all requests and all that is kept, each once, as rows of a table.

Knows questions, edits and references; not how an edit came about.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import FORGET_SPLITS, KEEP_SPLITS
from ..evaluation.intervals import wilson
from ..evaluation.removal import removed
from ..topics.topic import Question, Topic
from .requests import Request, asked, contested, others

if TYPE_CHECKING:
    from ..edits.edit import Edit
    from ..evaluation.measure import Judged
    from ..evaluation.references import Reference
    from ..models.loading import LoadedModel

KINDS = ("request", "others", "kept", "contested")
Key = tuple[str, str]  # a topic's name and a question's id


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `request` counts from 1 and is 0 where the line belongs to none; `floor` is an accuracy, or None."""

    key: str
    kind: str
    title: str
    split: str
    request: int
    questions: tuple[Key, ...]
    floor: float | None = None
    floor_kind: str | None = None

    def plain(self) -> dict[str, Any]:
        """For the saved table."""
        return {"key": self.key, "kind": self.kind, "title": self.title, "split": self.split, "request": self.request,
                "n": len(self.questions), "reference": self.floor, "reference_kind": self.floor_kind}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """The answers at one step. `perplexity` is that of the first topic's held-out sentences."""

    answers: Mapping[Key, Judged]
    perplexity: float | None


class Board:
    """The rows of a sequence. `folder`: of the model, which may hold reference scores."""

    def __init__(self, requests: Sequence[Request], folder: Path | None) -> None:
        self._requests, self._folder = requests, folder
        self._topics: dict[str, Topic] = {request.topic.name: request.topic for request in requests}
        self._chosen: dict[Key, Question] = {}
        self.rows = [*self._request_rows(), *self._other_rows(), *self._kept_rows()]

    def read(self, loaded: LoadedModel, edit: Edit | None, cancelled: Callable[[], bool],
             on_progress: Callable[[int, int], None]) -> Reading:  # fmt: skip
        """Measure everything under an edit (None: the original). Raises Stopped."""
        from ..evaluation.measure import measure

        answers, first = {}, None
        for place, (name, topic) in enumerate(self._topics.items()):
            questions = tuple(question for (of, _), question in self._chosen.items() if of == name)
            texts = topic.texts if place == 0 else ()
            found = measure(loaded, replace(topic, questions=tuple(replace(q, part="held") for q in questions), texts=texts),
                            edit, cancelled=cancelled, on_progress=on_progress)  # fmt: skip
            answers |= {(name, question_id): judged for question_id, judged in found.answers.items()}
            first = found.perplexity if place == 0 else first
        return Reading(answers, first)

    def cells(self, reading: Reading, original: Reading) -> dict[str, dict[str, Any]]:
        """Every row's accuracy with its interval and, for requests, how much is removed."""
        return {row.key: self._cell(row, reading, original) for row in self.rows}

    def pooled(self, reading: Reading, places: Collection[int]) -> dict[str, dict[str, Any] | None]:
        """Accuracy by forget split over several requests together (their places count from 1); None over none."""
        found = {}
        for split in FORGET_SPLITS:
            rows = [row for row in self.rows if row.kind == "request" and row.split == split]
            keys = [key for row in rows if row.request in places for key in row.questions]
            if rows:
                found[split] = _score(keys, reading) if keys else None
        return found

    def _cell(self, row: Row, reading: Reading, original: Reading) -> dict[str, Any]:
        cell, before = _score(row.questions, reading), _score(row.questions, original)
        if row.kind == "request":
            cell["removed"] = removed(before["accuracy"], cell["accuracy"], row.floor, row.floor_kind, cell["n"])
        return cell

    def _request_rows(self) -> list[Row]:
        from ..evaluation.references import floor, load_reference

        rows = []
        for place, request in enumerate(self._requests, start=1):
            reference = load_reference(self._folder, request.topic)
            for split in FORGET_SPLITS:
                questions = [q for q in request.forget if q.split == split and q.scored]
                if not questions:
                    continue
                lowest, kind = floor(replace(request.topic, questions=request.forget), split, reference)
                lowest = _share(questions, reference) if kind == "retrained" else lowest
                keys = self._put(request.topic, questions)
                rows.append(Row(f"request-{place}-{split}", "request", request.title, split, place, keys, lowest, kind))
        return rows

    def _other_rows(self) -> list[Row]:
        rows = []
        for name, topic in self._topics.items():
            subjects = {request.subject for request in self._requests if request.topic.name == name}
            spared = [q for q in others(topic, subjects) if q.scored] if "" not in subjects else []
            if spared:
                title = "others that nobody asks to forget"
                rows.append(Row(f"others-{name}", "others", title, "neighbor", 0, self._put(topic, spared)))
        return rows

    def _kept_rows(self) -> list[Row]:
        """Each kept question once, under the first request whose topic keeps it; what is contested stands apart."""
        disputed, seen = contested(self._requests), set()
        found: dict[tuple[str, str, str], list[Key]] = {}
        for split in KEEP_SPLITS:
            for name, topic in self._topics.items():
                for question in topic.scored(split):
                    if asked(question) in seen:
                        continue
                    seen.add(asked(question))
                    title = f"{split} ({name})" if split == "neighbor" and len(self._topics) > 1 else split
                    line = ("contested", "contested", "") if asked(question) in disputed else ("kept", title, split)
                    found.setdefault(line, []).extend(self._put(topic, [question]))
        lines = sorted(found.items(), key=lambda item: KINDS.index(item[0][0]))
        return [Row(f"{kind}-{title}", kind, title, split, 0, tuple(keys)) for (kind, title, split), keys in lines]

    def _put(self, topic: Topic, questions: Sequence[Question]) -> tuple[Key, ...]:
        keys = tuple((topic.name, question.id) for question in questions)
        self._chosen.update(zip(keys, questions, strict=True))
        return keys


def _score(keys: Sequence[Key], reading: Reading) -> dict[str, Any]:
    correct, n = sum(reading.answers[key].ok for key in keys), len(keys)
    low, high = wilson(correct, n)
    return {"accuracy": correct / n, "correct": correct, "n": n, "low": low, "high": high}


def _share(questions: Sequence[Question], reference: Reference | None) -> float | None:
    """What the retrained model scores on these very questions; None where it was not asked all of them."""
    items = reference.items if reference else {}
    if any(question.id not in items for question in questions):
        return None
    return sum(items[question.id] for question in questions) / len(questions)
