"""The runs folder: what is written when, what a dead process leaves, and what a person can change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from unlearn_core.config import RunConfig
from unlearn_core.errors import BadInput
from unlearn_core.events import Finished, Notice, Started, encode
from unlearn_core.store import RECORDED, Store

CONFIG = RunConfig(topic="book-series", seed=3)


def finished(store: Store, config: RunConfig = CONFIG) -> str:
    folder = store.create(config)
    folder.append(Started(folder.run_id, config.model_dump(mode="json"), folder.started_at), 0.0)
    folder.append(Finished("done", 1.5, {"status": "done"}), 1.5)
    folder.finish({"status": "done", "seconds": 1.5})
    return folder.run_id


def test_a_run_is_running_until_its_summary_is_there(store: Store) -> None:
    folder = store.create(CONFIG)
    assert store.find(folder.run_id).status == "running" and store.find(folder.run_id).summary is None
    folder.append(Notice("first"), 0.5)
    assert store.events(folder.run_id) == [(Notice("first"), 0.5)]
    folder.finish({"status": "stopped", "seconds": 2.0})
    record = store.find(folder.run_id)
    assert (record.status, record.seconds, record.config) == ("stopped", 2.0, CONFIG)
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.json", "events.jsonl", "summary.json"]


def test_names_tell_date_topic_and_digest_and_never_collide(store: Store) -> None:
    first, second = store.create(CONFIG), store.create(CONFIG)
    assert first.run_id.endswith(f"-book-series-{CONFIG.digest()}") and second.run_id == f"{first.run_id}-2"
    assert store.create(CONFIG.model_copy(update={"seed": 4})).run_id[-8:] != CONFIG.digest()


def test_a_topic_path_gives_a_plain_folder_name(store: Store) -> None:
    run_id = store.create(RunConfig(topic="/some/where/../My Topic!.csv")).run_id
    assert "-my-topic-" in run_id and Path(run_id).name == run_id


def test_a_run_without_a_living_process_is_interrupted(store: Store) -> None:
    code = ("import os, sys\nfrom unlearn_core.store import Store\nfrom unlearn_core.config import RunConfig\n"
            "from unlearn_core.events import Notice\nfolder = Store(sys.argv[1], None).create(RunConfig(topic='t'))\n"
            "folder.append(Notice('on the way'), 1.0)\nos.kill(os.getpid(), 9)")
    done = subprocess.run([sys.executable, "-c", code, str(store.root)], check=False, timeout=300)
    assert done.returncode == -9
    record = store.runs()[0]
    assert record.status == "interrupted" and store.events(record.run_id) == [(Notice("on the way"), 1.0)]


def test_a_line_cut_short_and_an_unknown_kind_are_skipped(store: Store) -> None:
    folder = store.create(CONFIG)
    lines = [encode(Notice("one"), 1.0), '{"event": "FromTheFuture", "at": 2}', encode(Notice("two"), 3.0),
             encode(Notice("three"), 4.0)[:-9]]
    (folder.path / "events.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert [event.text for event, _ in store.events(folder.run_id)] == ["one", "two"]


def test_nothing_is_read_behind_the_terminal_event(store: Store) -> None:
    run_id = finished(store)
    with (store.root / run_id / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write(encode(Notice("late"), 9.0) + "\n")
    assert isinstance(store.events(run_id)[-1][0], Finished)


def test_runs_are_listed_newest_first_and_the_recorded_one_last(store: Store, tmp_path: Path) -> None:
    recorded = Store(tmp_path / "elsewhere", None)
    finished(recorded)
    finished(store)
    folder = store.root / store.runs()[0].run_id / "config.json"
    body = json.loads(folder.read_text(encoding="utf-8"))
    folder.write_text(json.dumps(body | {"started_at": "2020-01-01T00:00:00+00:00"}), encoding="utf-8")
    newer = finished(store, CONFIG.model_copy(update={"seed": 9}))
    both = Store(store.root, recorded.runs()[0].path)
    ids = [record.run_id for record in both.runs()]
    assert ids[0] == newer and ids[-1] == RECORDED and len(ids) == 3
    assert both.find(RECORDED).read_only and both.events(RECORDED)
    for change in (lambda: both.rename(RECORDED, "x"), lambda: both.delete(RECORDED), lambda: both.note(RECORDED, "x")):
        with pytest.raises(BadInput, match="cannot be changed"):
            change()


def test_a_folder_that_is_no_run_is_not_listed(store: Store) -> None:
    run_id = finished(store)
    (store.root / "something").mkdir()
    (store.root / "broken").mkdir()
    (store.root / "broken" / "config.json").write_text("{", encoding="utf-8")
    assert [record.run_id for record in store.runs()] == [run_id]


def test_find_takes_id_beginning_and_path(store: Store) -> None:
    run_id = finished(store)
    assert store.find(run_id) == store.find(run_id[:-3])
    assert store.find(str(store.root / run_id)).run_id == run_id
    assert store.find(str(store.root / run_id / "summary.json")).run_id == run_id
    other = finished(store)
    with pytest.raises(BadInput, match="beginning of 2"):
        store.find(other[:6])


@pytest.mark.parametrize("spec", ["nothing", "", "..", "../..", "a/b", ".trash", "<script>", "x" * 5000, "a\0b",
                                  "~nobody"])
def test_an_unknown_run_is_one_sentence(store: Store, spec: str) -> None:
    finished(store)
    with pytest.raises(BadInput, match="no run"):
        store.find(spec)


def test_rename_note_delete_and_undo(store: Store) -> None:
    run_id = finished(store)
    store.rename(run_id, "  The   first ")
    store.note(run_id, "worth keeping")
    assert (store.find(run_id).title, store.find(run_id).note) == ("The first", "worth keeping")
    store.delete(run_id)
    assert store.runs() == []
    assert finished(store) != run_id  # the name stays taken while the run can come back
    store.restore(run_id)
    assert store.find(run_id).title == "The first"
    with pytest.raises(BadInput):
        store.restore(run_id)
    with pytest.raises(BadInput):
        store.restore("../outside")


def test_an_edit_is_offered_under_a_name_that_says_its_run(store: Store) -> None:
    first, second, other = (store.create(CONFIG.model_copy(update=more)) for more in (
        {}, {}, {"topic": "/some where/Ünï & co.csv", "method": "icul"}))
    for folder in (first, second, other):
        assert store.offered_edit(folder.run_id) is None
        folder.edit_path.write_bytes(folder.run_id.encode())
    digest = CONFIG.digest()
    names = [store.offered_edit(folder.run_id).name for folder in (first, second, other)]
    assert names[:2] == [f"lethe-unlearn-book-series-{digest}.safetensors", f"lethe-unlearn-book-series-{digest}-2.safetensors"]
    assert names[2] == f"lethe-icul-n-co-{other.config.digest()}.safetensors"
    for folder in (first, second, other):  # asked for again after the file was written anew
        folder.edit_path.unlink()
        folder.edit_path.write_bytes(b"anew " + folder.run_id.encode())
        assert store.offered_edit(folder.run_id).read_bytes() == folder.edit_path.read_bytes()
    assert len(store.runs()) == 3
    first.finish({"status": "done", "seconds": 1.0})
    offered = store.offered_edit(first.run_id)
    store.delete(first.run_id)
    assert not offered.exists()


def test_a_running_run_is_not_deleted(store: Store) -> None:
    folder = store.create(CONFIG)
    with pytest.raises(BadInput, match="still running"):
        store.delete(folder.run_id)


def test_a_discarded_folder_is_gone(store: Store) -> None:
    store.create(CONFIG).discard()
    assert store.runs() == [] and list(store.root.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    with pytest.raises(BadInput, match="--runs-dir"):
        Store(tmp_path / "runs", None).create(CONFIG)


def test_what_is_kept_comes_back(store: Store) -> None:
    values = {"answers": {"q": [1, None, "é"]}, "gram": torch.randn(3, 3), "count": torch.tensor([4])}
    assert store.kept("key") is None
    store.keep("key", values)
    found = Store(store.root).kept("key")
    assert found["answers"] == values["answers"] and torch.equal(found["gram"], values["gram"])
    assert torch.equal(found["count"], values["count"])
    assert not list(store.root.rglob("*.part"))


def test_damaged_kept_values_count_as_none(store: Store) -> None:
    store.keep("key", {"gram": torch.ones(2)})
    next(store.root.rglob("key.safetensors")).write_bytes(b"nonsense")
    assert store.kept("key") is None


def test_shared_tensors_are_stored_once_and_stay_shared(store: Store) -> None:
    gram = torch.randn(2, 2)
    store.keep("key", {"one": gram, "table": {"a": gram, "b": gram.t()}, "empty": {}})
    found = store.kept("key")
    assert found["one"] is found["table"]["a"] and found["empty"] == {}
    assert torch.equal(found["one"], gram) and torch.equal(found["table"]["b"], gram.t())


def test_tensors_too_large_to_keep_are_left_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlearn_core.store.MAX_KEPT", 10)
    store.keep("key", {"gram": torch.ones(9), "table": {"a": torch.ones(9)}, "count": 3})
    assert store.kept("key") == {"count": 3}


def test_the_root_is_fixed_when_the_store_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("runs", None)
    os.chdir("/")
    assert store.root == tmp_path / "runs"


def test_a_sequence_whose_process_has_died_is_interrupted(tmp_path: Path) -> None:
    store = Store(tmp_path, recorded=None)
    folder = store.create_sequence("three")
    folder.write({"sequence_id": folder.sequence_id, "status": "running"})
    assert [body["status"] for body in store.sequences()] == ["running"]
    folder.close()  # as the end of a process does
    assert [body["status"] for body in store.sequences()] == ["interrupted"]
    assert store.find_sequence(folder.sequence_id)[1]["status"] == "interrupted"
