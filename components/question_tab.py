"""The Questions tab: what it is made of and in which order. Wires nothing; knows no run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from .compare import MODES
from .picker import KeptPicker, Saved
from .questions import LONGEST_SEARCH


@dataclass(frozen=True, slots=True)
class Questions:
    """The widgets of the tab. `file`: what the browser is to save, which is never seen."""

    filters: KeptPicker
    search: gr.Textbox
    mode: gr.Radio
    save: gr.Button
    list: KeptPicker
    file: Saved


def build_questions(first: dict[str, Any], file: Saved) -> Questions:
    """`first`: what the filters and the list show before anything is asked of the server."""
    filters = KeptPicker(first["questions_filters"], elem_id="question-filters")
    with gr.Row(elem_id="question-tools"):
        search = gr.Textbox(
            show_label=False,
            container=False,
            placeholder="Search in questions and answers",
            max_lines=1,
            max_length=LONGEST_SEARCH,
            elem_id="question-search",
            scale=1,
            min_width=200,
        )
        mode = gr.Radio(
            MODES, value="heat", show_label=False, container=False, elem_id="question-mode", elem_classes="way", scale=0,
            min_width=240,
        )  # fmt: skip
        save = gr.Button("Download CSV", size="sm", elem_id="question-csv", min_width=130, scale=0)
    rows = KeptPicker(first["questions_list"], elem_id="question-list")
    return Questions(filters=filters, search=search, mode=mode, save=save, list=rows, file=file)
