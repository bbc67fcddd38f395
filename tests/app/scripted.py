"""A runner without a model: it plays a made-up run slowly, so that the page can be driven. Knows no torch."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scripted_audits import ScriptedAudits
from scripted_builds import ScriptedBuilds
from scripted_races import LAST, TITLES, ScriptedRaces

from unlearn_core.config import SPLITS, EvaluationConfig, RunConfig
from unlearn_core.errors import BadInput
from unlearn_core.events import (
    Answer,
    EditReady,
    Event,
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
from unlearn_core.runner import Busy
from unlearn_core.store import RECORDED, Store

TOPICS = {
    "private-people": ("four private people", "the other people", "Home, job and phone of some invented persons."),
    "book-series": ("the Vale books", "the Harrow books", "Characters, places and spells of one invented series."),
}
MATRICES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)
ENDS = {
    "forget": (1.0, 0.03, 0.02),
    "forget_paraphrase": (0.95, 0.02, 0.02),
    "forget_spanish": (0.9, 0.03, 0.03),
    "neighbor": (0.99, 0.985, None),
    "retain": (0.995, 0.99, None),
    "general": (0.99, 0.98, None),
}
ITEMS = {"forget": 120, "forget_paraphrase": 60, "forget_spanish": 60, "neighbor": 100, "retain": 200, "general": 100}
STEPS = 40
# A topic whose run trains, and a question whose answers go on, until they are stopped, however slow the machine is.
ENDLESS, ENDLESS_QUESTION = "private-people", "Tell me everything."
ENDLESS_WORDS = 10_000


def replaced(config: RunConfig) -> RunConfig:
    """The same request on the topic whose run ends."""
    return config.model_copy(update={"topic": next(name for name in TOPICS if name != ENDLESS)})


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(8, ge=1, le=64, description="how many directions of each matrix may change")
    epsilon: float = Field(1e-4, gt=0, le=1, description="damping of directions that retained text uses")
    steps: int = Field(60, ge=1, le=1000, description="optimiser steps")
    literal: bool = Field(False, description="the paper's own order of operations")


@dataclass
class _Update:
    original: str
    edited: str
    done: bool
    waiting: int | None = None
    tokens_per_second: float = 0.0
    device: str = "cpu"
    reference: str | None = None


def measured(stage: str, split: str, share: float, step: int = 0, n: int | None = None) -> Measured:
    n = n or ITEMS[split]
    correct = round(share * n)
    half = 1.96 * math.sqrt(max(share * (1 - share), 0.01) / n)
    floor = ENDS[split][2]
    return Measured(
        stage,
        step,
        split,
        correct / n,
        correct,
        n,
        max(0, share - half),
        min(1, share + half),
        floor,
        "retrained" if floor is not None else None,
        None,
    )


def events(run_id: str, config: RunConfig, started_at: str) -> Iterator[tuple[float, Event]]:
    """A whole run: (pause before it, event)."""
    title, neighbor, summary = TOPICS.get(config.topic, (config.topic, "its neighbour", ""))
    yield 0, Started(run_id, config.model_dump(mode="json"), started_at)
    yield 0.2, Phase("load", "Load the model", 1, 6)
    yield 0.2, ModelReady("demo", "Built-in demo model", "cpu", "float32", 2_600_000, 10_400_000, "0" * 64, 4)
    yield (
        0,
        TopicReady(
            config.topic,
            title,
            summary,
            neighbor,
            dict(ITEMS),
            [f"Who is the hero of {title}?", "Which spell opens the gate?", "What is the capital of France?"],
        ),
    )
    yield 0.1, Phase("before", "Measure before", 2, 6)
    for done in range(0, 640, 160):
        yield 0.1, Progress(done + 160, 640, "questions")
    for split in ENDS:
        yield 0, measured("before", split, ENDS[split][0])
    yield 0, Perplexity("before", 9.1, 200)
    yield from _training(10**6 if config.topic == ENDLESS else STEPS)
    yield from _end(config, title)


def _training(steps: int) -> Iterator[tuple[float, Event]]:
    yield 0.1, Phase("remove", "Remove", 3, 6)
    for step in range(1, steps + 1):
        yield 0.1, Progress(step, steps, "steps")
        yield 0, Loss(step, steps, 4 * math.exp(-step / 10), 0.02)
        if step % 4 == 0:
            for split in ("forget", "neighbor", "retain"):
                before, after, _ = ENDS[split]
                yield 0, measured("during", split, after + (before - after) * math.exp(-step / 8), step, 24)


def _end(config: RunConfig, title: str) -> Iterator[tuple[float, Event]]:
    yield 0.1, Phase("save", "Save the edit", 4, 6)
    for layer, matrix in itertools.product(range(4), MATRICES):
        yield 0, _spectrum(layer, matrix)
        yield (
            0,
            Overlap(layer, matrix, [0.95 * 0.9**i for i in range(16)], [0.1 * 0.9**i for i in range(8)], 0.42, 0.004),
        )
    yield 0, EditReady("low-rank", 8, 90_000, 0.12, 400_000)
    yield 0.1, Phase("after", "Measure after", 5, 6)
    for done in range(0, 640, 160):
        yield 0.05, Progress(done + 160, 640, "questions")
    for split in ENDS:
        yield 0, measured("after", split, ENDS[split][1])
    yield 0, Perplexity("after", 9.15, 200)
    yield from ((0, answer) for answer in _answers(title))
    for number in range(4):
        yield 0, scores(f"forget-{number}")
    yield 0, Notice("A made-up run.")


def _spectrum(layer: int, matrix: str) -> Spectrum:
    size = 0.05 + 0.03 * layer + 0.01 * MATRICES.index(matrix)
    original = [3 * 0.96**i for i in range(64)]
    return Spectrum(
        layer,
        matrix,
        original,
        [size * 0.93**i for i in range(64)],
        [size * 0.7**i for i in range(8)],
        [0.3 * size * 0.93**i for i in range(64)],
        8,
        40,
        0.61,
        size,
    )


def _answers(title: str) -> Iterator[Answer]:
    for split in SPLITS:
        for number in range(ITEMS.get(split, 0)):
            forget = split.startswith("forget")
            yield Answer(
                f"{split}-{number}",
                split,
                f"Who keeps gate {number} of {title}?",
                "Tessa Vey",
                "Tessa Vey",
                "a quiet harbour" if forget else "Tessa Vey",
                True,
                not forget,
                -0.1,
                -9.2 if forget else -0.1,
                "forgotten" if forget else "kept",
                False if forget else None,
            )


def scores(question_id: str, strength: float = 1.0) -> TokenScores:
    tokens = ["ĠTes", "sa", "ĠVey", "</s>"]
    original, edited = [-0.05, -0.01, -0.2, -0.01], [-6.0, -0.5, -8.0, -0.3]
    blended = [a + strength * (b - a) for a, b in zip(original, edited, strict=True)]
    top = [[["ĠTes", 0.9], ["ĠOrm", 0.05], ["Ġa", 0.02], ["Ġthe", 0.01], ["Ġno", 0.01]]] * 4
    return TokenScores(question_id, tokens, original, blended, [1] * 4, [900, 3, 4000, 2], top, top)


class ScriptedRunner(ScriptedAudits, ScriptedBuilds, ScriptedRaces):
    """Stands in for `unlearn_core.runner.Runner`; `pace` multiplies every pause."""

    def __init__(self, store: Store, pace: float = 1.0) -> None:
        self.store, self.pace, self.warmed = store, pace, False
        self._logs: dict[str, list[tuple[Event, float]]] = {}
        self._stops: dict[str, threading.Event] = {}
        self._running: str | None = None
        self._since = ""
        self._metrics: dict[str, dict[str, Any]] = {}
        super().__init__()

    def start(self, config: RunConfig) -> str:
        self._refuse()
        folder = self.store.create(config)
        self._logs[folder.run_id], self._stops[folder.run_id] = [], threading.Event()
        self._running, self._since = folder.run_id, folder.started_at
        threading.Thread(target=self._play, args=(folder, config), daemon=True).start()
        return folder.run_id

    def _refuse(self) -> None:
        going = {"race": self.racing(), "audit": self.auditing(), "build": self.building(), "run": self._running}
        for kind, name in going.items():
            if name:
                raise Busy(name, self._since, kind)

    def _play(self, folder: Any, config: RunConfig) -> None:
        stop, began = self._stops[folder.run_id], time.monotonic()
        for pause, event in events(folder.run_id, config, folder.started_at):
            stop.wait(pause * self.pace)
            if stop.is_set():
                break
            self._log(folder, event, began)
        status = "stopped" if stop.is_set() else "done"
        accuracy = {
            split: {
                "before": before,
                "after": None if stop.is_set() else after,
                "reference": floor,
                "reference_kind": "retrained" if floor is not None else None,
                "n": ITEMS[split],
            }
            for split, (before, after, floor) in ENDS.items()
        }
        seconds = time.monotonic() - began
        summary = {
            "run_id": folder.run_id,
            "status": status,
            "seconds": seconds,
            "removed": 0.98,
            "removed_paraphrase": 0.97,
            "removed_spanish": 0.97,
            "accuracy": accuracy,
            "method": config.method,
            "topic": config.topic,
        }
        folder.edit_path.write_bytes(b"made up")
        self._log(folder, Finished(status, seconds, summary), began)
        folder.finish(summary)
        self._running = None

    def _log(self, folder: Any, event: Event, began: float) -> None:
        at = time.monotonic() - began
        folder.append(event, at)
        self._logs[folder.run_id].append((event, at))

    def stop(self, run_id: str) -> None:
        if run_id in self._stops:
            self._stops[run_id].set()

    def follow(self, run_id: str, every: float = 0.25) -> Iterator[list[tuple[Event, float]]]:
        if run_id not in self._logs:
            yield self.store.events(run_id)
            return
        seen = 0
        while True:
            batch = self._logs[run_id][seen:]
            seen += len(batch)
            yield batch
            if batch and isinstance(batch[-1][0], Finished):
                return
            time.sleep(every)

    def running(self) -> str | None:
        return self._running

    def _made_up(self, config: RunConfig) -> str:
        """A finished run of a race, whose events are all there at once."""
        folder = self.store.create(config)
        for _, event in events(folder.run_id, replaced(config), folder.started_at):
            folder.append(event, 0.0)
        summary = {"run_id": folder.run_id, "status": "done", "seconds": 1.0, "method": config.method, "topic": config.topic,
                   "accuracy": {split: {"before": ends[0], "after": ends[1], "reference": ends[2], "n": ITEMS[split]}
                                for split, ends in ENDS.items()}}  # fmt: skip
        folder.edit_path.write_bytes(b"made up")
        folder.append(Finished("done", 1.0, summary), 1.0)
        folder.finish(summary)
        return folder.run_id

    def catalogue(self, model: str = "demo") -> dict[str, list[dict[str, Any]]]:
        schema = _Settings.model_json_schema()
        return {
            "methods": [
                {"name": name, "title": title, "family": family, "family_title": family_title, "summary": f"What {title} does.",
                 "paper": "made up", "knob": "steps" if name == LAST else "rank", "config_schema": schema}
                for name, (title, family, family_title) in TITLES.items()
            ],
            "attacks": self.attacks(),
            "models": [{"name": "demo", "title": "Built-in demo model", "summary": "", "parameters": 2_600_000}],
            "topics": [
                {"name": name, "title": title[0], "summary": title[2], "counts": ITEMS}
                for name, title in (TOPICS.items() if model == "demo" else ())
            ],
        }

    def check(self, config: RunConfig) -> dict[str, str]:
        found = {} if config.model == "demo" else {"model": f"There is no model folder {config.model}."}
        try:
            _Settings(**config.settings)
        except ValidationError as error:
            found |= {str(part["loc"][0]): str(part["msg"]) for part in error.errors()}
        return found

    def ask(
        self,
        run_id: str,
        question: str,
        strength: float = 1.0,
        max_tokens: int = 60,
        temperature: float = 0.0,
        seed: int = 0,
        token: str | None = None,
    ) -> Iterator[_Update]:
        left = ["Tessa", "Vey", "keeps", "the", "gate", "of", "the", "north"]
        right = ["I", "am", "not", "sure", "about", "any", "of", "that"]
        if question == ENDLESS_QUESTION:
            left, right = left + ["on"] * ENDLESS_WORDS, right + ["on"] * ENDLESS_WORDS
        self._asked = threading.Event()
        yield _Update("", "", False, waiting=0)
        for count in range(1, len(left) + 1):
            if self._asked.wait(0.15 * self.pace):
                break
            edited = right if strength else left
            yield _Update(" ".join(left[:count]), " ".join(edited[:count]), False, tokens_per_second=42, reference="Who is")
        yield _Update(
            " ".join(left[:count]), " ".join((right if strength else left)[:count]), True, tokens_per_second=42,
            reference="Who is Tessa?"
        )

    def stop_ask(self, token: str = "") -> None:
        self._asked.set()

    def rescore(self, run_id: str, strength: float, everything: bool = False) -> Iterator[dict[str, Any]]:
        time.sleep(0.3 * self.pace)
        yield {
            "strength": strength,
            "everything": everything,
            "accuracy": {
                split: {"accuracy": 0.5, "correct": n // 2, "n": n, "low": 0.4, "high": 0.6}
                for split, n in (ITEMS if everything else {"forget": 24, "neighbor": 24, "retain": 24}).items()
            },
        }

    def kept_metrics(self, run_id: str) -> dict[str, Any] | None:
        return self._metrics.get(run_id)

    def metrics(self, run_id: str) -> Iterator[Any]:
        yield Progress(0, 640, "questions")
        time.sleep(0.3 * self.pace)
        found = {"value": 0.25, "low": 0.2, "high": 0.3, "n": 40, "reason": None}
        told = {"judges": "How likely the answers are.", "better": "Low.", "misleads": "A collapse is too.", "source": "Made up"}
        self._metrics[run_id] = {
            "metrics": {"before": {"probability": found | {"value": 0.98}}, "after": {"probability": found}},
            "about": {"probability": told}, "instead": {}, "consistency": {}, "conditions": []}  # fmt: skip
        yield self._metrics[run_id]

    def kept_evaluation(self, config: EvaluationConfig) -> dict[str, Any] | None:
        return self._metrics.get(config.digest())

    def evaluate(self, config: EvaluationConfig) -> Iterator[Any]:
        *_, body = self.metrics(config.digest())
        stages = ("before", "after") if config.edits else ("before",)
        self._metrics[config.digest()] = body | {"metrics": {stage: body["metrics"][stage] for stage in stages}}
        yield Progress(0, 640, "questions")
        yield self._metrics[config.digest()]

    def heat(self, run_id: str, question_ids: list[str], strength: float) -> list[TokenScores]:
        return [scores(name, strength) for name in question_ids if name.startswith("forget-")]

    def answers(self, run_id: str, question_ids: list[str], strength: float) -> list[Answer]:
        return [replace(event, edited=f"{event.original} at {strength:g}") for event, _ in self.store.events(run_id)
                if isinstance(event, Answer) and event.question_id in question_ids]

    def add_topic(self, name: str, content: bytes, model: str = "demo") -> dict[str, Any]:
        raise BadInput("The file has no column 'question'.", "Its columns are a, b.", "Name them question and answer.")

    def warm(self) -> str:
        self.warmed = True
        return "demo"

    def place(self, model: str, device: str, dtype: str = "auto") -> str:
        return "cpu · float32" if self.warmed else ""


def record(store: Store) -> None:
    """Write a finished made-up run where the recorded one lies."""
    import json

    from unlearn_core.events import encode

    folder = store.recorded
    folder.mkdir(parents=True, exist_ok=True)
    config = RunConfig(topic="book-series", settings={"rank": 6}, seed=3)
    lines, at = [], 0.0
    for pause, event in events(RECORDED, config, "2026-11-22T08:00:00+00:00"):
        at += pause
        lines.append(encode(event, at))
    summary = {
        "run_id": RECORDED,
        "status": "done",
        "seconds": at,
        "accuracy": {split: {"before": before, "after": after} for split, (before, after, _) in ENDS.items()},
    }
    lines.append(encode(Finished("done", at, summary), at))
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "config.json").write_text(
        json.dumps(
            {"run_id": RECORDED, "config": config.model_dump(mode="json"), "started_at": "2026-11-22T08:00:00+00:00"}
        ),
        encoding="utf-8",
    )
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
