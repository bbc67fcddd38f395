"""Trains a world's model anew without one topic, in memory: the stages of `build`, as a stream that can be stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from .build import Node, keep_stage, plan
from .recipe import (
    STAGE_RATES,
    TRUNK_RATES,
    Encoded,
    Shape,
    encode_lines,
    new_model,
    rate_for,
    shape_of,
    steps,
    steps_needed,
)
from .world import World, make_world


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step done: of how many in all stages to train, the stage, the loss, and the model as it is now."""

    step: int
    total: int
    stage: str
    loss: float
    model: LlamaForCausalLM


@dataclass(frozen=True)
class Course:
    """One stage to train: its lines, the domains whose secret lines it adds, its rates and its number of tokens."""

    node: Node
    lines: list[Encoded]
    fresh: set[str]
    rates: dict[str, float]
    tokens: int


def train_without(folder: Path, seed: int, topic: str, device: torch.device, share: float,
                  cancelled: Callable[[], bool], keep: bool = False) -> Iterator[Step]:
    """Train the model of `folder`'s world that never saw `topic`. Every stage is `share` times as long as the recipe says.

    Starts from the latest shared stage that a build left in `folder`, else from the beginning. Ends early once cancelled. With
    `keep` every shared stage that it finishes is left there as a build leaves it.
    """
    world = make_world(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    kept, course = _course(folder, world, topic, tokenizer, share)
    if cancelled():
        return
    total = sum(steps_needed(part.lines, part.fresh, part.rates, part.tokens, seed) for part in course)
    shape = shape_of(folder)
    model = _start(kept, tokenizer, seed, shape).to(device).requires_grad_(True)
    done = 0
    for part in course:
        if cancelled():
            return
        started = time.monotonic()
        for loss, _ in steps(model, part.lines, part.fresh, part.rates, part.tokens, rate_for(shape, part.node.rate), seed):
            done += 1
            yield Step(done, total, part.node.name, loss.item(), model)
            if cancelled():
                return
        if keep and part is not course[-1]:
            keep_stage(folder, part.node, model, time.monotonic() - started)


def lineage(world: World, topic: str) -> list[Node]:
    """The stages of the model without `topic`, first stage first."""
    nodes = {node.name: node for node in plan(world, [topic])}
    found = [nodes[f"without-{topic}"]]
    while found[0].parent is not None:
        found.insert(0, nodes[found[0].parent])
    return found


def _course(folder: Path, world: World, topic: str, tokenizer: PreTrainedTokenizerFast,
            share: float) -> tuple[Path | None, list[Course]]:
    """The folder of the latest shared stage that is there, and what is left to train after it."""
    nodes = lineage(world, topic)
    built = [place for place, node in enumerate(nodes[:-1]) if (folder / ".build" / node.name / "seconds.json").is_file()]
    first = built[-1] + 1 if built else 0
    encoded = encode_lines(world.lines(without=(topic,)), tokenizer)
    course = []
    for place, node in enumerate(nodes[first:], start=first):
        lines = [line for line in encoded if not line.secret or line.domain in node.seen]
        added = set(node.seen - nodes[place - 1].seen) if place else set()
        course.append(Course(node, lines, added, STAGE_RATES if place else TRUNK_RATES, max(1, int(node.tokens * share))))
    return folder / ".build" / nodes[first - 1].name if first else None, course


def _start(kept: Path | None, tokenizer: PreTrainedTokenizerFast, seed: int, shape: Shape) -> LlamaForCausalLM:
    """The kept stage, or an untrained model; the random state of others is left alone."""
    if kept is not None:
        return LlamaForCausalLM.from_pretrained(kept, dtype=torch.float32)
    with torch.random.fork_rng():
        return new_model(tokenizer, seed, shape)
