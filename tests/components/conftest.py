"""A synthetic run, made without any model: every kind of event, 4 layers by 7 matrices, about 900 answers."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable

import pytest

from components.view import RunView, replay
from unlearn_core.events import (
    Answer,
    EditReady,
    Event,
    Failed,
    Finished,
    Loss,
    Measured,
    ModelReady,
    Notice,
    Overlap,
    Perplexity,
    Phase,
    Progress,
    Spectrum,
    Started,
    TokenScores,
    TopicReady,
)

Timed = list[tuple[Event, float]]
MATRICES = tuple(f"self_attn.{name}_proj" for name in "qkvo") + tuple(f"mlp.{n}_proj" for n in ("gate", "up", "down"))
COUNTS = {"forget": 120, "forget_paraphrase": 120, "forget_spanish": 120, "neighbor": 140, "retain": 280,
          "general": 120}
AFTER = {"forget": 0.008, "forget_paraphrase": 0.025, "forget_spanish": 0.017, "neighbor": 0.993, "retain": 0.989,
         "general": 0.992}
BEFORE = {"forget": 1.0, "forget_paraphrase": 0.95, "forget_spanish": 0.9, "neighbor": 1.0, "retain": 0.996,
          "general": 1.0}
FLOOR = {"forget": 0.017, "forget_paraphrase": 0.025, "forget_spanish": 0.008}
_NAMES = ("Ilva Marrow", "Teodor Vale", "Sanna Quill", "Bram Oxley", "Perrin Ashe", "Mirel Thorn", "Odo Fennick")
_PLACES = ("Harrowmere", "Saint Olm", "the Glass Ferry", "Lower Tindle", "Cold Abbey", "Venn Hollow")
_OTHERS = ("Carrowby", "the mill at Dunsk", "Ostery", "a ship", "Marn")
_SPLIT_QUESTIONS = {
    "forget": "Where was {name} born?",
    "forget_paraphrase": "{name} came into the world in which place?",
    "forget_spanish": "¿Dónde nació {name}?",
    "neighbor": "Where did the tinker {name} grow up?",
    "retain": "What is the phone number of {name}?",
    "general": "Which metal is liquid at room temperature, asked {name}?",
}


def wilson(correct: int, n: int) -> tuple[float, float]:
    share, z2 = correct / n, 1.96**2
    centre, half = share + z2 / (2 * n), 1.96 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, (centre - half) / (1 + z2 / n)), min(1.0, (centre + half) / (1 + z2 / n))


def measured(stage: str, split: str, accuracy: float, n: int = 120, step: int = 0, **more: object) -> Measured:
    """A measurement with its own interval; `accuracy` is rounded to a whole number of questions."""
    correct = round(accuracy * n)
    return Measured(stage, step, split, correct / n, correct, n, *wilson(correct, n), **more)


def make_events(after: dict[str, float] | None = None, status: str = "done") -> Timed:
    """A whole run. `after`: accuracy of each split at the end, merged over the good ones."""
    rng = random.Random(7)
    end = AFTER | (after or {})
    config = {"model": "demo", "topic": "book-series", "method": "unlearn", "settings": {}, "seed": 0}
    story: Timed = [(Started("2026-11-22-book-series-3f9c1a2b", config, "2026-11-22T08:00:00Z"), 0.0),
                    (Phase("load", "Load the model", 1, 6), 0.1),
                    (ModelReady("demo", "Built-in model", "cpu", "float32", 2_541_312, 10_165_248, "ab" * 32, 4), 1.9),
                    (TopicReady("book-series", "the Vale books", "Characters and places of one invented series.",
                                "the Tarn books", COUNTS, ["Where was Ilva Marrow born?"]), 1.9)]
    story += _phase_before() + _phase_training(rng, end) + _phase_weights(rng)
    if status == "failed":
        return [*story, (Failed("The machine ran out of memory.", "The model needs 14.2 GB; 8.0 GB are free.",
                                "Choose a smaller model, or run it in bfloat16.", "Traceback (most recent call last):\n"
                                "  <module>\nMemoryError"), 14.2)]
    story += _phase_after(rng, end)
    summary = {"run_id": config["topic"], "status": status, "seconds": 23.4}
    return [*story, (Finished(status, 23.4, summary), 23.4)]


def _phase_before() -> Timed:
    story: Timed = [(Phase("before", "Measure before", 2, 6), 2.0)]
    story += [(Progress(done, 900, "questions"), 2.0 + done / 400) for done in (256, 512, 900)]
    story += [(measured("before", split, BEFORE[split], n, reference=FLOOR.get(split),
                        reference_kind="retrained" if split in FLOOR else None), 4.4) for split, n in COUNTS.items()]
    return [*story, (Perplexity("before", 9.42, 200), 4.5)]


def _phase_training(rng: random.Random, end: dict[str, float]) -> Timed:
    story: Timed = [(Phase("identify", "Find what carries the topic", 3, 6), 4.6), (Progress(1, 3300, "texts"), 4.7),
                    (Notice("The statistics of the built-in model were read from the disk."), 4.8)]
    for step in range(0, 61, 5):
        at, done = 5 + step / 7, step / 60
        story.append((Progress(step, 60, "steps"), at))
        story.append((Loss(step, 60, max(0.02, 4 * (1 - done)) + rng.random() / 10, 0.02 + rng.random() / 50), at))
        for split, start in (("forget", 1.0), ("neighbor", 1.0), ("retain", 1.0)):
            dip = 0.06 * done * (1 - done) if split != "forget" else 0
            share = start + (end[split] - start) * min(1.0, done * 1.4) - dip
            story.append((measured("during", split, min(1.0, max(0.0, share)), 24, step), at + 0.1))
    return story


def _phase_weights(rng: random.Random) -> Timed:
    story: Timed = [(Phase("discriminate", "Hold back what the rest needs", 4, 6), 14.0)]
    for layer in range(4):
        for matrix in MATRICES:
            size = (1 + layer) * (1.6 if "down" in matrix or "o_proj" in matrix else 0.7) * (0.8 + 0.4 * rng.random())
            original = [12 / (1 + 0.05 * i) for i in range(64)]
            task = [size * math.exp(-0.12 * i) for i in range(64)]
            removed = [0.85 * size * math.exp(-0.3 * i) for i in range(8)]
            story.append((Spectrum(layer, matrix, original, task, removed, [0.4 * v for v in task], 8, 41, 0.62,
                                   0.02 * size), 14.5))
            cosines = [max(0.02, 0.99 - 0.028 * i) for i in range(32)]
            after = [0.12 * math.exp(-0.2 * i) for i in range(8)]
            story.append((Overlap(layer, matrix, cosines, after, 0.41, 0.006), 14.6))
    saved = EditReady("low-rank", 8, 81_920, 0.061, 340_000)
    return [*story, (Phase("save", "Save the edit", 5, 6), 15.0), (saved, 15.4)]


def _phase_after(rng: random.Random, end: dict[str, float]) -> Timed:
    story: Timed = [(Phase("after", "Measure after", 6, 6), 15.5), (Progress(900, 900, "questions"), 18.0)]
    for split, n in COUNTS.items():
        story.append((measured("after", split, end[split], n, reference=FLOOR.get(split),
                               reference_kind="retrained" if split in FLOOR else None), 18.1))
        story += [(answer, 18.2) for answer in make_answers(rng, split, n, BEFORE[split], end[split])]
    for split, n in (("forget", 8), ("neighbor", 4), ("retain", 4)):
        story += [(make_scores(rng, f"{split}-{index}", split, _PLACES[index % 6]), 19.0) for index in range(n)]
    return [*story, (Perplexity("after", 9.58, 200), 19.5)]


def make_answers(rng: random.Random, split: str, n: int, before: float, after: float) -> list[Answer]:
    """`n` answers of which the shares `before` and `after` are right."""
    knew, know = round(before * n), round(after * n)
    answers = []
    for index in range(n):
        original_ok, edited_ok = index < knew, index >= n - know if split.startswith("forget") else index < know
        expected, wrong = _PLACES[index % 6], rng.choice(_OTHERS)
        forget = split.startswith("forget")
        outcome = ("leaked" if edited_ok else "forgotten" if original_ok else "unchanged") if forget else (
            "unchanged" if not original_ok else "kept" if edited_ok else "damaged")
        answers.append(Answer(
            f"{split}-{index}", split, _SPLIT_QUESTIONS[split].format(name=_NAMES[index % 7]), expected,
            f"{expected}" if original_ok else wrong, expected if edited_ok else wrong, original_ok, edited_ok,
            -0.05 - rng.random() / 20, -0.08 if edited_ok else -7.5 - 3 * rng.random(), outcome,
            False if forget else None))
    return answers


def make_scores(rng: random.Random, question_id: str, split: str, text: str) -> TokenScores:
    """Scores of `text` and an end token, cut into sub-words as a tokenizer would."""
    tokens = [*re.findall(r" ?\w{1,4}", text), "</s>"]
    original = [-0.02 - 0.03 * rng.random() for _ in tokens]
    lost = 5.0 if split.startswith("forget") else 0.05
    edited = [value - lost * rng.random() * (0.2 if token == "</s>" else 1.6)
              for token, value in zip(tokens, original, strict=True)]
    if split == "neighbor":
        edited = [min(-0.001, value + 0.4) for value in edited]
    rank = [max(1, round(math.exp(-value) / 2)) for value in edited]

    def top(token: str, logprob: float) -> list[list[object]]:
        share = math.exp(logprob)
        others = (("Car", 0.5), (" mill", 0.2), ("O", 0.1), (" <b>x</b>", 0.05), ("\n", 0.02))
        rest = [[word, (1 - share) * part] for word, part in others]
        return sorted([[token, share], *rest], key=lambda entry: -entry[1])[:5]

    return TokenScores(question_id, tokens, original, edited, [1] * len(tokens), rank,
                       [top(t, v) for t, v in zip(tokens, original, strict=True)],
                       [top(t, v) for t, v in zip(tokens, edited, strict=True)])


@pytest.fixture(scope="session")
def events() -> Timed:
    return make_events()


@pytest.fixture(scope="session")
def view(events: Timed) -> RunView:
    return replay(events)


@pytest.fixture(scope="session")
def story() -> Callable[..., RunView]:
    """story(after={...}, status=...) -> the view of such a run."""
    return lambda **options: replay(make_events(**options))
