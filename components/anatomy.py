"""The Internals tab: where in the weights the change lies. Builds the widgets; wires nothing; knows no run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from .live_plot import LivePlot

NOTHING = "Nothing to draw: this run has no low-rank change of weights, or has not got there yet."


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The widgets of the tab."""

    layer: gr.Dropdown
    matrix: gr.Dropdown
    spectrum_words: gr.HTML
    spectrum: LivePlot
    change_words: gr.HTML
    change_map: LivePlot
    change_table: gr.HTML
    angles_words: gr.HTML
    angles: LivePlot


def build_anatomy(first: dict[str, Any]) -> Anatomy:
    """Spectrum and map side by side, angles below, each under one plain sentence. `first`: what they show at first."""
    layers, matrices, place = first["place"]
    layer_now, matrix_now = place or (None, None)
    with gr.Row(elem_id="place"):
        layer = gr.Dropdown(layers, value=layer_now, label="Layer", filterable=False, elem_id="layer", min_width=140)
        matrix = gr.Dropdown(
            matrices, value=matrix_now, label="Matrix", filterable=False, elem_id="matrix", min_width=200
        )
    with gr.Row(elem_classes="figures"):
        with gr.Column(min_width=340):
            gr.HTML("<h2>Spectrum</h2>")
            spectrum_words = gr.HTML(first["spectrum_words"], elem_id="internals-words")
            spectrum = LivePlot(
                first["spectrum"], elem_id="internals-spectrum", label="Spectrum of the chosen matrix", empty=NOTHING
            )
        with gr.Column(min_width=340):
            gr.HTML("<h2>Where the change is</h2>")
            change_words = gr.HTML(first["change_words"], elem_id="change-words")
            change_map = LivePlot(
                first["change_map"], elem_id="change-map", label="Relative change by layer and matrix", empty=NOTHING
            )
            change_table = gr.HTML(first["change_table"], elem_id="change-table")
    gr.HTML("<h2>Forget against retain</h2>")
    angles_words = gr.HTML(first["angles_words"], elem_id="angles-words")
    angles = LivePlot(
        first["angles"], elem_id="angles-plot", label="Principal angles between forget and retain", empty=NOTHING
    )
    return Anatomy(
        layer=layer,
        matrix=matrix,
        spectrum_words=spectrum_words,
        spectrum=spectrum,
        change_words=change_words,
        change_map=change_map,
        change_table=change_table,
        angles_words=angles_words,
        angles=angles,
    )
