"""UNLEARN taken apart: each of its parts left out or exchanged, its rank, and forget sets that share values with neighbours.

`python -m benchmarks.apart [--model demo] [--topic private-people] [--strengths 0.5,0.75,1,1.25] [--seed 0] [--out FILE]`.
Every line is an edit at one strength, so that the lines of one setting are its forget x neighbour curve; --out keeps the same as
JSON, and `assets/unlearn_apart.json` is what the page plots. Accuracies by teacher forcing, in
per cent, on all scored questions. Shared values: SHARED questions to forget, of which a growing part has answers that
questions to keep have too; the topic's other questions to forget are left out.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from unlearn_core.version import code_version

from .table import machine, markdown

PARTS = [("as it is", {}), ("hard projection instead of damping", {"subspace": "hard"}),
         ("identified, not discriminated", {"subspace": "identified"}),
         ("random subspace of equal rank", {"subspace": "random"}), ("no stand-ins", {"stand_ins": 0, "near": 0}),
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


def curve(loaded: Any, topic: Any, settings: dict[str, Any], strengths: list[float], seed: int) -> dict[str, Any]:
    """Train one edit and measure it at each strength: its rank and relative change, and (right, asked) of every split."""
    from unlearn_core.edits.attach import attached
    from unlearn_core.edits.edit import Edit
    from unlearn_core.evaluation.measure import quick_accuracy
    from unlearn_core.methods import find_method, settings_of
    from unlearn_core.methods.base import Context

    method, alone = find_method("unlearn"), {"own_words": False}  # every line is one training
    fitted = [item for item in method.fit(Context(loaded, topic.given(), seed), settings_of(method, alone | settings))
              if isinstance(item, Edit)]
    edit = fitted[-1]
    questions = [question for question in topic.questions if question.scored]
    points = []
    for strength in strengths:
        with attached(loaded.model, edit, strength):
            counts = quick_accuracy(loaded, questions, topic.floors)
        points.append({"strength": strength} | {split: list(counts[split]) for split in SPLITS if counts.get(split, (0, 0))[1]})
    return {"rank": edit.rank, "relative_change": edit.relative_change(loaded.model), "points": points}


def lines(case: dict[str, Any]) -> list[list[str]]:
    """One setting's curve as lines of the table, a strength each."""
    head = [case["name"], str(case["rank"]), f"{case['relative_change']:.3f}"]
    return [[*head, f"{point['strength']:g}",
             *(f"{100 * point[split][0] / point[split][1]:.1f}" if split in point else "n/a" for split in SPLITS)]
            for point in case["points"]]


def cases(topic: Any, seed: int) -> list[tuple[str, str, Any, dict[str, Any]]]:
    """(group, name, topic, settings) of all that is trained."""
    found = [("parts", name, topic, settings) for name, settings in PARTS]
    found += [("ranks", name, topic, settings) for name, settings in RANKS]
    for share in SHARES:
        part = sharing(topic, share, seed)
        found.append(("shared", f"{share:.0%} shared", part, {}))
        found.append(("shared", f"{share:.0%} shared, not discriminated", part, {"subspace": "identified"}))
    return found


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--topic", default="private-people")
    parser.add_argument("--strengths", default="0.5,0.75,1,1.25")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    chosen = parser.parse_args()
    from unlearn_core.models.loading import load
    from unlearn_core.preflight import model_folder
    from unlearn_core.topics.catalogue import completed, find_topic

    folder = model_folder(chosen.model)
    topic = completed(find_topic(chosen.topic, folder, None), folder).topic
    loaded, strengths = load(chosen.model, "auto", "auto"), [float(part) for part in chosen.strengths.split(",")]
    done = []
    for group, name, part, settings in cases(topic, chosen.seed):
        done.append({"group": group, "name": name} | curve(loaded, part, settings, strengths, chosen.seed))
        print(f"{name}: done", file=sys.stderr, flush=True)
    if chosen.out:
        record = {"model": Path(chosen.model).name, "topic": topic.name, "title": topic.title, "seed": chosen.seed,
                  "code": code_version(), "machine": machine(), "cases": done}
        chosen.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(markdown(["UNLEARN", "rank", "relative change", "strength", *SPLITS], [line for case in done for line in lines(case)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
