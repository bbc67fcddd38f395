"""What a topic left in each layer of a model, as kept beside a world's topics: stage one of the unlearning depth score.

It needs the model that never saw the topic, but never changes for a given model and topic; so the numbers are kept where the
weights of that model are not. Knows files, no model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import BadInput
from ..topics.topic import Topic
from .references import topic_hash, write_whole

_FOLDER = "imprints"
_DIGITS = 4
_FOREIGN = 0.1  # nats a token; in the built-in world at most .07 with a common trunk, .25 and more where it was trained again


@dataclass(frozen=True)
class Imprint:
    """`items`: forget question id -> by layer, how much less likely a token of the answer becomes (nats) when the layer's
    states are the retrained model's. `kept`: by layer, the mean of the same over scored questions that are to be kept,
    which both models know: what their layers differ by besides the topic; near 0 where both grew from one trunk.

    `original`, `reference`: hashes of both models' weights; with `topic_hash` and `code_version` they say what made it.
    """

    original: str
    reference: str
    topic_hash: str
    code_version: str
    items: dict[str, tuple[float, ...]]
    kept: tuple[float, ...] = ()

    @property
    def foreign(self) -> bool:
        """Whether the retrained model's layers write in another space than the original's, so that not even it would reach 1."""
        return max(self.kept, default=0.0) > _FOREIGN


def imprint_path(folder: Path, topic_name: str) -> Path:
    """Where a world keeps a topic's imprint."""
    return folder / _FOLDER / f"{topic_name}.json"


def load_imprint(folder: Path | None, topic: Topic, weights_hash: str) -> Imprint | None:
    """The kept imprint of this very topic in these very weights; None where there is none. Raises BadInput when damaged."""
    if folder is None or not imprint_path(folder, topic.name).is_file():
        return None
    path = imprint_path(folder, topic.name)
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        found = Imprint(**body | {"items": {key: tuple(map(float, row)) for key, row in body["items"].items()},
                                  "kept": tuple(map(float, body["kept"]))})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(f"The imprint {path.name} cannot be read.", f"The file is damaged: {error}.",
                       "Restore the model folder, or delete the file to go without it.", field="topic") from error
    return found if (found.original, found.topic_hash) == (weights_hash, topic_hash(topic)) else None


def write_imprint(folder: Path, topic: Topic, imprint: Imprint) -> Path:
    """Write one topic's imprint by rename, an item a line, rounded to four digits; returns its path."""
    body = asdict(imprint) | {"kept": _rounded(imprint.kept)}
    head = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in body.items() if name != "items"]
    rows = [f"  {json.dumps(key, ensure_ascii=False)}: {json.dumps(_rounded(row))}" for key, row in imprint.items.items()]
    items = "{\n" + ",\n".join(rows) + "\n }" if rows else "{}"
    return write_whole(imprint_path(folder, topic.name), "{\n" + ",\n".join([*head, f' "items": {items}']) + "\n}")


def _rounded(row: Sequence[float]) -> list[float]:
    return [round(value, _DIGITS) for value in row]
