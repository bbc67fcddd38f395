"""The page: layout and wiring, the only place where events of widgets are wired. Decides and computes nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any

import gradio as gr

from unlearn_core.errors import LetheError
from unlearn_core.store import Store

from .anatomy import build_anatomy
from .audit_seat import PICTURE
from .audits import build_audits
from .compare import build_compare
from .controls import Field, control
from .desk import Desk
from .desk_audits import AuditsDesk
from .desk_builds import BuildsDesk
from .desk_compare import CompareDesk
from .desk_metrics import ALL as METRIC_PARTS
from .desk_metrics import MetricsDesk
from .desk_questions import QuestionsDesk
from .desk_races import RacesDesk
from .desk_runs import RunsDesk
from .desk_sequences import SequencesDesk
from .desk_setup import COMMON, SetupDesk
from .picker import Address, Picker, Saved, Standing
from .problems import card
from .question_tab import build_questions
from .race_words import list_html
from .races import build_races
from .runs import build_runs, table_html
from .screen import Drawn, address, draw
from .seats import Seat
from .sequence_form import build_sequences
from .sequences import sequences_html
from .settings import Settings
from .sidebar import Sidebar, build_sidebar, choices, problem_slot
from .strip import strip_html

# What a stream of updates may change: values, never properties (see picker.py).
STREAMED = ("strip", "standing", "address", "messages", "verdict", "cards", "chips", "pairs", "accuracy", "spectrum",
            "spectrum_words", "place", "change_map", "change_words", "change_table", "angles", "angles_words", "dial_words",
            "panes", "runs_table", "sequences", "questions_filters", "questions_list")  # fmt: skip
RACE_PARTS = ("messages", "choosing", "mode_words", "unable", "command", "estimate", "head", "now", "actions",
              "finding", "plot", "table", "notes", "list")  # fmt: skip
QUESTION_PARTS = ("filters", "list", "search", "mode", "file")
FORM_PARTS = ("messages", *(f"{name}_problem" for name in (*COMMON, "settings")), "command", "estimate", "topic_words",
              "method_words")  # fmt: skip
SEQUENCE_PARTS = ("messages", "count", "topics", "words", "mode", "mode_words", "command", "estimate", "now", "actions")
SEQUENCE_STREAMED = ("sequence_now", "sequence_actions", "sequences", "runs_table")
RACE_STREAMED = ("race_head", "race_now", "race_actions", "race_finding", "race_plot", "race_table", "race_notes", "race_list")
AUDIT_STREAMED = ("address", *(f"audit_{name}" for name in (*PICTURE, "earlier")))
AUDIT_PARTS = (*PICTURE, "earlier", "messages", "command", "estimate", "choosing")
QUEUED = 64  # events that may wait
PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}
LAST = {"trigger_mode": "always_last"}  # what was chosen last counts; nothing that a person did is dropped
# What is picked travels with its event, and an event that was put off would bring the data of the one before it: none is put off.
EACH = {"trigger_mode": "multiple"}
# Two parts of a page that are made anew at the same time trip over each other within Gradio.
ONE_BY_ONE = {"concurrency_limit": 1, "concurrency_id": "settings", "show_progress": "hidden"}
# What changes the list of questions comes one after the other, so that what was done last is what stays on the page.
IN_TURN = {"concurrency_limit": 1, "concurrency_id": "questions"}
COPY_COMMAND = "(command) => { window.lethe.copy(command, 'Command copied'); }"
# What starts a run says so at once, since a busy server takes seconds to answer.
# `Standing` takes it back once a run is open; otherwise what was answered does, or the clock where no answer came.
PRESSED = """() => {
    const page = document.documentElement;
    page.dataset.pressed = 'start';
    clearTimeout(window.lethePressed);
    window.lethePressed = setTimeout(() => { delete page.dataset.pressed; }, 60000);
}"""
ANSWERED = "() => { setTimeout(() => { delete document.documentElement.dataset.pressed; }, 1500); }"
SHOW_RACE = "() => { window.lethe.show('#race-messages .lt', '#race-head'); }"
SHOW_SEQUENCE = "() => { window.lethe.show('#sequence-messages .lt', '#sequence-now'); }"
SHOW_AUDIT = "() => { window.lethe.show('#audit-messages .lt', '#audit-now'); }"
SHOW_ATTACK = "() => { window.lethe.show('#audit-detail section'); }"
SHOW_CHOSEN = "() => { window.lethe.reveal('#run-panel'); }"
SHOW_RUN = "() => { window.lethe.show('#verdict'); }"
# An address without a run is that of whatever is at work; a link is to what is seen, by the strip's own word.
COPY_LINK = """() => {
    const link = new URL(location.href), seen = document.querySelector('#strip-words [data-run]');
    if (seen) link.searchParams.set('run', seen.dataset.run);
    window.lethe.copy(link.href, 'Link copied');
}"""


def build_ui(runner: Any, store: Store, settings: Settings) -> gr.Blocks:
    """The whole page, showing the recorded run before anything is asked of the server."""
    desk = Desk(runner, store, settings)
    with gr.Blocks(title="Lethe", analytics_enabled=False, fill_width=True) as page:
        _Page(desk).build(page)
    return page.queue(max_size=QUEUED)


class _Page:
    """Widgets by the names of their parts, and the events between them and the desks."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.setup = desk, SetupDesk(desk)
        self.compare_desk, self.runs_desk, self.races_desk = CompareDesk(desk), RunsDesk(desk), RacesDesk(desk)
        self.questions_desk, self.metrics_desk = QuestionsDesk(desk), MetricsDesk(desk)
        self.sequences_desk = SequencesDesk(desk, self.races_desk)
        self.audits_desk = AuditsDesk(desk, self.sequences_desk)
        self.builds_desk = BuildsDesk(desk, self.audits_desk)
        self.parts: dict[str, list[Any]] = {}

    # --- layout -------------------------------------------------------------------------------------------------------

    def build(self, page: gr.Blocks) -> None:
        seat = Seat()
        view = self.desk.view(seat)
        first = draw(view, seat)
        with gr.Sidebar(width=330, elem_id="sidebar") as drawer:
            offered = self.desk.catalogue | {"topics": self.desk.first_topics}
            self.sidebar = build_sidebar(offered, self.setup.first_request(), self._knob, self._advanced)
        with gr.Row(elem_id="strip", equal_height=True):
            strip = gr.HTML(strip_html(view, view.at, False, recorded=True), elem_id="strip-words")
            self.strip_start = _strip_button("Unlearn", "strip-start", "primary")
            self.strip_stop = _strip_button("Stop", "strip-stop", "stop")
            self.end_replay = _strip_button("End replay", "end-replay")
            self.replay = _strip_button("Replay", "replay")
            self.copy_link = _strip_button("Copy link", "copy-link")
        self.messages = Picker("", elem_id="messages")
        saved = Saved(elem_id="question-file", visible="hidden")
        with gr.Tabs(selected="compare", elem_id="tabs") as tabs:
            with gr.Tab("Compare", id="compare"):
                self.compare = build_compare(first)
            with gr.Tab("Questions", id="questions"):
                self.questions = build_questions(first, saved)
            with gr.Tab("Audit", id="audit"):
                self.audits = build_audits(self.audits_desk.attacks)
            with gr.Tab("Internals", id="internals"):
                self.anatomy = build_anatomy(first)
            with gr.Tab("Runs", id="runs"), gr.Tabs(selected="history", elem_id="runs-view") as self.runs_view:
                with gr.Tab("History", id="history"):
                    self.runs = build_runs(table_html(self.desk.store.runs(), seat.run_id, None, self.desk.titles()))
                with gr.Tab("Race", id="race"):
                    earlier = list_html(self.desk.store.races(), "", self.desk.titles())
                    self.races = build_races(self.desk.catalogue["methods"], earlier)
                with gr.Tab("Sequence", id="sequence"):
                    self.sequences = build_sequences(choices(self.desk.first_topics), sequences_html(self.desk.store.sequences()))
        self.tabs, self.page = tabs, page
        standing = Standing("over" if view.over else "idle", elem_id="standing", visible="hidden")
        self._name_parts(strip, drawer, Address(elem_id="address", visible="hidden"), standing)
        self._wire()

    def _knob(self, chosen: dict[str, Any]) -> None:
        @gr.render(chosen["preset"], **ONE_BY_ONE)
        def knob(preset: dict[str, Any]) -> None:
            field, _ = self.setup.fields(preset["method"])
            if field is not None:
                self._control(chosen, field, preset["settings"])

    def _advanced(self, chosen: dict[str, Any]) -> None:
        @gr.render(chosen["preset"], **ONE_BY_ONE)
        def others(preset: dict[str, Any]) -> None:
            for field in self.setup.fields(preset["method"])[1]:
                self._control(chosen, field, preset["settings"])

    def _control(self, chosen: dict[str, Any], field: Field, start: dict[str, Any]) -> None:
        """One setting's widget with the place for its message."""
        widget, slot = control(field, start.get(field.name)), problem_slot(f"setting-{field.name}")

        def changed(method: str, settings: dict[str, Any], shown: Any) -> tuple[dict[str, Any], str]:
            return self.setup.set_setting(method, settings, field, shown)

        kept = widget.change(
            changed, [chosen["method"], chosen["settings"], widget], [chosen["settings"], slot], queue=False, **PRIVATE
        )
        self._refreshed(kept.then)

    def _name_parts(self, strip: gr.HTML, drawer: gr.Sidebar, address: Address, standing: Standing) -> None:
        """Which widgets show which part; some parts are shown twice."""
        one, two, three, bar = self.compare, self.anatomy, self.runs, self.sidebar
        self.opened, self.raced, self.sequenced, self.audited, self.built = (gr.State(0) for _ in range(5))
        self.parts = {
            "strip": [strip],
            "sidebar": [drawer],
            "address": [address],
            "messages": [self.messages],
            "tabs": [self.tabs],
            "strip_stop": [self.strip_stop],
            "standing": [standing],
            "verdict": [one.verdict],
            "cards": [one.cards],
            "dial_words": [one.dial_words],
            "measure_all": [one.measure_all],
            "pairs": [one.pairs],
            "more": [one.more],
            "accuracy": [one.accuracy],
            "spectrum": [one.spectrum, two.spectrum],
            "spectrum_words": [one.spectrum_words, two.spectrum_words],
            "change_map": [two.change_map],
            "change_words": [two.change_words],
            "change_table": [two.change_table],
            "angles": [two.angles],
            "angles_words": [two.angles_words],
            "place": [two.place],
            "question": [one.ask.question],
            "send": [one.ask.send],
            "stop_ask": [one.ask.stop],
            "chips": [one.ask.chips],
            "dial": [one.ask.strength],
            "panes": [one.ask.panes],
            "build": [one.build, self.audits.build],
            "runs_table": [three.table],
            "sequences": [self.sequences.tables],
            "undo_row": [three.undo_row],
            "deleted": [three.deleted],
            "run_panel": [three.panel],
            "run_heading": [three.heading],
            "run_title": [three.title],
            "run_note": [three.note],
            "save_run": [three.save],
            "delete_run": [three.delete],
            "download": [three.download],
            "runs_view": [self.runs_view],
            "mode": [one.mode],
            **{name: [getattr(one, name)] for name in METRIC_PARTS},
            **{f"questions_{name}": [getattr(self.questions, name)] for name in QUESTION_PARTS},
            **{f"audit_{name}": [getattr(self.audits, name)] for name in AUDIT_PARTS},
            **{f"audit_{family}": [boxes] for family, boxes in self.audits.families.items()},
            **{f"race_{name}": [getattr(self.races, name)] for name in RACE_PARTS},
            **{f"race_{family}": [boxes] for family, boxes in self.races.families.items()},
            **{f"sequence_{name}": [getattr(self.sequences, name)] for name in SEQUENCE_PARTS},
            **{part.name: [getattr(bar, part.name)] for part in fields(Sidebar)},
        }

    # --- wiring -------------------------------------------------------------------------------------------------------

    def _wire(self) -> None:
        arrived = self.page.load(self._arrive, None, self._outputs(self.parts), **PRIVATE)
        placed = self._on(arrived.then, self.setup.placed, parts=("messages",), concurrency_limit=None)
        self._refreshed(placed.then)
        self.page.unload(self._leave)
        # Whatever opens a run makes the seat's number grow, and one follower begins for each number.
        followed = self._on(self.opened.change, self.desk.follow, trigger_mode="multiple", concurrency_limit=None)
        self._refreshed(followed.then)
        self._wire_sidebar()
        self._wire_strip()
        self._wire_ask()
        self._wire_looking()
        self._wire_questions()
        self._wire_runs()
        self._wire_races()
        self._wire_sequences()
        self._wire_audits()
        self._wire_builds()

    def _wire_sidebar(self) -> None:
        bar, setup = self.sidebar, self.setup
        for button in (bar.start, self.strip_start):
            button.click(None, None, None, js=PRESSED, **PRIVATE)
            self._on(button.click, setup.start, bar.form).then(None, None, None, js=ANSWERED, **PRIVATE)
        self._on(bar.model.change, setup.set_model, [bar.model, bar.topic])
        self._on(bar.method.input, setup.set_method, [bar.method])
        changes = [widget.change for widget in bar.form]
        self._refreshed([self.page.load, *changes])
        self._on(bar.upload.upload, setup.upload_file, [bar.upload, bar.model])
        self._on(bar.use_paste.click, setup.upload_paste, [bar.paste, bar.model])
        bar.copy.click(None, [bar.command], None, js=COPY_COMMAND, **PRIVATE)

    def _wire_strip(self) -> None:
        for button in (self.sidebar.stop, self.strip_stop, self.end_replay):
            self._on(button.click, self.setup.stop, queue=False)
        self._on(self.replay.click, self.desk.replay)
        self._on(self.compare.verdict.select, self.setup.repeat, picked=True)
        self._on(self.messages.select, self.builds_desk.watch, picked=True)
        (standing,) = self.parts["standing"]
        self._on(standing.select, self.desk.look_out, picked=True, parts=(), queue=False, **LAST)
        self.copy_link.click(None, None, None, js=COPY_LINK, **PRIVATE)

    def _wire_ask(self) -> None:
        ask, desk = self.compare.ask, self.compare_desk
        several = {"concurrency_limit": None}
        chosen = self._on(ask.chips.select, desk.pick_chip, picked=True, queue=False)
        for trigger in ([ask.question.submit, ask.send.click], chosen.then):
            begun = self._on(trigger, desk.asking, queue=False)
            self._on(self._on(begun.then, desk.ask, ask.form, **several).then, desk.asked, queue=False)
        self._on(ask.stop.click, desk.stop_ask, queue=False)
        moved = self._on(ask.strength.change, desk.dial, [ask.strength], **LAST)
        self._on(moved.then, desk.rescore, trigger_mode="multiple", **several)
        begun = self._on(moved.then, desk.asking_again, trigger_mode="multiple", queue=False)
        answered = self._on(begun.then, desk.ask_again, ask.form, trigger_mode="multiple", **several)
        self._on(answered.then, desk.asked, trigger_mode="multiple", queue=False)
        self._on(self.compare.measure_all.click, desk.rescore_all, **several)
        bar = self.sidebar
        of = [self.compare.metrics_of, bar.model, bar.topic, bar.device]
        changes = [self.page.load, self.opened.change, self.compare.metrics_of.input, bar.topic.change]
        self._on(changes, self.metrics_desk.attend, of, parts=METRIC_PARTS, **LAST)
        self._on(self.compare.measure_metrics.click, self.metrics_desk.measure, of, parts=METRIC_PARTS, **several)

    def _wire_looking(self) -> None:
        desk, two = self.compare_desk, self.anatomy
        self._on(self.compare.mode.input, desk.set_mode, [self.compare.mode], **IN_TURN, **LAST)
        self._on(self._on(self.compare.more.click, desk.more_pairs).then, desk.reheat)
        self._on(two.place.select, desk.set_place, picked=True, **EACH)
        self._on(two.change_map.select, desk.pick_cell, picked=True, **EACH)
        self._on(self.tabs.select, desk.set_tab, picked=True, **EACH)

    def _wire_questions(self) -> None:
        tab, desk = self.questions, self.questions_desk
        self._on(tab.search.change, desk.search, [tab.search], **IN_TURN, **LAST)  # `input` hears keys only, nothing that is pasted
        self._on(tab.save.click, desk.save, [tab.search], **IN_TURN, **LAST)
        picked = {"picked": True, **IN_TURN, **EACH}
        changes = [self._on(part.select, desk.pick, [tab.search], **picked) for part in (tab.filters, tab.list)]
        changes.append(self._on(tab.mode.input, desk.set_mode, [tab.mode], **IN_TURN, **LAST))
        for changed in changes:
            scored = self._on(changed.then, desk.score, parts=(), trigger_mode="multiple", concurrency_limit=None)
            self._on(scored.then, desk.show, **IN_TURN, **LAST)

    def _wire_runs(self) -> None:
        tab, desk = self.runs, self.runs_desk
        self._on(tab.table.select, desk.choose, picked=True, **EACH).then(None, None, None, js=SHOW_CHOSEN, **PRIVATE)
        self._on(tab.open.click, desk.open).then(None, None, None, js=SHOW_RUN, **PRIVATE)
        self._on(tab.again.click, self.setup.again)
        self._on(tab.save.click, desk.save, [tab.title, tab.note])
        self._on(tab.delete.click, desk.delete)
        self._on(tab.undo.click, desk.undo)

    def _wire_races(self) -> None:
        view, desk, bar = self.races, self.races_desk, self.sidebar
        self._on(self.raced.change, desk.follow, parts=RACE_STREAMED, trigger_mode="multiple", concurrency_limit=None)
        asked = [*bar.form, *view.form]
        changes = [widget.change for widget in (bar.model, bar.topic, bar.seed, bar.device, *view.form)]
        self._on([self.page.load, *changes], desk.refresh, asked, queue=False, **LAST)
        for button, every in ((view.every, True), (view.none, False)):
            self._on(button.click, partial(desk.choose, every=every))
        begun = self._on(view.start.click, desk.start, asked)
        begun.then(None, None, None, js=SHOW_RACE, **PRIVATE)
        self._on(view.messages.select, self.builds_desk.watch, picked=True)
        self._on(view.actions.select, desk.act, picked=True, queue=False)
        self._on(view.upward.input, desk.set_upward, [view.upward], **LAST)
        for event, handler in ((view.table.select, desk.pick), (view.plot.select, desk.pick_point)):
            self._on(event, handler, picked=True, **EACH).then(None, None, None, js=SHOW_RUN, **PRIVATE)
        self._on(view.list.select, desk.watch, picked=True, **EACH)
        self._on(self.runs_view.select, self.sequences_desk.set_view, picked=True, **EACH)
        for shown in (self.tabs.select, self.runs_view.select):
            self._on(shown, self.sequences_desk.join_or_offer, picked=True, **LAST)
        view.copy.click(None, [view.command], None, js=COPY_COMMAND, **PRIVATE)

    def _wire_sequences(self) -> None:
        view, desk, bar = self.sequences, self.sequences_desk, self.sidebar
        streamed = {"parts": SEQUENCE_STREAMED, "trigger_mode": "multiple", "concurrency_limit": None}
        self._on(self.sequenced.change, desk.follow, **streamed)
        asked = [*bar.form, *view.form]
        changes = [widget.change for widget in asked]
        self._on([self.page.load, *changes], desk.refresh, asked, queue=False, **LAST)
        begun = self._on(view.start.click, desk.start, asked)
        begun.then(None, None, None, js=SHOW_SEQUENCE, **PRIVATE)
        self._on(view.messages.select, self.builds_desk.watch, picked=True)
        self._on(view.actions.select, desk.act, picked=True, queue=False)
        chosen = self._on(view.tables.select, desk.choose, picked=True)
        self._on(chosen.then, desk.undo, concurrency_limit=None)
        view.copy.click(None, [view.command], None, js=COPY_COMMAND, **PRIVATE)

    def _wire_audits(self) -> None:
        view, desk = self.audits, self.audits_desk
        streamed = {"parts": AUDIT_STREAMED, "trigger_mode": "multiple", "concurrency_limit": None}
        followed = self._on(self.audited.change, desk.follow, **streamed)
        self._on(self.opened.change, desk.attend, **LAST)  # queued: Gradio tells of no changed number otherwise
        self._on(self.tabs.select, desk.look, picked=True, **LAST)
        changes = [widget.change for widget in view.form]
        for triggers in ([self.page.load, self.opened.change, *changes], followed.then):
            self._on(triggers, desk.refresh, view.form, parts=("audit_estimate", "audit_command"), queue=False, **LAST)
        for button, every in ((view.every, True), (view.none, False)):
            self._on(button.click, partial(desk.choose, every=every))
        acted = self._on(view.actions.select, desk.act, view.form, picked=True)
        acted.then(None, None, None, js=SHOW_AUDIT, **PRIVATE)
        self._on(view.messages.select, self.builds_desk.watch, picked=True)
        self._on(view.earlier.select, desk.pick_audit, picked=True, **LAST)
        self._on(view.sort.input, desk.set_sort, [view.sort], **LAST)
        for part in (view.card, view.detail):
            self._on(part.select, desk.pick, picked=True, **LAST).then(None, None, None, js=SHOW_ATTACK, **PRIVATE)
        view.copy.click(None, [view.command], None, js=COPY_COMMAND, **PRIVATE)

    def _wire_builds(self) -> None:
        desk, here = self.builds_desk, {"parts": ("build", "messages"), **LAST}
        self._on(self.built.change, desk.follow, parts=("build",), trigger_mode="multiple", concurrency_limit=None)
        self._on([self.page.load, self.opened.change], desk.attend, **here)
        for part in (self.compare.build, self.audits.build):
            self._on(part.select, desk.act, picked=True, **here)

    def _refreshed(self, triggers: Any) -> None:
        self._on(triggers, self.setup.refresh, self.sidebar.form, parts=FORM_PARTS, queue=False, **LAST)

    def _on(
        self,
        triggers: Any,
        handler: Callable[..., Drawn | Iterator[Drawn]],
        inputs: list[Any] | None = None,
        picked: bool = False,
        parts: Iterable[str] | None = None,
        **how: Any,
    ) -> Any:
        """Wire a desk's handler: it gets the tab's seat, what was picked (if asked for) and the inputs' values. `parts`: what
        it may change, where that is less than usual."""
        stream = inspect.isgeneratorfunction(handler)
        function = (_streamed if stream else _answered)(self, handler)
        function = _picking(function) if picked else function
        usual = STREAMED if stream else self.parts
        outputs, how = self._outputs(usual if parts is None else parts), PRIVATE | how
        if isinstance(triggers, list):
            return gr.on(triggers, function, inputs, outputs, **how)
        return triggers(function, inputs, outputs, **how)

    def _outputs(self, parts: Iterable[str]) -> list[Any]:
        """The widgets of these parts, and what any handler may change: the numbers, and the place of what went wrong."""
        numbers = [self.opened, self.raced, self.sequenced, self.audited, self.built]
        return [*numbers, *(widget for name in dict.fromkeys([*parts, "messages"]) for widget in self.parts[name])]

    def _arrive(self, request: gr.Request) -> dict[Any, Any]:
        seat = self.seat(request)
        query = dict(request.query_params)
        arrived = [desk.arrive(seat, query) for desk in (self.desk, self.races_desk, self.sequences_desk, self.audits_desk)]
        self.builds_desk.arrive(seat)
        said = "".join(found.get("messages", "") for found in arrived)
        changed = arrived[0] | arrived[1] | arrived[2] | arrived[3] | ({"messages": said} if said else {})
        return self.values(seat, changed | {"address": address(seat)})

    def _leave(self, request: gr.Request) -> None:
        self.desk.seats.leave(request.session_hash)

    def seat(self, request: gr.Request) -> Seat:
        return self.desk.seats.of(request.session_hash)

    def values(self, seat: Seat, drawn: Drawn) -> dict[Any, Any]:
        """New values by widget. The numbers of what is opened of each kind go along always: they start the followers."""
        if "messages" in drawn:
            seat.said = bool(drawn["messages"])
            if seat.offered and drawn["messages"] != seat.offered[1]:
                seat.offered = None  # something else is said there now
        values = {widget: value for name, value in drawn.items() for widget in self.parts[name]}
        numbers = {self.opened: seat.generation, self.raced: seat.race.generation, self.sequenced: seat.sequence.generation,
                   self.audited: seat.audit.generation, self.built: seat.build.generation}
        return numbers | values


def _strip_button(words: str, name: str, variant: str = "secondary") -> gr.Button:
    return gr.Button(words, variant=variant, size="sm", scale=0, min_width=80, elem_id=name)


def _answered(page: _Page, handler: Callable[..., Drawn]) -> Callable[..., dict[Any, Any]]:
    def answer(request: gr.Request, *values: Any) -> dict[Any, Any]:
        seat = page.seat(request)
        try:
            return page.values(seat, handler(seat, *values))
        except LetheError as error:
            return page.values(seat, {"messages": card(error)})

    return answer


def _streamed(page: _Page, handler: Callable[..., Iterator[Drawn]]) -> Callable[..., Iterator[dict[Any, Any]]]:
    """A stream that says nothing at all would empty every widget that it may write to: it then says that nothing has changed."""

    def stream(request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
        seat, silent = page.seat(request), True
        try:
            for drawn in handler(seat, *values):
                silent = False
                yield page.values(seat, drawn)
            if silent:
                yield page.values(seat, {})
        except LetheError as error:
            yield page.values(seat, {"messages": card(error)})

    return stream


def _picking(answer: Callable[..., dict[Any, Any]]) -> Callable[..., dict[Any, Any]]:
    """The same, with the event's own data as the first value."""

    def pick(request: gr.Request, event: gr.EventData, *values: Any) -> dict[Any, Any]:
        return answer(request, event._data, *values)

    return pick
