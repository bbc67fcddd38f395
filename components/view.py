"""What the page knows of one run: `RunView`, and `fold`, which adds one event to it. Pure; knows no HTML, no engine.

Live page, reload, second tab, saved run and replay all show `replay(events)`: there is no other way to a view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from unlearn_core.config import FORGET_SPLITS, KEEP_SPLITS
from unlearn_core.events import (
    Answer,
    EditReady,
    Failed,
    Finished,
    Loss,
    Measured,
    ModelReady,
    Notice,
    Overlap,
    Perplexity,
    Phase,
    Progress,
    Spectrum,
    Started,
    TokenScores,
    TopicReady,
)

from .story import Story

Place = tuple[int, str]  # (layer, matrix)


@dataclass(frozen=True, slots=True)
class RunView(Story):
    """All that a run has said so far. `phase_at`: seconds from its start to the start of its phase.

    `before` and `after` map a split to its measurement; `live` holds those on the fixed sample, in order.
    """

    run_id: str = ""
    model: ModelReady | None = None
    phase_at: float = 0.0
    after: dict[str, Measured] = field(default_factory=dict)
    live: tuple[Measured, ...] = ()
    perplexity: dict[str, Perplexity] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    answers: tuple[Answer, ...] = ()
    scores: dict[str, TokenScores] = field(default_factory=dict)
    spectra: dict[Place, Spectrum] = field(default_factory=dict)
    overlaps: dict[Place, Overlap] = field(default_factory=dict)
    edit: EditReady | None = None
    notices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.run_id

    @property
    def summary(self) -> dict[str, Any]:
        """The terminal summary, or {} before the end and after a failure."""
        return self.end.summary if isinstance(self.end, Finished) else {}

    @property
    def forget_splits(self) -> list[str]:
        return [split for split in FORGET_SPLITS if split in self.before or split in self.after]

    @property
    def keep_splits(self) -> list[str]:
        return [split for split in KEEP_SPLITS if split in self.before or split in self.after]

    def answers_of(self, split: str) -> list[Answer]:
        return [answer for answer in self.answers if answer.split == split]


def fold(view: RunView, event: object, at: float) -> RunView:
    """`view` after `event`, which happened `at` seconds into the run.

    Kinds that this version does not know leave the view as it is, and so does anything after the terminal event.
    """
    step = _STEPS.get(type(event))
    if step is None or view.over:
        return view
    return replace(view, at=max(view.at, at), **step(view, event, at))


def replay(events: Iterable[tuple[object, float] | None], view: RunView | None = None) -> RunView:
    """The view after all `events`, starting from `view`; None (an unreadable line) is skipped."""
    current = view or RunView()
    for entry in events:
        if entry is not None:
            current = fold(current, *entry)
    return current


# One small function a kind: the fields that change ------------------------------------------------------------------

def _started(view: RunView, event: Started, at: float) -> dict[str, Any]:
    return {"run_id": event.run_id, "config": event.config, "started_at": event.started_at}


def _phase(view: RunView, event: Phase, at: float) -> dict[str, Any]:
    return {"phase": event, "phase_at": at, "progress": None}


def _measured(view: RunView, event: Measured, at: float) -> dict[str, Any]:
    if event.stage == "before":
        return {"before": view.before | {event.split: event}}
    if event.stage == "after":
        return {"after": view.after | {event.split: event}}
    return {"live": (*view.live, event)}


def _perplexity(view: RunView, event: Perplexity, at: float) -> dict[str, Any]:
    return {"perplexity": view.perplexity | {event.stage: event}}


def _loss(view: RunView, event: Loss, at: float) -> dict[str, Any]:
    return {"losses": (*view.losses, event), "progress": Progress(event.step, event.total, "steps")}


def _scores(view: RunView, event: TokenScores, at: float) -> dict[str, Any]:
    return {"scores": view.scores | {event.question_id: event}}


def _spectrum(view: RunView, event: Spectrum, at: float) -> dict[str, Any]:
    return {"spectra": view.spectra | {(event.layer, event.matrix): event}}


def _overlap(view: RunView, event: Overlap, at: float) -> dict[str, Any]:
    return {"overlaps": view.overlaps | {(event.layer, event.matrix): event}}


def _notice(view: RunView, event: Notice, at: float) -> dict[str, Any]:
    return {} if event.text in view.notices else {"notices": (*view.notices, event.text)}


def _keep(name: str) -> Callable[[RunView, Any, float], dict[str, Any]]:
    return lambda view, event, at: {name: event}


def _append(name: str) -> Callable[[RunView, Any, float], dict[str, Any]]:
    return lambda view, event, at: {name: (*getattr(view, name), event)}


_STEPS: dict[type, Callable[[RunView, Any, float], dict[str, Any]]] = {
    Started: _started,
    ModelReady: _keep("model"),
    TopicReady: _keep("topic"),
    Phase: _phase,
    Progress: _keep("progress"),
    Measured: _measured,
    Perplexity: _perplexity,
    Loss: _loss,
    Answer: _append("answers"),
    TokenScores: _scores,
    Spectrum: _spectrum,
    Overlap: _overlap,
    EditReady: _keep("edit"),
    Notice: _notice,
    Finished: _keep("end"),
    Failed: _keep("end"),
}
