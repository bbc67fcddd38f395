"""All metrics of a model against one teacher-forced pass and one generation pass over the same rows.

`python -m benchmarks.metrics [--topic book-series] [--repeats 3]`, on the built-in model and on the recorded run's edit. The
gradient norm, which alone needs a backward pass, and the unlearning depth, which needs a pass for every layer, are timed apart
and left out of the ratio.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from unlearn_core.edits.attach import attached
from unlearn_core.edits.edit import Edit
from unlearn_core.edits.kinds import load_edit
from unlearn_core.evaluation import examination
from unlearn_core.evaluation.imprint import load_imprint
from unlearn_core.evaluation.measure import measure, perplexity
from unlearn_core.evaluation.references import reference_model
from unlearn_core.generation import generate
from unlearn_core.models.loading import LoadedModel, load
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.scoring import answer_logprobs
from unlearn_core.topics.catalogue import find_topic
from unlearn_core.topics.topic import Question, Topic

from .table import load_average, markdown, median, threads

ROOT = Path(__file__).resolve().parents[1]
SHORTEST, SPARE = 24, 4  # tokens that a generated answer may take at least, and beyond the expected one


class Stopwatch:
    """Calls a function and adds up the seconds that it takes."""

    def __init__(self, function) -> None:
        self._function, self.seconds = function, 0.0

    def __call__(self, *given):
        started = time.perf_counter()
        found = self._function(*given)
        self.seconds += time.perf_counter() - started
        return found


def plain(loaded: LoadedModel, edit: Edit | None, questions: list[Question]) -> float:
    """Seconds of one teacher-forced pass over all answers and near-misses and one generation pass over the questions."""
    tokenizer = loaded.tokenizer
    prompts = [encode_prompt(tokenizer, question.prompt) for question in questions]
    pairs = [(prompt, encode_answer(tokenizer, answer)) for prompt, question in zip(prompts, questions, strict=True)
             for answer in (question.answer, *question.near_misses)]
    limits = [max(SHORTEST, len(encode_answer(tokenizer, question.answer)) + SPARE) for question in questions]
    started = time.perf_counter()
    with attached(loaded.model, edit):
        answer_logprobs(loaded, pairs)
        generate(loaded, prompts, limits)
    return time.perf_counter() - started


def full(loaded: LoadedModel, edit: Edit | None, topic: Topic, questions: list[Question],
         reference: LoadedModel | None) -> tuple[float, float, float]:
    """Seconds of answering and of all metrics, those against a reference among them, but the gradient norm and the unlearning
    depth; seconds of each of these."""
    kept = examination.gradient_norms, examination.drops
    backward, patched = (Stopwatch(function) for function in kept)
    examination.gradient_norms, examination.drops = backward, patched
    imprint = load_imprint(loaded.folder, topic, loaded.weights_hash)
    started = time.perf_counter()
    try:
        traced = examination.read(loaded, topic, edit)
        found = measure(loaded, topic, edit, questions=questions, known=traced.scores())
        with attached(loaded.model, edit):
            found = replace(found, perplexity=perplexity(loaded, topic.texts))
        examination.examine(loaded, topic, found, edit, reference, traced, imprint)
    finally:
        examination.gradient_norms, examination.drops = kept
    return time.perf_counter() - started - backward.seconds - patched.seconds, backward.seconds, patched.seconds


def row(name: str, loaded: LoadedModel, edit: Edit | None, topic: Topic, repeats: int, reference: LoadedModel | None) -> list[str]:
    """One line of the table; the first round warms up and does not count."""
    questions = [question for split in ("forget", *examination.KEPT) for question in topic.scored(split)]
    rounds = [(plain(loaded, edit, questions), *full(loaded, edit, topic, questions, reference)) for _ in range(repeats + 1)][1:]
    base, whole, backward, patched = (median(list(column)) for column in zip(*rounds, strict=True))
    ratio = median([two / one for one, two, *_ in rounds])
    return [name, str(len(questions)), f"{base:.2f}", f"{whole:.2f}", f"{ratio:.2f}", f"{backward:.2f}", f"{patched:.2f}"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__.splitlines()[0])
    parser.add_argument("--topic", default="book-series")
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args(arguments)
    loaded = load(str(ROOT / "assets" / "demo_model"), "cpu", "float32")
    topic, before = find_topic(chosen.topic, loaded.folder), load_average()
    edit = load_edit(ROOT / "assets" / "demo_run" / "edit.safetensors")
    folder = reference_model(loaded.folder, topic)
    reference = load(str(folder), "cpu", "float32") if folder is not None else None
    rows = [row(name, loaded, one, topic, chosen.repeats, reference) for name, one in (("original", None), ("recorded edit", edit))]
    print(markdown(["model", "questions", "two passes, s", "all metrics, s", "ratio", "gradient norm besides, s",
                    "unlearning depth besides, s"], rows))
    print(f"\nMedians of {chosen.repeats}; {threads()}; load average {before:.1f} before.")


if __name__ == "__main__":
    main()
