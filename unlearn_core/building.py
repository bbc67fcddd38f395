"""Building the model that never saw a topic, as a piece of work that tabs follow and anyone can stop.

It trains by the recipe of the world that the model belongs to and is stored beside it, as `demo.build --only-references` does;
shared stages that it finishes stay, so that a stop loses little and the next topic takes less. Imports no torch at first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .config import ReferenceConfig
from .errors import BadInput, LetheError
from .events import Event, Failed, Finished, Phase, Progress
from .preflight import model_folder
from .retraining import RECIPE, Retraining
from .store import Store
from .topics.catalogue import completed, find_topic

if TYPE_CHECKING:
    from .workbench import Workbench

EVERY = 10  # steps between two signs of progress
Publish = Callable[[Event, float], None]


@dataclass(frozen=True)
class Place:
    """What stands for a folder of events: a build keeps none, what it leaves is the model."""

    run_id: str
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def close(self) -> None:
        """Nothing is open."""


def _known(config: ReferenceConfig, store: Store) -> Retraining:
    folder = model_folder(config.model)
    return Retraining(folder, completed(find_topic(config.topic, folder, store.uploads), folder).topic)


def buildable(config: ReferenceConfig, store: Store) -> Retraining:
    """What is known of training that model. Raises BadInput where it cannot be trained or is there already."""
    known = _known(config, store)
    known.check(RECIPE)
    if known.at_hand():
        raise BadInput(f"A model that never saw {known.topic.title} is at hand already.", "", "")
    return known


def state_of(config: ReferenceConfig, store: Store) -> dict[str, Any]:
    """Whether that model is `at_hand`, and if not, whether it is `buildable` and in how many `seconds` at most."""
    try:
        known = _known(config, store)
        if known.at_hand():
            return {"at_hand": True, "buildable": False, "seconds": None}
        known.check(RECIPE)
    except BadInput:
        return {"at_hand": False, "buildable": False, "seconds": None}
    return {"at_hand": False, "buildable": True, "seconds": known.expected_seconds()}


@dataclass
class Building:
    """A model that was asked for, and what training it needs. `started`: time.monotonic() at the start. `share`: length of the
    training as a multiple of the recipe's. It is one of the things that a runner carries out as a whole (see Race)."""

    config: ReferenceConfig
    folder: Place
    store: Store
    started: float
    share: float = 1.0
    cancelled: Callable[[], bool] = lambda: False
    kind: str = field(default="build", init=False)
    running: str | None = field(default=None, init=False)

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def skip(self, run_id: str) -> None:
        """No run is at work in it."""

    def record(self, bench: Workbench, publish: Publish) -> None:
        """Train, store and score it, and publish how far that is, the terminal event last."""
        from .pipeline import failure

        try:
            publish(self._built(bench, publish), self.seconds())
        except LetheError as error:
            publish(Failed(error.what, error.why, error.remedy, ""), self.seconds())
        except OSError as error:
            why = f"{error.filename or model_folder(self.config.model)}: {error.strerror}."
            publish(Failed("The model could not be stored.", why, "Make its folder writable, or free some space.", ""),
                    self.seconds())
        except Exception as error:  # the boundary: a training that breaks becomes a card, never a dead worker
            bench.drop()
            publish(failure(error), self.seconds())

    def _built(self, bench: Workbench, publish: Publish) -> Finished:
        from .demo.build import publish_reference

        known = buildable(self.config, self.store)
        loaded = bench.load(self.config.model, self.config.device)
        publish(Phase("train", f"Train a model that never sees {known.topic.title}", 1, 2), self.seconds())
        last = None
        for last in known.fresh(loaded, self.share, self.cancelled, keep=self.share == 1.0):
            if last.step % EVERY == 0 or last.step == last.total:
                publish(Progress(last.step, last.total, "steps"), self.seconds())
        if last is None or last.step < last.total:
            return self._end("stopped")
        publish(Phase("score", "Store it and ask it the questions", 2, 2), self.seconds())
        publish_reference(known.folder, known.topic.name, last.model, loaded.tokenizer, round(self.seconds(), 1))
        return self._end("done")

    def _end(self, status: str) -> Finished:
        return Finished(status, self.seconds(), {"status": status, "model": self.config.model, "topic": self.config.topic})
