"""Work that waits for the one worker, and the log of a run that many tabs read. Starts no thread and knows no model."""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .events import Event, Progress

if TYPE_CHECKING:
    from .workbench import Workbench

Entry = tuple[Event, float]


@dataclass(frozen=True, slots=True)
class AskUpdate:
    """Both answers so far, in full. `waiting`: how many are before this one (0: the model is being loaded), None once
    the answers stream. `device`: "cpu · float32". `token` is what `stop_ask` takes. `reference`: what a model that never saw
    the topic answers, None where there is none."""

    original: str
    edited: str
    done: bool
    waiting: int | None
    tokens_per_second: float
    device: str
    token: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """Last thing that a task puts out; `error` is what to raise in the thread that waits for it."""

    error: Exception | None = None


@dataclass(eq=False)
class Task:
    """Work for the worker: `work` is called with the workbench and this task, and puts out what it finds.

    A `needed` task is carried out even when it was cancelled while it waited, so that a stopped run ends properly.
    """

    work: Callable[[Workbench, Task], None]
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    cancelled: threading.Event = field(default_factory=threading.Event)
    begun: bool = False
    needed: bool = False
    out: queue.SimpleQueue = field(default_factory=queue.SimpleQueue)

    @property
    def put(self) -> Callable[[Any], None]:
        return self.out.put

    def taken(self, timeout: float) -> tuple[list[Any], Ended | None]:
        """All that was put out and not taken yet, in order, and the end if it is among it. Raises queue.Empty where nothing
        comes within `timeout` seconds."""
        found = [self.out.get(timeout=timeout)]
        while not self.out.empty():
            found.append(self.out.get())
        return (found[:-1], found[-1]) if isinstance(found[-1], Ended) else (found, None)

    def progress(self, done: int, total: int) -> None:
        self.put(Progress(done, total, "questions"))


class RunLog:
    """The events of one run in memory; any number of followers read it while the worker adds to it."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._changed = threading.Condition()
        self._closed = False

    def add(self, event: Event, at: float) -> None:
        with self._changed:
            self._entries.append((event, at))
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def after(self, seen: int, timeout: float) -> tuple[list[Entry], bool]:
        """Entries from `seen` on, waiting up to `timeout` seconds for one, and whether no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._entries) > seen or self._closed, timeout)
            return self._entries[seen:], self._closed
