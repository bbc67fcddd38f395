"""Race, within the Runs tab: what is asked for, the picture, the table, earlier races. Builds the widgets; wires nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from unlearn_core.config import DEFAULTS, EQUAL_DAMAGE

from .families import boxes
from .live_plot import LivePlot
from .palette import SPLIT_TITLES
from .picker import KeptPicker, Picker
from .race_plot import HEIGHT
from .race_view import RaceView
from .race_words import head_html, mode_words

MODES = [("Each at its defaults", DEFAULTS), ("At equal damage", EQUAL_DAMAGE)]
UPWARD = [(SPLIT_TITLES["retain"], "retain"), (SPLIT_TITLES["neighbor"], "neighbor")]
INTRODUCTION = ("Several methods forget the sidebar's topic on the sidebar's model, one after another as one piece of work. "
                "Each is a run of its own that opens, and can be asked, like any other.")


@dataclass(frozen=True, slots=True)
class Races:
    """The widgets of the view. `families`: the methods to choose from, a list for each family. `form` makes the request, together
    with the sidebar's model, topic, seed and device."""

    messages: gr.HTML
    choosing: gr.Accordion
    families: dict[str, gr.CheckboxGroup]
    every: gr.Button
    none: gr.Button
    mode: gr.Radio
    mode_words: gr.HTML
    unable: gr.HTML
    start: gr.Button
    copy: gr.Button
    command: gr.Textbox
    estimate: gr.HTML
    head: gr.HTML
    now: gr.HTML
    actions: gr.HTML
    finding: gr.HTML
    upward: gr.Radio
    plot: LivePlot
    table: gr.HTML
    notes: gr.HTML
    list: gr.HTML

    @property
    def form(self) -> list[gr.components.Component]:
        return [*self.families.values(), self.mode]


def build_races(methods: list[dict[str, Any]], earlier: str) -> Races:
    """`earlier`: the list of races as it is before anything is asked of the server."""
    parts = _request(methods)
    parts["head"] = gr.HTML(head_html(RaceView(), False), elem_id="race-head")
    with gr.Row(elem_id="race-going"):
        parts["now"] = gr.HTML("", elem_id="race-now")
        parts["actions"] = KeptPicker("", elem_id="race-actions")
    parts["finding"] = gr.HTML("", elem_id="race-finding")
    parts["upward"] = gr.Radio(UPWARD, value="retain", label="Upwards in the picture", elem_id="race-upward")
    parts["plot"] = LivePlot(None, height=HEIGHT, elem_id="race-plot", label="How much each method forgot, and how much it kept")
    parts["notes"] = gr.HTML("", elem_id="race-notes")
    parts["table"] = Picker("", elem_id="race-table")
    parts["list"] = Picker(earlier, elem_id="race-list")
    return Races(**parts)


def _request(methods: list[dict[str, Any]]) -> dict[str, Any]:
    """The form: which methods, how far each goes, and the button."""
    parts: dict[str, Any] = {}
    with gr.Column(elem_id="race-form", elem_classes="lethe-panel"):
        gr.HTML(f'<p class="estimate">{INTRODUCTION}</p>')
        parts["mode"] = gr.Radio(MODES, value=DEFAULTS, label="How far each method goes", elem_id="race-mode")
        parts["mode_words"] = gr.HTML(f'<p class="estimate">{mode_words(DEFAULTS)}</p>')
        with gr.Accordion("Choose the methods", open=False, elem_id="race-methods") as parts["choosing"]:
            with gr.Row(elem_id="race-picks"):
                parts["every"] = gr.Button("All", size="sm", scale=0, min_width=72, elem_id="race-every")
                parts["none"] = gr.Button("None", size="sm", scale=0, min_width=72, elem_id="race-none")
            unlearning = [str(entry["name"]) for entry in methods if not entry.get("teaches")]
            parts["families"] = boxes(methods, unlearning, "race-family")
        parts["unable"] = gr.HTML("", elem_id="race-unable")
        parts["messages"] = Picker("", elem_id="race-messages")
        with gr.Row(elem_id="race-start-row"):
            parts["start"] = gr.Button("Race", variant="primary", size="sm", scale=0, min_width=120, elem_id="race-start")
            parts["copy"] = gr.Button("Copy command", size="sm", scale=0, min_width=130, elem_id="race-copy")
            parts["estimate"] = gr.HTML("", elem_id="race-estimate")
        parts["command"] = gr.Textbox("", visible="hidden", elem_id="race-command")
    return parts
