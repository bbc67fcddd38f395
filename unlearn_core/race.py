"""Several methods on one topic, one after another with one loaded model: who takes part, a row for each, the table.

Every method is an ordinary run that is saved and can be opened. With a budget each is stopped where its KL to the original
on a fixed sample of given text to keep reaches the same small value, so that methods are compared at equal damage. That is
done around a method's `fit`, and no method knows of it (our reading): where the snapshots show the edit in progress, the
last one within the budget is kept; where they do not, or the first is already beyond it, the edit is scaled down by
bisection until it is within. Imports no torch before the first run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .config import SPLITS, RunConfig
from .errors import BadInput, LetheError, Unavailable
from .evaluation.references import load_reference
from .events import Event, Failed, Notice, Phase
from .methods import METHODS, find_method
from .methods.base import Context, Method, Snapshot, Stage
from .preflight import check_retraining, model_folder
from .topics.catalogue import completed, find_topic

if TYPE_CHECKING:
    from .edits.edit import Edit
    from .evaluation.divergence import Gauge
    from .evaluation.references import Reference
    from .store import Store
    from .workbench import Workbench

DEFAULTS, EQUAL_DAMAGE = MODES = ("defaults", "equal-damage")
BUDGET = 0.02  # nats an answer token, of KL to the original on given text to keep
LEAST, MOST = 1e-6, 10.0  # what a budget may be
LOOKS = 100  # snapshots that a method is asked for where a budget is watched
HALVINGS = 12  # of an edit's strength
RECORDED, NOT_RUN = "recorded", "not run here; accuracy and seconds are those of its training"
FIGURES = ("removed", "removed_paraphrase", "removed_spanish", "rank", "relative_change")
Row = dict[str, Any]


# --- who takes part ---------------------------------------------------------------------------------------------------

def entrants(base: RunConfig, names: Sequence[str], settings: Sequence[tuple[str, Any]]) -> list[RunConfig]:
    """A request for each method of `names` (all that there are, where none is named), otherwise as `base`.

    `settings` are ("method.key", value). Raises BadInput for a name that is unknown, named twice, or not taking part.
    """
    chosen = list(names) or list(METHODS)
    for name in chosen:
        find_method(name)
        if chosen.count(name) > 1:
            raise BadInput(f"The method '{name}' is named twice.", "", "Name each once.", field="methods")
    own: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    for key, value in settings:
        name, dot, setting = key.partition(".")
        if not dot or not setting:
            raise BadInput(f"--set {key} is not understood.", "In a race a setting is written method.key=value.",
                           f"As in --set {chosen[0]}.steps=30.", field="settings")
        if name not in own:
            raise BadInput(f"The method '{name}' of --set {key} takes no part in the race.", "",
                           f"Taking part: {', '.join(chosen)}.", field="settings")
        own[name][setting] = value
    return [base.model_copy(update={"method": name, "settings": own[name]}) for name in chosen]


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


# --- equal damage -----------------------------------------------------------------------------------------------------

@dataclass
class Watch:
    """Reads the gauge at snapshots. `last`: the last snapshot's edit within the budget; `beyond`: the first one beyond."""

    gauge: Gauge
    budget: float
    over: bool = False
    step: int = 0
    total: int = 0
    last: Edit | None = None
    beyond: Edit | None = None

    def look(self, snapshot: Snapshot) -> None:
        """Only while the edit is active. Nothing that is beyond the budget, or no number, counts as within."""
        if self.over:
            return
        self.over = not self.gauge.read() <= self.budget
        if self.over:
            self.beyond = snapshot.edit
        else:
            self.last, self.step, self.total = snapshot.edit, snapshot.step, snapshot.total


@dataclass(frozen=True)
class Ending:
    """How an edit came to be within the budget. `how`: stopped | scaled | whole; `divergence` on the sample, in nats."""

    how: str
    words: str
    divergence: float

    @property
    def sentence(self) -> str:
        """For a reader who knows nothing of the race."""
        return f"At equal damage: {self.words}."


def within_budget(method: Method, budget: float, tell: Callable[[Ending], None]) -> Method:
    """The same method, whose edit stays within the budget; `tell` learns how that came about."""
    def fit(context: Context, config: Any) -> Iterator[Any]:
        from .edits.edit import Edit
        from .edits.low_rank import LowRankEdit
        from .evaluation.divergence import Gauge, kept_text
        from .spectra import describe

        watch, final = Watch(Gauge(context.loaded, kept_text(context.given)), budget), None
        if not watch.gauge:
            yield Notice("There is no given text to keep: the budget cannot be measured, and the method runs to its end.")
            yield from method.fit(context, config)
            return
        inner = replace(context, cancelled=lambda: watch.over or context.cancelled(), snapshots=LOOKS)
        with closing(method.fit(inner, config)) as fitting:
            for item in fitting:
                if isinstance(item, Edit):
                    final = item
                elif isinstance(item, Snapshot):
                    watch.look(item)
                yield item
        if context.cancelled() or (final is None and watch.last is None):
            return
        yield Stage("budget")
        edit, ending = settle(watch, final)
        tell(ending)
        yield Notice(ending.sentence)
        if edit is not final:
            yield edit
            if isinstance(edit, LowRankEdit):
                yield from describe(context.loaded.model, edit)

    return replace(method, fit=fit, stages=(*method.stages, ("budget", "Keep to the budget")))


def settle(watch: Watch, final: Edit | None) -> tuple[Edit, Ending]:
    """The edit to keep: the last within the budget if the method was stopped there, else the final one, scaled if need be."""
    if watch.over and watch.last is not None:
        words = f"stopped at step {watch.step} of {watch.total}, the last within the budget"
        return watch.last, Ending("stopped", words, watch.gauge.of(watch.last))
    edit = watch.beyond if watch.over and watch.beyond is not None else final or watch.last
    found = watch.gauge.of(edit)
    if found <= watch.budget:
        return edit, Ending("whole", "ran to its end within the budget", found)
    strength = largest_within(lambda strength: watch.gauge.of(edit, strength), watch.budget)
    scaled = edit.scaled(strength)
    return scaled, Ending("scaled", f"scaled to {strength:.3g} of its strength", watch.gauge.of(scaled))


def largest_within(divergence: Callable[[float], float], budget: float) -> float:
    """The largest strength below 1 whose divergence is within the budget, to 1 in 2^HALVINGS; 0.0 where none is."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if divergence(middle) <= budget:
            low = middle
        else:
            high = middle
    return low


# --- carrying it out --------------------------------------------------------------------------------------------------

@dataclass
class Track:
    """Carries out one request after another as ordinary runs of one store and one workbench."""

    bench: Workbench
    store: Store
    cancelled: Callable[[], bool]
    publish: Callable[[Event, float], None]
    budget: float | None = None
    summary: dict[str, Any] | None = field(default=None, init=False)  # of the first run that measured the original

    def warm(self, config: RunConfig) -> None:
        """Load the model and measure the original, so that no method's seconds hold that. Raises BadInput, Stopped."""
        loaded = self.bench.load(config.model, config.device, config.dtype)
        folder = model_folder(config.model)
        topic = completed(find_topic(config.topic, folder, self.store.uploads), folder).topic
        self.bench.originals.measurement(loaded, topic, self.cancelled)

    def run(self, config: RunConfig) -> Row:
        """One method from request to row. A failure gives a row too, and the model is loaded anew after it."""
        from .pipeline import Job, record

        try:
            check_retraining(config, self.store)
        except Unavailable as error:
            return self._recorded(config) or failed_row(config, error)
        clock: dict[str, float] = {}
        endings: list[Ending] = []

        def publish(event: Event, at: float) -> None:
            if isinstance(event, Phase):
                clock[event.name] = at
            self.publish(event, at)

        def tell(ending: Ending) -> None:
            endings.append(ending)
            job.results.notices.append(ending.sentence)

        self.publish(Notice(f"--- {config.method} ---"), 0.0)
        folder = self.store.create(config)
        try:
            job = Job(config, folder, self.store, time.monotonic(), self.cancelled, self.bench.load, self.bench.originals)
            if self.budget is not None:
                job.adapt = lambda method: within_budget(method, self.budget, tell)
            end = record(job, publish)
        except OSError as error:
            raise LetheError("The run could not be written.", f"{folder.path}: {error.strerror}.",
                             "Free some space.") from error
        finally:
            folder.close()
        if isinstance(end, Failed):
            self.bench.drop()
            return failed_row(config, LetheError(end.what, end.why, end.remedy), folder.run_id)
        self.summary = self.summary or end.summary
        row = row_of(config, end.summary, self._divergence(config, folder.run_id, job.results.topic))
        row["unlearning_seconds"] = _between(clock, find_method(config.method).stages[0][0], "save")
        if endings:
            row["damage"] = {"how": endings[0].how, "words": endings[0].words, "kl_sample": endings[0].divergence}
        return row

    def _recorded(self, config: RunConfig) -> Row | None:
        """The kept scores of the retrained model, for the method whose result that is; None where there are none."""
        folder = model_folder(config.model)
        topic = completed(find_topic(config.topic, folder, self.store.uploads), folder).topic
        reference = load_reference(folder, topic) if find_method(config.method).is_reference else None
        return recorded_row(config, reference) if reference is not None else None

    def _divergence(self, config: RunConfig, run_id: str, topic: Any) -> float | None:
        """On all given text to keep, of the edit as saved."""
        from .edits.kinds import load_edit
        from .evaluation.divergence import kept_text, kl_to_original

        path = self.store.find(run_id).edit_path
        if path is None:
            return None
        loaded = self.bench.load(config.model, config.device, config.dtype)
        return kl_to_original(loaded, load_edit(path), kept_text(topic.given()), self.cancelled)


def _between(clock: Mapping[str, float], first: str, last: str) -> float | None:
    return round(clock[last] - clock[first], 2) if first in clock and last in clock else None


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
        "kl": divergence, "damage": None, "error": None,
    }


def failed_row(config: RunConfig, error: LetheError, run_id: str | None = None) -> Row:
    """A row that says why there is nothing else in it."""
    empty = {"status": "failed", "run_id": run_id, "seconds": None, "accuracy": {}, "perplexity": {"after": None},
             "parameters": {"trained": None}, **dict.fromkeys(FIGURES)}
    return row_of(config, empty, None) | {"error": {"what": error.what, "why": error.why, "remedy": error.remedy}}


def recorded_row(config: RunConfig, reference: Reference) -> Row:
    """What is kept of a retrained model: its accuracy on the splits it was scored on and the seconds it took; no run."""
    empty = {"status": RECORDED, "run_id": None, "seconds": reference.seconds or None, "accuracy": {},
             "perplexity": {"after": None}, "parameters": {"trained": None}, **dict.fromkeys(FIGURES)}
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
    return [row["method"], *(_figure(row["accuracy"].get(split)) for split in splits),
            *(_figure(row[name]) for name in FIGURES[:3]), _figure(row["perplexity"], 2), _figure(row["seconds"], 1),
            _figure(row["trained"], 0), _figure(row["rank"], 0), _figure(row["relative_change"]), _figure(row["kl"], 4),
            f"{row['status']}  {said}{damage}"]


def _figure(value: float | None, digits: int = 3, absent: str = "n/a") -> str:
    return absent if value is None else f"{value:.{digits}f}"
