"""Sequence, within the Runs tab: who asks and how the edits come together, how far it is, the tables. Builds the widgets;
wires nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from .picker import KeptPicker, Picker
from .sequences import MODE_TITLES, MODES

MOST = 8  # requests in a sequence
ENTITIES, TOPICS = "entities", "topics"
WHO = [("Persons or things of the sidebar's topic", ENTITIES), ("Whole topics", TOPICS)]
INTRODUCTION = ("Requests to forget come one after another, on the sidebar's model and with its method. After each, every earlier "
                "request and all that is kept are measured again. Each request is a run of its own, unless all come at "
                "once.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sequences:
    """The widgets of the view. `form` makes the request, together with the sidebar's."""

    messages: gr.HTML
    who: gr.Radio
    count: gr.Slider
    topics: gr.Dropdown
    words: gr.HTML
    mode: gr.Radio
    mode_words: gr.HTML
    start: gr.Button
    copy: gr.Button
    command: gr.Textbox
    estimate: gr.HTML
    now: gr.HTML
    actions: gr.HTML
    tables: gr.HTML

    @property
    def form(self) -> list[gr.components.Component]:
        return [self.who, self.count, self.topics, self.mode]


def build_sequences(topics: list[tuple[str, str]], tables: str) -> Sequences:
    """`topics`: (title, name) of each to choose from; `tables`: the saved sequences as they are at first."""
    with gr.Row(elem_id="sequence-going"):  # first: on a phone the form fills the screen
        now, actions = gr.HTML("", elem_id="sequence-now"), KeptPicker("", elem_id="sequence-actions")
    parts = _request(topics) | {"now": now, "actions": actions}
    parts["tables"] = Picker(tables, elem_id="sequences")
    return Sequences(**parts)


def mode_choices(modes: list[str]) -> list[tuple[str, str]]:
    return [(MODE_TITLES[mode], mode) for mode in modes]


def _request(topics: list[tuple[str, str]]) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    with gr.Column(elem_id="sequence-form", elem_classes="lethe-panel"):
        gr.HTML(f'<p class="estimate">{INTRODUCTION}</p>')
        parts["who"] = gr.Radio(WHO, value=ENTITIES, label="Who asks to be forgotten", elem_id="sequence-who")
        parts["count"] = gr.Slider(1, MOST, value=4, step=1, label="How many, in the topic's order", elem_id="sequence-count")
        parts["topics"] = gr.Dropdown(topics, value=[], multiselect=True, max_choices=MOST, visible=False,
                                      label="Topics, in the order in which they are chosen", elem_id="sequence-topics")  # fmt: skip
        parts["words"] = gr.HTML("", elem_id="sequence-words")
        parts["mode"] = gr.Radio(mode_choices(list(MODES)), value="stack", label="How the edits come together",
                                 elem_id="sequence-mode")  # fmt: skip
        parts["mode_words"] = gr.HTML("", elem_id="sequence-mode-words")
        parts["messages"] = Picker("", elem_id="sequence-messages")
        with gr.Row(elem_id="sequence-start-row"):
            parts["start"] = gr.Button("Start sequence", variant="primary", size="sm", scale=0, min_width=140,
                                       elem_id="sequence-start")  # fmt: skip
            parts["copy"] = gr.Button("Copy command", size="sm", scale=0, min_width=130, elem_id="sequence-copy")
            parts["estimate"] = gr.HTML("", elem_id="sequence-estimate")
        parts["command"] = gr.Textbox("", visible="hidden", elem_id="sequence-command")
    return parts
