"""What a run found, as the plain data of `summary.json`. Pure: knows measurements and references, no model or file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .config import KEEP_SPLITS, SPLITS, RunConfig
from .evaluation.condition import Change, conditions, repeated
from .evaluation.intervals import paired_interval
from .evaluation.measure import Measurement, SplitScore
from .evaluation.references import Reference, floor, topic_hash
from .evaluation.removal import CHANCE, relabelled, removed
from .evaluation.replacements import GIBBERISH, known_to, replacements
from .events import finite
from .methods import find_method
from .topics.topic import Topic
from .version import code_version

ALWAYS = tuple(split for split in SPLITS if split != "forget_choice")  # in every summary, measured or not
UNMEASURED = {"before": None, "after": None, "reference": None, "reference_kind": None, "n": 0, "low": None,
              "high": None}
REMOVED = {"removed": "forget", "removed_paraphrase": "forget_paraphrase", "removed_spanish": "forget_spanish"}


@dataclass
class Results:
    """What is known of a run so far; the pipeline fills it in. `live` maps split to (correct, n) on the live sample.
    `trained`: values of the method's largest training; `held`: those that its edit holds."""

    config: RunConfig
    run_id: str
    topic: Topic | None = None
    reference: Reference | None = None
    before: Measurement | None = None
    after: Measurement | None = None
    before_kept: bool = False
    weights_hash: str = ""
    device: str = ""
    dtype: str = ""
    parameters: int = 0
    trained: int | None = None
    held: int | None = None
    rank: int | None = None
    relative_change: float | None = None
    live: dict[str, tuple[int, int]] = field(default_factory=dict)
    relabelled: dict[str, bool] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def summarise(results: Results, status: str, seconds: float) -> dict[str, Any]:
    """The summary of a run (design §8). What was not measured is null, never 0; all numbers are finite.

    `device` and `dtype` are where and in which number format the model really was; `config` has what was asked for ("auto").
    """
    found = scores(results.topic, results.reference, results.before, results.after)
    body = {
        "run_id": results.run_id, "status": status, "seconds": round(seconds, 2), "model": results.config.model,
        "topic": results.topic.name if results.topic else results.config.topic, "method": results.config.method,
        "config": results.config.model_dump(mode="json"), "seed": results.config.seed,
        **found,
        "parameters": {"trained": results.trained, "edit": results.held, "total": results.parameters or None}, "rank": results.rank,
        "relative_change": results.relative_change, "edits": list(results.config.edits),
        "live": {split: {"correct": correct, "n": n} for split, (correct, n) in results.live.items()},
        "relabelled": dict(results.relabelled),
        "conditions": stated(results.topic, found, results.before, results.after, results.relabelled),
        "before_kept": results.before_kept, "notices": list(results.notices),
        "device": results.device or None, "dtype": results.dtype or None, "weights_hash": results.weights_hash or None,
    }
    if find_method(results.config.method).teaches:
        body["teaches"] = True
    return finite(body)


def scores(topic: Topic | None, reference: Reference | None, before: Measurement | None,
           after: Measurement | None) -> dict[str, Any]:
    """Everything measured: `removed*`, `accuracy` by split, `perplexity`, and what the numbers belong to."""
    present = topic.splits() if topic else []
    accuracy = {split: _accuracy(topic, split, reference, before, after) if split in present else dict(UNMEASURED)
                for split in SPLITS if split in present or split in ALWAYS}
    return {
        **{name: _removed(topic, split, reference, before, after) for name, split in REMOVED.items()},
        "accuracy": accuracy,
        "perplexity": {"before": before.perplexity if before else None, "after": after.perplexity if after else None},
        "topic_hash": topic_hash(topic) if topic else None, "code_version": code_version(),
    }


def stated(topic: Topic | None, found: dict[str, Any], before: Measurement | None, after: Measurement | None,
           relabelled: dict[str, bool]) -> list[dict[str, str]]:
    """The state that the numbers `found` (see `scores`) show the model to be in, as plain data; nothing without an after."""
    if topic is None or before is None or after is None:
        return []
    kept = [q.id for split in KEEP_SPLITS for q in topic.scored(split)]
    said = [[measured.answers[key].answer for key in kept if key in measured.answers] for measured in (before, after)]
    spoken = Change(*found["perplexity"].values())
    gibberish = _gibberish(topic, before, after)
    return [asdict(one) for one in conditions(found["accuracy"], spoken, repeated(*said), relabelled, gibberish)]


def _gibberish(topic: Topic, before: Measurement, after: Measurement) -> tuple[int, int]:
    """In the place of how many answers that the original gave and the model no longer gives stands gibberish, of how many."""
    asked = [question.id for question in topic.scored("forget") if not question.options]
    if any(key not in after.answers for key in asked):
        return 0, 0
    lost = [key for key in asked if before.answers[key].ok and not after.answers[key].ok]
    found = replacements(topic, after.texts(), known_to(topic, (), before.texts(), after.texts())) if lost else {}
    return sum(found[key].kind == GIBBERISH for key in lost), len(lost)


def relabelled_splits(topic: Topic, after: Measurement) -> dict[str, bool]:
    """For every split judged by forced choice, whether its answers were swapped rather than forgotten."""
    return {split: _relabelled(topic, split, after) for split in topic.splits() if topic.floors.get(split) == CHANCE}


def _accuracy(topic: Topic, split: str, reference: Reference | None, before: Measurement | None,
              after: Measurement | None) -> dict[str, Any]:
    first, last = _split(before, split), _split(after, split)
    lowest, kind = floor(topic, split, reference)
    known = last or first
    body = {"before": first.accuracy if first else None, "after": last.accuracy if last else None, "reference": lowest,
            "reference_kind": kind, "n": known.n if known else 0, "low": last.low if last else None,
            "high": last.high if last else None}
    if kind == CHANCE:
        body["answered"] = last.answered if last else None
    if first and last:
        body["paired"] = _paired(topic, split, before, after)
    return body


def _paired(topic: Topic, split: str, before: Measurement, after: Measurement) -> dict[str, float]:
    ids = [question.id for question in topic.scored(split)]
    difference, low, high = paired_interval([before.answers[i].ok for i in ids], [after.answers[i].ok for i in ids])
    return {"difference": difference, "low": low, "high": high}


def _removed(topic: Topic | None, split: str, reference: Reference | None, before: Measurement | None,
             after: Measurement | None) -> float | None:
    first, last = _split(before, split), _split(after, split)
    if topic is None or first is None or last is None:
        return None
    lowest, kind = floor(topic, split, reference)
    return removed(first.accuracy, last.accuracy, lowest, kind, last.n)


def _split(measurement: Measurement | None, split: str) -> SplitScore | None:
    score = measurement.split(split) if measurement is not None else None
    return score if score is not None and score.n else None


def _relabelled(topic: Topic, split: str, after: Measurement) -> bool:
    questions = topic.scored(split)
    answers = [after.answers[question.id].answer for question in questions]
    chance, _ = floor(topic, split, None)
    correct = sum(after.answers[question.id].ok for question in questions)
    return chance is not None and relabelled([question.answer for question in questions], answers, correct, chance)
