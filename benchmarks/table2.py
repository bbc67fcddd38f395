"""EUL on the encoder-decoder, in the layout of Table 2 of its paper: `python -m benchmarks.table2 --world FOLDER`.

The folder is one that `demo.build --encoder-decoder` trained; models that it lacks are trained first. EUL sees the forget set
and 7,900 of the items to keep; "retained" are 1,000 others that the original was trained on as well. EUL's settings here are
epochs 14, rate 0.003, alpha 8, width 8 and a temperature of 3, chosen at 1 % but for the epochs (8 kept too little at 10 %);
for the layers that are fused, one square matrix each, its defaults. Seconds are of the processor. Three parts: the table with the
distance to retraining, the ablation, and fusion against stacking.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from unlearn_core.demo.by_name.build import MAIN, ByNameBuild, plan
from unlearn_core.demo.by_name.items import Piece
from unlearn_core.demo.by_name.world import REVIEWS, Corpus
from unlearn_core.edits.attach import attached
from unlearn_core.edits.edit import Edit
from unlearn_core.edits.layers import fused
from unlearn_core.edits.stack import stack
from unlearn_core.methods import Context, find_method, settings_of
from unlearn_core.models.loading import LoadedModel, load
from unlearn_core.topics.topic import Given, Question
from unlearn_core.training import Row, answer_nlls, encode_rows, greedy_share, text_rows

SHARES = (0.005, 0.01, 0.1)
GIVEN, JUDGED, FUSED_GIVEN = 7_900, 1_000, 400  # kept items that EUL sees, kept items judged, and seen for a request to be fused
REQUESTS = 5
SETTINGS = {"epochs": "14", "rate": "0.003", "alpha": "8", "width": "8", "temperature": "3"}
HEAD = ("", "test %", "retained %", "forgot %", "masked-LM loss", "seconds", "distance to retraining")
ABLATIONS = (
    ("EUL", {}),
    ("without KL", {"kl": "false"}),
    ("without the task loss", {"task": "0"}),
    ("without the LM loss", {"lm": "0"}),
)


@dataclass(frozen=True)
class Line:
    """One line of the table: accuracies in per cent, nats a hidden word's token, processor seconds."""

    test: float
    retained: float
    forgot: float
    masked: float
    seconds: float

    def distance(self, other: Line) -> float:
        """Mean absolute difference of the three accuracies, in points."""
        return (abs(self.test - other.test) + abs(self.retained - other.retained) + abs(self.forgot - other.forgot)) / 3

    def cells(self, name: str, retrained: Line | None) -> list[str]:
        """The line as it is printed."""
        last = f"{self.distance(retrained):.1f}" if retrained else ""
        numbers = (self.test, self.retained, self.forgot)
        seconds = f"{self.seconds:.0f}" if self.seconds else ""
        return [name, *(f"{number:.1f}" for number in numbers), f"{self.masked:.2f}", seconds, last]


class Bench:
    """The corpus, one forget set at a time, and what the models make of it."""

    def __init__(self, work: ByNameBuild, loaded: LoadedModel) -> None:
        self.work, self.loaded = work, loaded
        self.corpus: Corpus = work.world.corpora[REVIEWS]

    def sets(self, people: frozenset[str], given: int = GIVEN) -> tuple[list[Piece], list[Piece], list[Piece]]:
        """Items to forget, to keep and seen by the method, to keep and judged."""
        forget, kept = self.corpus.split(people)
        drawn = random.Random("table2").sample(kept, given + JUDGED)
        return forget, drawn[:given], drawn[given:]

    def line(self, loaded: LoadedModel, people: frozenset[str], edit: Edit | None = None, seconds: float = 0.0) -> Line:
        """All measures of one model, edited or not."""
        forget, _, judged = self.sets(people)
        context = Context(loaded, Given((), (), ()), 0)
        test, kept, gone = (encode_rows(loaded, asked(pieces)) for pieces in (self.corpus.test, judged, forget))
        with torch.no_grad():
            shares = [100 * greedy_share(context, edit, rows) for rows in (test, kept, gone)]
        return Line(*shares, masked_loss(loaded, edit, asked(forget), gone), seconds)

    def unlearned(self, forget: list[Piece], given: list[Piece], settings: dict, seed: int = 0) -> tuple[Edit, float]:
        """EUL's layers and the processor seconds that they took."""
        method, started = find_method("eul"), time.process_time()
        context = Context(self.loaded, Given(asked(forget), (), asked(given)), seed)
        found = [item for item in method.fit(context, settings_of(method, settings)) if isinstance(item, Edit)]
        return found[-1], time.process_time() - started


def asked(pieces: tuple[Piece, ...] | list[Piece]) -> tuple[Question, ...]:
    """Items as questions."""
    return tuple(Question(piece.id, "forget", piece.prompt, piece.answer) for piece in pieces)


@torch.no_grad()
def masked_loss(loaded: LoadedModel, edit: Edit | None, questions: tuple[Question, ...], rows: list[Row]) -> float:
    """Nats a token of hidden words, one in each text."""
    hidden = text_rows(loaded, questions, rows)
    with attached(loaded.model, edit):
        total = float(answer_nlls(loaded, hidden).sum())
    return total / sum(len(row.ids) - row.start for row in hidden)


def table(bench: Bench, settings: dict) -> list[str]:
    """EUL against retraining at every share."""
    lines = []
    for share in SHARES:
        people = bench.corpus.chosen(share)
        forget, given, _ = bench.sets(people)
        lines += ["", f"### {100 * share:g} %: {len(people)} people, {len(forget)} of {len(bench.corpus.trained)} items", ""]
        node = next(node for node in plan().values() if node.without == {REVIEWS: share})
        seconds, folder = bench.work.seconds(node), published(bench.work, node.name)
        again = bench.line(load(str(folder), "cpu", "float32"), people, seconds=seconds)
        edit, took = bench.unlearned(forget, given, settings)
        made = bench.line(bench.loaded, people, edit, took)
        rows = [
            bench.line(bench.loaded, people).cells("Original", again),
            again.cells("Re-train", None),
            made.cells("EUL", again),
        ]
        lines += table_of(HEAD, rows)
        lines += ["", f"EUL takes {took / seconds:.3f} of the time of retraining (at most 0.167 is asked for)."]
        tell(lines)
    return lines


def ablation(bench: Bench, settings: dict) -> list[str]:
    """Each term off, at the smallest share."""
    people, rows = bench.corpus.chosen(SHARES[0]), []
    forget, given, _ = bench.sets(people)
    for name, off in ABLATIONS:
        edit, took = bench.unlearned(forget, given, settings | off)
        rows.append(bench.line(bench.loaded, people, edit, took).cells(name, None)[:-1])
    return ["", "## Each term off, at 0.5 %", "", *table_of(HEAD[:-1], rows)]


def fusion(bench: Bench, settings: dict) -> list[str]:
    """Fused and stacked layers of one to five requests of two people each."""
    order, rows = bench.corpus.order, []
    requests = {
        0: [frozenset(order[2 * at : 2 * at + 2]) for at in range(REQUESTS)],
        50: [frozenset((order[0], order[at + 1])) for at in range(REQUESTS)],
        100: [frozenset(order[:2])] * REQUESTS,
    }
    for overlap, sets in requests.items():
        everyone = frozenset().union(*sets)
        edits = []
        for seed, people in enumerate(sets):
            edits.append(
                bench.unlearned(bench.sets(people)[0], bench.sets(everyone, FUSED_GIVEN)[1], settings | {"width": "0"}, seed)[0]
            )
            union = frozenset().union(*sets[: seed + 1])
            found = [bench.line(bench.loaded, union, edit) for edit in (fused(edits), stack(edits))]
            rows.append([f"{overlap} %", str(seed + 1)] + [f"{x:.1f}" for one in found for x in (one.forgot, one.retained)])
        tell([str(row) for row in rows[-REQUESTS:]])
    head = ("overlap", "requests", "fused: forgot %", "retained %", "stacked: forgot %", "retained %")
    return ["", "## Fusion against stacking, one square matrix a layer", "", *table_of(head, rows)]


def table_of(head: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    """A table in Markdown."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def published(work: ByNameBuild, name: str) -> Path:
    """A node's model as the engine reads it: stored in 16 bits, with its tokenizer."""
    folder = work.kept / "published" / name
    if not (folder / "config.json").exists():
        work.publish(name, folder)
    return folder


def tell(lines: list[str]) -> None:
    sys.stderr.write("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table2", description=__doc__.splitlines()[0])
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", default="table,ablation,fusion")
    parser.add_argument("--set", action="append", default=[], help="a setting of EUL, key=value")
    parser.add_argument("--out", type=Path, default=None, help="a Markdown file to write; else standard output")
    chosen = parser.parse_args()
    work = ByNameBuild(chosen.seed, chosen.world)
    work.train(plan()[MAIN])
    bench = Bench(work, load(str(published(work, MAIN)), "cpu", "float32"))
    given = dict(pair.split("=", 1) for pair in chosen.set)
    makers = {"table": table, "ablation": ablation, "fusion": fusion}
    lines = ["# EUL on the built-in encoder-decoder, as in Table 2 of its paper", "", *__doc__.split("\n\n")[1].split("\n")]
    for part in chosen.parts.split(","):
        lines += makers[part](bench, (SETTINGS if part != "fusion" else {}) | given)
    text = "\n".join(lines) + "\n"
    if chosen.out:
        chosen.out.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
