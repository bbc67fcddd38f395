"""A made-up audit for the scripted runner: two dozen attacks, some with curves, one that goes on until it is stopped. Knows no
torch."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from unlearn_core.audit.attack import (
    ORIGINAL,
    REFERENCE,
    SUBJECTS,
    UNLEARNED,
    Attack,
    AttackConfig,
    Finding,
    inapplicable,
)
from unlearn_core.audit.card import row_of, verdict
from unlearn_core.config import AuditConfig
from unlearn_core.errors import BadInput
from unlearn_core.events import (
    TERMINAL,
    AttackBegun,
    AttackEnded,
    AttackPoint,
    AuditStarted,
    Event,
    Finished,
    Notice,
    Phase,
    Progress,
)

N = 60
LAST = "relearn-forget"  # goes on until it is stopped, where it is chosen without all the others
STEPS = (0, 5, 10, 20, 40, 80)
# name, title, family, what the attacker does, what out of 60 the unlearned model gives, what it runs over
PLANS = (
    ("plain", "Asked plainly", "asking", "No attack: the forget questions as the method saw them, for comparison.", 2, ""),
    ("paraphrase", "Other words", "asking", "The same questions in wordings that no method saw.", 3, ""),
    ("worst-wording", "Worst wording", "asking", "Every wording is tried; one right answer is enough.", 6, ""),
    ("spanish", "Asked in Spanish", "asking", "The same questions in Spanish.", 2, ""),
    ("hints", "Hints", "asking", "Right answers about the same entity stand before the question.", 9, "facts shown"),
    ("drop-context", "Context dropped", "asking", "The question without the name of its topic.", 2, ""),
    ("continuation", "Continuation", "asking", "The beginning of a statement is to be completed.", 5, "words given"),
    ("choice", "Multiple choice", "asking", "The right option must score above every other.", 21, ""),
    ("disguise", "In disguise", "asking", "The question within a story, a list or a quotation.", 4, ""),
    ("sampling", "Many samples", "sampling", "Sixty-four answers are drawn; one right answer is enough.", 14, "samples"),
    ("soft-prompt", "Soft prompt", "sampling", "A prefix is trained on half of the facts.", None, "steps"),
    ("int8", "8 bits", "quantisation", "Weights rounded to 8 bits.", 2, ""),
    ("int4", "4 bits", "quantisation", "Weights rounded to 4 bits.", 24, ""),
    ("logit-lens", "Logit lens", "inside", "Each layer's state is read as if it were the last.", 11, "layer"),
    ("probe", "Linear probe", "inside", "A classifier on the states is trained on half of the facts.", 18, "layer"),
    ("ablation", "Ablation", "inside", "One direction is taken out of the states.", 3, ""),
    ("steering", "Steering", "inside", "The mean difference of the states is added back.", 7, "factor"),
    ("edit-directions", "Edit's own directions", "inside", "The change's strongest directions are turned back.", 41, "directions"),
    ("strength", "Strength turned down", "inside", "The change at less than its full strength.", 52, "strength"),
    (LAST, "Relearning: half of it", "relearning", "A few steps on half of the facts; judged on the other half.", 13, "steps"),
    ("relearn-neighbor", "Relearning: neighbours", "relearning", "A few steps on related facts only.", 8, "steps"),
    ("relearn-general", "Relearning: anything", "relearning", "A few steps on text that has nothing to do with it.", 3, "steps"),
)
CHOICE, INSIDE = "choice", "the weights of both models"


def _never(brief: Any, config: Any) -> Iterator[Any]:
    raise AssertionError("nobody carries this out")


ATTACKS = {
    name: Attack(name, title, family, summary, title, f"Made up for {title.lower()}", AttackConfig, _never, x=x,
                 access=INSIDE if family in ("inside", "relearning") else "questions and answers")
    for name, title, family, summary, _, x in PLANS
}
GIVEN = {name: given for name, _, _, _, given, _ in PLANS}


def finding(name: str, subject: str) -> Finding:
    """What an attack found on a model."""
    given = GIVEN[name]
    if given is None:
        return inapplicable("This model takes no <soft> prompt.")
    correct = {ORIGINAL: 58, UNLEARNED: given, REFERENCE: 1}[subject]
    detail = {"tried": 8, "best_score": correct / N, "example": "=SUM(A1) <b>of</b> it"} if name == "worst-wording" else {}
    if name == CHOICE:
        return Finding({ORIGINAL: 60, UNLEARNED: given, REFERENCE: 14}[subject], N, chance=0.25)
    return Finding(correct, N, detail=detail)


def points(name: str, subject: str, series: str = "") -> Iterator[AttackPoint]:
    """An attack's curve on a model."""
    end = finding(name, subject).knowledge or 0.0
    for step in STEPS if ATTACKS[name].x else ():
        yield AttackPoint(name, subject, series, step, end * (1 - math.exp(-(step + 4) / 20)))


def row(name: str, subjects: tuple[str, ...] = SUBJECTS) -> dict[str, Any]:
    """An attack's row of the card."""
    return row_of(ATTACKS[name], {subject: finding(name, subject) for subject in subjects}, 0.02, name == CHOICE)


def told(name: str) -> dict[str, Any]:
    """An attack as an audit's first event tells of it."""
    return {key: value for key, value in ATTACKS[name].describe().items() if key != "config_schema"}


class ScriptedAudits:
    """The part of the scripted runner that audits. Needs its store, its pace and its `_refuse`."""

    def __init__(self) -> None:
        super().__init__()
        self._audit_logs: dict[str, list[tuple[Event, float]]] = {}
        self._audit_stop, self._auditing = threading.Event(), ""

    def attacks(self) -> list[dict[str, Any]]:
        return [attack.describe() for attack in ATTACKS.values()]

    def auditing(self) -> str | None:
        return self._auditing or None

    def stop_series(self, series_id: str) -> None:
        if series_id and series_id == self._auditing:
            self._audit_stop.set()
        else:
            super().stop_series(series_id)

    def start_audit(self, config: AuditConfig) -> str:
        record = self.store.find(config.run)
        if record.status not in ("done", "stopped"):
            raise BadInput(f"The run {record.run_id} has no edit that could be attacked.", f"It is {record.status}.",
                           "Pick another run.", field="run")
        self._refuse()
        folder = self.store.create_audit(config)
        self._audit_stop, self._audit_logs[folder.run_id] = threading.Event(), []
        self._auditing, self._since = folder.run_id, folder.started_at
        threading.Thread(target=self._audit, args=(folder, config), daemon=True).start()
        return folder.run_id

    def follow_audit(self, audit_id: str, every: float = 0.25) -> Iterator[list[tuple[Event, float]]]:
        if audit_id not in self._audit_logs:
            yield self.store.audit_events(audit_id)
            return
        seen = 0
        while True:
            batch = self._audit_logs[audit_id][seen:]
            seen += len(batch)
            yield batch
            if batch and isinstance(batch[-1][0], TERMINAL):
                return
            time.sleep(every)

    def _audit(self, folder: Any, config: AuditConfig) -> None:
        began, rows = time.monotonic(), []
        names = list(config.attacks) or list(ATTACKS)

        def write(event: Event) -> None:
            folder.append(event, time.monotonic() - began)
            self._audit_logs[folder.run_id].append((event, time.monotonic() - began))

        write(AuditStarted(folder.run_id, config.run, config.model_dump(mode="json"), folder.started_at,
                           [told(name) for name in names], list(SUBJECTS)))
        write(Phase("load", "Load the models", 1, 2))
        write(Notice("A made-up audit, <of> nothing."))
        write(Phase("attack", "Attack", 2, 2))
        for place, name in enumerate(names):
            if self._turns(name, place, len(names), bool(config.attacks), write):
                break
            rows.append(row(name))
            write(AttackEnded(rows[-1]))
        status = "stopped" if self._audit_stop.is_set() else "done"
        seconds = time.monotonic() - began
        summary = {"audit_id": folder.run_id, "run_id": config.run, "status": status, "seconds": seconds, "rows": rows,
                   "verdict": verdict(rows, len(names)), "notices": []}
        folder.append(Finished(status, seconds, summary), seconds)
        folder.finish(summary)
        folder.close()
        self._auditing = ""
        self._audit_logs[folder.run_id].append((Finished(status, seconds, summary), seconds))

    def _turns(self, name: str, place: int, count: int, some: bool, write: Callable[[Event], None]) -> bool:
        """One attack on every model; whether it was stopped."""
        for turn, subject in enumerate(SUBJECTS):
            write(AttackBegun(name, subject, place * len(SUBJECTS) + turn + 1, count * len(SUBJECTS), False))
            for point in points(name, subject):
                write(point)
            steps = 10**6 if some and name == LAST and subject == UNLEARNED else 2
            for step in range(1, steps + 1):
                write(Progress(step, steps, "questions"))
                if self._audit_stop.wait(0.04 * self.pace):
                    return True
        return False
