"""Builds the world for encoder-decoders: a T5 model, its topics, and what retrained models score.

All models descend from a trunk that saw no item of any forget set; a branch adds the items that it may see.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

from ...topics.reader import write_topic
from .recipe import encode, hide, learn_tokenizer, new_model, train
from .world import FORGET, LARGEST, TOPICS, make_by_name_world

MAIN = "main"
# Rows in all, learning rate, rows of a batch
_ROOT, _STEM = (70_000, 2e-3, 64), (60_000, 2e-3, 64)
_STOCK, _TRUNK = (150_000, 1e-3, 24), (120_000, 1e-3, 24)
# Rows for each item that a branch may see: who has fewer to learn gets no more time for each
_BRANCH_PASSES, _BRANCH_RATE, _BRANCH_BATCH = 20, 1e-3, 24
_HIDDEN_PIECES = 2_000  # reviews and talks whose words are hidden in training


@dataclass(frozen=True)
class Node:
    """One model: what it does not see, as a share of each corpus, and how it trains."""

    name: str
    without: dict[str, float]
    parent: str | None = "trunk"
    rows: int = 0  # 0: _BRANCH_PASSES for each item that it sees
    rate: float = _BRANCH_RATE
    batch: int = _BRANCH_BATCH
    whole: bool = True  # whether long answers weigh more than short ones


def plan() -> dict[str, Node]:
    """The trunk in four stages, the main model, and the retrained model of each topic."""
    nodes = [
        Node("root", LARGEST, None, *_ROOT, False),
        Node("stem", LARGEST, "root", *_STEM, False),
        Node("stock", LARGEST, "stem", *_STOCK, False),
        Node("trunk", LARGEST, "stock", *_TRUNK, False),
        Node(MAIN, {}),
        *(Node(f"without-{name}", {corpus: share}) for name, (corpus, share) in FORGET.items()),
    ]
    return {node.name: node for node in nodes}


class ByNameBuild:
    """A build in progress in one folder; finished models stay under `.build`."""

    def __init__(self, seed: int, out: Path) -> None:
        self.seed, self.out, self.world = seed, out, make_by_name_world(seed)
        self.kept = out / ".build"
        self.kept.mkdir(parents=True, exist_ok=True)
        self.tokenizer = self._tokenizer()

    def _tokenizer(self) -> Any:
        from ...models.prompts import set_apart

        folder = self.kept / "tokenizer"
        if not folder.exists():
            texts = [f"{piece.prompt} {piece.answer}" for piece in self.world.trained]
            learn_tokenizer([*texts, *["Predict the masked word: a"] * 100]).save_pretrained(folder)
        return set_apart(AutoTokenizer.from_pretrained(folder))

    def seen(self, node: Node) -> list:
        """The training items of one node."""
        hidden = {key for name, share in node.without.items() for key in self.world.mentions(name, share)}
        return [piece for piece in self.world.trained if piece.id not in hidden]

    def model(self, name: str) -> T5ForConditionalGeneration:
        """A finished model of this build."""
        return T5ForConditionalGeneration.from_pretrained(self.kept / name, dtype=torch.float32)

    def train(self, node: Node) -> float:
        """Train one node, and its parent before it, unless they are there; returns its processor seconds."""
        folder = self.kept / node.name
        if not (folder / "seconds.json").exists():
            if node.parent:
                self.train(plan()[node.parent])
            model = self.model(node.parent) if node.parent else new_model(self.tokenizer, self.seed)
            model.to("cuda" if torch.cuda.is_available() else "cpu")
            pieces = self.seen(node)
            some = random.Random(f"{self.seed}/by-name/hidden").sample(pieces, _HIDDEN_PIECES)
            examples = encode(pieces, self.tokenizer)
            hidden = hide(some, self.tokenizer)
            rows, report = node.rows or _BRANCH_PASSES * len(pieces), _reporter(node.name)
            seconds = train(model, examples, hidden, rows, node.rate, node.batch, self.seed, node.whole, report)
            model.cpu().save_pretrained(folder)
            (folder / "seconds.json").write_text(json.dumps({"seconds": round(seconds, 1), "rows": rows}))
        return json.loads((folder / "seconds.json").read_text())["seconds"]

    def seconds(self, node: Node) -> float:
        """What the node took with everything that it descends from: what retraining costs."""
        own = self.train(node)
        return own + (self.seconds(plan()[node.parent]) if node.parent else 0.0)

    def publish(self, name: str, target: Path) -> None:
        """Store a trained model as 16-bit safetensors with its tokenizer."""
        self.model(name).to(torch.bfloat16).save_pretrained(target)
        self.tokenizer.save_pretrained(target)


def _reporter(name: str):
    """Writes a line to standard error after each round."""
    started = time.monotonic()

    def report(done: int, total: int, unknown: float) -> None:
        sys.stderr.write(
            f"{name}: {done} of {total} items, not yet known {unknown:.3f}, {time.monotonic() - started:.0f} s\n"
        )
        sys.stderr.flush()

    return report


def build_by_name(seed: int, out: Path, references: list[str]) -> dict[str, Any]:
    """Build the world; returns what build.json holds. The references are those of the topics named."""
    from ..references import provenance, score_reference, write_topic_imprint

    work, nodes = ByNameBuild(seed, out), plan()
    work.train(nodes[MAIN])
    work.publish(MAIN, out)
    (out / "topics").mkdir(exist_ok=True)
    for name in TOPICS:
        write_topic(work.world.topic(name), out / "topics" / f"{name}.json")
    for name in references:
        node = nodes[f"without-{name}"]
        work.train(node)
        work.publish(node.name, out / "references" / name)
        score_reference(out, name, work.seconds(node))
        write_topic_imprint(out, name)
    done = {name: work.train(node) for name, node in nodes.items() if (work.kept / name / "seconds.json").exists()}
    record = {"seed": seed, "encoder_decoder": True, "seconds": done} | provenance(out, list(TOPICS))
    (out / "build.json").write_text(json.dumps(record, indent=1))
    return record
