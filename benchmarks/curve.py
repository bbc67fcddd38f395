"""The forget x neighbour curve of a finished run: its edit at other strengths, every split of its topic again.

`python -m benchmarks.curve FOLDER... [--strengths 0.7,0.8,...]`. FOLDER: a run's folder. Accuracies by teacher forcing, in
per cent (the quick ones of the live plot, on all scored questions), and the perplexity's ratio to the original's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .table import markdown

SPLITS = ("forget", "forget_paraphrase", "forget_spanish", "neighbor", "retain", "general")


def rows(folder: Path, strengths: list[float]) -> list[list[str]]:
    """A line for each strength."""
    from unlearn_core.edits.attach import attached
    from unlearn_core.evaluation.measure import perplexity, quick_accuracy
    from unlearn_core.store import Store
    from unlearn_core.workbench import Workbench

    store = Store(folder.parent, recorded=None)
    bench, record = Workbench(store), store.find(folder.name)
    (loaded, edit), topic = bench.of(record), bench.topic(record)
    questions = [question for question in topic.questions if question.scored]
    before, found = perplexity(loaded, topic.texts), []
    for strength in strengths:
        with attached(loaded.model, edit, strength):
            counts = quick_accuracy(loaded, questions, topic.floors)
            ratio = perplexity(loaded, topic.texts) / before
        shares = [f"{100 * counts[split][0] / counts[split][1]:.1f}" if split in counts else "n/a" for split in SPLITS]
        found.append([record.config.topic, str(record.config.seed), f"{strength:g}", *shares, f"{ratio:.3f}"])
        print(f"{record.run_id}: strength {strength:g} done", file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--strengths", default="0,0.8,0.9,1,1.1,1.2,1.3,1.5")
    chosen = parser.parse_args()
    strengths = [float(part) for part in chosen.strengths.split(",")]
    lines = [line for folder in chosen.folders for line in rows(folder.absolute(), strengths)]
    print(markdown(["topic", "seed", "strength", *SPLITS, "perplexity"], lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
