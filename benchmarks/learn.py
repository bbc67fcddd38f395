"""LEARN against plain LoRA: a topic taught to the reference model, which never saw it, and what that does to its neighbours.

`python -m benchmarks.learn [--topic book-series] [--rank 16] [--seeds 0]`. Both see the topic's given questions and train the same
number of steps at the same rank; LoRA's rate is the one of RATES that learns most. "LoRA and kept text" has LEARN's loss on kept
text as well, without its discrimination. Accuracies by teacher forcing, in per cent, on all scored questions.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from .table import load_average, machine, markdown

RATES = (1e-3, 2e-3, 5e-3)
SPLITS = ("forget", "forget_paraphrase", "forget_spanish", "neighbor", "retain", "general")
HEADINGS = ["", "seed", "learnt", "in other words", "in Spanish", "second series", "retain", "general", "seconds"]


def adapter(context: Any, config: Any, rate: float, keep: bool) -> Any:
    """Plain LoRA of LEARN's rank and steps; with `keep` also LEARN's loss on kept text and its stand-ins."""
    from unlearn_core.methods.learn import FORGET_ROWS, RETAIN_ROWS, kept_rows
    from unlearn_core.objectives import answer_nll, kl_to
    from unlearn_core.training import Change, Plan, encode_rows, reference_logprobs, train

    loaded, given = context.loaded, context.given
    topic = encode_rows(loaded, given.forget)
    kept = kept_rows(context, config, topic) if keep else []
    original = reference_logprobs(loaded, kept) if keep else None
    change = Change(loaded.model, rank=config.rank, seed=context.seed)
    plan = Plan(config.steps, rate, forget_rows=FORGET_ROWS, retain_rows=RETAIN_ROWS)
    for _ in train(context, change, plan, topic, kept,
                   lambda part, places: answer_nll(part.logits, part.labels, part.rows, part.count),
                   (lambda part, places: config.keep * kl_to(original(places), part.logits)) if keep else None):
        pass
    return change.edit()


def learnt(context: Any, config: Any) -> Any:
    """LEARN's edit."""
    from unlearn_core.edits.edit import Edit
    from unlearn_core.methods import find_method

    return [item for item in find_method("learn").fit(context, config) if isinstance(item, Edit)][-1]


def rows(loaded: Any, topic: Any, seed: int, rank: int) -> Iterator[list[str]]:
    """The start, LoRA, LoRA with kept text, LEARN."""
    from unlearn_core.edits.attach import attached
    from unlearn_core.evaluation.measure import quick_accuracy
    from unlearn_core.methods import find_method, settings_of
    from unlearn_core.methods.base import Context

    config = settings_of(find_method("learn"), {"rank": str(rank)})
    questions = [question for question in topic.questions if question.scored]

    def line(name: str, make: Callable[[Any], Any]) -> list[str]:
        started = time.perf_counter()
        edit = make(Context(loaded, topic.given(), seed))
        seconds = time.perf_counter() - started
        with attached(loaded.model, edit):
            counts = quick_accuracy(loaded, questions, topic.floors)
        shares = [f"{100 * counts[split][0] / counts[split][1]:.1f}" for split in SPLITS]
        row = [name, str(seed), *shares, f"{seconds:.0f}" if edit is not None else ""]
        print(" | ".join(row), file=sys.stderr, flush=True)
        return row

    yield line("the model that never saw it", lambda context: None)
    plain = [line(f"LoRA, rate {rate:g}", lambda context, rate=rate: adapter(context, config, rate, False)) for rate in RATES]
    yield max(plain, key=lambda found: float(found[2]))
    both = [line(f"LoRA and kept text, rate {rate:g}", lambda context, rate=rate: adapter(context, config, rate, True))
            for rate in RATES]
    yield max(both, key=lambda found: float(found[2]))
    yield line("LEARN", lambda context: learnt(context, config))


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topic", default="book-series")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--seeds", default="0")
    chosen = parser.parse_args()
    from unlearn_core.models.loading import load
    from unlearn_core.preflight import model_folder
    from unlearn_core.topics.catalogue import completed, find_topic

    folder, before = model_folder("demo"), load_average()
    topic = completed(find_topic(chosen.topic, folder, None), folder).topic
    reference = folder / "references" / chosen.topic
    if not (reference / "config.json").exists():
        print(f"The model without '{chosen.topic}' is not there; `python -m unlearn_core.demo.build --only-references "
              f"--references {chosen.topic} --out {folder.name}` makes it.", file=sys.stderr)
        return 2
    loaded = load(str(reference), "auto", "auto")
    found = [row for seed in chosen.seeds.split(",") for row in rows(loaded, topic, int(seed), chosen.rank)]
    print(markdown(HEADINGS, found))
    print(f"\n{chosen.topic}, rank {chosen.rank}, {machine()}, load average {before:.1f} before.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
