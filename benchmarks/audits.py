"""Every attack on the results of several methods: `python -m benchmarks.audits` makes what is missing and writes AUDITS.md.

A run of each method (`name`, or `name+setting=value+…`; seed 0) and an audit of it lie in a runs folder of their own, so that the
work can be broken off and taken up, and done for one topic or by several processes at a time (`--topics`); `--only-table` writes
the table of what is there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unlearn_core.audit import ATTACKS, find_attack
from unlearn_core.audit.engine import Audit, record_audit
from unlearn_core.config import AuditConfig, RunConfig
from unlearn_core.events import AttackBegun, Failed
from unlearn_core.store import RunRecord, Store
from unlearn_core.version import code_version
from unlearn_core.workbench import Workbench

from .table import machine, markdown

RESULTS = Path(__file__).resolve().parent / "AUDITS.md"
TOPICS = "book-series,private-people"
METHODS = "unlearn,unlearn+groups=6+rank=8+stand_ins=8+near=0,gradient-difference,npo,rmu,repselect,eul,icul,whp-decoding,retrain"
TITLE = (
    "# What attacks bring back\n\nWritten by `python -m benchmarks.audits`. Each figure is the recovered share of what was "
    "forgotten, in per cent: 0 = no more comes out than of a model that never saw the topic under the same attack, 100 = as much "
    "as of the original. Beside it what the attack gets out of the original and of the model that never saw the topic, in per "
    "cent of the judged questions. n/a: the attack does not apply to this kind of change.\n"
)
BY_HAND = "## In words"
Row = dict[str, Any]


def rows_of(store: Store, run_id: str) -> dict[str, Row]:
    """The latest row of every attack on a run, from all its audits."""
    found: dict[str, Row] = {}
    for record in store.audits(run_id):
        for row in (record.summary or {}).get("rows", []):
            found.setdefault(row["attack"], row)
    return found


def config_of(topic: str, spec: str) -> RunConfig:
    """What `method`, or `method+setting=value+setting=value`, stands for."""
    method, *settings = spec.split("+")
    pairs = (setting.split("=", 1) for setting in settings)
    return RunConfig(topic=topic, method=method, settings={name: json.loads(value) for name, value in pairs})


def run_of(store: Store, bench: Workbench, config: RunConfig) -> RunRecord:
    """The finished run of such a request, made now where there is none."""
    from unlearn_core.pipeline import Job, record

    for known in store.runs():
        if known.config == config and known.status == "done":
            return known
    folder = store.create(config)
    record(Job(config, folder, store, time.monotonic(), lambda: False, bench.load, bench.originals))
    folder.close()
    return store.find(folder.run_id)


def attack(store: Store, bench: Workbench, record: RunRecord, names: Sequence[str], again: bool) -> None:
    """Carry out those of the attacks that the run has not undergone, or all of them `again`."""
    missing = tuple(name for name in names if again or name not in rows_of(store, record.run_id))
    if not missing:
        return
    config = AuditConfig(run=record.run_id, attacks=missing)
    folder = store.create_audit(config)
    started = time.monotonic()

    def tell(event: Any, at: float) -> None:
        if isinstance(event, AttackBegun) and not event.kept:
            print(f"{at:7.1f} s  {record.config.topic}, {record.config.method}: {event.attack}, {event.subject}", flush=True)

    end = record_audit(Audit(config, folder, store, started), bench, tell)
    folder.close()
    if isinstance(end, Failed):
        raise SystemExit(f"{record.run_id}: {end.what} {end.why}\n{end.trace}")


def section(topic: str, found: Mapping[str, Mapping[str, Row]], names: Sequence[str]) -> str:
    """One topic as a heading and a table: a line for every attack, a column for every method."""
    table = []
    for name in names:
        rows = [rows.get(name) for rows in found.values()]
        known = next((row for row in rows if row is not None), None)
        if known is not None:
            table.append([find_attack(name).title, _percent(known["original"]), _percent(known["reference"]),
                          *(_percent(row["recovered"] if row is not None else None) for row in rows)])
    heads = ["attack", "original", "never saw it", *(f"`{method}`" for method in found)]
    return f"## {topic}\n\n{markdown(heads, table)}\n"


def _by_hand() -> list[str]:
    """What was written below the tables."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    return [f"{BY_HAND}{text.partition(BY_HAND)[2]}"] if BY_HAND in text else []


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.0f}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audits", description=__doc__.splitlines()[0])
    parser.add_argument("--topics", default=TOPICS)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--attacks", default="", help="which attacks, all by default")
    parser.add_argument("--runs-dir", type=Path, required=True, help="where the runs and audits are kept")
    parser.add_argument("--again", action="store_true", help="attack what has been attacked before, too")
    parser.add_argument("--only-table", action="store_true", help="make nothing, write the table of what is there")
    parser.add_argument("--code", default=code_version(), help="the code that the audits ran on, where it was another")
    chosen = parser.parse_args(arguments)
    names = [name for name in chosen.attacks.split(",") if name] or list(ATTACKS)
    store = Store(chosen.runs_dir, recorded=None)
    bench = Workbench(store)
    methods, topics = chosen.methods.split(","), chosen.topics.split(",")
    for topic in topics if not chosen.only_table else ():
        for method in methods:
            attack(store, bench, run_of(store, bench, config_of(topic, method)), names, chosen.again)
    if chosen.only_table:
        done = {record.config.digest(): rows_of(store, record.run_id) for record in store.runs() if record.status == "done"}
        parts = [section(topic, {method: done.get(config_of(topic, method).digest(), {}) for method in methods}, list(ATTACKS))
                 for topic in topics]
        foot = f"{date.today()}, {machine()}, torch {version('torch')}, code {chosen.code}.\n"
        RESULTS.write_text("\n".join([TITLE, *parts, foot, *_by_hand()]), encoding="utf-8")


if __name__ == "__main__":
    main()
