"""The sidebar: what will be run. Builds the widgets and reads them back into a `RunConfig`; wires nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic import ValidationError

from unlearn_core.config import RunConfig

from .controls import Field, is_default, read
from .families import Headed
from .numbers import duration, seed_fault

ELSEWHERE = " (not of this model)"
DEVICES = ["auto", "cuda", "mps", "cpu"]
PREVIEW_ROWS = 4
SPLIT_WORDS = {
    "forget": "to forget",
    "forget_paraphrase": "to forget, in other words",
    "forget_spanish": "to forget, in Spanish",
    "forget_choice": "to forget, by options",
    "neighbor": "neighbours",
    "retain": "retain",
    "general": "general",
}
HALVED = ("neighbor", "retain")
PASTE_EXAMPLE = "question,answer\nWho wrote the ballad of Orm?,Tessa Vey"


@dataclass(frozen=True, slots=True)
class Sidebar:
    """The widgets of the sidebar.

    `settings` holds the method's settings that differ from its defaults; `preset` what its
    controls were made for.
    """

    model: gr.Dropdown
    model_problem: gr.HTML
    topic: gr.Dropdown
    topic_problem: gr.HTML
    topic_words: gr.HTML
    method_words: gr.HTML
    method: gr.Dropdown
    method_problem: gr.HTML
    seed: gr.Textbox
    seed_problem: gr.HTML
    device: gr.Dropdown
    device_problem: gr.HTML
    settings: gr.State
    preset: gr.State
    settings_problem: gr.HTML
    start: gr.Button
    stop: gr.Button
    estimate: gr.HTML
    command: gr.Textbox
    copy: gr.Button
    upload: gr.File
    paste: gr.Textbox
    use_paste: gr.Button
    preview: gr.HTML

    @property
    def form(self) -> list[gr.components.Component]:
        """The inputs that make a `RunConfig`, in the order of `config_of`."""
        return [self.model, self.topic, self.method, self.seed, self.device, self.settings]

    @property
    def problems(self) -> dict[str, gr.HTML]:
        """Where the message about each field goes."""
        return {
            "model": self.model_problem,
            "topic": self.topic_problem,
            "method": self.method_problem,
            "seed": self.seed_problem,
            "device": self.device_problem,
            "settings": self.settings_problem,
        }


def problem_slot(field: str) -> gr.HTML:
    """The place of the message about a field: empty, and announced when it fills."""
    return gr.HTML("", elem_id=f"{field}-problem", elem_classes="field-problem-slot")


def field_problem(message: str | None) -> str:
    """The message beside a field, or nothing."""
    return f'<p class="field-problem" role="alert">{escape(message)}</p>' if message else ""


def choices(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(title, name) of catalogue entries, as a dropdown wants them."""
    return [(str(entry.get("title") or entry["name"]), str(entry["name"])) for entry in entries]


def offered(before: list[tuple[str, str]], entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The choices of a model's topics, after those that were offered `before`, each of which keeps its place.

    Gradio's list breaks the page when it gets shorter while it is open; a topic that the model lacks says so instead. A file
    can be asked of any model.
    """
    titles = {name: title for title, name in choices(entries)}
    kept = [(titles.pop(name, title if Path(name).suffix else title.removesuffix(ELSEWHERE) + ELSEWHERE), name)
            for title, name in before]
    return kept + [(title, name) for name, title in titles.items()]


def entry_of(entries: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    """The catalogue's entry of that name, or {}."""
    return next((entry for entry in entries if entry["name"] == name), {})


def topic_words(entries: list[dict[str, Any]], name: str | None) -> str:
    """What the chosen topic is, in its own summary."""
    entry = entry_of(entries, name)
    return f'<p class="topic-words">{escape(str(entry.get("summary", "")))}</p>' if entry.get("summary") else ""


_ABOUT_METHOD = (("access", "Needs"), ("cost", "Costs"), ("causal_only", "Not on an encoder-decoder"))


def method_words(entries: list[dict[str, Any]], name: str | None) -> str:
    """What the chosen method does, its paper, what it needs and what it costs."""
    entry = entry_of(entries, name)
    said = [str(entry[key]) for key in ("summary", "paper") if entry.get(key)]
    said += [f"{word}: {entry[key]}" for key, word in _ABOUT_METHOD if entry.get(key)]
    lines = "<br>".join(escape(text) for text in said)
    return f'<p class="topic-words">{lines}</p>' if said else ""


def config_of(
    model: str, topic: str, method: str, seed: str, device: str, settings: dict[str, Any]
) -> tuple[RunConfig | None, dict[str, str]]:
    """The request that the form makes, or None with a message by field."""
    problems: dict[str, str] = {}
    text = str(seed or "0").strip()
    if fault := seed_fault(text):
        problems["seed"] = fault
    if not topic:
        problems["topic"] = "Choose what is to be forgotten."
    if not (model or "").strip():
        problems["model"] = "Choose a model, or give a hub id or a folder."
    if problems:
        return None, problems
    try:
        return RunConfig(
            model=model.strip(),
            topic=topic,
            method=method,
            seed=int(text),
            device=device or "auto",
            settings=settings or {},
        ), {}
    except ValidationError as error:
        return None, {str(part["loc"][0]) if part["loc"] else "settings": str(part["msg"]) for part in error.errors()}


def build_sidebar(
    catalogue: dict[str, list[dict[str, Any]]],
    first: RunConfig,
    knob: Callable[[dict], None],
    advanced: Callable[[dict], None],
) -> Sidebar:
    """Draw the sidebar, asking for `first`. `knob` and `advanced` place the chosen method's own controls where they
    belong; they are given the widgets so far by name."""
    gr.HTML('<h1 class="wordmark">Lethe<span>watch a model forget</span></h1>')
    chosen = _choices(catalogue, first)
    knob(chosen)
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        advanced(chosen)
        rest = _everywhere(first)
    return Sidebar(**chosen, **rest, **_launch())


def _choices(catalogue: dict[str, list[dict[str, Any]]], first: RunConfig) -> dict[str, Any]:
    topics, topic = catalogue["topics"], first.topic or None
    parts: dict[str, Any] = {"settings": gr.State(dict(first.settings)), "preset": gr.State(preset(first.method, first.settings))}
    parts["model"] = gr.Dropdown(
        choices(catalogue["models"]),
        value=first.model,
        label="Model",
        elem_id="model",
        allow_custom_value=True,
        info="Built in, a hub id, or a folder",
    )
    parts["model_problem"] = problem_slot("model")
    parts["topic"] = gr.Dropdown(choices(topics), value=topic, label="Forget topic", elem_id="topic")
    parts["topic_words"] = gr.HTML(topic_words(topics, topic))
    parts["topic_problem"] = problem_slot("topic")
    parts |= _own_topic()
    methods = catalogue["methods"]
    parts["method"] = gr.Dropdown(choices(methods), value=first.method, label="Method", elem_id="method")
    Headed(methods, of="method")
    parts["method_words"] = gr.HTML(method_words(methods, first.method), elem_id="method-words")
    parts["method_problem"] = problem_slot("method")
    return parts


def _own_topic() -> dict[str, Any]:
    parts: dict[str, Any] = {}
    with gr.Accordion("Your own questions and answers", open=False, elem_id="own-topic"):
        parts["upload"] = gr.File(label="CSV, JSONL or JSON", type="filepath", height=160, elem_id="topic-file")
        parts["paste"] = gr.Textbox(
            label="or paste them", lines=4, max_lines=10, placeholder=PASTE_EXAMPLE, elem_id="topic-paste"
        )
        parts["use_paste"] = gr.Button("Use this list", size="sm", elem_id="use-paste")
        parts["preview"] = gr.HTML("", elem_id="topic-preview")
    return parts


def _everywhere(first: RunConfig) -> dict[str, Any]:
    """The settings that every method has."""
    parts: dict[str, Any] = {}
    parts["seed"] = gr.Textbox(
        str(first.seed), label="Seed", info="The same seed gives the same edit", max_lines=1, elem_id="seed"
    )
    parts["seed_problem"] = problem_slot("seed")
    parts["device"] = gr.Dropdown(DEVICES, value=first.device, label="Device", filterable=False, elem_id="device")
    parts["device_problem"] = problem_slot("device")
    return parts


def _launch() -> dict[str, Any]:
    parts: dict[str, Any] = {"settings_problem": problem_slot("settings")}
    parts["start"] = gr.Button("Unlearn", variant="primary", elem_id="start")
    parts["stop"] = gr.Button("Stop", variant="stop", elem_id="stop")
    parts["estimate"] = gr.HTML("", elem_id="estimate")
    parts["copy"] = gr.Button("Copy command", size="sm", variant="secondary", elem_id="copy-command")
    parts["command"] = gr.Textbox("", visible="hidden", elem_id="command")
    return parts


def preset(method: str, settings: dict[str, Any], turn: int = 0) -> dict[str, Any]:
    """What the method's own controls are made for. Another `turn` makes them anew, where they showed something else since."""
    return {"method": method, "settings": dict(settings), "turn": turn}


def with_setting(settings: dict[str, Any], field: Field, shown: Any) -> dict[str, Any]:
    """`settings` after one control shows another value; a default is not kept."""
    rest = {name: value for name, value in settings.items() if name != field.name}
    value = read(field, shown)
    return rest if is_default(field, value) else {**rest, field.name: value}


_WORKS = {"audit": "An audit", "build": "The training of a model that never saw a topic"}


def busy_html(run_id: str, seconds: float, kind: str = "run") -> str:
    """Who is running, and the offer to watch. `kind`: run, race, sequence, audit or build."""
    what = _WORKS.get(kind, f"A {kind}")
    pick = escape(f"{'watch' if kind == 'run' else kind}:{run_id}", quote=True)
    return (
        '<div class="lt lt-problem busy" role="status">'
        f'<p class="lt-problem-what">{what} started {duration(seconds)} ago, and is not over yet.</p>'
        f"<p>One model works on one run, race, sequence, audit or training at a time: {escape(run_id)} has it now.</p>"
        f'<button type="button" class="card-action" data-pick="{pick}">Watch it</button></div>'
    )


def estimate_html(device: str, seconds: float | None, source: str) -> str:
    """Where it will run and how long about, from the last comparable run; and that nothing is sent anywhere."""
    time = f"about {duration(seconds)} {source}" if seconds else "time not known yet: no comparable run"
    return (
        f'<p class="estimate"><b>{escape(device)}</b> · {escape(time)}</p>'
        '<p class="estimate">Nothing leaves this machine.</p>'
    )


def preview_html(preview: dict[str, Any]) -> str:
    """The first rows of an uploaded topic, how many there are of each kind, and which of them a method may see."""
    written = preview.get("written", {})
    counts = " · ".join(f"{count} {escape(_split_words(split, count))}" for split, count in written.items())
    rows = "".join(
        f"<tr><td>{escape(str(row.get('question', '')))}</td><td>{escape(str(row.get('answer', '')))}</td></tr>"
        for row in preview.get("rows", [])[:PREVIEW_ROWS]
    )
    unseen = sum(written.values()) - min(PREVIEW_ROWS, len(preview.get("rows", [])))
    more = f"<p>and {unseen:,} more</p>" if unseen > 0 else ""
    notes = "".join(f"<p>{escape(str(text))}</p>" for text in preview.get("notices", []))
    return (
        f'<div class="topic-preview"><p><b>{escape(str(preview.get("title", "")))}</b> {counts}</p>'
        f"{_halves(written, preview.get('shown', {}))}"
        f"<table><thead><tr><th>Question</th><th>Answer</th></tr></thead><tbody>{rows}</tbody></table>{more}{notes}</div>"
    )


def _split_words(split: str, count: int) -> str:
    return "neighbour" if (split, count) == ("neighbor", 1) else SPLIT_WORDS.get(split, split)


def _halves(written: dict[str, int], shown: dict[str, int]) -> str:
    """How the questions that are to stay are divided between the method and the measurement; nothing without any."""
    parts = [
        f"{shown.get(split, 0)} of {written[split]} {SPLIT_WORDS[split]}" for split in HALVED if written.get(split)
    ]
    if not parts:
        return ""
    return (
        "<p>Half of the neighbours and of retain is shown to the method, the other half is scored: "
        f"it sees {' and '.join(parts)}.</p>"
    )
