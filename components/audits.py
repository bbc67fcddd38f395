"""The Audit tab: what came of it, the button, the attacks to choose from, the card. Builds the widgets; wires nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from .audit_plot import HEIGHT, LIVE_HEIGHT
from .audit_words import FAMILY, RECOVERED
from .families import boxes
from .live_plot import LivePlot
from .picker import KeptPicker, Picker
from .steady import Steady

SORTS = [("By family", FAMILY), ("Most recovered first", RECOVERED)]
INTRODUCTION = ("An audit tries to get back what the open run made its model forget. Every attack runs alike on the original, on "
                "the unlearned model and, where there is one, on a model that never saw the topic; only the difference counts.")


@dataclass(frozen=True, slots=True)
class Audits:
    """The widgets of the tab. `families`: the attacks to choose from, a list for each family; together they make the request."""

    messages: Picker
    head: gr.HTML
    build: KeptPicker
    actions: Picker
    now: gr.HTML
    live_words: gr.HTML
    live: LivePlot
    copy: gr.Button
    command: gr.Textbox
    estimate: gr.HTML
    choosing: gr.Accordion
    every: gr.Button
    none: gr.Button
    families: dict[str, gr.CheckboxGroup]
    sort: gr.Radio
    earlier: Picker
    file: gr.HTML
    card: Steady
    notes: gr.HTML
    detail: Steady
    plot: LivePlot

    @property
    def form(self) -> list[gr.components.Component]:
        return list(self.families.values())


def build_audits(attacks: list[dict[str, Any]]) -> Audits:
    """`attacks`: all that there are, as the catalogue has them."""
    parts: dict[str, Any] = {"head": gr.HTML("", elem_id="audit-head"), "messages": Picker("", elem_id="audit-messages")}
    parts["build"] = KeptPicker("", elem_id="audit-build", elem_classes="build")
    parts |= _request(attacks)
    with gr.Column(elem_id="audit-going"):
        parts["now"] = gr.HTML("", elem_id="audit-now")
        parts["live_words"] = gr.HTML("", elem_id="audit-live-words")
        parts["live"] = LivePlot(None, height=LIVE_HEIGHT, elem_id="audit-live", label="What comes out along the attack at work")
    with gr.Row(elem_id="audit-tools"):
        parts["sort"] = gr.Radio(SORTS, value=FAMILY, show_label=False, container=False, elem_id="audit-sort", scale=0,
                                 min_width=300)
        parts["earlier"] = Picker("", elem_id="audit-earlier")
        parts["file"] = gr.HTML("", elem_id="audit-file")
    parts["card"] = Steady("", elem_id="audit-card")
    parts["notes"] = gr.HTML("", elem_id="audit-notes")
    parts["detail"] = Steady("", elem_id="audit-detail")
    parts["plot"] = LivePlot(None, height=HEIGHT, elem_id="audit-plot", label="What came out along the chosen attack")
    return Audits(**parts)


def _request(attacks: list[dict[str, Any]]) -> dict[str, Any]:
    """The form: the button in one row with what it stands for, and the attacks to choose from."""
    parts: dict[str, Any] = {}
    with gr.Column(elem_id="audit-form", elem_classes="lethe-panel"):
        with gr.Row(elem_id="audit-start-row"):
            parts["actions"] = Steady("", elem_id="audit-actions")
            parts["copy"] = gr.Button("Copy command", size="sm", scale=0, min_width=130, elem_id="audit-copy")
            parts["estimate"] = gr.HTML("", elem_id="audit-estimate")
        with gr.Accordion("Choose the attacks", open=False, elem_id="audit-choosing") as parts["choosing"]:
            gr.HTML(f'<p class="estimate">{INTRODUCTION}</p>')
            with gr.Row(elem_id="audit-picks"):
                parts["every"] = gr.Button("All", size="sm", scale=0, min_width=72, elem_id="audit-every")
                parts["none"] = gr.Button("None", size="sm", scale=0, min_width=72, elem_id="audit-none")
            parts["families"] = boxes(attacks, [str(attack["name"]) for attack in attacks], "audit-family")
        parts["command"] = gr.Textbox("", visible="hidden", elem_id="audit-command")
    return parts
