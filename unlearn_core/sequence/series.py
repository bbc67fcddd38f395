"""A sequence as it is asked for: what a topic and a method allow, the plan of a request, and the piece of work of the runner.

Loads no torch before the first request.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..config import RunConfig, SequenceConfig
from ..errors import BadInput, LetheError
from ..events import Event, Failed, Finished, Loss, Notice, Phase, Progress, RequestBegun
from ..preflight import model_folder, refuse
from ..store import SequenceFolder, Store
from ..topics.catalogue import completed, find_topic
from ..topics.topic import Topic
from .requests import MOST, Plan, entities_of, planned, single_requests, topic_requests, unable_modes

if TYPE_CHECKING:
    from ..workbench import Workbench

PASSED = (RequestBegun, Phase, Progress, Notice)  # what a sequence says of a run at work


def plan_of(config: SequenceConfig, store: Store) -> Plan:
    """Who asks, in which mode; everything that can be refused is, before torch is loaded. Raises BadInput."""
    if config.requests is not None and len(config.topics) > 1:
        raise BadInput("Only one topic can be split by entity.", "", "Give one --topic.", field="topic")
    if len(config.topics) > MOST:
        raise BadInput(f"A sequence cannot have {len(config.topics)} requests.", f"It has from 1 to {MOST}.", "", field="requests")
    for spec in config.topics:
        refuse(config.run(spec), store)
    found = [_topic(config.model, spec, store) for spec in config.topics]
    requests = topic_requests(found) if config.requests is None else single_requests(found[0], config.requests)
    return planned(requests, config.mode, config.method)


def allowed(config: RunConfig, store: Store) -> dict[str, Any]:
    """What a page can offer: `entities` that could ask, in the topic's order and at most as many as a sequence has, and
    `unable`: why a mode does not go with the method. Raises BadInput."""
    unable = {mode: f"{error.what} {error.why}" for mode, error in unable_modes(config.method).items()}
    return {"entities": list(entities_of(_topic(config.model, config.topic, store)))[:MOST], "unable": unable}


def _topic(model: str, spec: str, store: Store) -> Topic:
    folder = model_folder(model)
    return completed(find_topic(spec, folder, store.uploads), folder).topic


@dataclass
class Series:
    """A sequence that was asked for, and what it needs. `started`: time.monotonic() at the start that `seconds` count from.

    `running`: the run at work.
    """

    config: SequenceConfig
    plan: Plan
    folder: SequenceFolder
    store: Store
    started: float
    cancelled: Callable[[], bool] = lambda: False
    running: str | None = field(default=None, init=False)
    kind: str = field(default="sequence", init=False)
    _stopped: bool = field(default=False, init=False)

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def skip(self, run_id: str) -> None:
        """Stop at that run: the requests after it rest on it, so that the sequence ends with it."""
        self._stopped = self._stopped or run_id == self.running

    def record(self, bench: Workbench, publish: Callable[[Event, float], None]) -> None:
        """Carry it out and publish what happens, the last event with the table."""
        from .carry import Conductor

        def tell(event: Event, at: float) -> None:
            if isinstance(event, RequestBegun):
                self.running = event.run_id
            event = Progress(event.step, event.total, "steps") if isinstance(event, Loss) else event
            if isinstance(event, PASSED):
                publish(event, self.seconds())

        try:
            conductor = Conductor(bench, self.store, lambda: self._stopped or self.cancelled(), tell, self.started)
            body = conductor.run(self.plan, self.config.run(self.config.topics[0]), self.config.topics, self.folder)
        except LetheError as error:
            publish(Failed(error.what, error.why, error.remedy, ""), self.seconds())
            return
        finally:
            self.running = None
        publish(Finished(body["status"], self.seconds(), body), self.seconds())
