"""The headless command: run, list, evaluate, race, sequence, audit. The engine of the page; standard output is for results."""

from __future__ import annotations

import time

STARTED = time.monotonic() - time.process_time()  # when the process began: what was computed so far came before

import argparse  # noqa: E402 - the clock comes first
import contextlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Any, NoReturn, TextIO  # noqa: E402

from pydantic import ValidationError  # noqa: E402

from . import race, sequence  # noqa: E402
from .allocator import keep_freed_memory  # noqa: E402
from .audit import card, find_attack  # noqa: E402
from .audit import catalogue as attacks  # noqa: E402
from .audit.engine import Audit, planned, record_audit  # noqa: E402
from .config import (  # noqa: E402
    BUDGET,
    DEFAULTS,
    DEVICES,
    DTYPES,
    LARGEST_SEED,
    MODES,
    SEEDS,
    SPLITS,
    AuditConfig,
    RaceConfig,
    RunConfig,
    SequenceConfig,
)
from .errors import BadInput, LetheError, Stopped, Unavailable  # noqa: E402
from .evaluation.replacements import KINDS  # noqa: E402
from .events import (  # noqa: E402
    AttackBegun,
    AttackEnded,
    Event,
    Failed,
    Finished,
    LaneBegun,
    LaneEnded,
    ModelReady,
    Notice,
    Phase,
    Progress,
    RequestBegun,
)
from .methods import catalogue as methods  # noqa: E402
from .methods import find_method  # noqa: E402
from .models.catalogue import DEMO, models  # noqa: E402
from .preflight import check_model, edit_file, model_folder, own_settings, refuse  # noqa: E402
from .sequence.series import allowed, plan_of  # noqa: E402
from .store import RunRecord, Store  # noqa: E402
from .topics.catalogue import completed, find_topic, topics  # noqa: E402
from .topics.reader import shorten  # noqa: E402

if TYPE_CHECKING:
    from .workbench import Workbench

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 130
RUNS_DIR = "runs"
WIDE = 48  # of the words in front of figures


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the command line in one line."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"The command is not understood: {message}.", "", f"See `{self.prog} --help`.")


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; returns the exit status: 0 done, 1 failed, 2 bad input, 130 stopped."""
    results = sys.stdout
    keep_freed_memory()
    try:
        options = _parser().parse_args(arguments)
        # a library's chatter must not mix with the results
        with stop_signals() as stop, contextlib.redirect_stdout(sys.stderr):
            status, body, said = options.command(options, stop)
        _write(json.dumps(body, ensure_ascii=False, indent=1) if options.json else said, results)
        return status
    except (Stopped, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        return STOPPED
    except LetheError as error:
        print(_one_line(error), file=sys.stderr)
        return BAD_INPUT if isinstance(error, BadInput) else FAILED


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second signal acts as it did before."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- run ------------------------------------------------------------------------------------------------------------

def _run(options: argparse.Namespace, stop: threading.Event) -> tuple[int, Any, str]:
    config, store = _config(options), Store(options.runs_dir)
    refuse(config, store)
    folder = store.create(config)
    try:
        from .pipeline import Job, record

        bench = _bench(store, options)
        job = Job(config, folder, store, STARTED, stop.is_set, bench.load, bench.originals)
        end = record(job, Report().show)
    except OSError as error:
        why = f"{folder.path}: {error.strerror}."
        raise LetheError("The run could not be written.", why, "Free some space.") from error
    finally:
        folder.close()
    if isinstance(end, Failed):
        return _failed(end, store, folder.run_id)
    return DONE if end.status == "done" else STOPPED, end.summary, _table(end.summary)


def _failed(end: Failed, store: Store, run_id: str) -> tuple[int, Any, str]:
    """A failed run has a folder with a summary; one that was refused while loading has none, and is bad input."""
    error = LetheError(end.what, end.why, end.remedy)
    record = next((record for record in store.runs() if record.run_id == run_id), None)
    if record is None or record.summary is None:
        raise BadInput(end.what, end.why, end.remedy)
    print(_one_line(error), file=sys.stderr)
    if end.trace:
        print(f"The details are in {record.path}.", file=sys.stderr)
    return FAILED, record.summary, f"failed: {run_id}"


def _config(options: argparse.Namespace) -> RunConfig:
    """The request that a command line of `run` makes."""
    return _request(options, options.method, dict(_setting(text) for text in options.set))


def _request(options: argparse.Namespace, method: str, settings: dict[str, Any]) -> RunConfig:
    try:
        return RunConfig(model=options.model, topic=options.topic, method=method, settings=settings,
                         seed=options.seed, edits=tuple(options.edit), device=options.device, dtype=options.dtype)
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0]) if fault["loc"] else "request"
        if name == "method":
            find_method(method)  # no method has such a name: near ones are named
        raise _refused(name, fault["input"], fault["msg"].replace("Input should be", "It should be")) from error


def _refused(name: str, value: Any, why: str) -> BadInput:
    """What a command line is told about one option."""
    return BadInput(f"--{name} cannot be {shorten(repr(value), 40)}.", f"{why}.", "Leave it out for the default.", field=name)


def _seed(text: str) -> int:
    try:
        seed = int(text)
    except ValueError as error:
        raise _refused("seed", text, SEEDS) from error
    if not 0 <= seed <= LARGEST_SEED:
        raise _refused("seed", seed, SEEDS)
    return seed


def _one_of(name: str, known: tuple[str, ...]) -> Callable[[str], str]:
    """A check that an option has one of these values."""
    def check(text: str) -> str:
        if text not in known:
            raise _refused(name, text, f"It should be {', '.join(known[:-1])} or {known[-1]}")
        return text

    return check


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BadInput(f"--set {text} is not understood.", "A setting is written key=value.", "As in --set rank=8.")
    try:
        return key.strip(), json.loads(value)
    except json.JSONDecodeError:
        return key.strip(), value


class Report:
    """Progress of a run for a person, on standard error."""

    def __init__(self) -> None:
        self._open = False  # whether a line is being rewritten in place
        self._live = sys.stderr.isatty()

    def show(self, event: Event, at: float) -> None:
        """One line for what matters; real progress only where a line can be rewritten."""
        if isinstance(event, Progress) and self._live:
            print(f"\r         {event.done} of {event.total} {event.unit}   ", end="", file=sys.stderr, flush=True)
            self._open = True
        elif isinstance(event, Phase):
            self._line(f"{at:6.1f} s  {event.index}/{event.count}  {event.title}")
        elif isinstance(event, ModelReady):
            self._line(f"          {event.title}: {event.parameters:,} values on {event.device}, {event.dtype}")
        elif isinstance(event, Notice):
            self._line(f"          {event.text}")
        elif isinstance(event, LaneBegun):
            self._line(f"          --- {event.method} ({event.index} of {event.count}) ---")
        elif isinstance(event, RequestBegun):
            self._line(f"          --- request {event.index} of {event.count}: {event.title} ---")
        elif isinstance(event, LaneEnded):
            self._line(f"{at:6.1f} s  {event.row['method']}: {event.row['status']}")
        elif isinstance(event, AttackBegun) and not event.kept:
            self._line(f"{at:6.1f} s  {event.index}/{event.count}  {event.attack}, {event.subject}")
        elif isinstance(event, AttackEnded):
            self._line(f"          {event.row['sentence']}")
        elif isinstance(event, Finished):
            self._line(f"{at:6.1f} s  {event.status}")

    def _line(self, text: str) -> None:
        print(("\r" + " " * 60 + "\r" if self._open else "") + text, file=sys.stderr, flush=True)
        self._open = False


def _table(summary: dict[str, Any]) -> str:
    """The summary for a person."""
    lines = [f"{summary.get('run_id', summary['topic'])}  {summary.get('status', '')}  {summary['seconds']:.1f} s", "",
             f"{'':20}{'before':>8}{'after':>8}{'floor':>8}{'n':>7}"]
    for split in SPLITS:
        row = summary["accuracy"].get(split)
        if row is not None and row["n"]:
            cells = "".join(f"{_figure(row[key]):>8}" for key in ("before", "after", "reference"))
            lines.append(f"{split:20}{cells}{row['n']:>7}")
    perplexity = summary["perplexity"]
    lines.append(f"{'perplexity':20}{_figure(perplexity['before']):>8}{_figure(perplexity['after']):>8}")
    lines += [f"{name:20}{_figure(summary[name]):>8}" for name in ("removed", "removed_paraphrase", "removed_spanish")]
    if "rank" in summary:
        lines.append(f"{'rank':20}{summary['rank'] or 'n/a':>8}")
        lines.append(f"{'relative change':20}{_figure(summary['relative_change']):>8}")
    return "\n".join([*lines, *_metric_lines(summary.get("metrics", {})), *_instead_lines(summary.get("instead", {})),
                      *_metric_lines(summary.get("consistency", {}), "the same answer "), *_condition_lines(summary)])


def _metric_lines(metrics: dict[str, dict[str, Any]], opening: str = "") -> list[str]:
    """Every metric with its value before and after, and why there is none."""
    lines = [""] if metrics else []
    for name in metrics.get("before", {}):
        cells = "".join(f"{_figure(found[name]['value']):>10}" for found in metrics.values())
        title = f"{opening}{name.replace('_', ' ')}" if opening else name
        reason = next((found[name]["reason"] for found in metrics.values() if found[name]["reason"]), "")
        lines.append(f"{title:{WIDE if opening else 24}}{cells}  {reason}".rstrip())
    return lines


def _instead_lines(instead: dict[str, Any]) -> list[str]:
    """How often what stands where the answers to forget questions should: before, after, and of those that were lost."""
    if not instead:
        return []
    columns = [instead["before"], *([instead["after"], instead["after"]["lost"]] if "after" in instead else [])]
    titles = ["before", "after", "of lost"][:len(columns)]
    lines = ["", f"{'answers to forget':{WIDE}}" + "".join(f"{title:>10}" for title in titles)]
    lines += [f"{title:{WIDE}}" + "".join(f"{column['counts'][kind]:>10}" for column in columns) for kind, title in KINDS.items()]
    return [*lines, f"{'n':{WIDE}}" + "".join(f"{column['n']:>10}" for column in columns)]


def _condition_lines(summary: dict[str, Any]) -> list[str]:
    """The model's state in words, where there is something to say of it."""
    return ["", *(condition["text"] for condition in summary["conditions"])] if summary.get("conditions") else []


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


# --- race -----------------------------------------------------------------------------------------------------------

def _race(options: argparse.Namespace, stop: threading.Event) -> tuple[int, Any, str]:
    store, config = Store(options.runs_dir), _race_request(options)
    for request in race.lanes(config):  # what is asked for by name is refused, not left out
        refuse(request, store, passing=(Unavailable,))  # its row says so
    folder = store.create_race(config)
    try:
        end = race.record_race(race.Race(config, folder, store, STARTED, stop.is_set), _bench(store, options), Report().show)
    except OSError as error:
        raise LetheError("The race could not be written.", f"{folder.path}: {error.strerror}.", "Free some space.") from error
    finally:
        folder.close()
    if isinstance(end, Failed):
        print(end.trace, end="", file=sys.stderr)
        raise (LetheError if end.trace else BadInput)(end.what, end.why, end.remedy)
    body = end.summary
    if body["status"] == "stopped":
        return STOPPED, body, race.table(body)
    return DONE if any(row["status"] == "done" for row in body["rows"]) else FAILED, body, race.table(body)


def _race_request(options: argparse.Namespace) -> RaceConfig:
    """The request that a command line of `race` makes."""
    race.budget_of(options.mode, options.budget)
    names = tuple(name.strip() for name in options.methods.split(",") if name.strip())
    first = _request(options, names[0] if names else "unlearn", {})
    settings = own_settings([_setting(text) for text in options.set], "method", "unlearn.steps=30", find_method)
    return RaceConfig(model=first.model, topic=first.topic, methods=names, settings=settings, mode=options.mode,
                      budget=options.budget, seed=first.seed, device=first.device, dtype=first.dtype)


# --- audit ----------------------------------------------------------------------------------------------------------

def _audit(options: argparse.Namespace, stop: threading.Event) -> tuple[int, Any, str]:
    store = Store(options.runs_dir)
    names = tuple(name.strip() for name in options.attacks.split(",") if name.strip())
    settings = own_settings([_setting(text) for text in options.set], "attack", "hints.shown=4", find_attack)
    config = AuditConfig(run=store.find(options.run).run_id, attacks=names, settings=settings, seed=options.seed)
    planned(config, store)
    folder = store.create_audit(config)
    try:
        end = record_audit(Audit(config, folder, store, STARTED, stop.is_set), _bench(store, options), Report().show)
    except OSError as error:
        raise LetheError("The audit could not be written.", f"{folder.path}: {error.strerror}.", "Free some space.") from error
    finally:
        folder.close()
    if isinstance(end, Failed):
        print(end.trace, end="", file=sys.stderr)
        raise (LetheError if end.trace else BadInput)(end.what, end.why, end.remedy)
    return STOPPED if end.status == "stopped" else DONE, end.summary, card.table(end.summary)


# --- sequence -------------------------------------------------------------------------------------------------------

def _sequence(options: argparse.Namespace, stop: threading.Event) -> tuple[int, Any, str]:
    store = Store(options.runs_dir)
    if options.undo:
        return _undo(options, store, stop)
    if options.sequence:
        raise BadInput(f"What is to be done with {options.sequence}?", "A saved sequence can be undone in part.", "Add --undo K.")
    plan, config, specs = _sequence_plan(options, store)
    from .sequence.carry import Conductor

    body = Conductor(_bench(store, options), store, stop.is_set, Report().show, STARTED).run(plan, config, specs)
    return {"done": DONE, "stopped": STOPPED}.get(body["status"], FAILED), body, sequence.table(body)


def _sequence_plan(options: argparse.Namespace, store: Store) -> tuple[sequence.Plan, RunConfig, list[str]]:
    """Who asks, in which mode; everything that can be refused is, before torch is loaded."""
    specs = [name.strip() for name in (options.topics or options.topic or "").split(",") if name.strip()]
    if not specs or (options.topics and options.topic):
        raise BadInput("It is not clear what to forget.", "", "Give --topic NAME with --split-by-entity, or --topics A,B,C.")
    if options.split_by_entity and len(specs) > 1:
        raise BadInput("Only one topic can be split by entity.", "", "Give one --topic.", field="topic")
    if options.requests is not None and not options.split_by_entity:
        raise BadInput("--requests needs --split-by-entity.", "Whole topics are one request each.", "Leave it out.")
    options.topic = specs[0]
    first = _request(options, options.method, dict(_setting(text) for text in options.set))
    every = len(allowed(first, store)["entities"]) if options.split_by_entity and options.requests is None else options.requests
    config = SequenceConfig(model=first.model, topics=tuple(specs), requests=every, method=first.method, mode=options.mode,
                            settings=first.settings, seed=first.seed, device=first.device, dtype=first.dtype)
    return plan_of(config, store), first, specs


def _undo(options: argparse.Namespace, store: Store, stop: threading.Event) -> tuple[int, Any, str]:
    if not options.sequence:
        raise BadInput("Which sequence is it?", "--undo K goes before the id of a saved sequence.", "As in --undo 2 SEQUENCE.")
    store.find_sequence(options.sequence)
    from .sequence.carry import Conductor

    body = Conductor(_bench(store, options), store, stop.is_set, Report().show).undo(options.sequence, set(options.undo))
    return DONE, body, sequence.table(body)


# --- list and evaluate ----------------------------------------------------------------------------------------------

def _list(options: argparse.Namespace, stop: threading.Event) -> tuple[int, Any, str]:
    store = Store(options.runs_dir)
    if options.what == "topics":
        check_model(options.model)
    found = {"methods": methods, "attacks": attacks, "models": models,
             "runs": lambda: [_run_entry(record) for record in store.runs()],
             "sequences": lambda: [_sequence_entry(body) for body in store.sequences()],
             "topics": lambda: topics(model_folder(options.model), store.uploads)}[options.what]()
    lines = [f"{entry['name']:28}  {entry['title']}\n{'':28}  {entry['summary']}" for entry in found]
    return DONE, found, "\n".join(lines) or f"There are no {options.what} yet."


def _sequence_entry(body: dict[str, Any]) -> dict[str, Any]:
    titles = ", ".join(request["title"] for request in body["requests"])
    return {"name": body["sequence_id"], "title": f"{body['method']}, {body['mode']}: {titles}", "result": body,
            "summary": f"{body['status']}, {len(body['runs'])} of {len(body['requests'])} runs, {body['seconds']} s"}


def _run_entry(record: RunRecord) -> dict[str, Any]:
    summary = f"{record.status}: {record.config.method} on {record.config.topic}, seed {record.config.seed}"
    title = record.title or f"{Path(record.config.topic).stem} · {record.config.method}"
    return {"name": record.run_id, "title": title, "summary": summary, "status": record.status,
            "note": record.note, "started_at": record.started_at, "seconds": record.seconds,
            "config": record.config.model_dump(mode="json"), "result": record.summary}


def _evaluate(options: argparse.Namespace, stop: threading.Event) -> tuple[int, Any, str]:
    store = Store(options.runs_dir)
    check_model(options.model)
    folder = model_folder(options.model)
    found = completed(find_topic(options.topic, folder, store.uploads), folder)
    paths = [edit_file(spec, store) for spec in options.edit]
    from .edits.kinds import load_edit

    bench = _bench(store, options)
    loaded = bench.load(options.model, options.device, options.dtype)
    edits = [load_edit(path) for path in paths]
    for notice in found.notices:
        print(notice, file=sys.stderr)
    report = Report()
    body = bench.evaluate(loaded, found.topic, edits, stop.is_set,
                          lambda done, total: report.show(Progress(done, total, "questions"), 0.0))
    body = {"model": options.model, "topic": found.topic.name, "edits": list(options.edit),
            "device": str(loaded.device), "dtype": loaded.number_format,
            "seconds": round(time.monotonic() - STARTED, 2), **body, "notices": [*found.notices, *body["notices"]]}
    for notice in body["notices"][len(found.notices):]:
        print(notice, file=sys.stderr)
    return DONE, body, _table(body)


def _bench(store: Store, options: argparse.Namespace) -> Workbench:
    from .workbench import Workbench

    return Workbench(store, options.trust_remote_code)


# --- the command line -----------------------------------------------------------------------------------------------

def _parser() -> Parser:
    parser = Parser(prog="python -m unlearn_core", description="Unlearn a topic, measure it, look at it.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="run | list | evaluate | race | sequence | audit")
    run = commands.add_parser("run", help="unlearn a topic and measure before and after")
    _add_model(run)
    run.add_argument("--method", default="unlearn", help="a method's name (see list methods)")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the method")
    run.add_argument("--seed", type=_seed, default=0, help="seeds the method only")
    run.set_defaults(command=_run)
    listing = commands.add_parser("list", help="list what there is")
    listing.add_argument("what", choices=("methods", "attacks", "topics", "models", "runs", "sequences"))
    listing.add_argument("--model", default=DEMO, help="whose topics")
    listing.set_defaults(command=_list)
    evaluate = commands.add_parser("evaluate", help="measure a model, or a run's edit on it, on a topic")
    _add_model(evaluate)
    evaluate.set_defaults(command=_evaluate)
    _add_race(commands.add_parser("race", help="several methods on one topic, one after another"))
    _add_sequence(commands.add_parser("sequence", help="requests to unlearn, one after another, and undo of any"))
    _add_audit(commands.add_parser("audit", help="attack a run's result: does what was forgotten come back?"))
    for command in commands.choices.values():
        command.add_argument("--runs-dir", type=Path, default=Path(RUNS_DIR), help="where runs are kept")
        command.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _add_race(parser: argparse.ArgumentParser) -> None:
    _add_model(parser, edits=False)
    parser.add_argument("--methods", default="", metavar="A,B,C", help="which methods, all by default")
    parser.add_argument("--mode", default=DEFAULTS, choices=MODES, help="how far each method goes")
    parser.add_argument("--budget", type=float, help=f"for equal damage: KL on kept text, nats ({BUDGET})")
    parser.add_argument("--set", action="append", default=[], metavar="METHOD.KEY=VALUE", help="a setting of a method")
    parser.add_argument("--seed", type=_seed, default=0, help="seeds the methods only")
    parser.set_defaults(command=_race, edit=[])


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's id, the beginning of one, or its folder")
    parser.add_argument("--attacks", default="", metavar="A,B,C", help="which attacks, all by default (see list attacks)")
    parser.add_argument("--set", action="append", default=[], metavar="ATTACK.KEY=VALUE", help="a setting of an attack")
    parser.add_argument("--seed", type=_seed, default=0, help="seeds the attacks, and the halves of the forget set")
    parser.add_argument("--trust-remote-code", action="store_true", help="run Python code that a model brings")
    parser.set_defaults(command=_audit)


def _add_sequence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sequence", nargs="?", metavar="SEQUENCE", help="a saved sequence, with --undo")
    parser.add_argument("--undo", action="append", type=int, metavar="K", help="measure it again without request K")
    _add_model(parser, edits=False, topic=False)
    parser.add_argument("--topic", help="the topic whose entities ask, with --split-by-entity")
    parser.add_argument("--topics", metavar="A,B,C", help="whole topics, one request each")
    parser.add_argument("--split-by-entity", action="store_true", help="a request for each entity of --topic")
    parser.add_argument("--requests", type=int, metavar="N", help=f"how many entities ask, at most {sequence.MOST}")
    parser.add_argument("--method", default="unlearn", help="a method's name (see list methods)")
    parser.add_argument("--mode", default=sequence.STACK, choices=sequence.MODES, help="how the edits come together")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the method")
    parser.add_argument("--seed", type=_seed, default=0, help="seeds the method only")
    parser.set_defaults(command=_sequence, edit=[])


def _add_model(parser: argparse.ArgumentParser, edits: bool = True, topic: bool = True) -> None:
    parser.add_argument("--model", default=DEMO, help="'demo', a local folder or a hub id")
    if topic:
        parser.add_argument("--topic", required=True, help="a topic's name, or a file with questions and answers")
    if edits:
        parser.add_argument("--edit", action="append", default=[], metavar="RUN", help="an earlier run underneath")
    for name, known in (("device", DEVICES), ("dtype", DTYPES)):
        parser.add_argument(f"--{name}", default="auto", type=_one_of(name, known), metavar=f"{{{','.join(known)}}}")
    parser.add_argument("--trust-remote-code", action="store_true", help="run Python code that a model brings")


def _write(text: str, results: TextIO) -> None:
    """Print the results; whoever reads them may stop reading (`| head`)."""
    try:
        print(text, file=results, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), results.fileno())


def _one_line(error: LetheError) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
