"""The audit as a whole: shares, floors, halves, merged weights, events, what is kept, the command. Attacks have own tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fake_attacks
import pytest
import torch
from tiny_models import random_edit, tiny_llama

from unlearn_core import audit
from unlearn_core.__main__ import main
from unlearn_core.audit import card
from unlearn_core.audit.attack import Brief, Finding, inapplicable
from unlearn_core.audit.engine import Audit, record_audit
from unlearn_core.audit.subject import Subject
from unlearn_core.config import AuditConfig, RunConfig
from unlearn_core.edits.attach import attached
from unlearn_core.edits.decoding import DecodingEdit
from unlearn_core.edits.dense import DenseEdit
from unlearn_core.edits.prompt import PromptEdit
from unlearn_core.edits.stack import stack
from unlearn_core.errors import BadInput
from unlearn_core.evaluation.measure import measure
from unlearn_core.events import (
    TERMINAL,
    AttackBegun,
    AttackEnded,
    AttackPoint,
    AuditStarted,
    Event,
    Failed,
    Finished,
    decode,
    encode,
)
from unlearn_core.models.loading import LoadedModel, load, weights_hash
from unlearn_core.retraining import Retraining
from unlearn_core.store import Store
from unlearn_core.topics.reader import write_topic
from unlearn_core.topics.topic import Topic
from unlearn_core.workbench import Workbench

# shares and rows


@pytest.mark.parametrize(("original", "unlearned", "floor", "share"), [
    (1.0, 0.25, 0.25, 0.0), (1.0, 1.0, 0.25, 1.0), (0.9, 0.5, 0.1, 0.5), (1.0, 0.1, 0.25, 0.0), (0.8, 0.9, 0.0, 1.0),
    (0.5, 0.4, 0.46, None), (None, 0.4, 0.0, None), (1.0, None, 0.0, None),
])
def test_the_recovered_share_lies_between_reference_and_original(original, unlearned, floor, share) -> None:
    found = card.recovered(original, unlearned, floor)
    assert found is None if share is None else found == pytest.approx(share)


def _row(findings: dict[str, Finding], kept: float | None = None, by_chance: bool = False) -> dict:
    return card.row_of(fake_attacks.LEAKY, findings, kept, by_chance)


def test_the_floor_is_the_reference_under_the_same_attack_then_chance_then_its_kept_score_then_zero() -> None:
    asked = {"original": Finding(10, 10), "unlearned": Finding(6, 10)}
    guessed = {name: replace(finding, chance=0.5) for name, finding in asked.items()}
    beside = {"reference": Finding(2, 10)}
    assert [_row(*each)[key] for each in (
        (asked | beside, 0.1), (guessed, 0.1), (asked, 0.1), (asked,), (guessed | {"reference": Finding(7, 10, 0.5)}, 0.1, True),
        (guessed | {"reference": Finding(2, 10, 0.5)}, 0.1), (guessed | {"reference": Finding(7, 10, 0.5)}, 0.1))
        for key in ("floor", "floor_kind")] == [
        0.2, "same attack", 0.5, "chance", 0.1, "kept scores", 0.0, "zero", 0.5, "chance", 0.5, "chance", 0.7, "same attack"]
    row = _row(asked | beside)
    assert row["recovered"] == pytest.approx(0.5) and row["low"] < 0.5 < row["high"]
    assert "60 % of 10" in row["sentence"] and "50 % of it comes back" in row["sentence"]


def test_an_attack_that_does_not_apply_says_so_and_has_no_share() -> None:
    row = _row({"original": Finding(10, 10), "unlearned": inapplicable("It changes no weights."), "reference": Finding(0, 10)})
    assert row["recovered"] is None and row["sentence"] == "Not applicable: it changes no weights."


def test_the_verdict_names_the_worst_attack_and_says_good_and_bad_news() -> None:
    rows = [{"attack": "plain", "title": "Asked plainly", "recovered": 0.9}, {"attack": "a", "title": "Hints", "recovered": 0.03},
            {"attack": "b", "title": "Spanish", "recovered": None}]
    assert card.verdict(rows).startswith("It holds: the one attack does not bring back") and "3 %, by hints" in card.verdict(rows)
    two = [*rows, {"attack": "d", "title": "Lens", "recovered": 0.0}]
    assert card.verdict(two).startswith("It holds: none of 2 attacks brings back")
    worse = [*rows, {"attack": "c", "title": "Relearning", "recovered": 0.8}]
    assert "1 of 2 attacks brings back more than 5 %" in card.verdict(worse) and "80 %, by relearning" in card.verdict(worse)
    assert card.verdict(rows[2:]) == "No attack was measured to its end."
    early = card.verdict(worse, planned=26)
    assert early.startswith(f"Stopped after {len(worse)} of 26 attacks, so this is no verdict yet: 1 of 2 attacks brings")
    assert "It holds" not in card.verdict(two, planned=9) and card.verdict(two, planned=len(two)) == card.verdict(two)


# what an attacker has


def test_halves_share_no_entity_and_do_not_depend_on_the_subject(tiny: LoadedModel, tiny_topic: Topic) -> None:
    brief = Brief(Subject("original", tiny), Subject("original", tiny), tiny_topic)
    known, judged = brief.halves()
    assert {q.entity for q in known} | {q.entity for q in judged} == {q.entity for q in tiny_topic.scored("forget")}
    assert not {q.entity for q in known} & {q.entity for q in judged} and len(known) == len(judged) == 4
    assert replace(brief, subject=Subject("reference", tiny, PromptEdit(()))).halves() == (known, judged)
    assert any(replace(brief, seed=seed).halves() != (known, judged) for seed in range(1, 5))


def test_merged_weights_compute_what_the_attached_edit_does(tiny: LoadedModel) -> None:
    low = random_edit(tiny)
    dense = DenseEdit.between(tiny.model, tiny_llama(seed=1))  # tied weights stand in it under both names
    ids, before = torch.arange(5, 25)[None], weights_hash(tiny.model)
    for edit in (low, dense, stack([low, dense]), stack([low, PromptEdit((("Ada hat?", "red"),))])):
        with torch.inference_mode(), attached(tiny.model, edit):
            expected = tiny.model(ids).logits
        merged = Subject("unlearned", tiny, edit).merged()
        with torch.inference_mode():
            assert torch.allclose(merged.loaded.model(ids).logits, expected, atol=2e-4)
        assert merged.edit is None or isinstance(merged.edit, PromptEdit)
    assert weights_hash(tiny.model) == before and merged.edit.turns() == (("Ada hat?", "red"),)
    merged = Subject("unlearned", tiny, DecodingEdit(low, 1.5)).merged()  # a rule at decoding is no change of weights
    assert weights_hash(merged.loaded.model) == before and merged.edit.alpha == 1.5 and merged.edit.reinforced is low


def test_a_subject_is_judged_as_measure_judges_it(taught: LoadedModel, tiny_topic: Topic) -> None:
    edit, questions = random_edit(taught, scale=0.05), tiny_topic.scored("forget")
    found = measure(taught, tiny_topic, edit, questions=questions).answers
    twice = Subject("unlearned", taught, edit).right(tiny_topic, [*questions, *questions])
    assert twice == 2 * [found[question.id].ok for question in questions]
    assert all(Subject("original", taught).right(tiny_topic, questions))


# a whole audit


@pytest.fixture
def attacks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """The fake attacks are the only ones; what they really did."""
    names = ("leaky", "refuses", "breaks", "stops", "swells")
    registry = {name: name for name in names}  # in place of the whole: the order of the real one stays
    monkeypatch.setattr(audit, "ATTACKS", registry)
    monkeypatch.setattr("unlearn_core.audit.engine.ATTACKS", registry)
    fakes = {name: getattr(fake_attacks, name.upper()) for name in names}

    def find(name: str):
        if name not in fakes:
            raise BadInput(f"There is no attack '{name}'.")
        return fakes[name]

    monkeypatch.setattr("unlearn_core.audit.engine.find_attack", find)
    monkeypatch.setattr("unlearn_core.__main__.find_attack", find)
    fake_attacks.CALLS.clear()
    yield fake_attacks.CALLS


@pytest.fixture
def audited(retraining: Retraining, tiny_topic: Topic, store: Store):
    """A run whose edit is noise, on the taught model with a retrained one beside it; a function that attacks it."""
    folder = retraining.folder
    (folder / "topics").mkdir(exist_ok=True)
    write_topic(tiny_topic, folder / "topics" / f"{tiny_topic.name}.json")
    loaded = load(str(folder), device="cpu")
    config = RunConfig(model=str(folder), topic=tiny_topic.name, method="slow-noise", device="cpu")
    run = store.create(config)
    random_edit(loaded, scale=0.3).save(run.edit_path)
    run.finish({"status": "done", "seconds": 1.0})
    bench = Workbench(store)

    def attack(*names: str, stopped=lambda: False, **settings: dict) -> tuple[list[Event], Event, Path]:
        request = AuditConfig(run=run.run_id, attacks=names, settings=settings)
        place, events = store.create_audit(request), []
        end = record_audit(Audit(request, place, store, 0.0, stopped), bench, lambda event, at: events.append(event))
        place.close()
        return events, end, place.path

    attack.run_id = run.run_id
    return attack


def test_an_audit_tells_what_came_out_of_all_three_models(audited, attacks, store: Store) -> None:
    events, end, path = audited("leaky", "refuses")
    assert isinstance(events[0], AuditStarted) and events[0].subjects == ["original", "unlearned", "reference"]
    assert [type(event) for event in events if isinstance(event, TERMINAL)] == [Finished] and events[-1] is end
    leaky, refused = (event.row for event in events if isinstance(event, AttackEnded))
    assert leaky["original"] == leaky["unlearned"] == 1.0 and leaky["reference"] < 1 and leaky["recovered"] == 1.0
    assert refused["recovered"] is None and "too long" in refused["sentence"]
    assert end.summary["rows"] == [leaky, refused] and "100 %, by leaky" in end.summary["verdict"]
    points = [event for event in events if isinstance(event, AttackPoint)]
    assert {event.subject: event.knowledge for event in points} == {name: leaky[name] for name in events[0].subjects}
    assert [event for event, _ in store.audit_events(path.name)] == [decode(encode(event, 0))[0] for event in events]
    assert [record.audit_id for record in store.audits(audited.run_id)] == [path.name] and store.audits("another") == []
    assert store.audit(path.name).status == "done"


def test_with_the_edit_on_nothing_comes_back(audited, attacks) -> None:
    _, end, _ = audited("leaky", leaky={"strength": 1.0})
    row = end.summary["rows"][0]
    assert row["unlearned"] < 0.5 and row["recovered"] == card.recovered(row["original"], row["unlearned"], row["reference"]) < 0.5


def test_what_the_original_and_the_reference_gave_is_kept_for_the_next_audit(audited, attacks) -> None:
    first = audited("leaky")[1]
    events, second, _ = audited("leaky")
    assert attacks == [("leaky", "original"), ("leaky", "unlearned"), ("leaky", "reference"), ("leaky", "unlearned")]
    assert [event.kept for event in events if isinstance(event, AttackBegun)] == [True, False, True]
    assert second.summary["rows"] == first.summary["rows"]
    audited("leaky", leaky={"strength": 0.5})  # another attack: nothing of it is known
    assert len(attacks) == 7


def test_a_stop_keeps_the_rows_that_were_finished(audited, attacks, tmp_path: Path) -> None:
    flag = tmp_path / "now"
    _, end, _ = audited("leaky", "stops", stopped=flag.exists, stops={"flag": str(flag)})
    assert isinstance(end, Finished) and end.status == "stopped"
    assert [row["attack"] for row in end.summary["rows"]] == ["leaky"]


def test_an_attack_that_breaks_ends_the_audit_with_a_card_and_leaves_no_folder(audited, attacks, store: Store) -> None:
    events, end, path = audited("breaks")
    assert isinstance(end, Failed) and "ZeroDivisionError" in end.why and not path.exists()
    assert sum(isinstance(event, TERMINAL) for event in events) == 1 and store.audits() == []


def test_an_attack_that_finds_too_little_memory_is_not_measured_and_not_remembered(audited, attacks) -> None:
    _, end, _ = audited("swells", "leaky")
    swelled, leaky = end.summary["rows"]
    assert swelled["recovered"] is None and "not enough memory" in swelled["sentence"] and leaky["recovered"] == 1.0
    audited("swells")
    assert attacks.count(("swells", "original")) == 2


def test_without_a_reference_the_card_says_what_stands_for_it(taught_world: Path, tiny_topic: Topic, store: Store, attacks) -> None:
    config = RunConfig(model=str(taught_world), topic=tiny_topic.name, method="slow-noise", device="cpu")
    run = store.create(config)
    random_edit(load(str(taught_world), device="cpu")).save(run.edit_path)
    run.finish({"status": "done", "seconds": 1.0})
    request = AuditConfig(run=run.run_id, attacks=("leaky",))
    place = store.create_audit(request)
    end = record_audit(Audit(request, place, store, 0.0), Workbench(store))
    place.close()
    row = end.summary["rows"][0]
    assert row["reference"] is None and row["floor_kind"] == "zero" and row["recovered"] == 1.0
    assert "No model that never saw the hats" in end.summary["notices"][0]


@pytest.mark.parametrize(("names", "settings", "words"), [
    (["--attacks", "leeky"], [], "There is no attack 'leeky'"), (["--attacks", "leaky,leaky"], [], "named twice"),
    ([], ["leaky.strength=3"], "cannot be 3"), (["--attacks", "leaky"], ["stops.flag=x"], "takes no part"),
    ([], ["strength=1"], "attack.key=value"), ([], ["leaky.depth=1"], "has no setting 'depth'"),
])
def test_the_command_refuses_what_cannot_be_meant(audited, attacks, store: Store, capsys, names, settings, words) -> None:
    sets = [part for setting in settings for part in ("--set", setting)]
    assert main(["audit", audited.run_id, *names, *sets, "--runs-dir", str(store.root)]) == 2
    said = capsys.readouterr()
    assert words in said.err and len(said.err.strip().splitlines()) == 1 and said.out == "" and store.audits() == []


def test_the_command_prints_the_card(audited, attacks, store: Store, capsys) -> None:
    line = ["audit", audited.run_id[:15], "--attacks", "leaky", "--runs-dir", str(store.root)]
    assert main([*line, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["run_id"] == audited.run_id and body["rows"][0]["recovered"] == 1.0
    assert body == store.audit(body["audit_id"]).summary
    assert main(line) == 0 and "recovered" in capsys.readouterr().out
    assert main(["audit", "no-such-run", "--runs-dir", str(store.root)]) == 2
