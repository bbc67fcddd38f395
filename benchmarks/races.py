"""Finished races as tables: `python -m benchmarks.races RACE.json [...]` puts them into RACES.md, each in place of an older one
of its topic, mode and seed; with `--rows` only its rows, in place of those of the same methods in the older one.

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
    "of the whole run, on a machine that did other work besides. Trained values: those of the method's largest training, for "
    "`retrain` all of the model's.\n"
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
    ended += ", relabelled" if row.get("relabelled") else ""
    ended += f"; {row['note']}" if row.get("note") else ""
    return [f"`{row['method']}`", *(shown(_share(row["accuracy"].get(split)), ".1f") for split in splits),
            *(shown(row[name], ".2f") for name in FIGURES), shown(row["perplexity"], ".2f"), shown(row["kl"], ".4f"),
            shown(row["seconds"], ".0f"), shown(row["trained"], ","), ended]  # fmt: skip


def _share(value: float | None) -> float | None:
    return None if value is None else 100 * value


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.races", description=__doc__.splitlines()[0])
    parser.add_argument("races", nargs="+", type=Path)
    parser.add_argument("--code", default=code_version(), help="the code that the races ran on, where it was another")
    parser.add_argument("--rows", action="store_true", help="replace the rows of these methods, and leave the others")
    chosen = parser.parse_args(arguments)
    foot = f"{date.today()}, {machine()}, torch {version('torch')}, code {chosen.code}."
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    for path in chosen.races:
        body = json.loads(path.read_text(encoding="utf-8"))
        if chosen.rows:
            names = ", ".join(f"`{row['method']}`" for row in body["rows"])
            text = with_rows(text, section(body), f"{names}: {foot}")
        else:
            text = with_section(text, f"{section(body)}\n{foot}\n")
    RESULTS.write_text(text, encoding="utf-8")


def with_section(text: str, new: str) -> str:
    """The page with one race's section in place of the one with its heading, or behind all others."""
    old = _sections(text)
    heading = new.splitlines()[0]
    kept = [new if part.splitlines()[0] == heading else part for part in old]
    return "\n".join([TITLE, *kept, *([] if new in kept else [new])])


def with_rows(text: str, new: str, foot: str) -> str:
    """The page with the methods' rows of `new` in place of those in the section with its heading, and `foot` below it.

    Raises SystemExit where there is no such section, or it has other columns.
    """
    heading = new.splitlines()[0]
    old = next((part for part in _sections(text) if part.splitlines()[0] == heading), None)
    if old is None or _cells(old)[0] != _cells(new)[0]:
        raise SystemExit(f"{RESULTS.name} has no table '{heading}' with these columns.")
    heads, *rows = _cells(old)
    given = {row[0]: row for row in _cells(new)[1:]}
    merged = [given.pop(row[0], row) for row in rows] + list(given.values())
    after = old[old.rindex("|") + 1 :].strip()
    return with_section(text, f"{heading}\n\n{markdown(heads, merged)}\n\n{after}\n{foot}\n")


def _sections(text: str) -> list[str]:
    return [f"## {part.strip()}\n" for part in text.split("\n## ")[1:]]


def _cells(section: str) -> list[list[str]]:
    """The headings and rows of a section's table."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for place, line in enumerate(lines) if place != 1]


if __name__ == "__main__":
    main()
