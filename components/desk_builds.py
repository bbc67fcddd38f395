"""Training the model that never saw the open run's topic, where it is not at hand: asked for, followed, stopped. Wires nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from unlearn_core.config import ReferenceConfig, RunConfig
from unlearn_core.errors import LetheError
from unlearn_core.runner import Busy

from . import sidebar
from .build_words import Offer, build_html
from .desk import Desk
from .desk_audits import AuditsDesk
from .follower import seconds_since
from .pictures import numbered
from .problems import card
from .screen import Drawn
from .seats import Seat
from .sequence_now import Doing, fold

COMPARE = "compare"
WATCH_BUILD = "build:"  # what a card's button names where it leads to such a training
EVERY = 0.5  # seconds between two pictures of it


class BuildsDesk:
    """Handlers of the place below the answers, and above the attacks, where that model is offered."""

    def __init__(self, desk: Desk, audits: AuditsDesk) -> None:
        self.desk, self.audits, self.runner = desk, audits, desk.runner

    # --- asking for one -----------------------------------------------------------------------------------------------

    def attend(self, seat: Seat) -> Drawn:
        """A run was opened: whether the model that never saw its topic could be trained. What goes on stays in sight, what came of
        an earlier one does not."""
        if not seat.build.running and not seat.build.pending:
            seat.build.doing = Doing()
        self._look(seat)
        return self._drawn(seat)

    def act(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """Train it, or Stop."""
        if picked["value"] == "stop":
            self.runner.stop_series(seat.build.name)
            seat.build.stopping = True
            return self._drawn(seat)
        config = self._config(seat)
        if config is None:
            return {}
        try:
            build_id = self.runner.start_build(ReferenceConfig(model=config.model, topic=config.topic, device=config.device))
        except Busy as error:
            return {"messages": sidebar.busy_html(error.run_id, seconds_since(error.since), error.kind)}
        except LetheError as error:
            return {"messages": card(error)} | self.attend(seat)
        seat.build.open(build_id)
        seat.build.running, seat.build.since = True, time.monotonic()  # at once: nobody presses twice
        return {"messages": ""} | self._drawn(seat)

    def _config(self, seat: Seat) -> RunConfig | None:
        try:
            return self.desk.store.find(seat.run_id).config
        except LetheError:  # a run that failed and was not kept
            return None

    def _look(self, seat: Seat) -> None:
        """What is known of the model that never saw the open run's topic."""
        config, state = self._config(seat), {}
        if config is not None:
            state = self.runner.reference_state(ReferenceConfig(model=config.model, topic=config.topic))
        seat.build.offer = Offer.of(self.desk.view(seat).topic_title, state)

    # --- following ----------------------------------------------------------------------------------------------------

    def arrive(self, seat: Seat) -> None:
        """A page was opened or reloaded: what is being trained is followed."""
        build_id = self.runner.building()
        if build_id and build_id != seat.build.name:
            seat.build.open(build_id)

    def watch(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """The offer on a card was taken up: look at what it names."""
        value = str(picked["value"])
        if not value.startswith(WATCH_BUILD):
            return self.audits.watch(seat, picked)
        seat.build.open(value.removeprefix(WATCH_BUILD))
        seat.tab = COMPARE
        return {"tabs": gr.Tabs(selected=COMPARE), "messages": "", "race_messages": "", "sequence_messages": "",
                "audit_messages": ""}

    def follow(self, seat: Seat) -> Iterator[Drawn]:
        """The training in sight, from its first event on, until it is over or another is opened."""
        here = seat.build
        generation = here.begin()
        if generation is None:
            yield {}
            return
        doing, name = Doing(), here.name
        for batch in self.runner.follow_build(name, EVERY):
            for event, at in batch:
                doing, here.since = fold(doing, event), time.monotonic() - at
            if here.generation != generation:
                return
            running = doing.end is None and self.runner.building() == name
            yield self._picture(seat, generation, doing, running)
        self._look(seat)
        with here.lock:
            here.seen.clear()  # once more, so that no late word of an earlier follower stays
        yield self._picture(seat, generation, doing, False)

    def _picture(self, seat: Seat, generation: int, doing: Doing, running: bool) -> Drawn:
        here = seat.build
        with here.lock:
            if here.generation != generation:
                return {}
            here.doing, here.running = doing, running
        return self._drawn(seat)

    def _drawn(self, seat: Seat) -> Drawn:
        here = seat.build
        with here.lock:
            seconds = max(0.0, time.monotonic() - here.since) if here.since else 0.0
            drawn = here.changed({"build": build_html(here.offer, here.doing, seconds, here.running, here.stopping)})
            here.pictures += bool(drawn)
            return {name: numbered(html, here.pictures) for name, html in drawn.items()}
