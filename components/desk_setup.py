"""Using the sidebar: checking the form, starting and stopping a run, bringing one's own topic. Wires nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gradio as gr

from unlearn_core.config import RunConfig
from unlearn_core.errors import LetheError
from unlearn_core.runner import Busy
from unlearn_core.store import RECORDED

from . import sidebar
from .controls import Field, brought_back, fields, read
from .desk import Desk
from .follower import seconds_since
from .problems import AGAIN, OTHER_FILE, card, problem_html
from .screen import Drawn
from .seats import Seat

NO_TOPIC = "none"
NOT_THERE = "This model has no such topic: choose another, or give your own questions and answers below."
PASTED = "Pasted list"  # no suffix: the reader looks at the text
THE_LIST = ("Go to the list", "#topic-paste")
STOPPING = "Stopping after this step…"
LOADING = 30.0  # seconds
COMMON = ("model", "topic", "method", "seed", "device")


class SetupDesk:
    """Handlers of the sidebar's widgets."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.runner, self.store = desk, desk.runner, desk.store

    def first_request(self) -> RunConfig:
        """What the sidebar asks for at first: the recorded run again, so that pressing Unlearn repeats what is shown.

        With another model than that run's, the first of the topics and methods there are.
        """
        model, methods = self.desk.settings.model, self.desk.catalogue["methods"]
        try:
            recorded = self.store.find(RECORDED).config
        except LetheError:
            recorded = None
        if recorded is not None and recorded.model == model:
            return recorded
        topics = self.desk.first_topics
        return RunConfig(model=model, topic=topics[0]["name"] if topics else "", method=methods[0]["name"])

    def fields(self, method: str) -> tuple[Field | None, list[Field]]:
        """The one setting of a method that matters, and the others."""
        entry = sidebar.entry_of(self.desk.catalogue["methods"], method)
        found = fields(entry.get("config_schema", {}))
        knob = next((field for field in found if field.name == entry.get("knob")), None)
        return knob, [field for field in found if field is not knob]

    def set_model(self, seat: Seat, model: str, topic: str | None) -> Drawn:
        """Another model brings its own topics. What was chosen stays chosen: where the model lacks it, it is refused."""
        offered, own = self.desk.offer(seat, model), self.desk.topics(model)
        first = {} if topic or not own else {"value": own[0]["name"]}
        return {"topic": gr.Dropdown(offered, **first)}

    def set_method(self, seat: Seat, method: str) -> Drawn:
        """Another method has other settings: all of them start from their defaults.

        The list tells of one choice twice. Controls made anew while the browser still listens to those of a moment ago would
        leave it calling what is gone.
        """
        if method == (seat.method or self.first_request().method):
            return {}
        return {"settings": {}, "preset": self.desk.preset(seat, method, {})}

    def set_setting(
        self, method: str, settings: dict[str, Any], field: Field, shown: Any
    ) -> tuple[dict[str, Any], str]:
        """The settings after one control shows another value, and what is wrong with that value."""
        before, settings = settings.get(field.name, field.default), sidebar.with_setting(settings, field, shown)
        config, problems = sidebar.config_of("demo", NO_TOPIC, method, "0", "auto", settings)
        problems = problems or self.runner.check(config)
        said = problems.get(field.name) or brought_back(field, before, read(field, shown))
        return settings, sidebar.field_problem(said)

    def checked(self, form: tuple) -> tuple[RunConfig | None, dict[str, str]]:
        """The request that the form makes, if it can be carried out, and what is wrong, by field."""
        config, problems = sidebar.config_of(*form)
        if config is not None:
            problems = self._found(config)
        elif set(problems) == {"topic"}:  # a model that cannot be read brings no topics: say what is behind it
            rest, _ = sidebar.config_of(form[0], NO_TOPIC, *form[2:])
            problems = self._found(rest) | problems if rest else problems
        return (None if problems else config), problems

    def _found(self, config: RunConfig) -> dict[str, str]:
        """What the engine finds wrong, of topics in the page's own words; without a model, nothing about its topics."""
        problems = self.runner.check(config)
        if "model" in problems:
            problems.pop("topic", None)
        elif "topic" in problems and not sidebar.entry_of(self.desk.topics(config.model), config.topic):
            problems["topic"] = NOT_THERE
        return problems

    def refresh(self, seat: Seat, *form: Any) -> Drawn:
        """Something in the form changed: its problems, the command that it stands for, and the time it will take."""
        config, _ = sidebar.config_of(*form)
        _, problems = self.checked(form)
        return self._problems(problems) | {
            "command": self.desk.settings.command(config) if config else "",
            "estimate": self._estimate(config),
            "topic_words": sidebar.topic_words(self.desk.topics(form[0]), form[1]),
            "method_words": sidebar.method_words(self.desk.catalogue["methods"], form[2]),
        }

    def start(self, seat: Seat, *form: Any) -> Drawn:
        """Start a run; refused beside the field, or with a card that offers to watch the run that is in the way."""
        config, problems = self.checked(form)
        return self._problems(problems) if config is None else self._started(seat, config)

    def again(self, seat: Seat) -> Drawn:
        """The run chosen in the table once more, exactly as it was asked for; the form shows what it can of it."""
        return self._repeated(seat, seat.chosen) if seat.chosen else {}

    def repeat(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """The open run once more, where it came to no end of its own."""
        return self._repeated(seat, seat.run_id) if picked["value"] == AGAIN and seat.run_id else {}

    def _repeated(self, seat: Seat, run_id: str) -> Drawn:
        """That run once more.

        A run that a race kept to equal damage goes to its end this time: the budget is the race's, not the run's. A refusal is
        a card: beside its field it would be gone as soon as the form, which is filled in here, is checked.
        """
        config = self.store.find(run_id).config
        return self.desk.form(seat, config) | self._started(seat, config, beside_its_field=False)

    def _started(self, seat: Seat, config: RunConfig, beside_its_field: bool = True) -> Drawn:
        try:
            run_id = self.runner.start(config)
        except LetheError as error:
            if isinstance(error, Busy):
                words = sidebar.busy_html(error.run_id, seconds_since(error.since), error.kind)
                if error.kind == "run":  # said until it is over, and not offered once more
                    seat.known.add(error.run_id)
                    seat.offered = error.run_id, words
                return {"messages": words}
            if error.field and beside_its_field:
                return self._problems({error.field: str(error)})
            return {"messages": card(error)}
        return self._problems({}) | self.desk.open(seat, run_id)

    def stop(self, seat: Seat) -> Drawn:
        """Stop the open run, or end its replay."""
        if self.runner.running() != seat.run_id:
            seat.open(seat.run_id)
            return {}
        self.runner.stop(seat.run_id)
        stopping = gr.Button(STOPPING, interactive=False)
        return {"stop": stopping, "strip_stop": stopping}

    def _problems(self, problems: dict[str, str]) -> Drawn:
        """Messages by field; those about a method's own settings stand together above Unlearn."""
        rest = [
            f"{name.replace('_', ' ').capitalize()}: {text}" for name, text in problems.items() if name not in COMMON
        ]
        return {f"{name}_problem": sidebar.field_problem(problems.get(name)) for name in COMMON} | {
            "settings_problem": sidebar.field_problem(" ".join(rest))
        }

    def _estimate(self, config: RunConfig | None) -> str:
        done = [record for record in self.store.runs() if record.status == "done" and record.seconds]
        same = [
            record
            for record in done
            if config and record.config.method == config.method and record.config.model == config.model
        ]
        here = [record for record in same if record.config.topic == config.topic]
        found, which = (here, "this method on this topic") if here else (same, "this method, on another topic")
        return sidebar.estimate_html(self._place(config), found[0].seconds if found else None, f"by the last run of {which}")

    def _place(self, config: RunConfig | None) -> str:
        device = config.device if config else "auto"
        known = self.runner.place(config.model, device, config.dtype) if config else ""
        return known or ("device and format chosen when the model is loaded" if device == "auto" else device)

    def placed(self, seat: Seat) -> Drawn:
        """Wait a while until it is known where the model in the sidebar at first goes, if it is the one that is loaded once the
        page is there; another is loaded by its first run only."""
        model, end = self.desk.settings.model, time.monotonic() + LOADING
        while model == self.desk.warming and not self.runner.place(model, "auto") and time.monotonic() < end:
            time.sleep(LOADING / 100)
        return {}

    def upload_file(self, seat: Seat, path: str | None, model: str) -> Drawn:
        """A file becomes a topic, or a sentence says why not."""
        return self._upload(seat, Path(path).name, Path(path).read_bytes(), model) if path else {"preview": ""}

    def upload_paste(self, seat: Seat, text: str, model: str) -> Drawn:
        """A pasted list becomes a topic, or a sentence says why not."""
        if not (text or "").strip():
            remedy = "Paste lines of question,answer first."
            return {"preview": problem_html("There is nothing to use.", "", remedy, action=THE_LIST)}
        return {"upload": None} | self._upload(seat, PASTED, text.encode(), model)

    def _upload(self, seat: Seat, name: str, content: bytes, model: str) -> Drawn:
        try:
            preview = self.runner.add_topic(name, content, model)
        except LetheError as error:
            return {"preview": card(error, THE_LIST if name == PASTED else OTHER_FILE), "upload": None}
        return {
            "preview": sidebar.preview_html(preview),
            "topic": gr.Dropdown(self.desk.offer(seat, model), value=preview["name"]),
        }
