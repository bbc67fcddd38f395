"""Using the sequences under Runs: asking for one, following it in every tab, opening a request's run, undoing a request.
Wires nothing."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr

from unlearn_core.config import RunConfig, SequenceConfig
from unlearn_core.errors import LetheError
from unlearn_core.runner import Busy

from . import sidebar
from .desk import Desk
from .desk_races import HISTORY, RACE, WATCH, RacesDesk
from .follower import seconds_since
from .links import parse
from .numbers import duration
from .problems import AWAY, card, notice_html, problem_html
from .screen import Drawn, address
from .seats import Seat
from .sequence_form import ENTITIES, mode_choices
from .sequence_now import JOINT, fold, now_html, stop_html
from .sequences import MODES, OPEN, UNDO, mode_words_html, picked, sequences_html

SEQUENCE = "sequence"
WATCH_SEQUENCE = "sequence:"  # what a card's button names where it leads to a sequence
EVERY = 0.5  # seconds between two pictures of a sequence
VIEWS = ("runs", HISTORY, RACE, SEQUENCE)  # the Runs tab, and the views in it


class SequencesDesk:
    """Handlers of the sequences. Their form is the sidebar's, then who asks, how many, which topics and the mode."""

    def __init__(self, desk: Desk, races: RacesDesk) -> None:
        self.desk, self.races, self.runner, self.store = desk, races, desk.runner, desk.store

    # --- asking for one -----------------------------------------------------------------------------------------------

    def refresh(self, seat: Seat, *form: Any) -> Drawn:
        """Something in the form changed: who would ask, what the method can do, the time, the command that it stands for."""
        config, fault = self._asked(*form)
        who, count, topics, mode = form[-4:]
        single = who == ENTITIES
        names, unable, said = self._allowed(*form)
        number = min(int(count or 0), len(names)) if single else len(topics or [])
        words = self._words(names, int(count or 0), said) if single else ""
        drawn = self._offers(seat, form[0], mode, unable)
        return drawn | {
            "sequence_count": gr.Slider(visible=single),
            "sequence_topics": gr.Dropdown(seat.sequence.topics, visible=not single),
            "sequence_words": words,
            "sequence_mode_words": mode_words_html(mode if mode not in unable else "stack", unable),
            "sequence_estimate": f'<p class="estimate">{escape(fault or self._time(config, number))}</p>',
            "sequence_command": self.desk.settings.command(config) if config else "",
        }  # fmt: skip

    def _offers(self, seat: Seat, model: str, mode: str, unable: dict[str, str]) -> Drawn:
        """Other modes where another method allows others; what was chosen stays where it can."""
        seat.sequence.topics = self.desk.offer(seat, model)
        modes = [name for name in MODES if name not in unable]
        if modes == seat.sequence.modes:
            return {}
        seat.sequence.modes = modes
        return {"sequence_mode": gr.Radio(mode_choices(modes), value=mode if mode in modes else modes[0])}

    def _allowed(self, *form: Any) -> tuple[list[str], dict[str, str], str]:
        """Who could ask, why modes do not go with the method, and why nobody can be named."""
        first, _ = self._first(*form)
        if first is None:
            return [], {}, ""
        try:
            found = self.runner.allowed(first)
        except LetheError as error:
            return [], {}, str(error)
        return found["entities"], found["unable"], ""

    def _first(self, *form: Any) -> tuple[RunConfig | None, dict[str, str]]:
        model, topic, method, seed, device, settings, who, _, topics, _ = form
        one = topic if who == ENTITIES else next(iter(topics or []), topic)
        return sidebar.config_of(model, one, method, seed, device, settings)

    def _asked(self, *form: Any) -> tuple[SequenceConfig | None, str]:
        """The request that the form makes, or what is wrong with it."""
        first, problems = self._first(*form)
        who, count, topics, mode = form[-4:]
        if first is None:
            return None, " ".join(problems.values())
        if who != ENTITIES and not topics:
            return None, "Choose the topics that ask to be forgotten."
        return SequenceConfig(model=first.model, topics=(first.topic,) if who == ENTITIES else tuple(topics),
                              requests=int(count or 0) if who == ENTITIES else None, method=first.method, mode=mode or "stack",
                              settings=first.settings, seed=first.seed, device=first.device), ""  # fmt: skip

    @staticmethod
    def _words(names: list[str], count: int, said: str) -> str:
        """Who asks, in order; or that this topic does not name enough."""
        if said or len(names) < 2:
            text = said or "This topic's questions name fewer than two: let whole topics ask instead."
        elif count > len(names):
            text = f"This topic names {len(names)}: {', '.join(names)}."
        else:
            text = f"In this order: {', '.join(names[:count])}."
        return f'<p class="estimate">{escape(text)}</p>'

    def _time(self, config: SequenceConfig, number: int) -> str:
        """How long about, from the last run of that method on that model; requests that come all at once are one run."""
        runs = (record for record in self.store.runs() if record.status == "done" and record.seconds
                and (record.config.model, record.config.method) == (config.model, config.method))  # fmt: skip
        last = next(runs, None)
        times = 1 if config.mode == JOINT else number
        about = f"about {duration(last.seconds * times)} by the last run of this method" if last else "time not known yet"
        return f"{number} request{'s' * (number != 1)} · {about}"

    def start(self, seat: Seat, *form: Any) -> Drawn:
        """Start a sequence; refused with a card, which offers to watch what is in the way."""
        config, fault = self._asked(*form)
        if config is None:
            return {"sequence_messages": problem_html(fault)}
        try:
            sequence_id = self.runner.start_sequence(config)
        except Busy as error:
            return {"sequence_messages": sidebar.busy_html(error.run_id, seconds_since(error.since), error.kind)}
        except LetheError as error:
            return {"sequence_messages": self._refusal(error, *form)}
        return self.open(seat, sequence_id)

    def _refusal(self, error: LetheError, *form: Any) -> str:
        """In the page's words where the engine's name the command line."""
        names, _, _ = self._allowed(*form)
        if form[-4] == ENTITIES and error.field in ("topic", "requests"):
            if len(names) < 2:
                return problem_html(error.what, error.why, "Choose another topic, or let whole topics ask.")
            return problem_html(error.what, f"The topic names {len(names)}.", f"Choose from 1 to {len(names)}.")
        return card(error)

    # --- opening and following ----------------------------------------------------------------------------------------

    def arrive(self, seat: Seat, query: dict[str, str]) -> Drawn:
        """A page was opened or reloaded: the sequence that its address names; without an address, one that is going on."""
        state, _ = parse(query)
        name = state.sequence or ("" if state.run or state.race else self.runner.sequencing() or "")
        if not name:
            return {}
        try:
            return self.open(seat, name)
        except LetheError as error:
            return {"messages": notice_html(f"{error.what} Those that there are stand under Runs, Sequence.")}

    def open(self, seat: Seat, sequence_id: str) -> Drawn:
        """Look at a sequence from now on."""
        folder, _ = self.store.find_sequence(sequence_id) if self.runner.sequencing() != sequence_id else (None, None)
        seat.sequence.open(folder.sequence_id if folder else sequence_id)
        seat.tab, seat.sequence.shown, seat.race.shown = "runs", True, False
        return {"tabs": gr.Tabs(selected="runs"), "runs_view": gr.Tabs(selected=SEQUENCE), "sequence_messages": "",
                "messages": "", "address": address(seat)}  # fmt: skip

    def follow(self, seat: Seat) -> Iterator[Drawn]:
        """The open sequence, from its first event on, until it is over or another is opened."""
        here = seat.sequence
        generation = here.begin()
        if generation is None:
            yield {}
            return
        doing = here.doing
        for batch in self.runner.follow_sequence(here.name, EVERY):
            for event, _ in batch:
                doing = fold(doing, event)
            if here.generation != generation:
                return
            here.doing, here.running = doing, doing.end is None and self._going_on(here.name)
            yield self._drawn(seat)
        if here.generation == generation:
            here.running = False
            here.seen.clear()  # all of it once more, so that no late word of an earlier follower stays
            yield self._drawn(seat) | self.desk.listing(seat)

    def _going_on(self, sequence_id: str) -> bool:
        return self.runner.sequencing() == sequence_id or (self._body(sequence_id) or {}).get("status") == "running"

    def _body(self, sequence_id: str) -> dict[str, Any] | None:
        """The table so far; None before the first word of it is written."""
        try:
            return self.store.find_sequence(sequence_id)[1]
        except LetheError:
            return None

    def _drawn(self, seat: Seat) -> Drawn:
        """The parts that are not as they are on the page."""
        here = seat.sequence
        with here.lock:
            body = self._body(here.name) if here.name else None
            ours = here.running and self.runner.sequencing() == here.name
            parts = {
                "sequence_now": now_html(body, here.doing, seconds_since(body["started_at"]) if body else 0.0, here.running),
                "sequence_actions": stop_html(ours, here.stopping),
                "sequences": sequences_html(self.store.sequences(), seat.undoing, here.name, seat.undone),
            }  # fmt: skip
            return here.changed(parts, "sequence_actions")

    # --- looking ------------------------------------------------------------------------------------------------------

    def act(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """The button beside the sequence, which stops it."""
        if picked["value"] == "stop":
            self.runner.stop_series(seat.sequence.name)
            seat.sequence.stopping = True
        return self._drawn(seat)

    def watch(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """The offer on a card was taken up: look at the sequence, the race or the run that it names. Or a notice is put away."""
        value = str(picked["value"])
        if value == AWAY:
            return {"messages": ""}
        if value.startswith(WATCH_SEQUENCE):
            return self.open(seat, value.removeprefix(WATCH_SEQUENCE))
        return self.races.watch(seat, picked) if value.startswith(WATCH) else self.desk.watch(seat, picked)

    def set_view(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """Another view of the Runs tab is shown."""
        seat.sequence.shown = str(picked["value"]).lower() == SEQUENCE
        return self.races.set_view(seat, picked)

    def join_or_offer(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """The Runs tab, or another view of it, came into sight: a race or sequence that is going on is joined, or, where another
        stands here already, offered once."""
        if str(picked["value"]).lower() not in VIEWS:
            return {}
        kinds = (("race", seat.race, self.runner.racing()), (SEQUENCE, seat.sequence, self.runner.sequencing()))
        for kind, here, name in kinds:
            if name and here.join(name):
                return {"address": address(seat)} | self.desk.listing(seat)
            if name and name not in (here.name, here.told):
                here.told = name
                return {"messages": notice_html(f"A {kind} is going on: {name}.", ("Watch it", f"{kind}:{name}"))}
        return {}

    def choose(self, seat: Seat, event: dict[str, Any]) -> Drawn:
        """A button in a table: the run is opened, or the undo announced, which `undo` then carries out."""
        what, name, place = picked(str(event["value"]))
        if what == OPEN:
            return self.desk.open(seat, name)
        if what == UNDO and seat.undoing is None:
            seat.undoing = name, place
        return self._shown(seat)

    def undo(self, seat: Seat) -> Drawn:
        """Measure without the request that was announced; waits for the model."""
        if seat.undoing is None:
            return {}
        try:
            self.desk.runner.undo_request(seat.undoing[0], [seat.undoing[1]])
            said = ""
        except LetheError as error:
            said = card(error)
        finally:
            seat.undone, seat.undoing = seat.undoing[0], None
        return {"messages": said} | self._shown(seat)

    def _shown(self, seat: Seat) -> Drawn:
        return {"sequences": sequences_html(self.store.sequences(), seat.undoing, seat.sequence.name, seat.undone)}
