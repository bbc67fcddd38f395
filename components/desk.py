"""Opening and following a run: what an event of the page does to a seat, and which parts of the page change.

Handlers take a seat and plain values and return new values by the name of the part. Wires nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from unlearn_core.config import RunConfig
from unlearn_core.errors import LetheError
from unlearn_core.store import RECORDED, Store

from . import runs, sidebar
from .follower import follow, watched
from .links import parse
from .problems import notice_html
from .screen import Drawn, draw
from .seats import Seat, Seats
from .sequences import sequences_html
from .settings import Settings
from .view import RunView, replay

STOP, MORE = "Stop", "Show more pairs"


class Desk:
    """Everything that the widgets' events call. `seat` is the browser tab that the event came from."""

    def __init__(self, runner: Any, store: Store, settings: Settings) -> None:
        self.runner, self.store, self.settings = runner, store, settings
        self.seats = Seats()
        self.catalogue = runner.catalogue()
        self.first_topics = self.topics(None)
        self.warming = ""  # the model that is loaded once the first page is there

    # --- opening and following ----------------------------------------------------------------------------------------

    def arrive(self, seat: Seat, query: dict[str, str]) -> Drawn:
        """A page was opened or reloaded: restore what its address says; without one, watch what is running.

        What somebody typed, chose or opened while the page was still arriving stays.
        """
        state, messages = parse(query)
        run_id = state.run or watched(self.runner) or RECORDED
        try:
            run_id = self.store.find(run_id).run_id
        except LetheError as error:
            if run_id != RECORDED:
                messages.append(f"{error.what} The recorded example is open instead.")
            run_id = RECORDED
        if not seat.generation:
            seat.open(run_id)
        self._warm()
        drawn: Drawn = {}
        if seat.run_id != RECORDED and seat.run_id == run_id:
            drawn |= self.form(seat, self.store.find(run_id).config)
        if messages:
            drawn["messages"] = "".join(notice_html(text) for text in messages)
        if "tab" in query:
            seat.tab, drawn["tabs"] = state.tab, gr.Tabs(selected=state.tab)
        if state.question:
            seat.question = drawn["question"] = state.question
        return drawn | self.listing(seat)

    def follow(self, seat: Seat) -> Iterator[Drawn]:
        """The open run, from its first event on, until it is over or another is opened."""
        turn = seat.begin()
        if turn is None:
            yield {}
            return
        standing = None
        for drawn in follow(turn, self.runner, self.store):
            if drawn["standing"] == standing:
                del drawn["standing"]
            standing = drawn.get("standing", standing)
            yield drawn
        if not turn.current:
            return
        left = {}
        if seat.refused:  # what was in the way of the question is so no longer
            seat.refused, left = False, {"panes": ""}
        yield left | self.listing(seat)

    def open(self, seat: Seat, run_id: str, how: str = "follow", tab: str = "compare") -> Drawn:
        """Look at another run from now on; raises BadInput where there is none."""
        seat.open(self.store.find(run_id).run_id, how)
        if seat.asking:  # nobody waits for an answer under another run
            self.runner.stop_ask(seat.asking)
        seat.asking, seat.answered, seat.tab = "", None, tab
        return _reset() | seat.audit.blank() | {"messages": self._offer(seat), "tabs": gr.Tabs(selected=tab)} | self.listing(seat)

    def replay(self, seat: Seat) -> Drawn:
        return self.open(seat, seat.run_id, "replay")

    def watch(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """The offer on a card was taken up: look at the run that it names."""
        return self.open(seat, str(picked["value"]).removeprefix("watch:"))

    def look_out(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """A run that this tab does not know of is offered once, whoever started it, and where nothing else is said; the offer goes
        when the run is over."""
        run_id = watched(self.runner)
        if seat.offered is not None:
            return {} if self.runner.running() == seat.offered[0] else {"messages": ""}
        return {"messages": self._offer(seat)} if run_id is not None and run_id not in seat.known and not seat.said else {}

    def _offer(self, seat: Seat) -> str:
        """The offer to watch the run at work; "" where there is none or it is the open one."""
        run_id = watched(self.runner)
        if run_id is None or run_id == seat.run_id:
            return ""
        config, titles = self.store.find(run_id).config, self.titles()
        method, topic = titles.get(config.method, config.method), titles.get(config.topic, Path(config.topic).stem)
        seat.known.add(run_id)
        seat.offered = run_id, notice_html(f"A run is at work: {method} on {topic}.", ("Watch it", f"watch:{run_id}"))
        return seat.offered[1]

    def listing(self, seat: Seat) -> Drawn:
        """The table of runs and the sequences as they are now."""
        return {"runs_table": runs.table_html(self.store.runs(), seat.run_id, seat.chosen, self.titles()),
                "sequences": sequences_html(self.store.sequences(), seat.undoing, seat.sequence.name, seat.undone)}  # fmt: skip

    def redraw(self, seat: Seat) -> Drawn:
        """The parts of the open run that change with what the seat looks at."""
        view = self.view(seat)
        drawn = draw(view, seat, self.at_work(seat))
        while seat.view is not None and seat.view is not view:  # a follower came further meanwhile: what it drew must not be undone
            view = seat.view
            drawn |= draw(view, seat, seat.running)
        return drawn

    def at_work(self, seat: Seat) -> bool:
        """Whether somebody is at the open run; the runner's word before the tab's follower has drawn it."""
        return seat.running if seat.view is not None else self.runner.running() == seat.run_id

    def view(self, seat: Seat) -> RunView:
        """The open run as this tab last saw it; read from its events where it has not been drawn yet."""
        try:
            return seat.view or replay(self.store.events(seat.run_id))
        except LetheError:
            return RunView()

    def titles(self) -> dict[str, str]:
        """The titles of all methods, of the topics of the model that the page began with, and of the uploaded ones, by name."""
        return {entry["name"]: entry["title"] for entry in [*self.topics(None), *self.catalogue["methods"]]}

    def topics(self, model: str | None) -> list[dict[str, Any]]:
        """The topics of a model, and the uploaded ones."""
        return self.runner.catalogue(model or self.settings.model)["topics"]

    def form(self, seat: Seat, config: RunConfig) -> Drawn:
        """The sidebar as it was when a run was asked for."""
        offered = self.offer(seat, config.model)
        if config.topic not in (name for _, name in offered):
            offered.append((Path(config.topic).name, config.topic))
        words = sidebar.topic_words(self.topics(config.model), config.topic)
        return {"model": config.model, "topic": gr.Dropdown(offered, value=config.topic), "topic_words": words,
                "method": config.method, "seed": str(config.seed), "device": config.device, "settings": dict(config.settings),
                "preset": self.preset(seat, config.method, config.settings)}  # fmt: skip

    def preset(self, seat: Seat, method: str, settings: dict[str, Any]) -> dict[str, Any]:
        """The method's own controls, made anew."""
        seat.presets, seat.method = seat.presets + 1, method
        return sidebar.preset(method, settings, seat.presets)

    def offer(self, seat: Seat, model: str | None) -> list[tuple[str, str]]:
        """The topics to choose from with that model; never fewer than this tab was offered before."""
        before = seat.topics or sidebar.choices(self.first_topics)
        seat.topics = sidebar.offered(before, self.topics(model))
        return seat.topics

    def _warm(self) -> None:
        """Load torch once the first page is there: later pages must not bring the built-in model back."""
        if not self.warming:
            self.warming = self.runner.warm()


def _reset() -> Drawn:
    """Nothing of the run that was open before: its strength, its answers, its stopping."""
    stop = gr.Button(STOP, interactive=True)
    return {"dial": 1.0, "dial_words": "", "measure_all": gr.Button(visible=False), "more": gr.Button(MORE), "panes": "",
            "questions_search": "", "stop": stop, "strip_stop": stop}  # fmt: skip
