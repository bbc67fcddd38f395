"""Using Race: asking for one, following it in every tab, sorting its table, opening its runs. Wires nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from unlearn_core.config import SPLITS, RaceConfig
from unlearn_core.errors import LetheError
from unlearn_core.runner import Busy

from . import race_words as words
from . import sidebar
from .desk import Desk
from .families import all_or_none, of_families
from .follower import seconds_since
from .links import parse
from .problems import card, notice_html, problem_html
from .race_plot import race_figure
from .race_view import RaceView, fold
from .screen import Drawn, address
from .seats import Seat

WATCH = "race:"  # what a card's button names where it leads to a race
EVERY = 0.5  # seconds between two pictures of a race
HISTORY, RACE = "history", "race"
SIDEBAR = 6  # values of the sidebar's form, which stand before the race's own


class RacesDesk:
    """Handlers of the race view. Its form is the sidebar's, then the chosen methods of each family, then the mode."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.runner, self.store = desk, desk.runner, desk.store
        self.methods = desk.catalogue["methods"]
        self.titles = {str(entry["name"]): str(entry.get("title") or entry["name"]) for entry in self.methods}
        self.unlearning = tuple(str(entry["name"]) for entry in self.methods if not entry.get("teaches"))

    # --- asking for one -----------------------------------------------------------------------------------------------

    def refresh(self, seat: Seat, *form: Any) -> Drawn:
        """Something in the form changed: how long it takes, who cannot take part, the command that it stands for."""
        chosen, mode = self._chosen(*form), form[-1]
        config, _ = self._asked(*form)
        try:
            unable = self.runner.unable(config) if config else {}
        except LetheError:  # of the model or the topic: said beside their fields, and when the race is to start
            unable = {}
        return {
            "race_estimate": words.estimate_html([name for name in chosen if name not in unable], self._seconds(form[0])),
            "race_unable": words.unable_html(unable, self.titles),
            "race_command": self.desk.settings.command(config) if config else "",
            "race_mode_words": f'<p class="estimate">{words.mode_words(mode)}</p>',
        }

    def _asked(self, *form: Any) -> tuple[RaceConfig | None, str]:
        """The request that the form makes, or what is wrong with it."""
        model, topic, _, seed, device, *_, mode = form
        names = self._chosen(*form)
        first, problems = sidebar.config_of(model, topic, next(iter(self.titles)), seed, device, {})
        if first is None:
            return None, " ".join(problems.values())
        if not names:
            return None, "Choose at least one method."
        return RaceConfig(model=first.model, topic=first.topic, methods=() if names == self.unlearning else names,
                          mode=mode, seed=first.seed, device=first.device), ""

    def _chosen(self, *form: Any) -> tuple[str, ...]:
        return of_families(self.methods, form[SIDEBAR:-1])

    def _seconds(self, model: str) -> dict[str, float]:
        """How long each method took when it last ran to its end on a model."""
        found: dict[str, float] = {}
        for record in self.store.runs():
            if record.status == "done" and record.seconds and record.config.model == model:
                found.setdefault(record.config.method, record.seconds)
        return found

    def choose(self, seat: Seat, every: bool) -> Drawn:
        return all_or_none(self.methods, every, "race")

    def start(self, seat: Seat, *form: Any) -> Drawn:
        """Start a race; refused with a card, which offers to watch what is in the way."""
        config, fault = self._asked(*form)
        if config is None:
            return {"race_messages": problem_html(fault)}
        try:
            race_id = self.runner.start_race(config)
        except Busy as error:
            return {"race_messages": sidebar.busy_html(error.run_id, seconds_since(error.since), error.kind)}
        except LetheError as error:
            return {"race_messages": card(error)}
        return self.open(seat, race_id) | {"race_choosing": gr.Accordion(open=False)}

    # --- opening and following ----------------------------------------------------------------------------------------

    def arrive(self, seat: Seat, query: dict[str, str]) -> Drawn:
        """A page was opened or reloaded: the race that its address names; without an address, one that is going on."""
        state, _ = parse(query)
        race_id = state.race or ("" if state.run or state.sequence else self.runner.racing() or "")
        if not race_id:
            return {}
        try:
            return self.open(seat, self.store.race(race_id).race_id)
        except LetheError as error:
            return {"messages": notice_html(f"{error.what} Those that there are stand under Runs, Race.")}

    def open(self, seat: Seat, race_id: str) -> Drawn:
        """Look at a race from now on."""
        seat.race.open(self.store.race(race_id).race_id)
        seat.tab, seat.race.shown, seat.sequence.shown = "runs", True, False
        return {"tabs": gr.Tabs(selected="runs"), "runs_view": gr.Tabs(selected=RACE), "race_messages": "", "messages": "",
                "address": address(seat), "race_list": self._list(seat)}  # fmt: skip

    def follow(self, seat: Seat) -> Iterator[Drawn]:
        """The open race, from its first event on, until it is over or another is opened."""
        race = seat.race
        generation = race.begin()
        if generation is None:
            yield {}
            return
        view = RaceView()
        for batch in self.runner.follow_race(race.name, EVERY):
            for event, at in batch:
                view = fold(view, event, at)
            if race.generation != generation:
                return
            running = not view.over and self._going_on(race.name)
            yield self._picture(seat, view, max(view.at, seconds_since(view.started_at)) if running else view.at, running)
        if race.generation == generation:
            left = replace(view, interrupted=bool(view.race_id) and not view.over)
            race.seen.clear()  # all of it once more, so that no late word of an earlier follower stays
            yield self._picture(seat, left, left.at, False) | {"race_list": self._list(seat)}

    def _going_on(self, race_id: str) -> bool:
        return self.runner.racing() == race_id or self.store.race(race_id).status == "running"

    def _picture(self, seat: Seat, view: RaceView, now: float, running: bool) -> Drawn:
        seat.race.view, seat.race.now, seat.race.running = view, now, running
        return self._drawn(seat)

    def _drawn(self, seat: Seat) -> Drawn:
        """The parts that are not as they are on the page."""
        race = seat.race
        with race.lock:
            view, running = race.view, race.running
            ours = running and self.runner.racing() == race.name
            parts = {
                "race_head": words.head_html(view, running),
                "race_now": words.now_html(view, race.now, running),
                "race_actions": words.stop_html(view, ours, race.stopping),
                "race_finding": words.finding_html(view),
                "race_plot": race_figure(view, race.upward).to_json() if view.lanes else None,
                "race_table": words.table_html(view, race.sort, race.falling),
                "race_notes": words.notes_html(view),
            }
            return race.changed(parts, "race_actions")

    def _list(self, seat: Seat) -> str:
        return words.list_html(self.store.races(), seat.race.name, self.desk.titles())

    # --- looking ------------------------------------------------------------------------------------------------------

    def act(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """A button beside the race: so far there is only one, which stops it."""
        if picked["value"] == "stop":
            self.runner.stop_series(seat.race.name)
            seat.race.stopping = True
        return self._drawn(seat)

    def pick(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """In the table: a heading sorts, a name opens its run."""
        kind, _, value = str(picked["value"]).partition(":")
        if kind == "run":
            return self.desk.open(seat, value)
        if kind == "sort" and value in (words.METHOD, words.STATUS, *words.columns(seat.race.view)):
            seat.race.sort_by(value)
        return self._drawn(seat)

    def pick_point(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """A mark of the picture opens its run."""
        return self.desk.open(seat, str(picked["data"])) if picked.get("data") else {}

    def watch(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """The offer on a card was taken up: look at the race that it names."""
        return self.open(seat, str(picked["value"]).removeprefix(WATCH))

    def set_upward(self, seat: Seat, split: str) -> Drawn:
        seat.race.upward = split if split in SPLITS else "retain"
        return self._drawn(seat)

    def set_view(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """Another view of the Runs tab is shown."""
        seat.race.shown = str(picked["value"]).lower() == RACE
        return {"address": address(seat), "race_list": self._list(seat)} | self.desk.listing(seat)
