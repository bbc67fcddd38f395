"""The runs folder: the only code that touches it. Knows runs as files, not how a run works."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from .config import AuditConfig, RaceConfig, RunConfig
from .errors import BadInput, did_you_mean
from .events import TERMINAL, Event, decode, encode
from .locks import is_locked, locked
from .packing import pack, size, unpack
from .topics.reader import read_topic, shorten, write_topic
from .topics.topic import Topic
from .topics.uploads import slug
from .version import code_version

RECORDED = "recorded"
DEMO_RUN = Path(__file__).parent.parent / "assets" / "demo_run"
CONFIG, EVENTS, EDIT, SUMMARY, ABOUT, LOCK = (
    "config.json", "events.jsonl", "edit.safetensors", "summary.json", "about.json", "lock")
TRASH, KEPT, TOPICS, RACES, AUDITS = ".trash", ".kept", "topics", "races", "audits"
SEQUENCES, SEQUENCE = "sequences", "sequence.json"
DOWNLOADS = "downloads"  # no dot: the page serves no hidden files
MAX_TITLE, MAX_NOTE = 120, 2_000  # characters
MAX_KEPT = 512 * 2**20  # bytes of tensors under one key


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as listed. `status`: running | done | stopped | failed | interrupted. `started_at`: ISO 8601, UTC.

    `title` and `note` are "" where no one wrote any; `seconds` and `summary` are None for a run that is running or was interrupted.
    """

    run_id: str
    config: RunConfig
    status: str
    title: str
    note: str
    started_at: str
    seconds: float | None
    summary: dict[str, Any] | None
    path: Path

    @property
    def edit_path(self) -> Path | None:
        path = self.path / EDIT
        return path if path.is_file() else None

    @property
    def read_only(self) -> bool:
        return self.run_id == RECORDED


@dataclass(frozen=True, slots=True)
class RaceRecord:
    """One race as listed; its fields are as in `RunRecord`. `summary` holds the rows of the methods."""

    race_id: str
    config: RaceConfig
    status: str
    started_at: str
    summary: dict[str, Any] | None
    path: Path


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One audit as listed; its fields are as in `RunRecord`. `summary` holds the rows of the robustness card."""

    audit_id: str
    config: AuditConfig
    status: str
    started_at: str
    summary: dict[str, Any] | None
    path: Path


class RunFolder:
    """The folder of a run, a race or an audit in progress. It is locked while this object lives: the lock dies with the process."""

    def __init__(self, path: Path, config: RunConfig | RaceConfig | AuditConfig) -> None:
        self.path, self.run_id, self.config = path, path.name, config
        self.started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._lock = locked(path / LOCK)
        self._events = (path / EVENTS).open("a", encoding="utf-8")
        body = {"run_id": self.run_id, "started_at": self.started_at, "pid": os.getpid(),
                "config": config.model_dump(mode="json")}
        _write_json(path / CONFIG, body)

    @property
    def edit_path(self) -> Path:
        return self.path / EDIT

    def append(self, event: Event, at: float) -> None:
        """Write one event, `at` seconds after the start; it is on its way to the disk when this returns."""
        self._events.write(encode(event, at) + "\n")
        self._events.flush()

    def finish(self, summary: dict[str, Any]) -> None:
        """Mark the run complete: the summary appears by rename, then the lock is released."""
        _write_json(self.path / SUMMARY, summary)
        self.close()

    def discard(self) -> None:
        """Remove the folder: nothing was done that is worth keeping."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        self._events.close()
        if self._lock is not None:
            self._lock.close()
            (self.path / LOCK).unlink(missing_ok=True)
            self._lock = None


class SequenceFolder:
    """The folder of a sequence of requests: its table, the topics of its runs and the requests' own edits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sequence_id = self.run_id = path.name
        self.started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._lock: IO[str] | None = None

    def hold(self) -> None:
        """Lock the folder until `close`: a sequence is at work in it. The lock dies with the process."""
        self._lock = locked(self.path / LOCK)

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            (self.path / LOCK).unlink(missing_ok=True)
            self._lock = None

    def body(self) -> dict[str, Any] | None:
        """The table as saved; one whose process has died says that it was interrupted. None where there is none."""
        found = _read_json(self.path / SEQUENCE)
        if found and found.get("status") == "running" and not is_locked(self.path / LOCK):
            return found | {"status": "interrupted"}
        return found

    def edit_path(self, name: str) -> Path:
        """Where an edit of that name lies, or will."""
        return self.path / f"{name}.safetensors"

    def put_topic(self, topic: Topic, number: int) -> Path:
        """Write the topic of the run with that number; returns the file."""
        folder = self.path / TOPICS
        folder.mkdir(exist_ok=True)
        path = folder / f"{topic.name}-{number}.json"
        write_topic(topic, path)
        return path

    def discard(self) -> None:
        """Remove the folder: nothing was done that is worth keeping."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, body: dict[str, Any]) -> None:
        """Save the table."""
        _write_json(self.path / SEQUENCE, body)


class Store:
    """All runs under one folder, uploaded topics, and what was computed once and is worth keeping.

    `recorded` is the folder of the run that ships with the program; it is listed last and cannot be changed.
    """

    def __init__(self, root: Path | str, recorded: Path | None = DEMO_RUN) -> None:
        self.root, self.recorded = Path(root).absolute(), recorded

    @property
    def uploads(self) -> Path:
        return self.root / TOPICS

    # --- runs -----------------------------------------------------------------------------------------------------

    def create(self, config: RunConfig) -> RunFolder:
        """A new, locked folder <date>-<topic>-<digest>; raises BadInput where the runs folder cannot be written."""
        return self._create(self.root, config, slug(Path(config.topic).stem))

    def _create(self, parent: Path, config: RunConfig | RaceConfig | AuditConfig, about: str) -> RunFolder:
        name = f"{datetime.now(UTC):%Y-%m-%d}-{about}-{config.digest()}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            return RunFolder(_new_folder(parent, name), config)
        except OSError as error:
            raise BadInput(f"The runs folder {self.root} cannot be written.", f"{error.strerror}.",
                           "Give another with --runs-dir.") from error

    def runs(self) -> list[RunRecord]:
        """Every run that opens, newest first; the recorded one last."""
        folders = [path for path in self.root.iterdir() if path.is_dir()] if self.root.is_dir() else []
        records = [record for path in folders if (record := _record(path, path.name)) is not None]
        records.sort(key=lambda record: (record.started_at, record.run_id), reverse=True)
        recorded = self._recorded()
        return records + ([recorded] if recorded else [])

    def find(self, spec: str) -> RunRecord:
        """The run with that id, unique beginning of an id, or path of its folder (or of a file in it)."""
        if spec == RECORDED and (recorded := self._recorded()):
            return recorded
        if _plain(spec) and os.path.isdir(self.root / spec) and (record := _record(self.root / spec, spec)):
            return record
        if os.path.exists(spec) and (record := _from_path(Path(spec))):
            return record
        ids = [record.run_id for record in self.runs()]
        near = [run_id for run_id in ids if spec and run_id.startswith(spec)]
        if len(near) == 1:
            return self.find(near[0])
        if near:
            raise BadInput(f"'{shorten(spec)}' is the beginning of {len(near)} runs.", "",
                           f"Which one: {', '.join(near[:5])}?", field="edits")
        remedy = did_you_mean(shorten(spec), ids[:10]) if ids else "There are no runs yet."
        raise BadInput(f"There is no run '{shorten(spec)}'.", "", remedy, field="edits")

    def events(self, run_id: str) -> list[tuple[Event, float]]:
        """All events of a run with their seconds, in order; unknown kinds and a line cut short are skipped."""
        return list(read_events(self.find(run_id).path))

    def offered_edit(self, run_id: str) -> Path | None:
        """The run's edit under a name that says which run it is of, to be taken away; None where there is none.

        It is a second name of the same file, or a copy where the disk knows no such thing.
        """
        record = self.find(run_id)
        if record.edit_path is None:
            return None
        path = self.root / DOWNLOADS / record.run_id / f"{_told(record)}{record.edit_path.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            os.link(record.edit_path, path)
        except OSError:
            shutil.copyfile(record.edit_path, path)
        return path

    def rename(self, run_id: str, title: str) -> None:
        self._about(run_id, "title", " ".join(title.split())[:MAX_TITLE])

    def note(self, run_id: str, note: str) -> None:
        self._about(run_id, "note", note.strip()[:MAX_NOTE])

    def delete(self, run_id: str) -> None:
        """Move a run into the trash, from where `restore` brings it back."""
        record = self._changeable(run_id)
        if record.status == "running":
            raise BadInput("This run is still running.", "", "Stop it first.")
        trash = self.root / TRASH
        trash.mkdir(exist_ok=True)
        shutil.rmtree(trash / record.run_id, ignore_errors=True)
        shutil.rmtree(self.root / DOWNLOADS / record.run_id, ignore_errors=True)
        record.path.rename(trash / record.run_id)

    def restore(self, run_id: str) -> None:
        """Undo `delete`."""
        path = self.root / TRASH / run_id
        if not _plain(run_id) or not path.is_dir() or (self.root / run_id).exists():
            raise BadInput(f"The run '{run_id}' is not in the trash.", "", "")
        path.rename(self.root / run_id)

    def _about(self, run_id: str, key: str, value: str) -> None:
        path = self._changeable(run_id).path / ABOUT
        _write_json(path, {**(_read_json(path) or {}), key: value})

    def _changeable(self, run_id: str) -> RunRecord:
        record = self.find(run_id)
        if record.read_only or record.path.parent != self.root:
            raise BadInput("This run cannot be changed.", "It does not lie in the runs folder.", "")
        return record

    def _recorded(self) -> RunRecord | None:
        return _record(self.recorded, RECORDED) if self.recorded is not None else None

    # --- sequences of requests ----------------------------------------------------------------------------------------

    def create_sequence(self, name: str) -> SequenceFolder:
        """A new folder <date>-<name> for a sequence; raises BadInput where it cannot be written."""
        folder = self.root / SEQUENCES
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = SequenceFolder(_new_folder(folder, f"{datetime.now(UTC):%Y-%m-%d}-{name}"))
            found.hold()
            return found
        except OSError as error:
            raise BadInput(f"The runs folder {self.root} cannot be written.", f"{error.strerror}.",
                           "Give another with --runs-dir.") from error

    def sequences(self) -> list[dict[str, Any]]:
        """The tables of all sequences, newest first."""
        folder = self.root / SEQUENCES
        found = [SequenceFolder(path).body() for path in folder.iterdir()] if folder.is_dir() else []
        whole = [body for body in found if body and "sequence_id" in body]
        return sorted(whole, key=lambda body: (body.get("started_at", ""), body["sequence_id"]), reverse=True)

    def find_sequence(self, spec: str) -> tuple[SequenceFolder, dict[str, Any]]:
        """The sequence with that id, unique beginning of an id, or path of its folder (or of a file in it)."""
        given = Path(spec)
        paths = [given if given.is_dir() else given.parent] if spec and given.exists() else []
        if not paths:
            folder = self.root / SEQUENCES
            every = sorted(folder.iterdir()) if folder.is_dir() else []
            paths = [path for path in every if path.name == spec] or [p for p in every if spec and p.name.startswith(spec)]
        found = [(path.absolute(), body) for path in paths if (body := SequenceFolder(path).body()) is not None]
        if len(found) == 1:
            return SequenceFolder(found[0][0]), found[0][1]
        why = f"It is the beginning of {len(found)}." if found else ""
        known = [path.name for path, _ in found] or [body["sequence_id"] for body in self.sequences()[:10]]
        remedy = did_you_mean(shorten(spec), known) if known else "There are no sequences yet."
        what = f"'{shorten(spec)}' names more than one sequence." if found else f"There is no sequence '{shorten(spec)}'."
        raise BadInput(what, why, remedy, field="sequence")

    # --- races --------------------------------------------------------------------------------------------------------

    def create_race(self, config: RaceConfig) -> RunFolder:
        """A new, locked folder for what happens in a race; its runs have folders of their own. Raises BadInput."""
        return self._create(self.root / RACES, config, f"race-{slug(Path(config.topic).stem)}")

    def races(self) -> list[RaceRecord]:
        """Every race that opens, newest first."""
        return _listed(self.root / RACES, _race_record)

    def race(self, race_id: str) -> RaceRecord:
        """The race with that id; raises BadInput where there is none."""
        record = _race_record(self.root / RACES / race_id) if _plain(race_id) else None
        if record is None:
            raise BadInput(f"There is no race '{shorten(race_id)}'.", "", "Pick one of those that are listed.", field="race")
        return record

    def race_events(self, race_id: str) -> list[tuple[Event, float]]:
        """All events of a race, as `events` gives those of a run."""
        return list(read_events(self.race(race_id).path))

    # --- audits -------------------------------------------------------------------------------------------------------

    def create_audit(self, config: AuditConfig) -> RunFolder:
        """A new, locked folder for what happens in an audit. Raises BadInput."""
        return self._create(self.root / AUDITS, config, f"audit-{slug(config.run)}"[:80])

    def audits(self, run_id: str | None = None) -> list[AuditRecord]:
        """Every audit that opens, of one run where it is named, newest first."""
        return [record for record in _listed(self.root / AUDITS, _audit_record) if run_id in (None, record.config.run)]

    def audit(self, audit_id: str) -> AuditRecord:
        """The audit with that id; raises BadInput where there is none."""
        record = _audit_record(self.root / AUDITS / audit_id) if _plain(audit_id) else None
        if record is None:
            raise BadInput(f"There is no audit '{shorten(audit_id)}'.", "", "Pick one of those that are listed.", field="audit")
        return record

    def audit_events(self, audit_id: str) -> list[tuple[Event, float]]:
        """All events of an audit, as `events` gives those of a run."""
        return list(read_events(self.audit(audit_id).path))

    # --- topics and what is kept --------------------------------------------------------------------------------------

    def add_topic(self, topic: Topic) -> None:
        """Write an uploaded topic under its name, replacing an earlier one of that name."""
        self.uploads.mkdir(parents=True, exist_ok=True)
        part = self.uploads / f"{topic.name}.part"
        write_topic(topic, part)
        part.replace(self.uploads / f"{topic.name}.json")

    def holds_topic(self, topic: Topic) -> bool:
        """Whether this very topic was uploaded before."""
        path = self.uploads / f"{topic.name}.json"
        return path.is_file() and read_topic(path) == topic

    def keep(self, key: str, values: dict[str, Any]) -> None:
        """Keep JSON-plain values, tensors and dicts of tensors; tensors beyond `MAX_KEPT` bytes are left out."""
        folder = self.root / KEPT
        folder.mkdir(parents=True, exist_ok=True)
        plain, tensors = pack(values)
        if tensors and size(tensors) <= MAX_KEPT:
            from safetensors.torch import save_file

            part = folder / f"{key}.safetensors.part"
            save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, part)
            part.replace(folder / f"{key}.safetensors")
        _write_json(folder / f"{key}.json", plain)

    def kept(self, key: str, device: str = "cpu") -> dict[str, Any] | None:
        """What was kept under a key, tensors on `device`; None where there is nothing, or nothing readable."""
        plain = _read_json(self.root / KEPT / f"{key}.json")
        path = self.root / KEPT / f"{key}.safetensors"
        if plain is None:
            return None
        if not path.is_file():
            return unpack(plain, {})
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return unpack(plain, load_file(path, device))
        except (OSError, SafetensorError):
            return None


def metrics_key(name: str) -> str:
    """What all metrics of a run's result, or of another evaluation (by its digest), are kept under."""
    return f"metrics-{name}-{code_version().replace('+', '-')}"


def read_events(path: Path) -> Iterator[tuple[Event, float]]:
    """The events in a run's folder, up to and including the first terminal one."""
    try:
        lines = (path / EVENTS).open(encoding="utf-8", errors="replace")
    except OSError:
        return
    with lines:
        for line in lines:
            entry = decode(line)
            if entry is not None:
                yield entry
                if isinstance(entry[0], TERMINAL):
                    return


def _record(path: Path, run_id: str) -> RunRecord | None:
    """The run in a folder, None where it is not one."""
    asked = _asked(path, RunConfig)
    if asked is None:
        return None
    body, config = asked
    summary, status = _standing(path)
    about = _read_json(path / ABOUT) or {}
    return RunRecord(run_id=run_id, config=config, status=status, note=about.get("note", ""),
                     title=about.get("title", ""),
                     started_at=str(body.get("started_at", "")), summary=summary, path=path,
                     seconds=summary.get("seconds") if summary else None)


def _listed(folder: Path, record_of: Callable[[Path], Any]) -> list[Any]:
    """The records of all folders in a folder that are such, newest first."""
    paths = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    records = [record for path in paths if (record := record_of(path)) is not None]
    return sorted(records, key=lambda record: (record.started_at, record.path.name), reverse=True)


def _race_record(path: Path) -> RaceRecord | None:
    """The race in a folder, None where it is not one."""
    asked = _asked(path, RaceConfig)
    if asked is None:
        return None
    body, config = asked
    summary, status = _standing(path)
    return RaceRecord(path.name, config, status, str(body.get("started_at", "")), summary, path)


def _audit_record(path: Path) -> AuditRecord | None:
    """The audit in a folder, None where it is not one."""
    asked = _asked(path, AuditConfig)
    if asked is None:
        return None
    body, config = asked
    summary, status = _standing(path)
    return AuditRecord(path.name, config, status, str(body.get("started_at", "")), summary, path)


def _asked(path: Path, kind: type) -> tuple[dict[str, Any], Any] | None:
    """What a folder's work was asked to be: the file's body and the request, None where there is none of that kind."""
    body = _read_json(path / CONFIG)
    try:
        return None if body is None else (body, kind(**body["config"]))
    except (KeyError, TypeError, ValidationError):
        return None


def _standing(path: Path) -> tuple[dict[str, Any] | None, str]:
    """A folder's summary, None before the end, and how its work stands."""
    summary = _read_json(path / SUMMARY)
    return summary, summary.get("status", "done") if summary else "running" if is_locked(path / LOCK) else "interrupted"


def _told(record: RunRecord) -> str:
    """lethe-<method>-<topic>-<the request's digest, with the folder's number>, in plain letters."""
    topic, digest = slug(Path(record.config.topic).stem), record.config.digest()
    number = re.search(rf"-{digest}(-[0-9]+)$", record.path.name)
    return f"lethe-{slug(record.config.method)}-{topic}-{digest}{number[1] if number else ''}"


def _from_path(path: Path) -> RunRecord | None:
    folder = (path if path.is_dir() else path.parent).absolute()
    return _record(folder, folder.name)


def _new_folder(root: Path, name: str) -> Path:
    """A folder of that name, or of the name with the next free number behind it."""
    number = 1
    while True:
        path = root / (name if number == 1 else f"{name}-{number}")
        try:
            if not (root / TRASH / path.name).exists():
                path.mkdir()
                return path
        except FileExistsError:
            pass
        number += 1


def _plain(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def _write_json(path: Path, body: dict[str, Any]) -> None:
    """Written beside, then renamed: a reader sees the whole file or none."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(body, ensure_ascii=False, indent=1), encoding="utf-8")
    os.replace(part, path)
