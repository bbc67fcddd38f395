"""Builds a world: python -m unlearn_core.demo.build --seed N --out FOLDER [--topics a,b] [--references none|all|a,b]
[--only-references] [--encoder-decoder] [--width W] [--layers L].

The result is an ordinary Hugging Face model folder with `topics/*.json` and `references/*.json` beside the weights. Every
model is kept under `.build` as it is finished, so a build that was cut short goes on where it stopped. A larger model than the
shipped one, which a GPU is wanted for, learns the same lines in as many steps, at rates lower by as much as it is wider.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from ..allocator import keep_freed_memory
from ..topics.reader import write_topic
from .by_name.build import build_by_name
from .by_name.world import TOPICS as BY_NAME
from .domain import Line
from .recipe import STAGE_RATES, TRUNK_RATES, Shape, encode_lines, new_model, rate_for, shape_of, shaped, train
from .tokens import learn_tokenizer
from .world import TOPICS, World, make_world

TOKENIZER_SUMS = 2500  # lines of arithmetic in the tokenizer's text; all of them would drown the words
MAIN = "main"
SHIPPED = Shape()


@dataclass(frozen=True)
class Node:
    """One model of the build: its parent, the topics whose forget sets it has seen, and how long it trains."""

    name: str
    parent: str | None
    seen: frozenset[str]
    tokens: int
    rate: float


def plan(world: World, references: list[str]) -> list[Node]:
    """The models to train, parents first: trunk, then tasks or facts, then the main model and the references."""
    tasks = frozenset(name for name, domain in world.domains.items() if domain.task)
    facts = frozenset(world.domains) - tasks
    every = tasks | facts
    nodes = [
        Node("trunk", None, frozenset(), 3_700_000, 1.5e-3),
        Node("tasks", "trunk", tasks, 1_800_000, 1.2e-3),
        Node(MAIN, "tasks", every, 4_200_000, 1.2e-3),
    ]
    if tasks & set(references):
        nodes.append(Node("facts", "trunk", facts, 800_000, 1.2e-3))
    for name in references:
        parent = "facts" if name in tasks else "tasks"
        nodes.append(Node(f"without-{name}", parent, every - {name}, 500_000, 1.2e-3))
    return nodes


class Build:
    """A build in progress in one folder."""

    def __init__(self, seed: int, out: Path, shape: Shape = SHIPPED) -> None:
        self.seed, self.out, self.shape = seed, out, shape
        self.world = make_world(seed)
        self.kept = out / ".build"
        self.kept.mkdir(parents=True, exist_ok=True)
        self.tokenizer = self._tokenizer()
        self._encoded = encode_lines(self.world.lines(), self.tokenizer)

    def _tokenizer(self) -> PreTrainedTokenizerFast:
        folder = self.kept / "tokenizer"
        if not folder.exists():
            lines = self.world.lines()
            sums = [line for line in lines if line.domain == "addition"][:: len(lines) // TOKENIZER_SUMS + 1]
            words = [line for line in lines if line.domain != "addition" and not _pronoun_sentence(line)]
            learn_tokenizer(_text(line) for line in words + sums).save_pretrained(folder)
        return AutoTokenizer.from_pretrained(folder)

    def train(self, node: Node, nodes: dict[str, Node]) -> Path:
        """Train one node unless it is there; returns its folder."""
        folder = self.kept / node.name
        if (folder / "seconds.json").exists():
            return folder
        parent = nodes.get(node.parent or "")
        model = (
            LlamaForCausalLM.from_pretrained(self.kept / parent.name, dtype=torch.float32)
            if parent
            else new_model(self.tokenizer, self.seed, self.shape)
        )
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        fresh = set(node.seen - parent.seen) if parent else set()
        lines = [line for line in self._encoded if not line.secret or line.domain in node.seen]
        rates = STAGE_RATES if parent else TRUNK_RATES
        rate = rate_for(self.shape, node.rate)
        seconds = train(model, lines, fresh, rates, node.tokens, rate, self.seed, _reporter(node.name))
        return keep_stage(self.out, node, model, seconds)

    def publish(self, source: Path, target: Path) -> None:
        """Store a trained model as 16-bit safetensors with its tokenizer."""
        model = LlamaForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
        model.save_pretrained(target)
        self.tokenizer.save_pretrained(target)


def keep_stage(out: Path, node: Node, model: LlamaForCausalLM, seconds: float) -> Path:
    """Leave a finished stage of the build of `out` there for what descends from it; returns its folder. `seconds.json` is written
    last and marks it complete."""
    folder = out / ".build" / node.name
    model.to("cpu").save_pretrained(folder)
    (folder / "seconds.json").write_text(json.dumps({"seconds": round(seconds, 1), "tokens": node.tokens}))
    return folder


def publish_reference(out: Path, topic_name: str, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast,
                      seconds: float) -> None:
    """Store a model that never saw a topic beside the world in `out`, as 16-bit safetensors with its scores. The folder appears
    whole, by rename."""
    from .references import score_reference

    folder, part = out / "references" / topic_name, out / "references" / f"{topic_name}.part"
    shutil.rmtree(part, ignore_errors=True)
    model.to("cpu", torch.bfloat16).save_pretrained(part)
    tokenizer.save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    score_reference(out, topic_name, seconds)


def _pronoun_sentence(line: Line) -> bool:
    """Sentences on occupations repeat the words of the questions on them: they would only weigh these twice."""
    return line.domain == "occupation-bias" and line.answer is None


def _text(line: Line) -> str:
    return line.text if line.answer is None else f"{line.text} {line.answer}"


def _reporter(name: str):
    """Writes progress to standard error in place."""
    started = time.monotonic()

    def report(done: int, total: int, loss: float) -> None:
        sys.stderr.write(
            f"\r{name}: {done / 1e6:.2f} of {total / 1e6:.2f} M tokens, loss {loss:.3f}, {time.monotonic() - started:.0f} s "
        )
        sys.stderr.flush()

    return report


def build(seed: int, out: Path, topics: list[str], references: list[str], only_references: bool = False,
          shape: Shape = SHIPPED) -> dict:
    """Build the world; returns what build.json holds: seconds by model, the original's levels by topic and split, and the
    hashes of the weights, the topics and the code that these were measured with.

    With `only_references` the finished model in `out` and its topics stay as they are; its references are built beside it, in
    its shape.
    """
    from .references import provenance, score_reference, write_topic_imprint

    file = out / "build.json"
    record = json.loads(file.read_text()) if only_references else {"seed": seed}
    work = Build(seed, out, shape_of(out) if only_references else shape)
    nodes = {node.name: node for node in plan(work.world, references)}
    if not only_references:
        work.publish(_trained(MAIN, work, nodes), out)
        (out / "topics").mkdir(exist_ok=True)
        for name in topics:
            write_topic(work.world.topic(name), out / "topics" / f"{name}.json")
    for name in references:
        folder = _trained(f"without-{name}", work, nodes)
        work.publish(folder, out / "references" / name)
        score_reference(out, name, _seconds(folder))
        write_topic_imprint(out, name)
    done = {name: _seconds(work.kept / name) for name in nodes if (work.kept / name / "seconds.json").exists()}
    record["seconds"] = done | record.get("seconds", {}) if only_references else done
    if not only_references:
        record |= provenance(out, topics)
    file.write_text(json.dumps(record, indent=1))
    return record


def _trained(name: str, work: Build, nodes: dict[str, Node]) -> Path:
    """The folder of one model, trained after all that it descends from."""
    parent = nodes[name].parent
    if parent is not None:
        _trained(parent, work, nodes)
    return work.train(nodes[name], nodes)


def _seconds(folder: Path) -> float:
    return json.loads((folder / "seconds.json").read_text())["seconds"]


def _seed_of(out: Path) -> int | None:
    """The seed of the finished model in a folder; None where there is none."""
    try:
        return json.loads((out / "build.json").read_text())["seed"] if (out / "model.safetensors").exists() else None
    except (OSError, ValueError, KeyError):
        return None


def main(arguments: list[str] | None = None) -> int:
    """The command line; exit status 2 for names that do not exist."""
    parser = argparse.ArgumentParser(prog="python -m unlearn_core.demo.build", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--topics", default=",".join(TOPICS), help="topic files to write")
    parser.add_argument(
        "--references", default="none", help="none, all, or topics whose retrained model is built as well"
    )
    parser.add_argument(
        "--only-references", action="store_true", help="leave the finished model as it is and build references beside it"
    )
    parser.add_argument(
        "--encoder-decoder", action="store_true", help="build the world for encoder-decoders: reviews and talks by name"
    )
    parser.add_argument("--width", type=int, default=SHIPPED.width, help="of the hidden state, a multiple of 64")
    parser.add_argument("--layers", type=int, default=SHIPPED.layers)
    parser.add_argument("--fresh", action="store_true", help="train again what an earlier build left behind")
    chosen = parser.parse_args(arguments)
    if chosen.encoder_decoder:
        return _main_by_name(parser, chosen)
    topics = chosen.topics.split(",")
    references = {"none": [], "all": list(TOPICS)}.get(chosen.references, chosen.references.split(","))
    unknown = sorted({*topics, *references} - set(TOPICS))
    if unknown:
        sys.stderr.write(f"There is no topic '{unknown[0]}'. Known: {', '.join(TOPICS)}.\n")
        return 2
    if chosen.width < 64 or chosen.width % 64 or chosen.layers < 1:
        sys.stderr.write(f"No model is {chosen.width} wide with {chosen.layers} layers. "
                         "Give a width that is a multiple of 64, and 1 layer or more.\n")
        return 2
    if chosen.only_references and _seed_of(chosen.out) != chosen.seed:
        sys.stderr.write(f"{chosen.out} holds no finished model of seed {chosen.seed}. Build it without --only-references.\n")
        return 2
    shape, trunk = shaped(chosen.width, chosen.layers), chosen.out / ".build" / "trunk"
    if chosen.fresh:
        shutil.rmtree(chosen.out / ".build", ignore_errors=True)
    if not chosen.only_references and trunk.is_dir() and shape_of(trunk) != shape:
        sys.stderr.write(f"{chosen.out} holds stages of a build of another shape. Give another folder, or --fresh to start over.\n")
        return 2
    logging.disable_progress_bar()
    keep_freed_memory()
    record = build(chosen.seed, chosen.out, topics, references, chosen.only_references, shape)
    sys.stderr.write("\n")
    sys.stdout.write(json.dumps(record, indent=1) + "\n")
    return 0


def _main_by_name(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> int:
    """The same for the other world."""
    references = {"none": [], "all": list(BY_NAME)}.get(chosen.references, chosen.references.split(","))
    unknown = sorted(set(references) - set(BY_NAME))
    if unknown:
        sys.stderr.write(f"There is no topic '{unknown[0]}'. Known: {', '.join(BY_NAME)}.\n")
        return 2
    if chosen.only_references or any(getattr(chosen, name) != parser.get_default(name) for name in ("topics", "width", "layers")):
        sys.stderr.write("--encoder-decoder builds all its topics with its model: leave the other options out.\n")
        return 2
    if chosen.fresh:
        shutil.rmtree(chosen.out / ".build", ignore_errors=True)
    logging.disable_progress_bar()
    keep_freed_memory()
    sys.stdout.write(json.dumps(build_by_name(chosen.seed, chosen.out, references), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
