"""The original's answers and statistics, computed once per model and topic and kept. Knows no run and no method."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from .evaluation.measure import Measurement, Scores, measure
from .evaluation.references import topic_hash
from .models.loading import LoadedModel
from .store import Store
from .topics.topic import Topic
from .version import code_version

MEMORY = 4  # measurements held in memory


class Originals:
    """Measurements of unedited models: from memory, else from the store, else measured now and kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, Measurement] = {}

    def measurement(self, loaded: LoadedModel, topic: Topic, cancelled: Callable[[], bool],
                    on_progress: Callable[[int, int], None] | None = None,
                    known: Callable[[], Scores] | None = None) -> tuple[Measurement, bool]:
        """The original's measurement on a topic, and whether it was kept from before. `known`: scores that need not be found again
        where it was not. Raises Stopped."""
        key = _key("answers", loaded, topic_hash(topic))
        if key in self._held:
            return self._held[key], True
        body = self._store.kept(key)
        if body is not None:
            found, kept = Measurement.from_dict(body), True
        else:
            found, kept = measure(loaded, topic, cancelled=cancelled, on_progress=on_progress, known=known and known()), False
            self._store.keep(key, found.to_dict())
        while len(self._held) >= MEMORY:
            self._held.pop(next(iter(self._held)))
        self._held[key] = found
        return found, kept


    def metrics(self, loaded: LoadedModel, topic: Topic, beside: Sequence[str],
                found: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `found` gives, JSON-plain, of the original on a topic: kept from before, or found now and kept. `beside`: hashes of
        whatever else it rests on, such as a reference."""
        text = "\n".join([topic_hash(topic), *beside])
        key = _key("metrics", loaded, hashlib.sha256(text.encode()).hexdigest())
        body = self._store.kept(key)
        if body is None:
            body = found()
            self._store.keep(key, body)
        return body


def kept_statistics(store: Store, loaded: LoadedModel, topic: Topic) -> dict[str, Any]:
    """Tensors that methods computed from the given part of a topic under this very model; {} where there are none."""
    return store.kept(_key("statistics", loaded, _given_hash(topic)), str(loaded.device)) or {}


def keep_statistics(store: Store, loaded: LoadedModel, topic: Topic, values: dict[str, Any]) -> None:
    """Keep what a method added to the statistics of this model and topic."""
    store.keep(_key("statistics", loaded, _given_hash(topic)), values)


def _given_hash(topic: Topic) -> str:
    """Changes with the given questions only, so that the held part cannot reach a method by way of what is kept."""
    given = topic.given()
    text = repr([[(q.id, q.prompt, q.answer, q.options) for q in part] for part in
                 (given.forget, given.neighbor, given.retain)])
    return hashlib.sha256(text.encode()).hexdigest()


def _key(kind: str, loaded: LoadedModel, topic: str) -> str:
    place = f"{loaded.device.type}-{loaded.number_format}"
    return f"{kind}-{loaded.weights_hash[:16]}-{topic[:16]}-{place}-{code_version().replace('+', '-')}"
