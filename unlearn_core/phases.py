"""The phases of a run, one generator each. Knows neither their order nor how a run ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from .config import RunConfig
from .edits.attach import attached
from .edits.edit import Edit
from .edits.kinds import load_edit
from .edits.stack import stack
from .errors import Stopped
from .evaluation.intervals import wilson
from .evaluation.measure import Measurement, among_other_words, live_sample, measure, quick_accuracy
from .evaluation.references import floor, load_reference
from .evaluation.removal import outcome
from .events import (
    Answer,
    EditReady,
    Event,
    Measured,
    ModelReady,
    Notice,
    Perplexity,
    Phase,
    Progress,
    Spectrum,
    TopicReady,
)
from .methods.base import Context, Method, MethodConfig, Snapshot, Stage
from .models.loading import LoadedModel, load
from .originals import Originals, keep_statistics, kept_statistics
from .preflight import check_suited, edit_file, model_folder
from .retraining import Retraining
from .scoring import token_scores
from .spectra import describe_partial
from .store import RunFolder, Store
from .summary import Results, relabelled_splits
from .topics.catalogue import completed, find_topic
from .topics.topic import Question, Topic

LIVE_SHARE = 0.08  # of the time that unlearning takes may go into measuring the live sample
LIVE_PAUSE = 0.5  # seconds between two live measurements, at least
HEAT = {"forget": 8, "neighbor": 4, "retain": 4}  # questions whose token scores are kept, and of every split:
TELLING = 2  # that leaked or were damaged
WORDY = 0.1  # share of what is to be kept that a model may give among other words without a word
TAUGHT = 0.5  # share of a topic, from its floor on, that a model may know before it is taught without a word
Load = Callable[[str, str, str], LoadedModel]


@dataclass
class Job:
    """A run that was asked for, and what it needs. `started`: time.monotonic() at the start that `seconds` count from.

    `tell` receives `Progress` from inside long steps, in the thread that iterates `run`. `adapt` may put something around
    the method's `fit`, as a race does that stops it early.
    """

    config: RunConfig
    folder: RunFolder
    store: Store
    started: float
    cancelled: Callable[[], bool] = lambda: False
    load: Load = load
    originals: Originals | None = None
    tell: Callable[[Event], None] = lambda event: None
    adapt: Callable[[Method], Method] = lambda method: method
    results: Results = field(init=False)

    def __post_init__(self) -> None:
        self.results = Results(self.config, self.folder.run_id)
        self.originals = self.originals or Originals(self.store)

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def progress(self, unit: str) -> Callable[[int, int], None]:
        """A callback that reports work done, at most five times a second and always at its end."""
        last = 0.0

        def report(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if done >= total or now - last >= 0.2:
                last = now
                self.tell(Progress(done, total, unit))

        return report


@dataclass
class Underway:
    """What the steps hand to each other once model and topic are there."""

    job: Job
    method: Method
    settings: MethodConfig
    loaded: LoadedModel
    topic: Topic
    under: Edit | None
    described: bool = False  # whether the method gave the spectra of its edit


def prepare(job: Job, method: Method, settings: MethodConfig) -> Underway:
    folder = model_folder(job.config.model)
    found = completed(find_topic(job.config.topic, folder, job.store.uploads), folder)
    under = [load_edit(edit_file(spec, job.store)) for spec in job.config.edits]
    loaded = job.load(job.config.model, job.config.device, job.config.dtype)
    check_suited(method, job.config.model, loaded.reads_apart)
    check(job)
    for edit in under:
        edit.check(loaded.model)
    job.results.topic, job.results.weights_hash = found.topic, loaded.weights_hash
    job.results.parameters = loaded.parameters
    job.results.device, job.results.dtype = str(loaded.device), loaded.number_format
    job.results.reference = load_reference(loaded.folder, found.topic)
    job.results.notices = [*found.notices, *loaded.notices, *_limits(job.results, method, len(under))]
    return Underway(job, method, settings, loaded, found.topic, stack(under) if under else None)


def _limits(results: Results, method: Method, stacked: int) -> Iterator[str]:
    if floor(results.topic, "forget", results.reference)[0] is None and not method.teaches:
        yield "No model that never saw this topic is known: the floor of forgetting is taken as 0."
    if stacked:
        yield f"Edits of earlier runs underneath, and in the saved edit: {stacked}. 'Before' is the model without any."


def ready(work: Underway) -> Iterator[Event]:
    loaded, topic = work.loaded, work.topic
    yield ModelReady(loaded.name, loaded.title, str(loaded.device), loaded.number_format, loaded.parameters, loaded.memory,
                     loaded.weights_hash, loaded.layers)
    counts = {split: len(topic.scored(split)) for split in topic.splits()}
    yield TopicReady(topic.name, topic.title, topic.summary, topic.neighbor_title, counts, list(topic.examples))
    for text in work.job.results.notices:
        yield Notice(text)


def measure_before(work: Underway) -> Iterator[Event]:
    job = work.job
    before, kept = job.originals.measurement(work.loaded, work.topic, job.cancelled, job.progress("questions"))
    job.results.before, job.results.before_kept = before, kept
    yield from _measured(work, before, "before")
    wordy, asked = among_other_words(work.topic, before)
    if wordy and wordy >= WORDY * asked:
        yield notice(job, f"{wordy:,} of {asked:,} answers about what is to be kept hold the expected one among other words, and "
                          "count as wrong: there only an equal answer is right, since a longer one can hide damage. Ask so that "
                          "the model answers briefly.")  # fmt: skip
    known, lowest = before.split("forget"), floor(work.topic, "forget", job.results.reference)[0] or 0.0
    if work.method.teaches and known is not None and known.accuracy - lowest >= TAUGHT * (1 - lowest):
        yield notice(job, f"The model answers {known.accuracy:.0%} of the topic already. {work.method.title} teaches what a model "
                          "lacks: choose one that never saw the topic.")  # fmt: skip


def unlearn(work: Underway, phases: dict[str, Phase]) -> Iterator[Event]:
    """The method's own events; its stages become phases and its snapshots live measurements. Returns the last edit."""
    job, edit = work.job, None
    kept = {} if work.under else kept_statistics(job.store, work.loaded, work.topic)
    known = set(kept)
    context = Context(work.loaded, work.topic.given(), job.config.seed, job.cancelled, kept, on_progress=job.progress("texts"),
                      retraining=Retraining(work.loaded.folder, work.topic))
    live = Live(work)
    with attached(work.loaded.model, work.under), closing(work.method.fit(context, work.settings)) as fitting:
        for item in fitting:
            if isinstance(item, Edit):
                edit = item
            elif isinstance(item, Stage):
                yield phases[item.name]
            elif isinstance(item, Snapshot):
                yield from live.measured(item)
            elif isinstance(item, Notice):
                yield notice(job, item.text)
            else:
                work.described |= isinstance(item, Spectrum)
                yield item
    if set(kept) - known and not work.under:
        keep_statistics(job.store, work.loaded, work.topic, kept)
    job.results.trained = max(context.trained, default=0)
    return stack([work.under, edit]) if edit is not None and work.under else edit


class Live:
    """Measures the live sample at snapshots, as often as a small share of the time allows."""

    def __init__(self, work: Underway) -> None:
        self._work, self._questions = work, live_sample(work.topic, 0)
        self._ready_at, self._last_step, self._cost = 0.0, -1, float("inf")

    def measured(self, snapshot: Snapshot) -> Iterator[Event]:
        """The live sample's accuracy now, unless it was measured a moment ago; first and last step always count."""
        now = time.monotonic()
        if snapshot.step == self._last_step or (now < self._ready_at and snapshot.step < snapshot.total):
            return
        counts = quick_accuracy(self._work.loaded, self._questions, self._work.topic.floors)
        self._cost = min(self._cost, time.monotonic() - now)  # one slow measurement is no reason for a long silence
        self._ready_at, self._last_step = time.monotonic() + max(LIVE_PAUSE, self._cost / LIVE_SHARE), snapshot.step
        self._work.job.results.live = dict(counts)
        for split, (correct, n) in counts.items():
            if n:
                low, high = wilson(correct, n)
                yield Measured("during", snapshot.step, split, correct / n, correct, n, low, high)


def save(work: Underway, edit: Edit) -> Iterator[Event]:
    """Save the edit and load it again; what is measured from here on is the file's content."""
    job, path = work.job, work.job.folder.edit_path
    meta = {**edit.meta, "model": job.config.model, "topic": work.topic.name, "method": job.config.method,
            "run_id": job.folder.run_id, "weights_hash": work.loaded.weights_hash, "dtype": str(work.loaded.dtype)}
    edit.with_meta(meta).save(path)
    saved = load_edit(path)
    saved.check(work.loaded.model)
    results = job.results
    results.rank, results.held = saved.rank, saved.parameters
    results.relative_change = saved.relative_change(work.loaded.model)
    yield EditReady(saved.kind, saved.rank, saved.parameters, results.relative_change, path.stat().st_size)
    return saved


def describe_stopped(work: Underway, edit: Edit) -> Iterator[Event]:
    """The spectra of an edit whose method was stopped before it came to them; with edits underneath, which are no change of
    this run, none."""
    if not work.described and work.under is None:
        yield from describe_partial(work.loaded.model, edit)


def measure_after(work: Underway, edit: Edit) -> Iterator[Event]:
    job = work.job
    after = measure(work.loaded, work.topic, edit, cancelled=job.cancelled, on_progress=job.progress("questions"))
    job.results.after = after
    yield from _measured(work, after, "after")
    yield from _answers(work.topic, job.results)
    job.results.relabelled = relabelled_splits(work.topic, after)
    for split, swapped in job.results.relabelled.items():
        if swapped:
            yield notice(job, f"The answers of {split.replace('_', ' ')} were relabelled rather than forgotten: "
                               "they still tell the options apart.")


def _measured(work: Underway, measurement: Measurement, stage: str) -> Iterator[Event]:
    for split in work.topic.splits():
        score = measurement.split(split)
        lowest, kind = floor(work.topic, split, work.job.results.reference)
        yield Measured(stage, 0, split, score.accuracy, score.correct, score.n, score.low, score.high, lowest, kind,
                       score.answered)
    if measurement.perplexity is not None:
        yield Perplexity(stage, measurement.perplexity, len(work.topic.texts))


def _answers(topic: Topic, results: Results) -> Iterator[Answer]:
    items = results.reference.items if results.reference else {}
    for split in topic.splits():
        for question in topic.scored(split):
            first, last = results.before.answers[question.id], results.after.answers[question.id]
            known = items.get(question.id)
            word = outcome(split, first.ok, last.ok, known, topic.floors.get(split))
            yield Answer(question.id, split, question.prompt, question.answer, first.answer, last.answer, first.ok,
                         last.ok, first.logprob, last.logprob, word, known)


def heat(work: Underway, edit: Edit) -> Iterator[Event]:
    chosen = _telling(work.topic, work.job.results)
    chosen += [question for split, count in HEAT.items() for question in work.topic.scored(split)[:count] if question not in chosen]
    report = work.job.progress("answers")
    for done, question in enumerate(chosen, start=1):
        check(work.job)
        yield token_scores(work.loaded, edit, question)
        report(done, len(chosen))


def _telling(topic: Topic, results: Results) -> list[Question]:
    """The first few of every split that the unlearned model should not answer and does, or should and does not."""
    return [question for split in topic.splits() for question in
            [q for q in topic.scored(split) if results.before.answers[q.id].ok
             and results.after.answers[q.id].ok == split.startswith("forget")][:TELLING]]


def check(job: Job) -> None:
    if job.cancelled():
        raise Stopped


def notice(job: Job, text: str) -> Notice:
    job.results.notices.append(text)
    return Notice(text)
