"""Several methods on one topic, one after another with one loaded model: who takes part, a row for each, the table.

Every method is an ordinary run that is saved and can be opened; what happens in the race is a list of events of its own,
which `record_race` writes into the race's folder, so that the command and any number of browser tabs follow the same.
With a budget each method is kept to equal damage (see damage.py). Imports no torch before the first run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .config import BUDGET, DEFAULTS, EQUAL_DAMAGE, SPLITS, RaceConfig, RunConfig
from .damage import Ending, within_budget
from .errors import BadInput, LetheError, Stopped, Unavailable
from .evaluation.references import load_reference
from .events import (
    Event,
    Failed,
    Finished,
    LaneBegun,
    LaneEnded,
    Loss,
    Measured,
    Notice,
    Phase,
    Progress,
    RaceStarted,
    TopicReady,
)
from .methods import METHODS, find_method
from .methods.base import FAMILIES
from .models.weight_files import count_parameters
from .preflight import check_retraining, method_problem, model_folder, problems
from .topics.catalogue import completed, find_topic

if TYPE_CHECKING:
    from .evaluation.references import Reference
    from .store import RunFolder, Store
    from .workbench import Workbench

LEAST, MOST = 1e-6, 10.0  # what a budget may be
PASSED = (TopicReady, Phase, Progress, Measured, Notice)  # what a race says of a run at work
RECORDED, NOT_RUN = "recorded", "not run here; accuracy and seconds are those of its training"
SHIPPED = "trained before: measured here, the seconds are those of its training"
FIGURES = ("removed", "removed_paraphrase", "removed_spanish", "rank", "relative_change")
Row = dict[str, Any]


# --- who takes part ---------------------------------------------------------------------------------------------------

def lanes(config: RaceConfig) -> list[RunConfig]:
    """A request for each method that the race names (all that unlearn, where it names none), in order.

    Raises BadInput for a name that is unknown or named twice, and for settings of a method that takes no part.
    """
    chosen = list(config.methods) or [name for name in METHODS if not find_method(name).teaches]
    for name in [*chosen, *config.settings]:
        find_method(name)
        if chosen.count(name) > 1:
            raise BadInput(f"The method '{name}' is named twice.", "", "Name each once.", field="methods")
        if name not in chosen:
            raise BadInput(f"The method '{name}' takes no part in the race, but has a setting.", "",
                           f"Taking part: {', '.join(chosen)}.", field="settings")
    return [config.run(name) for name in chosen]


def field_of(config: RaceConfig, store: Store) -> tuple[list[RunConfig], dict[str, LetheError]]:
    """Who takes part, and why the others cannot, by method. Raises BadInput where the race as a whole cannot be."""
    budget_of(config.mode, config.budget)
    asked = lanes(config)
    for name, error in problems(asked[0], store).items():
        if name in ("model", "topic", "device"):
            raise error
    unable = {request.method: error for request in asked if (error := _problem(request, store)) is not None}
    able = [request for request in asked if request.method not in unable]
    if not able:
        first = next(iter(unable.values()))
        raise BadInput("None of these methods can run.", str(first), "Choose others.", field="methods")
    return able, unable


def _problem(request: RunConfig, store: Store) -> LetheError | None:
    """Why a method cannot take part: its settings, or a model without the topic that is not at hand, for which no scores stand."""
    if (error := method_problem(request)) is not None:
        return error
    try:
        check_retraining(request, store)
    except Unavailable as error:
        return None if _reference_of(request, store) is not None else error
    return None


def _reference_of(config: RunConfig, store: Store) -> Reference | None:
    """The kept scores of the retrained model, for the method whose result that is; None where there are none."""
    if not find_method(config.method).is_reference:
        return None
    folder = model_folder(config.model)
    return load_reference(folder, completed(find_topic(config.topic, folder, store.uploads), folder).topic)


def budget_of(mode: str, budget: float | None) -> float | None:
    """The budget that a mode asks for, in nats; None where every method runs to its end. Raises BadInput."""
    if mode == DEFAULTS:
        if budget is not None:
            raise BadInput("A budget needs the other mode.", f"With --mode {DEFAULTS} no method is stopped.",
                           f"Add --mode {EQUAL_DAMAGE}.", field="budget")
        return None
    found = BUDGET if budget is None else budget
    if not LEAST <= found <= MOST:
        raise BadInput(f"The budget cannot be {found}.", f"It should be from {LEAST} to {MOST} nats.",
                       f"Leave it out for the default ({BUDGET}).", field="budget")
    return found


def rows(configs: Sequence[RunConfig], run: Callable[[RunConfig], Row], stopped: Callable[[], bool]) -> Iterator[Row]:
    """One row for each request, in order; `run` carries one out. A stop ends the race, a failure only its own row."""
    for config in configs:
        if stopped():
            return
        try:
            yield run(config)
        except LetheError as error:
            yield failed_row(config, error)


# --- carrying it out --------------------------------------------------------------------------------------------------

@dataclass
class Track:
    """Carries out one request after another as ordinary runs of one store and one workbench."""

    bench: Workbench
    store: Store
    cancelled: Callable[[], bool]
    publish: Callable[[Event], None]
    budget: float | None = None
    count: int = 1  # how many will have their turn
    begun: int = field(default=0, init=False)
    phases: int = field(default=1, init=False)  # of the turn at work
    skipped: set[str] = field(default_factory=set)  # runs to be stopped alone
    running: str | None = field(default=None, init=False)  # the run at work
    summary: dict[str, Any] | None = field(default=None, init=False)  # of the first run that measured the original

    def warm(self, config: RunConfig) -> None:
        """Load the model and measure the original, so that no method's seconds hold that. Raises BadInput, Stopped."""
        self.publish(Phase("warm", "Load the model and measure the original", 1, 1))
        loaded = self.bench.load(config.model, config.device, config.dtype)
        folder = model_folder(config.model)
        topic = completed(find_topic(config.topic, folder, self.store.uploads), folder).topic
        self.bench.originals.measurement(loaded, topic, self.cancelled,
                                         lambda done, total: self.publish(Progress(done, total, "questions")))

    def run(self, config: RunConfig) -> Row:
        """One method from request to row. A failure gives a row too, and the model is loaded anew after it."""
        from .pipeline import Job, record

        reference = _reference_of(config, self.store)
        try:
            check_retraining(config, self.store)
        except Unavailable as error:
            if reference is None:
                return failed_row(config, error)
            return recorded_row(config, reference, count_parameters(model_folder(config.model)))
        clock: dict[str, float] = {}
        endings: list[Ending] = []
        first = self.summary is None

        def publish(event: Event, at: float) -> None:
            if isinstance(event, Phase):
                clock[event.name] = at
                self.phases = event.count + 1  # the distance is measured after all of them
                event = replace(event, count=self.phases)
            if isinstance(event, Loss):
                event = Progress(event.step, event.total, "steps")
            if isinstance(event, PASSED) and _concerns(event, first):
                self.publish(event)

        folder = self.store.create(config)
        try:
            self.begun, self.running = self.begun + 1, folder.run_id
            self.publish(LaneBegun(config.method, folder.run_id, self.begun, self.count))
            job = Job(config, folder, self.store, time.monotonic(),
                      lambda: self.cancelled() or folder.run_id in self.skipped, self.bench.load, self.bench.originals)
            if self.budget is not None:
                job.adapt = lambda method: within_budget(method, self.budget, endings.append)
            end = record(job, publish)
        except OSError as error:
            raise LetheError("The run could not be written.", f"{folder.path}: {error.strerror}.",
                             "Free some space.") from error
        finally:
            self.running = None
            folder.close()
        if isinstance(end, Failed):
            self.bench.drop()
            return failed_row(config, LetheError(end.what, end.why, end.remedy), folder.run_id)
        self.summary = self.summary or end.summary
        row = row_of(config, end.summary, self._divergence(config, folder.run_id, job.results.topic))
        row["unlearning_seconds"] = _between(clock, find_method(config.method).stages[0][0], "save")
        if reference is not None and reference.seconds and not config.settings.get("fresh"):
            row |= {"seconds": reference.seconds, "note": SHIPPED}
        if endings:
            row["damage"] = {"how": endings[0].how, "words": endings[0].words, "kl": endings[0].divergence}
            self.store.note(folder.run_id, f"{endings[0].sentence} Run again, it goes to its end.")
        return row

    def _divergence(self, config: RunConfig, run_id: str, topic: Any) -> float | None:
        """On all given text to keep, of the edit as saved."""
        from .edits.kinds import load_edit
        from .evaluation.divergence import kept_text, kl_to_original

        path = self.store.find(run_id).edit_path
        if path is None:
            return None
        self.publish(Phase("distance", "Measure how far it is from the original on kept text", self.phases, self.phases))
        loaded = self.bench.load(config.model, config.device, config.dtype)
        return kl_to_original(loaded, load_edit(path), kept_text(topic.given()), self.cancelled)


def _concerns(event: Event, first: bool) -> bool:
    """Whether an event of a run is one of the race: the original's scores once, the live sample always."""
    return not isinstance(event, Measured) or event.stage == "during" or (first and event.stage == "before")


def _between(clock: Mapping[str, float], first: str, last: str) -> float | None:
    return round(clock[last] - clock[first], 2) if first in clock and last in clock else None


# --- from request to document -----------------------------------------------------------------------------------------

@dataclass
class Race:
    """A race that was asked for, and what it needs. `started`: time.monotonic() at the start that `seconds` count from."""

    config: RaceConfig
    folder: RunFolder
    store: Store
    started: float
    cancelled: Callable[[], bool] = lambda: False
    track: Track | None = field(default=None, init=False)
    kind: str = field(default="race", init=False)

    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def running(self) -> str | None:
        """The run at work."""
        return self.track.running if self.track is not None else None

    def skip(self, run_id: str) -> None:
        """Stop that run alone: the next method's turn comes."""
        if self.track is not None:
            self.track.skipped.add(run_id)

    def record(self, bench: Workbench, publish: Callable[[Event, float], None]) -> None:
        """Carry it out and publish what happens, the terminal event last."""
        record_race(self, bench, publish)


def record_race(race: Race, bench: Workbench, publish: Callable[[Event, float], None] = lambda event, at: None) -> Event:
    """Run the race, write every event into its folder, then publish it; returns the terminal event.

    A race that ends before any method had its turn for another reason than a stop leaves no folder behind.
    """
    found: list[Row] = []

    def write(event: Event) -> None:
        at = race.seconds()
        race.folder.append(event, at)
        if isinstance(event, Finished):
            race.folder.finish(event.summary)
        elif isinstance(event, Failed) and not found:
            race.folder.discard()
        publish(event, at)

    end = _carried_out(race, bench, write, found)
    write(end)
    return end


def _carried_out(race: Race, bench: Workbench, write: Callable[[Event], None], found: list[Row]) -> Event:
    """Every event of a race but the last, which it returns."""
    from .pipeline import failure

    config = race.config
    try:
        able, unable = field_of(config, race.store)
        budget = budget_of(config.mode, config.budget)
        write(RaceStarted(race.folder.run_id, config.model_dump(mode="json"), race.folder.started_at,
                          [_lane(request.method) for request in able],
                          [_lane(name) | {"why": str(error)} for name, error in unable.items()]))
        race.track = track = Track(bench, race.store, race.cancelled, write, budget, len(able))
        with suppress(Stopped):  # what was reached is reported all the same
            track.warm(able[0])
            for row in rows(able, track.run, race.cancelled):
                found.append(row)
                write(LaneEnded(row))
        body = document(able, config.mode, budget, found, track.summary, race.seconds())
        left = [{"method": name, "why": str(error)} for name, error in unable.items()]
        return Finished(body["status"], race.seconds(), {"race_id": race.folder.run_id, **body, "left_out": left})
    except LetheError as error:
        return Failed(error.what, error.why, error.remedy, "")
    except Exception as error:  # the boundary: a model that cannot be measured becomes a card, never a dead race
        bench.drop()
        return failure(error)


def _lane(name: str) -> dict[str, Any]:
    method = find_method(name)
    said = {"method": name, "title": method.title, "family": method.family, "family_title": FAMILIES[method.family]}
    return said | ({"teaches": True} if method.teaches else {})


# --- rows and tables --------------------------------------------------------------------------------------------------

def row_of(config: RunConfig, summary: Mapping[str, Any], divergence: float | None) -> Row:
    """What the table says of one run; null where it was not measured."""
    method = find_method(config.method)
    return {
        "method": config.method, "title": method.title, "family": method.family, "status": summary["status"],
        "run_id": summary["run_id"], "settings": dict(config.settings),
        "accuracy": {split: cell["after"] for split, cell in summary["accuracy"].items()},
        "perplexity": summary["perplexity"]["after"], "seconds": summary["seconds"], "unlearning_seconds": None,
        "trained": summary["parameters"]["trained"], **{name: summary[name] for name in FIGURES},
        "kl": divergence, "damage": None, "error": None, "note": None,
        "relabelled": bool((summary.get("relabelled") or {}).get("forget")),
    }


def failed_row(config: RunConfig, error: LetheError, run_id: str | None = None) -> Row:
    """A row that says why there is nothing else in it."""
    empty = {"status": "failed", "run_id": run_id, "seconds": None, "accuracy": {}, "perplexity": {"after": None},
             "parameters": {"trained": None}, **dict.fromkeys(FIGURES)}
    return row_of(config, empty, None) | {"error": {"what": error.what, "why": error.why, "remedy": error.remedy}}


def recorded_row(config: RunConfig, reference: Reference, values: int) -> Row:
    """What is kept of a retrained model: its accuracy on the splits it was scored on, the seconds it took and that all of its
    values were trained; no run."""
    empty = {"status": RECORDED, "run_id": None, "seconds": reference.seconds or None, "accuracy": {},
             "perplexity": {"after": None}, "parameters": {"trained": values}, **dict.fromkeys(FIGURES)}
    return row_of(config, empty, None) | {"accuracy": dict(reference.accuracy)}


def document(configs: Sequence[RunConfig], mode: str, budget: float | None, found: Sequence[Row],
             original: Mapping[str, Any] | None, seconds: float) -> dict[str, Any]:
    """The race as plain data. `status`: done, or stopped where a row is missing or was stopped."""
    whole = len(found) == len(configs) and all(row["status"] != "stopped" for row in found)
    accuracy = original["accuracy"] if original else {}
    cells = {split: {key: cell[key] for key in ("before", "reference", "reference_kind", "n")}
             for split, cell in accuracy.items()}
    return {
        "model": configs[0].model, "topic": original["topic"] if original else configs[0].topic, "mode": mode,
        "budget": budget, "seed": configs[0].seed, "methods": [config.method for config in configs],
        "status": "done" if whole else "stopped", "seconds": round(seconds, 2),
        "original": {"accuracy": cells, "perplexity": original["perplexity"]["before"] if original else None},
        "rows": list(found),
    }


def table(body: Mapping[str, Any]) -> str:
    """The race for a person: the original, the floor, then a line for each method."""
    cells = body["original"]["accuracy"]
    splits = [split for split in SPLITS if cells.get(split, {}).get("n")]
    budget = f", budget {body['budget']} nats" if body["budget"] is not None else ""
    head = ["", *(split.removeprefix("forget_") for split in splits), "removed", "paraphr", "spanish", "perplex",
            "seconds", "trained", "rank", "change", "KL", "status"]
    before = ["original", *(_figure(cells[split]["before"]) for split in splits), "", "", "",
              _figure(body["original"]["perplexity"], 2)]
    floor = ["floor", *(_figure(cells[split]["reference"], absent="") for split in splits)]
    lines = [head, before, floor, *(_cells(row, splits) for row in body["rows"])]
    widest = max(len(line[0]) for line in lines) + 2
    text = ["".join([line[0].ljust(widest), *(cell.rjust(11) for cell in line[1:len(head) - 1]),
                     *(f"  {cell}" for cell in line[len(head) - 1:])]).rstrip() for line in lines]
    return "\n".join([f"{body['topic']}: {body['mode']}{budget}; {body['status']}, {body['seconds']} s", "", *text])


def _cells(row: Row, splits: Sequence[str]) -> list[str]:
    said = row["error"]["what"] if row["error"] else NOT_RUN if row["status"] == RECORDED else row["run_id"] or ""
    damage = f"; {row['damage']['words']}" if row["damage"] else ""
    damage += "; relabelled, not forgotten" if row.get("relabelled") else ""
    return [row["method"], *(_figure(row["accuracy"].get(split)) for split in splits),
            *(_figure(row[name]) for name in FIGURES[:3]), _figure(row["perplexity"], 2), _figure(row["seconds"], 1),
            _figure(row["trained"], 0), _figure(row["rank"], 0), _figure(row["relative_change"]), _figure(row["kl"], 4),
            f"{row['status']}  {said}{damage}"]


def _figure(value: float | None, digits: int = 3, absent: str = "n/a") -> str:
    return absent if value is None else f"{value:.{digits}f}"
