"""An audit: every attack on the original, the unlearned model and the reference alike, told as a list of events.

`record_audit` writes them into the audit's folder, so that the command and any number of browser tabs follow the same. What an
attack found on the original and on the reference is kept: it is the same for every run on that model and topic. Imports no
torch before the first attack.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..config import AuditConfig
from ..errors import BadInput, LetheError, Stopped, out_of_memory
from ..evaluation.references import floor, load_reference, reference_model, topic_hash
from ..evaluation.removal import CHANCE
from ..events import (
    AttackBegun,
    AttackEnded,
    AttackPoint,
    AuditStarted,
    Event,
    Failed,
    Finished,
    Notice,
    Phase,
    Progress,
    finite,
)
from ..preflight import model_folder
from ..version import code_version
from . import ATTACKS, find_attack, settings_of
from .attack import (
    ORIGINAL,
    REFERENCE,
    SUBJECTS,
    UNLEARNED,
    Attack,
    AttackConfig,
    Brief,
    Finding,
    Point,
    Step,
    inapplicable,
)
from .card import Row, row_of, verdict

if TYPE_CHECKING:
    from ..store import RunFolder, RunRecord, Store
    from ..workbench import Workbench
    from .subject import Subject

NO_MEMORY = "There was not enough memory for it: try a smaller model, another device, or this attack alone."
Publish = Callable[[Event], None]
Planned = list[tuple[Attack, AttackConfig]]


# --- what is asked for ------------------------------------------------------------------------------------------------

def planned(config: AuditConfig, store: Store) -> tuple[RunRecord, Planned]:
    """The run under test and the attacks on it with their settings. Raises BadInput for whatever of it cannot be."""
    record = store.find(config.run)
    if record.edit_path is None:
        raise BadInput(f"The run {record.run_id} has no edit that could be attacked.", f"It is {record.status}.",
                       "Pick another run.", field="run")
    chosen = list(config.attacks) or list(ATTACKS)
    for name in [*chosen, *config.settings]:
        find_attack(name)
        if chosen.count(name) > 1:
            raise BadInput(f"The attack '{name}' is named twice.", "", "Name each once.", field="attacks")
        if name not in chosen:
            raise BadInput(f"The attack '{name}' takes no part in the audit, but has a setting.", "",
                           f"Taking part: {', '.join(chosen)}.", field="settings")
    attacks = [find_attack(name) for name in chosen]
    return record, [(attack, settings_of(attack, config.settings.get(attack.name, {}))) for attack in attacks]


# --- carrying it out --------------------------------------------------------------------------------------------------

@dataclass
class Audit:
    """An audit that was asked for, and what it needs. `started`: time.monotonic() at the start that `seconds` count from.

    It is one of the things that a runner carries out as a whole (see Race): `kind`, `running` (no run is at work in it), `skip`.
    """

    config: AuditConfig
    folder: RunFolder
    store: Store
    started: float
    cancelled: Callable[[], bool] = lambda: False
    kind: str = field(default="audit", init=False)
    running: str | None = field(default=None, init=False)

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def skip(self, run_id: str) -> None:
        """No run is at work in an audit."""

    def record(self, bench: Workbench, publish: Callable[[Event, float], None]) -> None:
        """Carry it out and publish what happens, the terminal event last."""
        record_audit(self, bench, publish)


def record_audit(audit: Audit, bench: Workbench,
                 publish: Callable[[Event, float], None] = lambda event, at: None) -> Event:
    """Attack, write every event into the audit's folder, then publish it; returns the terminal event.

    An audit that fails before any attack had its turn leaves no folder behind.
    """
    rows: list[Row] = []

    def write(event: Event) -> None:
        at = audit.seconds()
        audit.folder.append(event, at)
        if isinstance(event, AttackEnded):
            rows.append(event.row)
        elif isinstance(event, Finished):
            audit.folder.finish(event.summary)
        elif isinstance(event, Failed) and not rows:
            audit.folder.discard()
        publish(event, at)

    end = _carried_out(audit, bench, write, rows)
    write(end)
    return end


def _carried_out(audit: Audit, bench: Workbench, write: Publish, rows: list[Row]) -> Event:
    """Every event of an audit but the last, which it returns."""
    from ..pipeline import failure

    notices: list[str] = []
    status = "done"
    try:
        record, attacks = planned(audit.config, audit.store)
        topic = bench.topic(record)
        folder = model_folder(record.config.model)
        subjects = [name for name in SUBJECTS if name != REFERENCE or reference_model(folder, topic) is not None]
        write(AuditStarted(audit.folder.run_id, record.run_id, audit.config.model_dump(mode="json"), audit.folder.started_at,
                           [_told(attack) for attack, _ in attacks], subjects))
        if REFERENCE not in subjects:
            notices.append(_no_reference(topic.title, load_reference(folder, topic) is not None))
            write(Notice(notices[-1]))
        write(Phase("load", "Load the models", 1, 2))
        turns = _Turns(audit, bench, write, record)
        try:
            for row in turns.rows(attacks):
                write(AttackEnded(finite(row)))
        except Stopped:
            status = "stopped"
        if audit.cancelled():
            status = "stopped"
        return Finished(status, audit.seconds(), _document(audit, record, status, rows, notices, len(attacks)))
    except LetheError as error:
        return Failed(error.what, error.why, error.remedy, "")
    except Exception as error:  # the boundary: an attack that breaks becomes a card, never a dead audit
        bench.drop()
        return failure(error)


def _told(attack: Attack) -> dict[str, Any]:
    body = attack.describe()
    del body["config_schema"]
    return body


def _document(audit: Audit, record: RunRecord, status: str, rows: list[Row], notices: list[str], planned: int) -> dict[str, Any]:
    """What the audit's summary holds."""
    return finite({
        "audit_id": audit.folder.run_id, "run_id": record.run_id, "status": status, "seconds": round(audit.seconds(), 2),
        "model": record.config.model, "topic": record.config.topic, "method": record.config.method,
        "config": audit.config.model_dump(mode="json"), "verdict": verdict(rows, planned), "rows": list(rows), "notices": notices,
        "code_version": code_version(),
    })


class _Turns:
    """Every attack's turn on every model."""

    def __init__(self, audit: Audit, bench: Workbench, write: Publish, record: RunRecord) -> None:
        from .subject import Subject

        self._audit, self._write = audit, write
        loaded, edit = bench.of(record)
        self._topic = bench.topic(record)
        self._kept = load_reference(model_folder(record.config.model), self._topic)
        self.subjects: dict[str, Subject] = {ORIGINAL: Subject(ORIGINAL, loaded), UNLEARNED: Subject(UNLEARNED, loaded, edit)}
        beside = bench.reference(loaded, self._topic)
        if beside is not None:
            self.subjects[REFERENCE] = Subject(REFERENCE, beside)

    def rows(self, attacks: Planned) -> Iterator[Row]:
        """The card's rows, one after another. Raises Stopped."""
        self._write(Phase("attack", "Attack", 2, 2))
        count = len(attacks) * len(self.subjects)
        for place, (attack, settings) in enumerate(attacks):
            findings = {}
            for turn, (name, subject) in enumerate(self.subjects.items()):
                findings[name] = self._finding(attack, settings, subject, place * len(self.subjects) + turn + 1, count)
            lowest, _ = floor(self._topic, "forget", self._kept)
            by_chance = self._topic.floors.get("forget") == CHANCE
            yield row_of(attack, findings, lowest, by_chance)

    def _finding(self, attack: Attack, settings: AttackConfig, subject: Subject, index: int, count: int) -> Finding:
        """What an attack finds on one model: kept from an earlier audit, or now."""
        if self._audit.cancelled():
            raise Stopped
        key = None if subject.name == UNLEARNED else self._key(attack, settings, subject)
        body = self._audit.store.kept(key) if key is not None else None
        self._write(AttackBegun(attack.name, subject.name, index, count, body is not None))
        if body is not None:
            for point in body["points"]:
                self._write(AttackPoint(attack.name, subject.name, **point))
            return Finding(**body["finding"])
        finding, points = self._attacked(attack, settings, subject)
        if key is not None and finding.reason != NO_MEMORY:  # another day there may be enough
            self._audit.store.keep(key, {"finding": finite(asdict(finding)), "points": points})
        return finding

    def _attacked(self, attack: Attack, settings: AttackConfig, subject: Subject) -> tuple[Finding, list[dict[str, Any]]]:
        brief = Brief(subject, self.subjects[ORIGINAL], self._topic, self._audit.config.seed, self._audit.cancelled)
        points: list[dict[str, Any]] = []
        try:
            for item in attack.run(brief, settings):
                if isinstance(item, Finding):
                    return item, points
                if isinstance(item, Point):
                    points.append(asdict(item))
                    self._write(AttackPoint(attack.name, subject.name, item.series, item.x, item.knowledge))
                elif isinstance(item, Step):
                    self._write(Progress(item.done, item.total, item.unit))
        except LetheError as error:  # such as a context that the model cannot read: the other attacks go on
            return inapplicable(str(error)), points
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            return inapplicable(NO_MEMORY), []
        raise Stopped

    def _key(self, attack: Attack, settings: AttackConfig, subject: Subject) -> str:
        """The same for the same attack on the same weights, whichever run is under test."""
        weights = {subject.loaded.weights_hash, *((self.subjects[ORIGINAL].loaded.weights_hash,) if attack.compares else ())}
        place = f"{subject.loaded.device.type}-{subject.loaded.dtype}"
        text = json.dumps([attack.name, settings.model_dump(mode="json"), sorted(weights), topic_hash(self._topic), place,
                           self._audit.config.seed, code_version()])
        return f"attack-{attack.name}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _no_reference(title: str, scored: bool) -> str:
    floors = ("what it scored when it was asked plainly stands for it" if scored else
              "the floor is 0 or, in a forced choice, chance")
    return f"No model that never saw {title} is at hand to be attacked beside this one, so {floors}."
