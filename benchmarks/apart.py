"""UNLEARN taken apart: each of its parts left out or exchanged, its rank, and forget sets that share values with neighbours.

`python -m benchmarks.apart [--model demo] [--topic private-people] [--strengths 0.5,0.75,1,1.25] [--seed 0]`. Every line is
an edit at one strength, so that the lines of one setting are its forget x neighbour curve. Accuracies by teacher forcing, in
per cent, on all scored questions. Shared values: SHARED questions to forget, of which a growing part has answers that
questions to keep have too; the topic's other questions to forget are left out.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .table import markdown

PARTS = [("as it is", {}), ("hard projection instead of damping", {"subspace": "hard"}),
         ("identified, not discriminated", {"subspace": "identified"}),
         ("random subspace of equal rank", {"subspace": "random"}), ("no stand-ins", {"stand_ins": 0}),
         ("no loss on kept text", {"keep": 0.0}), ("literal reading", {"reading": "literal"})]
RANKS = [(f"rank {rank}", {"rank": rank}) for rank in (1, 2, 4, 8, 24, 48)]
SHARES, SHARED = (0.0, 0.25, 0.5, 0.75, 1.0), 60
SPLITS = ("forget", "forget_paraphrase", "forget_spanish", "neighbor", "retain", "general")


def sharing(topic: Any, share: float, seed: int) -> Any:
    """The topic with SHARED questions to forget, that share of them with an answer that a neighbour has too."""
    values = {question.answer for question in topic.questions if question.split == "neighbor"}
    pools: tuple[list, list] = ([], [])
    for question in topic.questions:
        if question.split == "forget":
            pools[question.answer in values].append(question)
    wanted = (SHARED - round(share * SHARED), round(share * SHARED))
    if any(len(pool) < count for pool, count in zip(pools, wanted, strict=True)):
        raise SystemExit(f"'{topic.name}' has too few questions to forget with or without shared values.")
    picker = random.Random(seed)
    chosen = [question for pool, count in zip(pools, wanted, strict=True) for question in picker.sample(pool, count)]
    facts = {(question.entity, question.answer) for question in chosen}
    kept = [question for question in topic.questions if not question.split.startswith("forget")
            or question in chosen or (question.split != "forget" and (question.entity, question.answer) in facts)]
    return replace(topic, questions=tuple(kept))


def curve(loaded: Any, topic: Any, settings: dict[str, Any], strengths: list[float], seed: int) -> Iterator[list[str]]:
    """Train one edit and measure it at each strength: relative change, rank, strength, accuracies."""
    from unlearn_core.edits.attach import attached
    from unlearn_core.edits.edit import Edit
    from unlearn_core.evaluation.measure import quick_accuracy
    from unlearn_core.methods import find_method, settings_of
    from unlearn_core.methods.base import Context

    method = find_method("unlearn")
    fitted = [item for item in method.fit(Context(loaded, topic.given(), seed), settings_of(method, settings))
              if isinstance(item, Edit)]
    edit = fitted[-1]
    questions = [question for question in topic.questions if question.scored]
    for strength in strengths:
        with attached(loaded.model, edit, strength):
            counts = quick_accuracy(loaded, questions, topic.floors)
        shares = [f"{100 * counts[split][0] / counts[split][1]:.1f}" if counts.get(split, (0, 0))[1] else "n/a"
                  for split in SPLITS]
        yield [str(edit.rank), f"{edit.relative_change(loaded.model):.3f}", f"{strength:g}", *shares]


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--topic", default="private-people")
    parser.add_argument("--strengths", default="0.5,0.75,1,1.25")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    from unlearn_core.models.loading import load
    from unlearn_core.preflight import model_folder
    from unlearn_core.topics.catalogue import completed, find_topic

    folder = model_folder(chosen.model)
    topic = completed(find_topic(chosen.topic, folder, None), folder).topic
    loaded, strengths = load(chosen.model, "auto", "auto"), [float(part) for part in chosen.strengths.split(",")]
    cases = [(name, topic, settings) for name, settings in PARTS + RANKS]
    for share in SHARES:
        part = sharing(topic, share, chosen.seed)
        cases += [(f"{share:.0%} shared values", part, {}),
                  (f"{share:.0%} shared values, not discriminated", part, {"subspace": "identified"})]
    lines = []
    for name, part, settings in cases:
        lines += [[name, *line] for line in curve(loaded, part, settings, strengths, chosen.seed)]
        print(f"{name}: done", file=sys.stderr, flush=True)
    print(markdown(["UNLEARN", "rank", "relative change", "strength", *SPLITS], lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
