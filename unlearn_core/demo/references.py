"""Scores a world's models with the engine's own evaluation: the original's levels and the retrained references.

The imprints of topics, which need both models, are made again by
python -m unlearn_core.demo.references WORLD TOPIC [TOPIC ...], where the retrained models lie in the world.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..evaluation.imprint import Imprint, write_imprint
from ..evaluation.measure import measure
from ..evaluation.patching import imprint_of
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


def write_topic_imprint(world: Path, topic_name: str) -> Imprint:
    """Measure what one topic left in each layer of the stored main model, beside the stored model retrained without it."""
    topic = read_topic(world / "topics" / f"{topic_name}.json")
    loaded, reference = (load(str(folder), "cpu", "float32") for folder in (world, world / "references" / topic_name))
    imprint = imprint_of(loaded, reference, topic)
    write_imprint(world, topic, imprint)
    return imprint


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


def main(arguments: list[str] | None = None) -> int:
    """Measure imprints again; exit status 2 where a model or a topic is not there."""
    parser = argparse.ArgumentParser(prog="python -m unlearn_core.demo.references", description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path, help="the folder of a built world")
    parser.add_argument("topics", nargs="+", help="topics whose retrained model is there")
    chosen = parser.parse_args(arguments)
    try:
        for name in chosen.topics:
            write_topic_imprint(chosen.world, name)
    except BadInput as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
