"""Eight persons ask to be forgotten one after another: `python -m benchmarks.sequence [lines]` writes SEQUENCE.md.

Each line is a `python -m unlearn_core sequence` of its own, whose JSON is kept under --results, followed by the undo of one
request; the page is written from all that are there, so lines can be run one at a time and some may be missing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unlearn_core.sequence.table import POOLED
from unlearn_core.version import code_version

from .table import machine, markdown

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "SEQUENCE.md"
UNDONE = 3
SHARED = ("--topic", "private-people", "--split-by-entity", "--requests", "8", "--seed", "0")
LINES = {
    "unlearn-stack": ("--method", "unlearn", "--mode", "stack"),
    "npo-stack": ("--method", "npo", "--mode", "stack"),
    "unlearn-apart": ("--method", "unlearn", "--mode", "apart"),
    "eul-fuse": ("--method", "eul", "--mode", "fuse", "--set", "epochs=20", "--set", "temperature=1"),
}
TITLE = (
    "# Eight requests one after another\n\nWritten by `python -m benchmarks.sequence`. Eight persons of `private-people` ask to be "
    "forgotten one after another; after each request everything is measured again. Accuracies in per cent, in brackets where "
    "that person has not asked yet, or the request was undone. *floor*: a model that never saw any of the five families. "
    "*others*: persons of the same families whom nobody asks to forget and whom no run saw. *in other words* and *in Spanish*: "
    f"over all forgotten so far. A last column *without {UNDONE}* is the undo of that request after all: the other seven edits "
    "together, nothing trained again.\n\nWhat fused layers of EUL have forgotten comes back as further requests are fused in: 77 % "
    "is known again after eight. The layers are fitted to all requests at once, and on what persons' questions share they become "
    "their mean. At a temperature of 2, EUL's default, each layer changes less, and 96 % comes back (everything else stays at 100 "
    "%). An undo in a stack can take more with it: `unlearn` without request 3 knows request 4 again to 83 %, whose edit was "
    "trained on top of it, and `npo` does not bring request 3 back; the undo says so (since 2026-11-27).\n"
)


def run(line: str, results: Path) -> dict[str, Any] | None:
    """Carry out one line and the undo; its table, or None where it failed."""
    command = [sys.executable, "-m", "unlearn_core", "sequence"]
    place = ["--runs-dir", str(results / "runs"), "--json"]
    found = subprocess.run([*command, *SHARED, *LINES[line], *place], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        return None
    body = json.loads(found.stdout)
    undo = [*command, "--undo", str(UNDONE), body["sequence_id"], *place]
    found = subprocess.run(undo, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return body if found.returncode else json.loads(found.stdout)


def section(body: Mapping[str, Any], settings: str) -> str:
    """One sequence as a heading and a table."""
    steps = [*body["steps"], *body["undone"]]
    rows = [[words, _figure(floor), *cells] for words, floor, cells in _lines(body, steps)]
    rows.append(["perplexity", "", *("n/a" if step["perplexity"] is None else f"{step['perplexity']:.2f}" for step in steps)])
    rows.append(["seconds of the run", "", *(f"{step['seconds']:.0f}" if "seconds" in step else "" for step in steps)])
    made, wanted = len(body["runs"]), len(body["requests"])
    part = f" Only {made} of {wanted} requests: the time was up." if made < wanted else ""
    trained = max((run["trained"] for run in body["runs"]), default=0)
    said = f"Seconds in all: {body['seconds']:.0f}. Values kept for a request: {trained:,}.{part}"
    heads = ["", "floor", *(step["title"] for step in steps)]
    return f"## `{body['method']}`, {body['mode']}{settings}\n\n{markdown(heads, rows)}\n\n{said}\n"


def _lines(body: Mapping[str, Any], steps: list[dict[str, Any]]) -> Iterator[tuple[str, float | None, list[str]]]:
    requests = [row for row in body["rows"] if row["kind"] == "request" and row["split"] == "forget"]
    for row in requests:
        yield f"{row['request']} {row['title']}", row["reference"], [
            f"{_figure(cell)}" if row["request"] in step["asked"] else f"({_figure(cell)})"
            for step in steps for cell in [step["cells"][row["key"]]["accuracy"]]]  # fmt: skip
    for split, words in POOLED.items():
        if any(step["pooled"].get(split) for step in steps):
            cells = [step["pooled"].get(split) for step in steps]
            yield words.strip(), None, [_figure(cell["accuracy"]) if cell else "" for cell in cells]
    for row in body["rows"]:
        if row["kind"] != "request":
            words = "others" if row["kind"] == "others" else row["title"]
            yield f"{words} (n = {row['n']})", None, [_figure(step["cells"][row["key"]]["accuracy"]) for step in steps]


def _figure(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 where a line failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sequence", description=__doc__.splitlines()[0])
    parser.add_argument("lines", nargs="*", metavar="LINE", help=f"all by default: {', '.join(LINES)}")
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "benchmark", help="where runs and tables are kept")
    parser.add_argument("--write", action="store_true", help="run nothing, only write the page")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.lines) - set(LINES):
        parser.error(f"there is no line {', '.join(sorted(unknown))}")
    chosen.results.mkdir(parents=True, exist_ok=True)
    failed = []
    for line in () if chosen.write else chosen.lines or LINES:
        body = run(line, chosen.results)
        if body is None:
            failed.append(line)
            continue
        stamp = f"{date.today()}, {machine()}, torch {version('torch')}, code {code_version()}"
        kept = json.dumps(body | {"stamp": stamp}, ensure_ascii=False)
        (chosen.results / f"{line}.json").write_text(kept, encoding="utf-8")
    parts = []
    for line, words in LINES.items():
        if (path := chosen.results / f"{line}.json").is_file():
            body = json.loads(path.read_text(encoding="utf-8"))
            settings = "".join(f", {word}" for word in words[5::2])
            parts.append(f"{section(body, settings)}\n{body['stamp']}.\n")
    RESULTS.write_text("\n".join([TITLE, *parts]), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
