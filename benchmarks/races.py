"""Finished races as tables: `python -m benchmarks.races RACE.json [...]` puts them into RACES.md, each in place of an older one
of its topic, mode and seed.

A race is made by `python -m unlearn_core race --topic TOPIC [--mode equal-damage] --json > RACE.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unlearn_core.config import SPLITS
from unlearn_core.race import NOT_RUN, RECORDED
from unlearn_core.version import code_version

from .table import machine, markdown

RESULTS = Path(__file__).resolve().parent / "RACES.md"
TITLE = (
    "# All methods on one topic\n\nWritten by `python -m benchmarks.races` from what `python -m unlearn_core race` printed. "
    "Accuracies in per cent after unlearning, *original* and *floor* (a model that never saw the topic, or chance) above; "
    "removed as in the README; KL to the original on all given text to keep, in nats a token. Seconds are those "
    "of the whole run, on a machine that did other work besides.\n"
)
FIGURES = ("removed", "removed_paraphrase", "removed_spanish")


def shown(value: float | None, form: str) -> str:
    return "n/a" if value is None else format(value, form)


def section(body: Mapping[str, Any]) -> str:
    """One race as a heading and a table."""
    cells = body["original"]["accuracy"]
    splits = [split for split in SPLITS if cells.get(split, {}).get("n")]
    heads = ["method", *(split.removeprefix("forget_") for split in splits), "removed", "in other words", "in Spanish",
             "perplexity", "KL", "seconds", "trained values", "ended"]  # fmt: skip
    blank = [""] * (len(heads) - len(splits) - 1)
    rows = [[name, *(shown(_share(cells[split][key]), ".1f") for split in splits), *blank]
            for name, key in (("original", "before"), ("floor", "reference"))]  # fmt: skip
    rows += [_row(row, splits) for row in body["rows"]]
    budget = f", budget {body['budget']} nats" if body["budget"] is not None else ""
    return f"## {body['topic']}, {body['mode']}{budget}, seed {body['seed']}\n\n{markdown(heads, rows)}\n"


def _row(row: Mapping[str, Any], splits: list[str]) -> list[str]:
    ended = (row.get("damage") or {}).get("words") or (NOT_RUN if row["status"] == RECORDED else row["status"])
    return [f"`{row['method']}`", *(shown(_share(row["accuracy"].get(split)), ".1f") for split in splits),
            *(shown(row[name], ".2f") for name in FIGURES), shown(row["perplexity"], ".2f"), shown(row["kl"], ".4f"),
            shown(row["seconds"], ".0f"), shown(row["trained"], ","), ended]  # fmt: skip


def _share(value: float | None) -> float | None:
    return None if value is None else 100 * value


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.races", description=__doc__.splitlines()[0])
    parser.add_argument("races", nargs="+", type=Path)
    parser.add_argument("--code", default=code_version(), help="the code that the races ran on, where it was another")
    chosen = parser.parse_args(arguments)
    foot = f"{date.today()}, {machine()}, torch {version('torch')}, code {chosen.code}."
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    for path in chosen.races:
        text = with_section(text, f"{section(json.loads(path.read_text(encoding='utf-8')))}\n{foot}\n")
    RESULTS.write_text(text, encoding="utf-8")


def with_section(text: str, new: str) -> str:
    """The page with one race's section in place of the one with its heading, or behind all others."""
    old = [f"## {part.strip()}\n" for part in text.split("\n## ")[1:]]
    heading = new.splitlines()[0]
    kept = [new if part.splitlines()[0] == heading else part for part in old]
    return "\n".join([TITLE, *kept, *([] if new in kept else [new])])


if __name__ == "__main__":
    main()
