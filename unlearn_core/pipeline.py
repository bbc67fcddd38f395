"""One run from request to summary, as a stream of events. Knows the order of the work; knows no thread and no page."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import closing

from . import methods
from .errors import LetheError, Stopped, out_of_memory
from .events import TERMINAL, Event, Failed, Finished, Phase, Started
from .models.loading import weights_hash
from .phases import (
    Job,
    check,
    describe_stopped,
    heat,
    measure_after,
    measure_before,
    notice,
    prepare,
    ready,
    save,
    unlearn,
)
from .summary import Results, summarise

__all__ = ["Job", "failure", "record", "run"]


def record(job: Job, publish: Callable[[Event, float], None] = lambda event, at: None) -> Event:
    """Run the job, write every event into its folder, then publish it; returns the terminal event.

    The terminal event is published when the folder is complete. A request that turns out to be bad before anything
    was measured leaves no folder behind.
    """
    def write(event: Event) -> None:
        at = job.seconds()
        job.folder.append(event, at)
        if isinstance(event, TERMINAL):
            _complete(job, event)
        publish(event, at)

    job.tell = write
    for event in run(job):
        write(event)
    return event


def run(job: Job) -> Iterator[Event]:
    """The events of a run, in order, with exactly one terminal event at the end whatever happens."""
    yield Started(job.folder.run_id, job.config.model_dump(mode="json"), job.folder.started_at)
    try:
        with closing(_steps(job)) as steps:
            yield from steps
        status = "done"
    except Stopped:
        status = "stopped"
        yield notice(job, _stop_words(job.results))
    except LetheError as error:
        yield Failed(error.what, error.why, error.remedy, "")
        return
    except MemoryError:
        yield Failed("There was not enough memory.", "The model and the method need more than is free.",
                     "Pick a smaller model, or close other programs.", traceback.format_exc())
        return
    except Exception as error:  # the boundary: whatever a method or model does becomes a card, never a dead run
        yield failure(error)
        return
    seconds = job.seconds()
    yield Finished(status, seconds, summarise(job.results, status, seconds))


def _complete(job: Job, event: Event) -> None:
    if isinstance(event, Finished):
        job.folder.finish(event.summary)
    elif job.results.before is None and not event.trace:
        job.folder.discard()
    else:
        body = summarise(job.results, "failed", job.seconds())
        job.folder.finish(body | {"error": {"what": event.what, "why": event.why, "remedy": event.remedy}})


def _steps(job: Job) -> Iterator[Event]:
    """Load, measure before, the method's stages, save, measure after, token scores."""
    method = job.adapt(methods.find_method(job.config.method))
    settings = methods.settings_of(method, job.config.settings)
    stages = [("load", "Load the model"), ("before", "Measure before"), *method.stages, ("save", "Save the edit"),
              ("after", "Measure after"), ("scores", "Compare token by token")]
    phases = {name: Phase(name, title, place, len(stages)) for place, (name, title) in enumerate(stages, start=1)}
    yield phases["load"]
    check(job)
    work = prepare(job, method, settings)
    yield from ready(work)
    yield phases["before"]
    yield from measure_before(work)
    edit = yield from unlearn(work, phases)
    if edit is None:
        check(job)
        raise LetheError("The method gave no edit.", f"'{method.name}' ended without a result.", "Try other settings.")
    yield phases["save"]
    edit = yield from save(work, edit)
    if job.cancelled():
        yield from describe_stopped(work, edit)
    check(job)
    yield phases["after"]
    yield from measure_after(work, edit)
    yield phases["scores"]
    yield from heat(work, edit)
    if weights_hash(work.loaded.model) != work.loaded.weights_hash:
        raise LetheError("The base weights changed during the run.", "The method left its edit in the model.",
                         "This is a fault of the method; its numbers are not to be trusted.")


def _stop_words(results: Results) -> str:
    if results.rank is None:
        return "Stopped before there was an edit."
    if results.after is None:
        return "Stopped: the edit as far as it got is saved; only the live sample was measured."
    return "Stopped after the last measurement."


def failure(error: Exception) -> Failed:
    """Whatever went wrong unforeseen, as the last event."""
    if out_of_memory(error):
        return Failed("There was not enough memory on the device.", "The model and the method need more than is free.",
                      "Pick a smaller model, or run on the CPU.", traceback.format_exc())
    why = f"{type(error).__name__}: {error}".strip().rstrip(".")[:300] + "."
    return Failed("The run failed unexpectedly.", why, "Start it again; if it stays, report it with the details below.",
                  traceback.format_exc())
