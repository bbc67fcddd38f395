"""Carries a sequence out: a run for each request, the edits put together, everything measured again; and undo.

Loads torch: imported when a sequence begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..config import RunConfig
from ..edits.edit import Edit
from ..edits.kinds import load_edit
from ..edits.layers import LayerEdit, fused
from ..edits.stack import stack
from ..errors import BadInput, LetheError, Stopped
from ..events import Event, Failed, Notice, Phase, Progress, RequestBegun
from ..methods.base import Context, Method
from ..models.loading import LoadedModel
from ..pipeline import Job, failure, record
from ..preflight import model_folder
from ..store import SequenceFolder, Store
from ..topics.catalogue import completed, find_topic
from ..topics.topic import Topic
from ..workbench import Workbench
from .board import Board, Reading
from .requests import (
    FUSE,
    JOINT,
    STACK,
    Plan,
    Request,
    joint_topic,
    planned,
    single_requests,
    step_topic,
    topic_requests,
)
from .table import unexpected

COMBINED = "combined"
# Of fusion. One request's few texts leave most directions nearly unread, and a small ridge rebuilds the layers there from next
# to nothing: on two persons 1e-6 kept 21 of 60 neighbours, 1e-2 33, 1e-1 54 (stacked: 52), all forgetting the same (our reading).
RIDGE = 0.1
Body = dict[str, Any]


def combine(mode: str, edits: Sequence[Edit]) -> Edit | None:
    """The edits of several requests as one: their fusion in the mode *fuse*, else the stack; None without any."""
    if not edits:
        return None
    if mode != FUSE or len(edits) == 1:
        return stack(edits)
    if not all(isinstance(edit, LayerEdit) for edit in edits):
        raise BadInput("These edits cannot be fused.", "Not all of them are added layers.", f"Take the mode {STACK}.", field="mode")
    return fused(edits, RIDGE)


@dataclass
class Saved:
    """A sequence that is saved: its plan made anew from what was asked, its own edits and its table."""

    folder: SequenceFolder
    body: Body
    plan: Plan

    def edits(self, without: Collection[int] = ()) -> list[Edit]:
        """The requests' own edits in order, but those of the places in `without`."""
        places = [run["place"] for run in self.body["runs"] if run["place"] not in without]
        return [load_edit(self.folder.edit_path(str(place))) for place in places]


@dataclass
class Conductor:
    """Carries requests out one after another with one store and one workbench."""

    bench: Workbench
    store: Store
    cancelled: Callable[[], bool] = lambda: False
    publish: Callable[[Event, float], None] = lambda event, at: None
    started: float = field(default_factory=time.monotonic)

    def run(self, plan: Plan, base: RunConfig, specs: Sequence[str], folder: SequenceFolder | None = None) -> Body:
        """The whole sequence; its table is saved after every step. A stop or a failure ends it with what was reached.

        `base` says model, method, settings, seed and device. `specs`: the topics as they were asked for. `folder`: an empty
        one that is held, where there is one already.
        """
        folder = folder or self.store.create_sequence(plan.name(base.method))
        body = _new_body(folder, plan, base, specs)
        with closing(folder):
            folder.write(body)
            try:
                self._steps(folder, plan, base, body)
                body["status"] = "done"
            except Stopped:
                body["status"] = "stopped"
            except LetheError as error:
                body |= {"status": "failed", "error": {"what": error.what, "why": error.why, "remedy": error.remedy}}
            except OSError:
                raise
            except Exception as error:  # the boundary: what nobody foresaw becomes a card, and the table so far stays
                self.bench.drop()
                end = failure(error)
                body |= {"status": "failed", "error": {"what": end.what, "why": end.why, "remedy": end.remedy, "trace": end.trace}}
            body["seconds"] = round(time.monotonic() - self.started, 2)
            folder.write(body)
        return body

    def _steps(self, folder: SequenceFolder, plan: Plan, base: RunConfig, body: Body) -> None:
        for conflict in plan.conflicts:
            self.publish(Notice(f"Contradiction: {conflict.words}"), 0.0)
        loaded = self.bench.load(base.model, base.device, base.dtype)
        body["weights_hash"] = loaded.weights_hash
        board = Board(plan.requests, model_folder(base.model))
        body["rows"] = [row.plain() for row in board.rows]
        original = self._read(board, loaded, None)
        body["steps"].append(_step("original", board, original, original, ()))
        folder.write(body)
        places = range(len(plan.requests)) if plan.mode != JOINT else [None]
        for place in places:
            self._check()
            begun = time.monotonic()
            self._request(folder, plan, base, body, place)
            seconds = time.monotonic() - begun
            whole = combine(plan.mode, [load_edit(folder.edit_path(str(run["place"]))) for run in body["runs"]])
            whole.with_meta({"weights_hash": loaded.weights_hash, "dtype": str(loaded.dtype)}).save(folder.edit_path(COMBINED))
            self._check()
            asked = range(1, len(plan.requests) + 1) if place is None else range(1, place + 2)
            step = _step(f"after {asked[-1]}" if place is not None else "all at once", board,
                         self._read(board, loaded, whole), original, asked)  # fmt: skip
            body["steps"].append(step | {"seconds": round(seconds, 2)})
            body["seconds"] = round(time.monotonic() - self.started, 2)
            folder.write(body)

    def _request(self, folder: SequenceFolder, plan: Plan, base: RunConfig, body: Body, place: int | None) -> None:
        """One ordinary run, whose own edit (without those underneath) is kept beside the table."""
        topic = joint_topic(plan) if place is None else step_topic(plan, place)
        number = 1 if place is None else place + 1
        config = _config(folder, plan, base, body, topic, place, number)
        title = topic.title if place is None else plan.requests[place].title
        own: list[Edit] = []
        run_folder = self.store.create(config)
        count = len(plan.requests) if place is not None else 1
        self.publish(RequestBegun(title, run_folder.run_id, number, count), time.monotonic() - self.started)
        try:
            self.store.rename(run_folder.run_id, f"{title} ({number} of {count})" if count > 1 else title)
            job = Job(config, run_folder, self.store, time.monotonic(), self.cancelled, self.bench.load, self.bench.originals,
                      adapt=lambda method: _overheard(method, own))  # fmt: skip
            clock: dict[str, float] = {}
            end = record(job, lambda event, at: self._tell(event, at, clock))
        except OSError as error:
            raise LetheError("The run could not be written.", f"{run_folder.path}: {error.strerror}.",
                             "Free some space.") from error
        finally:
            run_folder.close()
        if isinstance(end, Failed):
            self.bench.drop()
            raise LetheError(end.what, end.why, end.remedy)
        if end.status == "stopped":
            raise Stopped
        own[-1].save(folder.edit_path(str(number)))
        body["runs"].append({"place": number, "run_id": run_folder.run_id, "title": title,
                             "seconds": end.summary["seconds"], "unlearning_seconds": _unlearning(clock),
                             "trained": own[-1].parameters, "rank": own[-1].rank})  # fmt: skip

    def undo(self, spec: str, places: Collection[int]) -> Body:
        """The table with one more column: everything measured without the requests at `places` (counted from 1), nothing
        trained again. The remaining edits together are saved as `without-2.safetensors`. Raises BadInput, Stopped."""
        found = opened(self.store, spec)
        _refuse_undo(found.body, places)
        base = found.body["config"]
        loaded = self.bench.load(base["model"], base["device"], base["dtype"])
        if found.body["weights_hash"] != loaded.weights_hash:
            raise BadInput("This sequence was made with other weights.", "The model's files have changed since.",
                           "Run it again.", field="model")  # fmt: skip
        board = Board(found.plan.requests, model_folder(base["model"]))
        edit = combine(found.plan.mode, found.edits(places))
        name = "without-" + "-".join(str(place) for place in sorted(places))
        if edit is not None:
            edit.save(found.folder.edit_path(name))
        original = self._read(board, loaded, None)
        asked = [run["place"] for run in found.body["runs"] if run["place"] not in places]
        step = _step(f"without {', '.join(map(str, sorted(places)))}", board, self._read(board, loaded, edit), original, asked)
        step |= {"without": sorted(places)}
        kept = [one for one in found.body["undone"] if one["without"] != sorted(places)]
        body = found.body | {"undone": [*kept, step | {"unexpected": unexpected(found.body, step)}]}
        found.folder.write(body)
        return body

    def _tell(self, event: Event, at: float, clock: dict[str, float]) -> None:
        if isinstance(event, Phase):
            clock[event.name] = at
        self.publish(event, at)

    def _read(self, board: Board, loaded: LoadedModel, edit: Edit | None) -> Reading:
        self.publish(Phase("board", "Measure every request and all that is kept", 1, 1), time.monotonic() - self.started)
        return board.read(loaded, edit, self.cancelled, lambda done, total: self.publish(Progress(done, total, "questions"), 0.0))

    def _check(self) -> None:
        if self.cancelled():
            raise Stopped


def opened(store: Store, spec: str) -> Saved:
    """A saved sequence by its id, the beginning of it, or its folder. Raises BadInput, also where a topic has gone."""
    folder, body = store.find_sequence(spec)
    requests = _requests(store, body)
    return Saved(folder, body, planned(requests, body["mode"], body["method"]))


def whole_topic(store: Store, model: str, spec: str) -> Topic:
    """A topic with what it lacked added from its model's world. Raises BadInput."""
    folder = model_folder(model)
    return completed(find_topic(spec, folder, store.uploads), folder).topic


def _requests(store: Store, body: Mapping[str, Any]) -> list[Request]:
    asked = body["asked"]
    topics = [whole_topic(store, body["config"]["model"], spec) for spec in asked["topics"]]
    if not asked["split_by_entity"]:
        return topic_requests(topics)
    return single_requests(topics[0], len(body["requests"]))


def _refuse_undo(body: Mapping[str, Any], places: Collection[int]) -> None:
    made = [run["place"] for run in body["runs"]]
    if body["status"] == "running":
        raise BadInput("This sequence is still going on.", "", "Wait for its end, or stop it.", field="undo")
    if body["mode"] == JOINT:
        raise BadInput("No request of a joint run can be undone.", "All of them are one edit.",
                       f"Run the sequence with --mode {STACK}.", field="undo")  # fmt: skip
    if not places or any(place not in made for place in places):
        raise BadInput("There is no such request to undo.", f"Made were: {', '.join(map(str, made)) or 'none'}.",
                       "Name one of these.", field="undo")  # fmt: skip


def _overheard(method: Method, own: list[Edit]) -> Method:
    """The same method; the last edit that it gives is put into `own`, without those that lie underneath."""
    def fit(context: Context, config: Any) -> Iterator[Any]:
        for item in method.fit(context, config):
            if isinstance(item, Edit):
                own[:] = [item]
            yield item

    return replace(method, fit=fit)


def _config(folder: SequenceFolder, plan: Plan, base: RunConfig, body: Body, topic: Topic, place: int | None,
            number: int) -> RunConfig:  # fmt: skip
    """The run's request. A topic that is not as it was found is written beside the table, so that the run can be repeated."""
    untouched = place is not None and topic == plan.requests[place].topic
    spec = body["asked"]["topics"][place] if untouched else str(folder.put_topic(topic, number))
    under = (body["runs"][-1]["run_id"],) if plan.mode == STACK and body["runs"] else ()
    return base.model_copy(update={"topic": spec, "edits": under})


def _new_body(folder: SequenceFolder, plan: Plan, base: RunConfig, specs: Sequence[str]) -> Body:
    return {
        "sequence_id": folder.sequence_id, "started_at": folder.started_at, "status": "running", "seconds": 0.0,
        "mode": plan.mode, "method": base.method, "config": base.model_dump(mode="json"),
        "asked": {"topics": list(specs), "split_by_entity": bool(plan.requests[0].subject)},
        "requests": [{"place": place, "title": request.title, "topic": request.topic.name}
                     for place, request in enumerate(plan.requests, start=1)],
        "conflicts": [asdict(conflict) | {"examples": list(conflict.examples)} for conflict in plan.conflicts],
        "runs": [], "rows": [], "steps": [], "undone": [], "weights_hash": None, "error": None,
    }


def _step(title: str, board: Board, reading: Reading, original: Reading, asked: Collection[int]) -> dict[str, Any]:
    return {"title": title, "asked": list(asked), "cells": board.cells(reading, original),
            "pooled": board.pooled(reading, asked), "perplexity": reading.perplexity}  # fmt: skip


def _unlearning(clock: Mapping[str, float]) -> float | None:
    """Seconds from the method's first stage to the saving of its edit."""
    names = list(clock)
    if "before" not in names or "save" not in names:
        return None
    return round(clock["save"] - clock[names[names.index("before") + 1]], 2)
