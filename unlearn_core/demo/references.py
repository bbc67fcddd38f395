"""Scores a world's models with the engine's own evaluation: the original's levels and the retrained references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..evaluation.measure import measure
from ..evaluation.references import RETRAINED, Reference, topic_hash, write_reference
from ..models.loading import LoadedModel, load
from ..topics.reader import read_topic
from ..version import code_version


def score_reference(world: Path, topic_name: str, seconds: float) -> Reference:
    """Measure the stored retrained model of one topic on that topic's forget splits and write its scores."""
    topic = read_topic(world / "topics" / f"{topic_name}.json")
    loaded = load(str(world / "references" / topic_name), "cpu", "float32")
    found = measure(loaded, topic, questions=[q for q in topic.questions if q.scored and q.split.startswith("forget")])
    splits = {split: found.split(split) for split in found.splits()}
    reference = Reference(
        weights_hash=loaded.weights_hash,
        topic_hash=topic_hash(topic),
        code_version=code_version(),
        accuracy={split: score.accuracy for split, score in splits.items()},
        kind=dict.fromkeys(splits, RETRAINED),
        items={key: judged.ok for key, judged in found.answers.items()},
        n={split: score.n for split, score in splits.items()},
        seconds=seconds,
    )
    write_reference(world, topic, reference)
    return reference


def provenance(world: Path, topics: list[str]) -> dict[str, Any]:
    """The stored main model's accuracy on every split of every topic, and what it was measured with."""
    loaded = load(str(world), "cpu", "float32")
    files = {name: world / "topics" / f"{name}.json" for name in topics}
    return {
        "levels": {name: _levels(loaded, file) for name, file in files.items()},
        "weights_hash": loaded.weights_hash,
        "topic_hashes": {name: topic_hash(read_topic(file)) for name, file in files.items()},
        "code_version": code_version(),
    }


def _levels(loaded: LoadedModel, path: Path) -> dict[str, float]:
    found = measure(loaded, read_topic(path))
    return {split: round(found.split(split).accuracy, 4) for split in found.splits()} | {
        "perplexity": round(found.perplexity, 3)
    }
