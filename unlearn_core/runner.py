"""One worker thread with one model; browser tabs only follow what it does. Imports no torch before the first work.

Runs, questions and measurements wait in one queue, so that the model is only ever used by one of them.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from . import methods
from .audit import catalogue as attacks
from .audit.engine import Audit, planned
from .building import Building, Place, buildable, state_of
from .config import AuditConfig, EvaluationConfig, RaceConfig, ReferenceConfig, RunConfig, SequenceConfig
from .errors import BadInput, LetheError, Stopped
from .events import TERMINAL, Answer, Event, Failed, Progress, TokenScores
from .models.catalogue import DEMO, models
from .preflight import model_folder, problems, refuse, refuse_evaluation
from .race import Race, field_of
from .sequence.series import Series, allowed, plan_of
from .store import RunFolder, RunRecord, SequenceFolder, Store, metrics_key
from .tasks import AskUpdate, Ended, Entry, RunLog, Task
from .topics.catalogue import completed, describe, topics
from .topics.uploads import numbered, parse_upload

if TYPE_CHECKING:
    from .workbench import Workbench

HEARTBEAT = 1.0  # seconds
LOGS_KEPT = 8  # finished runs whose events stay in memory
PREVIEW_ROWS = 6
Folder = RunFolder | SequenceFolder | Place
Work = Race | Series | Audit | Building
_NO_EDIT = {"running": ("It is still at work: the edit comes near its end.", "Ask when it is done, or open another run in Runs."),
            "done": ("It left the model as it was.", "Open another run in Runs.")}  # fmt: skip
_AN = {"run": "Another", "audit": "An"}
_ENDED_EARLY = ("It ended before there was one.", "Run it again, or open another run in Runs.")


class Busy(LetheError):
    """Something of that kind (run, race, sequence, audit or build) is in progress. `run_id` is its id, `since` when it started
    (ISO 8601, UTC)."""

    def __init__(self, run_id: str, since: str, kind: str = "run") -> None:
        super().__init__(f"{_AN.get(kind, 'A')} {kind} is in progress.",
                         f"{run_id} has been running since {since}.", "Watch it, stop it, or wait for its end.")
        self.run_id, self.since, self.kind = run_id, since, kind


class Runner:
    """Starts runs, lets tabs follow them, and answers questions about their results."""

    def __init__(self, store: Store, trust_remote_code: bool = False) -> None:
        self.store, self._trust = store, trust_remote_code
        self._changed = threading.Condition()
        self._waiting: list[Task] = []
        self._current: Task | None = None
        self._run: tuple[Folder, Task] | None = None
        self._series: Work | None = None  # where what is in progress is more than a run: several of them, or an audit
        self._logs: OrderedDict[str, RunLog] = OrderedDict()
        self._worker: threading.Thread | None = None
        self._bench: Workbench | None = None  # the worker's own

    # --- before a run -------------------------------------------------------------------------------------------------

    def catalogue(self, model: str = DEMO) -> dict[str, list[dict[str, Any]]]:
        """Plain data on all methods, attacks and models, and on the topics of `model`."""
        return {"methods": methods.catalogue(), "attacks": attacks(), "models": models(),
                "topics": topics(model_folder(model), self.store.uploads)}

    def check(self, config: RunConfig) -> dict[str, str]:
        """A message for every field that is wrong; the field of a setting is the setting's name."""
        return {name: str(error) for name, error in problems(config, self.store).items()}

    def add_topic(self, name: str, data: bytes, model: str = DEMO) -> dict[str, Any]:
        """Keep an uploaded list as a topic and describe it, with its first rows. Raises BadInput.

        `counts` holds the scored questions of each split, `written` all of them, `shown` those a method may see.
        A name that is taken by another topic gets a number. `model`: the notices are those of a run with it.
        """
        topic = parse_upload(name, data)
        taken = {entry["name"]: entry["source"] for entry in topics(model_folder(DEMO), self.store.uploads)}
        number, first = 1, topic
        while topic.name in taken and not self.store.holds_topic(topic):
            number += 1
            topic = numbered(first, number)
        self.store.add_topic(topic)
        rows = [{"split": question.split, "question": question.prompt, "answer": question.answer}
                for question in topic.questions[:PREVIEW_ROWS]]
        written = Counter(question.split for question in topic.questions)
        shown = Counter(question.split for question in topic.questions if question.given)
        return describe(topic) | {"source": "uploaded", "file": PurePath(name).name, "rows": rows,
                                  "written": dict(written), "shown": dict(shown),
                                  "notices": list(completed(topic, model_folder(model)).notices)}

    def warm(self) -> str:
        """Load torch and the built-in model in the background; that model's name."""
        self._submit(lambda bench, task: bench.load(DEMO))
        return DEMO

    def place(self, model: str, device: str, dtype: str = "auto") -> str:
        """Where that model went when it was loaded last ("cpu · float32"), "" where it has not been since the start."""
        return self._bench.places.get((model, device, dtype), "") if self._bench else ""

    # --- runs ---------------------------------------------------------------------------------------------------------

    def start(self, config: RunConfig) -> str:
        """Begin a run and return its id. Raises BadInput, and Busy while another run is in progress."""
        refuse(config, self.store)
        with self._changed:
            folder, log = self._begin(lambda: self.store.create(config))
            started = time.monotonic()
            task = Task(lambda bench, task: self._carry_out(bench, task, folder, log, started), needed=True)
            self._run = folder, task
        self._submit(task)
        return folder.run_id

    def _begin(self, create: Callable[[], Any]) -> tuple[Any, RunLog]:
        """A folder and a log for what is to be in progress; raises Busy where something is."""
        if self._run is not None:
            raise Busy(self._run[0].run_id, self._run[0].started_at, self._series.kind if self._series else "run")
        folder = create()
        log = self._logs[folder.run_id] = RunLog()
        while len(self._logs) > LOGS_KEPT:
            self._logs.popitem(last=False)
        return folder, log

    def stop(self, run_id: str) -> None:
        """Ask a run to stop; it ends within a step. Nothing happens where it is not running. In a race the next
        method's turn comes; a sequence ends with it."""
        run, series = self._run, self._series
        if series is not None:
            series.skip(run_id)
        elif run is not None and run[0].run_id == run_id:
            run[1].cancelled.set()

    def running(self) -> str | None:
        """The id of the run in progress, which may be one of a race or a sequence."""
        run, series = self._run, self._series
        if series is not None:
            return series.running
        return run[0].run_id if run is not None else None

    def follow(self, run_id: str, every: float = 0.25) -> Iterator[list[Entry]]:
        """All past events in one batch, then new ones at most every `every` seconds; [] each second as a heartbeat.

        Ends after the terminal event, or at the end of what an interrupted run left. Raises BadInput for unknown runs.
        """
        log = self._logs.get(run_id)
        if log is None:
            yield from self._follow_files(lambda: self.store.find(run_id).status, lambda: self.store.events(run_id))
        else:
            yield from self._follow_log(log, every)

    def _follow_log(self, log: RunLog, every: float) -> Iterator[list[Entry]]:
        seen = 0
        while True:
            batch, closed = log.after(seen, HEARTBEAT)
            seen += len(batch)
            yield batch
            if (closed and not batch) or (batch and isinstance(batch[-1][0], TERMINAL)):
                return
            if batch:
                time.sleep(every)

    def _follow_files(self, status: Callable[[], str], events: Callable[[], list[Entry]]) -> Iterator[list[Entry]]:
        """What is saved at once; what a race or another process is writing, as it grows."""
        seen = 0
        while True:
            going_on = status() == "running"
            entries = events()
            yield entries[seen:]
            seen = len(entries)
            if not going_on or (entries and isinstance(entries[-1][0], TERMINAL)):
                return
            time.sleep(HEARTBEAT)

    def _carry_out(self, bench: Workbench, task: Task, folder: RunFolder, log: RunLog, started: float) -> None:
        from .pipeline import Job, record

        def publish(event: Event, at: float) -> None:
            if isinstance(event, TERMINAL):
                self._forget_run(task)
            log.add(event, at)

        job = Job(folder.config, folder, self.store, started, task.cancelled.is_set, bench.load, bench.originals)
        try:
            if isinstance(record(job, publish), Failed):
                bench.drop()
        except OSError as error:
            why = f"{folder.path}: {error.strerror}."
            publish(Failed("The run could not be written.", why, "Free some space.", ""), job.seconds())
        finally:
            self._forget_run(task)
            folder.close()
            log.close()

    def _forget_run(self, task: Task) -> None:
        """The way is free for the next run, before followers learn of this one's end."""
        with self._changed:
            if self._run is not None and self._run[1] is task:
                self._run = self._series = None

    # --- races, sequences and audits ------------------------------------------------------------------------------------------

    def unable(self, config: RaceConfig) -> dict[str, str]:
        """Why a method of a race cannot run, by method; {} where all can. Raises BadInput where the race itself cannot be."""
        return {name: str(error) for name, error in field_of(config, self.store)[1].items()}

    def start_race(self, config: RaceConfig) -> str:
        """Begin a race, one piece of work for the queue, and return its id. Raises BadInput, and Busy as `start` does."""
        field_of(config, self.store)
        return self._start_series(lambda: self.store.create_race(config),
                                  lambda folder: Race(config, folder, self.store, time.monotonic()))

    def allowed(self, config: RunConfig) -> dict[str, Any]:
        """What a sequence on a run's topic with its method can be: `entities`, and why modes are `unable`. Raises BadInput."""
        return allowed(config, self.store)

    def start_sequence(self, config: SequenceConfig) -> str:
        """Begin a sequence of requests and return its id. Raises BadInput, and Busy as `start` does."""
        plan = plan_of(config, self.store)
        return self._start_series(lambda: self.store.create_sequence(plan.name(config.method)),
                                  lambda folder: Series(config, plan, folder, self.store, time.monotonic()))

    def _start_series(self, create: Callable[[], Folder], make: Callable[[Any], Work]) -> str:
        with self._changed:
            folder, log = self._begin(create)
            series = make(folder)
            task = Task(lambda bench, task: self._carry_out_series(bench, task, series, log), needed=True)
            series.cancelled = task.cancelled.is_set
            self._run, self._series = (folder, task), series
        self._submit(task)
        return folder.run_id

    def start_audit(self, config: AuditConfig) -> str:
        """Begin an audit of a run's result and return its id. Raises BadInput, and Busy as `start` does."""
        planned(config, self.store)
        return self._start_series(lambda: self.store.create_audit(config),
                                  lambda folder: Audit(config, folder, self.store, time.monotonic()))

    def start_build(self, config: ReferenceConfig) -> str:
        """Begin to train the model that never saw a topic and return the build's id. Raises BadInput, and Busy as `start` does."""
        topic = buildable(config, self.store).topic.name
        return self._start_series(lambda: Place(f"build-{topic}-{uuid.uuid4().hex[:8]}"),
                                  lambda place: Building(config, place, self.store, time.monotonic()))

    def reference_state(self, config: ReferenceConfig) -> dict[str, Any]:
        """Whether a model that never saw the topic is `at_hand`, and if not, whether it is `buildable` and in how many `seconds` at
        most, by the time that it took once (None where that is not known)."""
        return state_of(config, self.store)

    def building(self) -> str | None:
        """The id of the build in progress."""
        return self._going_on("build")

    def follow_build(self, build_id: str, every: float = 0.25) -> Iterator[list[Entry]]:
        """What happens in a build, as `follow` gives it of a run; nothing where it is of another process or long over."""
        log = self._logs.get(build_id)
        if log is not None:
            yield from self._follow_log(log, every)

    def stop_series(self, series_id: str) -> None:
        """Ask a race, a sequence, an audit or a build to stop: the run or attack whose turn it is ends within a step, and no other
        begins."""
        run = self._run
        if run is not None and run[0].run_id == series_id:
            run[1].cancelled.set()

    def racing(self) -> str | None:
        """The id of the race in progress."""
        return self._going_on("race")

    def sequencing(self) -> str | None:
        """The id of the sequence in progress."""
        return self._going_on("sequence")

    def auditing(self) -> str | None:
        """The id of the audit in progress."""
        return self._going_on("audit")

    def _going_on(self, kind: str) -> str | None:
        series = self._series
        return series.folder.run_id if series is not None and series.kind == kind else None

    def follow_race(self, race_id: str, every: float = 0.25) -> Iterator[list[Entry]]:
        """What happens in a race, as `follow` gives it of a run."""
        log = self._logs.get(race_id)
        if log is None:
            yield from self._follow_files(lambda: self.store.race(race_id).status, lambda: self.store.race_events(race_id))
        else:
            yield from self._follow_log(log, every)

    def follow_audit(self, audit_id: str, every: float = 0.25) -> Iterator[list[Entry]]:
        """What happens in an audit, as `follow` gives it of a run."""
        log = self._logs.get(audit_id)
        if log is None:
            yield from self._follow_files(lambda: self.store.audit(audit_id).status, lambda: self.store.audit_events(audit_id))
        else:
            yield from self._follow_log(log, every)

    def follow_sequence(self, sequence_id: str, every: float = 0.25) -> Iterator[list[Entry]]:
        """What happens in a sequence, as `follow` gives it of a run; of another process's only that it goes on. Its table
        is in the store and grows with every request."""
        log = self._logs.get(sequence_id)
        if log is None:
            yield from self._follow_files(lambda: self.store.find_sequence(sequence_id)[1]["status"], list)
        else:
            yield from self._follow_log(log, every)

    def _carry_out_series(self, bench: Workbench, task: Task, series: Work, log: RunLog) -> None:
        def publish(event: Event, at: float) -> None:
            if isinstance(event, TERMINAL):
                self._forget_run(task)
            log.add(event, at)

        try:
            series.record(bench, publish)
        except OSError as error:
            why = f"{series.folder.path}: {error.strerror}."
            publish(Failed(f"The {series.kind} could not be written.", why, "Free some space.", ""), series.seconds())
        finally:
            self._forget_run(task)
            series.folder.close()
            log.close()

    def undo_request(self, sequence_id: str, places: Sequence[int]) -> dict[str, Any]:
        """Measure a saved sequence without some of its requests; waits for the model. Returns the table. Raises BadInput."""
        self.store.find_sequence(sequence_id)

        def work(bench: Workbench, task: Task) -> None:
            from .sequence.carry import Conductor

            task.put(Conductor(bench, self.store, task.cancelled.is_set).undo(sequence_id, places))

        return next(item for item in self._results(self._task(None, work)) if isinstance(item, dict))

    # --- questions to a run's result ----------------------------------------------------------------------------------

    def ask(self, run_id: str, question: str, strength: float = 1.0, max_tokens: int = 60, temperature: float = 0.0,
            seed: int = 0, token: str | None = None) -> Iterator[AskUpdate]:
        """Original and unlearned answers, streamed together; waits for the model first. Closing it stops the work.

        Raises BadInput for an empty question, an unknown run, or a run without an edit.
        """
        record = self._asked(run_id)
        if not question.strip():
            raise BadInput("The question is empty.", "", "Type one.", field="question")
        task = self._task(token, lambda bench, task: [
            task.put(chunk) for chunk in bench.ask(record, question.strip(), strength, max_tokens, temperature, seed,
                                                   task.cancelled.is_set)])
        try:
            yield from self._answers(task)
        finally:
            task.cancelled.set()

    def _answers(self, task: Task) -> Iterator[AskUpdate]:
        last = AskUpdate("", "", False, self._position(task), 0.0, "", task.token)
        yield last
        for item in self._results(task, newest=True):
            if isinstance(item, int):
                last = AskUpdate("", "", False, item, 0.0, "", task.token)
            else:
                chunk, place = item
                speed = chunk.tokens / chunk.seconds if chunk.seconds > 0 else 0.0
                last = AskUpdate(chunk.original, chunk.edited, chunk.done, None, speed, place, task.token, chunk.reference)
            yield last
        if not last.done:
            yield replace(last, done=True, waiting=None)

    def stop_ask(self, token: str) -> None:
        """Stop the answer with that token; nothing happens where it has ended."""
        with self._changed:
            tasks = [task for task in [self._current, *self._waiting] if task is not None and task.token == token]
        for task in tasks:
            task.cancelled.set()

    def rescore(self, run_id: str, strength: float, everything: bool = False) -> Iterator[Progress | dict[str, Any]]:
        """Progress while it lasts, then one dict: strength, everything, perplexity, and accuracy by split with n."""
        record = self._asked(run_id)
        task = self._task(None, lambda bench, task: task.put(
            bench.rescore(record, strength, everything, task.cancelled.is_set, task.progress)))
        for item in self._results(task):
            yield Progress(0, 0, "waiting") if isinstance(item, int) else item

    def heat(self, run_id: str, question_ids: Sequence[str], strength: float = 1.0) -> list[TokenScores]:
        """Token scores of some questions at a strength."""
        record = self._asked(run_id)
        task = self._task(None, lambda bench, task: [
            task.put(scores) for scores in bench.heat(record, question_ids, strength, task.cancelled.is_set)])
        return [item for item in self._results(task) if isinstance(item, TokenScores)]

    def answers(self, run_id: str, question_ids: Sequence[str], strength: float = 1.0) -> list[Answer]:
        """Both models' answers to some questions of a run, the edited model's at a strength."""
        record = self._asked(run_id)
        task = self._task(None, lambda bench, task: [
            task.put(answer) for answer in bench.answers(record, question_ids, strength, task.cancelled.is_set)])
        return [item for item in self._results(task) if isinstance(item, Answer)]

    def metrics(self, run_id: str) -> Iterator[Progress | dict[str, Any]]:
        """Every metric of a run's original and result: progress while it lasts, then one dict as `kept_metrics` gives it."""
        record = self._asked(run_id)
        task = self._task(None, lambda bench, task: task.put(bench.metrics(record, task.cancelled.is_set, task.progress)))
        for item in self._results(task):
            yield Progress(0, 0, "waiting") if isinstance(item, int) else item

    def evaluate(self, config: EvaluationConfig) -> Iterator[Progress | dict[str, Any]]:
        """The same of a model, with or without runs' edits, on any topic. Raises BadInput."""
        refuse_evaluation(config, self.store)
        task = self._task(None, lambda bench, task: task.put(bench.measured(config, task.cancelled.is_set, task.progress)))
        for item in self._results(task):
            yield Progress(0, 0, "waiting") if isinstance(item, int) else item

    def kept_evaluation(self, config: EvaluationConfig) -> dict[str, Any] | None:
        """What `evaluate` found of such a request before."""
        return self.store.kept(metrics_key(config.digest()))

    def kept_metrics(self, run_id: str) -> dict[str, Any] | None:
        """All metrics of a run where they were measured before: `metrics`, `instead` and `consistency` by stage (before, after),
        `conditions`, and `about` by metric: what each judges, which value is good, when it misleads, where it comes from."""
        return self.store.kept(metrics_key(run_id))

    def wait_position(self) -> int:
        """How many pieces of work stand before one that would be asked for now."""
        with self._changed:
            return len(self._waiting) + (self._current is not None)

    def _asked(self, run_id: str) -> RunRecord:
        record = self.store.find(run_id)
        if record.edit_path is None:
            raise BadInput("This run has no edit to ask.", *_NO_EDIT.get(record.status, _ENDED_EARLY))
        return record

    # --- the worker ---------------------------------------------------------------------------------------------------

    def _task(self, token: str | None, work: Callable[[Workbench, Task], Any]) -> Task:
        return self._submit(Task(work, token) if token else Task(work))

    def _submit(self, work: Task | Callable[[Workbench, Task], Any]) -> Task:
        task = work if isinstance(work, Task) else Task(work)
        with self._changed:
            self._waiting.append(task)
            if self._worker is None:
                self._worker = threading.Thread(target=self._serve, name="lethe-worker", daemon=True)
                self._worker.start()
            self._changed.notify_all()
        return task

    def _results(self, task: Task, newest: bool = False) -> Iterator[Any]:
        """What a task puts out; the number of tasks before it (an int) while it waits. Raises what it raised.

        `newest`: each thing put out replaces those before it, so a reader who is slower than the model skips some.
        """
        try:
            while True:
                try:
                    found, ended = task.taken(HEARTBEAT / 2)
                except queue.Empty:
                    if task.cancelled.is_set() and not task.begun:
                        return
                    if not task.begun:
                        yield self._position(task)
                    continue
                yield from found[-1:] if newest else found
                if ended is not None:
                    if ended.error is not None and not isinstance(ended.error, Stopped):
                        raise ended.error
                    return
        finally:
            task.cancelled.set()

    def _position(self, task: Task) -> int:
        with self._changed:
            before = self._waiting.index(task) if task in self._waiting else 0
            return before + (self._current not in (None, task))

    def _serve(self) -> None:
        """The worker thread: one task after the other, for ever."""
        while True:
            with self._changed:
                self._current = None
                self._changed.wait_for(lambda: self._waiting)
                task = self._current = self._waiting.pop(0)
            try:
                if self._bench is None:
                    from .workbench import Workbench

                    self._bench = Workbench(self.store, self._trust)
                if task.needed or not task.cancelled.is_set():
                    task.begun = True
                    task.work(self._bench, task)
                task.put(Ended())
            except Exception as error:  # the thread's boundary: whoever waits for the task gets the error
                if self._bench is not None and not isinstance(error, (LetheError, Stopped)):
                    self._bench.drop()
                task.put(Ended(error))
