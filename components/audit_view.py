"""What the page knows of one audit: `AuditView`, and `fold`, which adds one event to it. Pure; knows no HTML, no engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from unlearn_core.events import (
    AttackBegun,
    AttackEnded,
    AttackPoint,
    AuditStarted,
    Failed,
    Finished,
    Notice,
    Phase,
    Progress,
)

from .story import Story

ORIGINAL, UNLEARNED, REFERENCE = SUBJECTS = ("original", "unlearned", "reference")
PLAIN = "plain"  # the attack that is none: what the others are compared with


@dataclass(frozen=True, slots=True)
class AuditView(Story):
    """All that an audit has said so far. `attacks`: plain data on each that takes part, in order; `rows`: the robustness card's,
    in the order in which they came; `points`: each attack's curves; `turn`: whose turn it is."""

    audit_id: str = ""
    run_id: str = ""
    attacks: tuple[dict[str, Any], ...] = ()
    subjects: tuple[str, ...] = ()
    turn: AttackBegun | None = None
    points: dict[str, tuple[AttackPoint, ...]] = field(default_factory=dict)
    rows: tuple[dict[str, Any], ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.audit_id

    @property
    def verdict(self) -> str:
        """The card in a sentence; "" before the end."""
        return str(self.end.summary.get("verdict") or "") if isinstance(self.end, Finished) else ""

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """The attacks that have no row, in order; the first of them may be at work."""
        ended = {row["attack"] for row in self.rows}
        return [attack for attack in self.attacks if attack["name"] not in ended]

    @property
    def latest(self) -> str:
        """The attack at work, or the last before it, that has a curve; "" before the first has."""
        return next(reversed(self.points), "")

    @property
    def share(self) -> float:
        """Done share of the whole audit, every attack on every model counting alike."""
        if self.turn is None or self.turn.count <= 0:
            return 0.0
        inside = self.progress.done / self.progress.total if self.progress and self.progress.total > 0 else 0.0
        return min(max((self.turn.index - 1 + min(inside, 1.0)) / self.turn.count, 0.0), 1.0)

    def attack(self, name: str) -> dict[str, Any]:
        """Plain data on an attack of this audit, {} where there is none of that name."""
        return next((attack for attack in self.attacks if attack["name"] == name), {})

    def row(self, name: str) -> dict[str, Any] | None:
        """An attack's row of the card, None before it has one."""
        return next((row for row in self.rows if row["attack"] == name), None)


def fold(view: AuditView, event: object, at: float) -> AuditView:
    """`view` after `event`, which happened `at` seconds into the audit; what it does not know leaves it as it is."""
    step = _STEPS.get(type(event))
    if step is None or view.over:
        return view
    return replace(view, at=max(view.at, at), **step(view, event))


def replay(events: Iterable[tuple[object, float]], view: AuditView | None = None) -> AuditView:
    """The view after all `events`, starting from `view`."""
    current = view or AuditView()
    for event, at in events:
        current = fold(current, event, at)
    return current


# One small function a kind: the fields that change ------------------------------------------------------------------

def _started(view: AuditView, event: AuditStarted) -> dict[str, Any]:
    return {"audit_id": event.audit_id, "run_id": event.run_id, "config": event.config, "started_at": event.started_at,
            "attacks": tuple(event.attacks), "subjects": tuple(event.subjects)}


def _point(view: AuditView, event: AttackPoint) -> dict[str, Any]:
    return {"points": view.points | {event.attack: (*view.points.get(event.attack, ()), event)}}


_STEPS: dict[type, Callable[[AuditView, Any], dict[str, Any]]] = {
    AuditStarted: _started,
    AttackBegun: lambda view, event: {"turn": event, "progress": None},
    AttackPoint: _point,
    AttackEnded: lambda view, event: {"rows": (*view.rows, event.row)},
    Notice: lambda view, event: {"notices": (*view.notices, event.text)},
    Phase: lambda view, event: {"phase": event, "progress": None},
    Progress: lambda view, event: {"progress": event},
    Finished: lambda view, event: {"end": event, "turn": None, "progress": None},
    Failed: lambda view, event: {"end": event, "turn": None, "progress": None},
}
