"""What each browser tab is looking at, and which of its followers is the current one. Knows no widgets, no models."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from unlearn_core.events import Answer, TokenScores
from unlearn_core.store import RECORDED

from .audit_seat import AuditSeat
from .build_seat import BuildSeat
from .pairs import FEW
from .questions import Choice
from .race_seat import RaceSeat
from .sequence_seat import SequenceSeat
from .view import RunView


@dataclass
class Seat:
    """One tab. `generation` grows with every run that is opened in it; a follower of an older generation ends.

    `scores` and `answers` (by question) belong to the strength `looked_at`; beside the run's own, which are those of strength 1.
    `rescored` belongs to `strength`.
    """

    run_id: str = RECORDED
    generation: int = 0
    followers: int = 0
    kept: bool = True  # whether the open run is still there to be linked to and replayed
    opening: str | None = None  # a run to be followed next: "follow", "replay" or None
    mode: str = "heat"
    limit: int = FEW  # answer pairs shown
    strength: float = 1.0
    settled: str = ""  # what was said when the dial was set to a position beside the one that was typed
    layer: int | None = None
    matrix: str | None = None
    tab: str = "compare"
    question: str = ""
    scores: dict[str, TokenScores] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    looked_at: float = 1.0
    rescored: dict[str, Any] | None = None
    listed: Choice = field(default_factory=Choice)  # what the list of questions shows
    heats: dict[str, TokenScores] = field(default_factory=dict)  # of unfolded questions that the run did not score, at strength 1
    scoring: str = ""  # the unfolded question whose words are being scored
    picked_at: dict[str, float] = field(default_factory=dict)  # when each kind of thing was picked last there, by the page's clock
    saved: int = 0  # how many files the browser was given to save
    topics: list[tuple[str, str]] = field(default_factory=list)  # (title, name) of every topic offered so far
    chosen: str | None = None  # the run selected in the table of runs
    deleted: str | None = None
    known: set[str] = field(default_factory=set)  # runs that this tab opened, or was told of while they were at work
    said: bool = False  # whether a message is in sight
    offered: tuple[str, str] | None = None  # a run at work that a message in sight offers to watch, and the message
    undoing: tuple[str, int] | None = None  # a request of a sequence that is being undone: (sequence, place)
    undone: str = ""  # the sequence in which one was last
    presets: int = 0  # how often the method's own controls were made anew, and for which method last
    method: str = ""
    refused: bool = False  # whether a card stands where the answers would
    metrics_of: str = ""  # what the metrics in sight are of, and what is being measured for this tab
    measuring: str = ""
    asking: str = ""  # the token of the question being answered
    answered: tuple[str, float | None] | None = None  # the question whose answers are in sight, and their strength
    view: RunView | None = None  # the open run as last drawn, and whether somebody is at work on it
    running: bool = False
    pictures: int = 0  # how often this tab was drawn
    seen: dict[str, tuple] = field(default_factory=dict)  # what the parts on the page were drawn from
    race: RaceSeat = field(default_factory=RaceSeat)
    sequence: SequenceSeat = field(default_factory=SequenceSeat)
    audit: AuditSeat = field(default_factory=AuditSeat)
    build: BuildSeat = field(default_factory=BuildSeat)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def open(self, run_id: str, how: str = "follow") -> None:
        """Look at another run from now on; every follower that is still at work in this tab becomes stale."""
        with self.lock:
            if self.generation:  # what was chosen while the page was still arriving stays
                self.listed = Choice()
            self.generation += 1
            self.opening, self.kept = how, True
            self.known.add(run_id)
            if run_id != self.run_id:
                self.run_id, self.layer, self.matrix, self.limit = run_id, None, None, FEW
                self.question = ""  # it was asked of the other run
                self.audit.leave()
            self.view, self.running = None, False
            self.heats, self.scoring = {}, ""
            self.set_strength(1.0)
            self.seen.clear()

    def set_strength(self, strength: float) -> None:
        """Another strength. Answers and token scores of the one before stay on the screen until those of this one are there."""
        self.strength, self.rescored, self.settled = strength, None, ""
        if strength == 1:
            self.look(1.0, {}, {})

    def look(self, strength: float, scores: dict[str, TokenScores], answers: dict[str, Answer]) -> None:
        """What the shown pairs are at a strength."""
        self.looked_at, self.scores, self.answers = strength, scores, answers

    def begin(self) -> Turn | None:
        """The turn of a new follower, or None when nothing was opened since the last one began."""
        with self.lock:
            if self.opening is None:
                return None
            how, self.opening = self.opening, None
            self.followers += 1
            return Turn(self, self.run_id, self.generation, how)


@dataclass(frozen=True, slots=True)
class Turn:
    """One follower's right to draw."""

    seat: Seat
    run_id: str
    generation: int
    how: str

    @property
    def current(self) -> bool:
        return self.seat.generation == self.generation

    @property
    def alone(self) -> bool:
        """Whether every earlier follower has ended, so that nothing of theirs can still arrive at the page."""
        return self.seat.followers <= 1

    def end(self) -> None:
        with self.seat.lock:
            self.seat.followers -= 1


class Seats:
    """The seats of all open tabs, by Gradio's session."""

    def __init__(self) -> None:
        self._seats: dict[str, Seat] = {}
        self._lock = threading.Lock()

    def of(self, session: str | None) -> Seat:
        with self._lock:
            return self._seats.setdefault(session or "", Seat())

    def leave(self, session: str | None) -> None:
        with self._lock:
            seat = self._seats.pop(session or "", None)
        if seat is not None:
            seat.generation += 1
            seat.race.generation += 1
            seat.sequence.generation += 1
            seat.audit.generation += 1
            seat.build.generation += 1
