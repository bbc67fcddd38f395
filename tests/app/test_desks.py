"""What the page's handlers answer, without a browser: refusals that stay, answers that are late, names that are shown only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from scripted import ScriptedRunner, events, record
from test_parts import _Tape

from components.dashboard import _streamed, build_ui
from components.desk import Desk
from components.desk_audits import AuditsDesk
from components.desk_compare import CompareDesk
from components.desk_questions import QuestionsDesk
from components.desk_races import RacesDesk
from components.desk_runs import RunsDesk
from components.desk_sequences import SequencesDesk
from components.desk_setup import SetupDesk
from components.screen import draw
from components.seats import Seat
from components.settings import Settings
from components.view import replay
from unlearn_core.config import RunConfig
from unlearn_core.errors import BadInput
from unlearn_core.events import Failed, Started
from unlearn_core.store import Store

REFUSAL = BadInput("There is no topic 'gone'.", "", "Choose another.", field="topic")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    store = Store(tmp_path / "runs", tmp_path / "recorded")
    record(store)
    return Desk(ScriptedRunner(store, pace=0.0), store, Settings(runs_dir=store.root))


def kept_run(desk: Desk) -> str:
    return desk.runner._made_up(RunConfig(topic="book-series", settings={"rank": 5}))


@pytest.mark.parametrize("kept", [True, False])
def test_what_stood_in_the_way_of_a_question_is_gone_with_a_run_that_failed(desk, monkeypatch, kept):
    run_id = desk.store.create(RunConfig(topic="book-series")).run_id if kept else "gone"
    story = [(Started(run_id, {}, "2026-01-01"), 0.0), (Failed("The hub cannot be reached.", "", "", ""), 1.0)]
    monkeypatch.setattr(desk.runner, "follow", _Tape([story]).follow)
    seat = Seat(refused=True)
    seat.open(run_id)
    drawn = list(desk.follow(seat))
    assert drawn[-1]["panes"] == "" and not seat.refused and "runs_table" in drawn[-1]
    assert not any("panes" in one for one in drawn[:-1])


def test_a_follower_that_another_run_took_over_leaves_the_question_alone(desk, monkeypatch):
    story = [(event, 0.0) for _, event in events("run", RunConfig(topic="book-series"), "2026-01-01")]
    seat = Seat()
    seat.open("run")
    monkeypatch.setattr(desk.runner, "follow", _Tape([story[:20], story[20:]], lambda place: place and seat.open("other")).follow)
    seat.refused = True
    assert not any("panes" in one for one in desk.follow(seat)) and seat.refused


@pytest.mark.parametrize("newer", [False, True])
def test_a_word_on_its_way_when_another_run_is_opened_is_wiped_but_no_newer_answer(desk, monkeypatch, newer):
    compare, seat = CompareDesk(desk), Seat(asking="first")
    seat.open(kept_run(desk))
    update = SimpleNamespace(original="Ada", edited="Ada", reference=None, waiting=None, done=False, tokens_per_second=1.0,
                             device="cpu")  # fmt: skip

    def answering(*_):
        yield update
        desk.open(seat, kept_run(desk))
        if newer:
            seat.asking, seat.answered = "second", ("Where?", 1.0)
        yield update

    monkeypatch.setattr(desk.runner, "ask", answering)
    monkeypatch.setattr(desk.runner, "stop_ask", lambda token: None)
    drawn = [one.get("panes") for one in compare.ask(seat, "Who?", 1.0, 20, 0.0, "0")]
    assert "Ada" in drawn[1] and drawn[2:] == ([] if newer else [""])
    assert seat.asking == ("second" if newer else "")


def test_a_late_refusal_does_not_replace_the_answers_to_a_newer_question(desk, monkeypatch):
    def refusing(*_):
        seat.asking = "newer"
        raise BadInput("The run is still at work.", "", "")
        yield

    monkeypatch.setattr(desk.runner, "ask", refusing)
    seat, compare = Seat(asking="older"), CompareDesk(desk)
    drawn = list(compare.ask(seat, "Who?", 1.0, 20, 0.0, "0"))
    assert len(drawn) == 1 and "Asking" in drawn[0]["panes"] and not seat.refused

    monkeypatch.setattr(desk.runner, "ask", _refusing_at_once)
    assert "still at work" in list(compare.ask(seat, "Who?", 1.0, 20, 0.0, "0"))[-1]["panes"] and seat.refused


@pytest.mark.parametrize(("ended", "ends", "button"), [
    (True, [Failed("It broke.", "", "", "")], 'data-go="#verdict'), (True, [], 'data-go="#verdict'), (False, [], None)])
def test_a_question_that_would_be_refused_again_is_not_offered_again(desk, monkeypatch, ended, ends, button):
    monkeypatch.setattr(desk.runner, "ask", _refusing_at_once)
    seat, config = Seat(), RunConfig(topic="book-series")
    told = [Started("run", {}, "2026-01-01"), *ends] if ended else [event for _, event in events("run", config, "2026-01-01")]
    seat.run_id, seat.view = "run", replay((event, 0.0) for event in told)
    refused = list(CompareDesk(desk).ask(seat, "Who?", 1.0, 20, 0.0, "0"))[-1]["panes"]
    assert "Ask again" not in refused and (button in refused if button else "<button" not in refused)


def test_a_run_at_work_is_offered_once_and_where_nothing_else_is_said(desk, monkeypatch):
    run_id, seat = desk.store.create(RunConfig(topic="book-series")).run_id, Seat()
    assert desk.look_out(seat, {}) == {}
    monkeypatch.setattr(desk.runner, "running", lambda: run_id)
    seat.said = True
    assert desk.look_out(seat, {}) == {}
    seat.said = False
    assert "A run is at work" in desk.look_out(seat, {})["messages"] and seat.offered[0] == run_id
    assert desk.look_out(seat, {}) == {}
    monkeypatch.setattr(desk.runner, "running", lambda: None)
    assert desk.look_out(seat, {}) == {"messages": ""}
    monkeypatch.setattr(desk.runner, "running", lambda: run_id)
    seat.offered = None  # as the page has it, once the message is gone
    assert desk.look_out(seat, {}) == {}


def test_what_is_drawn_before_the_first_picture_of_a_run_at_work_does_not_call_it_interrupted(desk, monkeypatch):
    run_id, seat = desk.store.create(RunConfig(topic="book-series")).run_id, Seat()
    monkeypatch.setattr(desk.store, "events", lambda _: [(Started(run_id, {"topic": "book-series"}, "2026-01-01"), 0.0)])
    seat.open(run_id)
    assert "Interrupted" in desk.redraw(seat)["verdict"]
    seat.open(run_id)
    monkeypatch.setattr(desk.runner, "running", lambda: run_id)
    assert "Interrupted" not in desk.redraw(seat)["verdict"]


def test_the_dial_gives_up_an_answer_and_asks_again_even_where_it_comes_back(desk):
    seat, compare = Seat(asking="first", answered=("Who?", 1.0)), CompareDesk(desk)
    assert compare.asking_again(seat) == {} and seat.asking == "first"
    seat.strength = 0.5
    assert compare.asking_again(seat)["stop_ask"].visible and seat.asking not in ("", "first")
    seat.strength = 1.0
    assert "Who?" in next(compare.ask_again(seat, "Another?", 1.0, 20, 0.0, "0"))["panes"]
    assert list(compare.ask_again(seat, "Another?", 1.0, 20, 0.0, "0")) == [{}]
    assert compare.asked(seat)["stop_ask"].visible  # the one above is not over
    seat.asking = ""
    assert not compare.asked(seat)["stop_ask"].visible


def test_whatever_goes_wrong_has_a_place_on_the_page(desk):
    page = build_ui(desk.runner, desk.store, desk.settings)
    place = next(block for block in page.blocks.values() if getattr(block, "elem_id", "") == "messages")
    handlers = [function for function in page.fns.values() if function.name in ("answer", "stream", "pick")]
    assert len(handlers) > 60 and all(place in function.outputs for function in handlers)


def _refusing_at_once(*_):
    raise BadInput("The run is still at work.", "", "")
    yield


def test_the_dial_measures_nothing_where_there_is_no_edit(desk, monkeypatch):
    story = [event for _, event in events("run", RunConfig(topic="book-series"), "2026-01-01")][:20]
    seat, compare = Seat(), CompareDesk(desk)
    monkeypatch.setattr(desk.store, "events", lambda run_id: [(event, 0.0) for event in story])
    turned = compare.dial(seat, 0.5)
    assert "no edit" in turned["dial_words"] and turned["measure_all"].visible is False
    assert list(compare.rescore(seat)) == [{}] and seat.rescored is None
    monkeypatch.undo()
    with_edit = Seat()
    assert "Measuring at this strength" in compare.dial(with_edit, 0.5)["dial_words"]
    assert len(list(compare.rescore(with_edit))) > 1 and with_edit.rescored["strength"] == 0.5


def test_run_again_says_why_it_was_refused_where_the_form_cannot_wipe_it(desk, monkeypatch):
    seat, setup = Seat(chosen=kept_run(desk)), SetupDesk(desk)

    def refuse(config):
        raise REFUSAL

    monkeypatch.setattr(desk.runner, "start", refuse)
    drawn = setup.again(seat)
    assert "no topic &#x27;gone&#x27;" in drawn["messages"] and drawn["topic"].value == "book-series"
    assert "gone" in setup.start(seat, "demo", "book-series", "unlearn", "0", "auto", {})["topic_problem"]


def test_a_name_that_is_only_shown_is_not_kept_as_somebodys_own(desk):
    run_id = kept_run(desk)
    seat, rooms = Seat(chosen=run_id), RunsDesk(desk)
    shown = rooms.choose(seat, {"value": run_id})["run_title"].value
    assert shown == "the Vale books"
    rooms.save(seat, shown, "a note")
    assert (desk.store.find(run_id).title, desk.store.find(run_id).note) == ("", "a note")
    rooms.save(seat, "Mine", "a note")
    assert desk.store.find(run_id).title == "Mine"
    rooms.save(seat, "", "a note")
    assert desk.store.find(run_id).title == ""


def test_one_choice_of_a_method_told_twice_makes_its_controls_once(desk):
    seat, setup = Seat(), SetupDesk(desk)
    first = setup.set_method(seat, "task-vector")
    assert first["settings"] == {} and first["preset"]["method"] == "task-vector"
    assert setup.set_method(seat, "task-vector") == {}
    assert setup.set_method(seat, "unlearn")["preset"]["method"] == "unlearn"


def test_only_the_model_that_is_loaded_with_the_page_is_waited_for(desk, monkeypatch):
    monkeypatch.setattr(desk.runner, "place", lambda *_: pytest.fail("nobody loads this model before its first run"))
    other = Desk(desk.runner, desk.store, Settings(runs_dir=desk.store.root, model="./mine"))
    assert SetupDesk(other).placed(Seat()) == {}


# Questions ------------------------------------------------------------------------------------------------------------

def pick(desk: QuestionsDesk, seat: Seat, value: str, at: float = 0.0, search: str = "") -> dict:
    return desk.pick(seat, {"value": value, "at": at}, search)


def test_what_was_chosen_while_the_page_arrived_stays_and_another_run_begins_anew(desk):
    seat, questions = Seat(), QuestionsDesk(desk)
    pick(questions, seat, "outcome:kept")
    desk.arrive(seat, {})
    assert seat.listed.outcome == "kept"
    desk.open(seat, kept_run(desk))
    assert seat.listed == Seat().listed


def test_a_row_that_was_picked_earlier_but_comes_later_does_not_open(desk):
    seat, questions = Seat(), QuestionsDesk(desk)
    pick(questions, seat, "open:forget-2", 20.0)
    assert pick(questions, seat, "open:forget-1", 10.0) == {} and seat.listed.opened == "forget-2"
    pick(questions, seat, "outcome:kept", 15.0)
    assert (seat.listed.outcome, seat.listed.opened) == ("kept", "")
    pick(questions, seat, "close", 30.0)
    pick(questions, seat, "open:forget-1", 25.0)
    assert seat.listed.opened == ""


def test_what_stands_in_the_search_box_counts_whichever_event_comes_first(desk):
    seat, questions = Seat(), QuestionsDesk(desk)
    drawn = questions.save(seat, "gate 12 ")
    assert seat.listed.search == "gate 12" and "questions_list" in drawn and '"number": 1' in drawn["questions_file"]
    assert pick(questions, seat, "all", search="gate 12")["questions_search"] == "" and seat.listed.search == ""


def test_nonsense_that_is_picked_changes_nothing(desk):
    seat, questions = Seat(), QuestionsDesk(desk)
    before = seat.listed
    for value in ("page:-1", "page:x", "order:sideways", "nothing", "", "away"):
        pick(questions, seat, value)
        assert seat.listed == before


def test_only_heat_that_is_missing_is_asked_for(desk, monkeypatch):
    asked, seat, questions = [], Seat(), QuestionsDesk(desk)
    ours = desk.runner.heat
    monkeypatch.setattr(desk.runner, "heat", lambda run_id, names, strength: asked.append(names) or ours(run_id, names, strength))
    for name in ("forget-0", "forget-30", "forget-30", "neighbor-0"):
        pick(questions, seat, f"open:{name}")
        questions.score(seat)
    assert asked == [["forget-30"], ["neighbor-0"]] and list(seat.heats) == ["forget-30"] and seat.scoring == ""
    questions.set_mode(seat, "plain")
    pick(questions, seat, "open:forget-31")
    assert seat.scoring == ""


def test_a_redraw_does_not_undo_what_a_follower_drew_meanwhile(desk, monkeypatch):
    seat = Seat()
    seat.view = old = desk.view(seat)
    new = replace(old, answers=old.answers[:3])

    def looking(seat):  # a follower comes further between the look at the view and the drawing
        seat.view = new
        draw(new, seat)
        return old

    monkeypatch.setattr(desk, "view", looking)
    seat.listed = seat.listed.but(outcome="")
    assert "of 3 questions" in desk.redraw(seat)["questions_list"]


def test_a_run_without_an_audit_says_so_each_time_the_tab_comes_into_sight(desk):
    """Also where the page lost the words that it was sent before, and where nothing told of the run yet."""
    audits, seat = AuditsDesk(desk, None), Seat()
    desk.open(seat, kept_run(desk))
    for _ in range(2):
        drawn = audits.look(seat, {"value": "Audit"})
        assert "each attack will have a row" in drawn["audit_head"] and drawn["audit_plot"] is None
    assert seat.tab == "audit" and audits.look(seat, {"value": "Runs"}) == {}


@pytest.mark.parametrize("kind", ["race", "sequence"])
def test_what_is_going_on_is_joined_where_nothing_else_is_in_sight_and_else_offered_once(desk, monkeypatch, kind):
    sequences, seat = SequencesDesk(desk, RacesDesk(desk)), Seat()
    going_on, here = {"race": "racing", "sequence": "sequencing"}[kind], getattr(seat, kind)
    shown = lambda view: sequences.join_or_offer(seat, {"value": view})  # noqa: E731
    assert shown("Runs") == {} and here.generation == 0
    monkeypatch.setattr(desk.runner, going_on, lambda: f"one-{kind}")
    assert shown("Compare") == {} and here.name == ""
    assert "address" in shown("Runs") and here.name == f"one-{kind}" and here.begin() == here.generation
    assert shown("History") == {} and here.begin() is None  # it is followed already
    here.open(f"old-{kind}")  # another was opened meanwhile; the one going on was seen here before
    assert f'data-pick="{kind}:one-{kind}"' in shown("Runs")["messages"]
    monkeypatch.setattr(desk.runner, going_on, lambda: f"another-{kind}")
    assert f'data-pick="{kind}:another-{kind}"' in shown(kind.capitalize())["messages"] and here.name == f"old-{kind}"
    assert shown(kind.capitalize()) == {}


def test_the_stop_button_of_a_series_is_a_picture_with_a_number_that_rises():
    seat = Seat().race
    drawn = [seat.changed({"race_actions": html, "race_head": "Race"}, "race_actions") for html in ("Stop", "Stop", "")]
    first, same, second = drawn
    assert first == {"race_actions": "<!--1-->Stop", "race_head": "Race"} and same == {} and second == {"race_actions": "<!--2-->"}


@pytest.mark.parametrize("kind", ["race", "sequence"])
def test_both_desks_number_theirs(desk, kind):
    races = RacesDesk(desk)
    series = {"race": races, "sequence": SequencesDesk(desk, races)}[kind]
    assert series._drawn(Seat())[f"{kind}_actions"].startswith("<!--1-->")


def test_a_stream_that_has_nothing_to_say_says_that_nothing_has_changed():
    page = SimpleNamespace(seat=lambda request: "seat", values=lambda seat, drawn: drawn)
    assert list(_streamed(page, lambda seat: iter(()))(None)) == [{}]  # of no message at all Gradio makes empty widgets
    assert list(_streamed(page, lambda seat: iter([{"strip": "one"}]))(None)) == [{"strip": "one"}]


@pytest.mark.parametrize("value", ["", [], [""], [None]])
def test_a_list_of_audits_that_names_none_opens_none(desk, value):
    audits = AuditsDesk(desk, None)
    assert audits.pick_audit(Seat(), {"value": value}) == {}
