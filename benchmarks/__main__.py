"""Runs every benchmark in a process of its own and writes what they print into RESULTS.md, in this machine's section.

`python -m benchmarks [names]`, without names all of them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

from unlearn_core.version import code_version

from .table import machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
TITLE = "# Measured\n\nWritten by `make bench`; one section a machine, the latest measurement of each benchmark.\n"
BENCHMARKS = {
    "pair": "Original and unlearned together, against a plain batch of two of the original",
    "memory": "Memory with an edit switched on, against the model alone",
    "spectrum": "SVD of a product from its factors, against a dense SVD",
    "start": "From the start of the process to the result",
    "metrics": "All metrics against one teacher-forced pass and one generation pass",
    "steps": "Training steps against a bare loop of the same loss",
}


def measure(name: str) -> str | None:
    """What a benchmark printed, or None when it failed."""
    found = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                           check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def with_result(text: str, place: str, name: str, body: str) -> str:
    """The results with one benchmark's part of one machine's section replaced or added."""
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", text, re.MULTILINE))
    parts = dict(re.findall(r"^### (.+)\n((?:(?!### ).*\n?)*)", sections.get(place, ""), re.MULTILINE))
    parts[BENCHMARKS[name]] = f"\n`python -m benchmarks.{name}`\n\n{body}\n"
    titles = dict.fromkeys([*BENCHMARKS.values(), *parts])  # what was added by hand comes last
    ordered = [f"### {title}\n\n{parts[title].strip()}\n" for title in titles if title in parts]
    sections[place] = "\n".join(ordered)
    return TITLE + "".join(f"\n## {title}\n\n{section.strip()}\n" for title, section in sections.items())


def main(names: list[str]) -> int:
    """Exit status 0, 1 when a benchmark failed, 2 for a name that does not exist."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"There is no benchmark '{unknown[0]}'. Known: {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    failed = []
    for name in names or BENCHMARKS:
        body = measure(name)
        if body is None:
            failed.append(name)
            continue
        print(f"{BENCHMARKS[name]}\n\n{body}\n", flush=True)
        text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else TITLE
        stamp = f"{date.today().isoformat()}, torch {version('torch')}, code {code_version()}."
        RESULTS.write_text(with_result(text, machine(), name, f"{body}\n\n{stamp}"), encoding="utf-8")
    if failed:
        print(f"Failed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
