"""What a model that never saw the topic scores on it, as kept beside a world's topics. Knows files, no model."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..errors import BadInput
from ..topics.topic import Topic
from .removal import CHANCE

RETRAINED = "retrained"
_FOLDER = "references"


@dataclass(frozen=True)
class Reference:
    """Scores of the retrained model. `accuracy`, `kind` and `n` by split, `items` by question id.

    `weights_hash`, `topic_hash` and `code_version` say what made them; `seconds` is its training time.
    """

    weights_hash: str
    topic_hash: str
    code_version: str
    accuracy: dict[str, float]
    kind: dict[str, str]
    items: dict[str, bool]
    n: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def topic_hash(topic: Topic) -> str:
    """sha256 of the topic's content: any changed question, part or floor changes it."""
    body = asdict(topic)
    for question in body["questions"]:
        if not question["reworded"]:
            del question["reworded"]  # as if it could not be said: a topic without it has the hash that it always had
    text = json.dumps(body, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def reference_path(folder: Path, topic_name: str) -> Path:
    """Where a world keeps a topic's reference scores."""
    return folder / _FOLDER / f"{topic_name}.json"


def reference_model(folder: Path | None, topic: Topic) -> Path | None:
    """The folder of the model retrained without this very topic; None where its weights are not at hand."""
    if load_reference(folder, topic) is None:
        return None
    found = folder / _FOLDER / topic.name
    return found if (found / "model.safetensors").is_file() else None


def load_reference(folder: Path | None, topic: Topic) -> Reference | None:
    """The kept reference of this very topic; None where there is none or it belongs to other questions.

    Raises BadInput when the file is damaged.
    """
    if folder is None or not reference_path(folder, topic.name).is_file():
        return None
    path = reference_path(folder, topic.name)
    try:
        reference = Reference(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"The reference scores {path.name} cannot be read.", f"The file is damaged: {error}.",
                       "Restore the model folder, or delete the file to go without a reference.",
                       field="topic") from error
    return reference if reference.topic_hash == topic_hash(topic) else None


def write_reference(folder: Path, topic: Topic, reference: Reference) -> Path:
    """Write one topic's reference by rename; returns its path."""
    return write_whole(reference_path(folder, topic.name), json.dumps(asdict(reference), ensure_ascii=False, indent=1))


def write_whole(path: Path, text: str) -> Path:
    """Write a text and a line's end by rename, the folder with it; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)
    return path


def floor(topic: Topic, split: str, reference: Reference | None) -> tuple[float | None, str | None]:
    """(accuracy, kind) that a split is compared with: chance where the topic says so, else the retrained model's.

    Chance is the mean of 1 / number of options over the split's scored questions. (None, None) without a floor.
    """
    if topic.floors.get(split) == CHANCE:
        shares = [1 / len(question.options) for question in topic.scored(split) if question.options]
        return (sum(shares) / len(shares), CHANCE) if shares else (None, None)
    if reference is None or split not in reference.accuracy:
        return None, None
    return reference.accuracy[split], RETRAINED
