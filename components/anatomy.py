"""The Internals tab: where in the weights the change lies. Builds the widgets; wires nothing; knows no run."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from .apart import GROUPS, apart_figure, group_table_html, group_words, measured, origin_words
from .live_plot import LivePlot
from .picker import Picker
from .plots import short_matrix
from .terms import info
from .view import Place


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The widgets of the tab."""

    place: Picker
    spectrum_words: gr.HTML
    spectrum: LivePlot
    change_words: gr.HTML
    change_map: LivePlot
    change_table: gr.HTML
    angles_words: gr.HTML
    angles: LivePlot


def build_anatomy(first: dict[str, Any]) -> Anatomy:
    """Spectrum and map side by side, angles below, each under one plain sentence. `first`: what they show at first."""
    place = Picker(first["place"], elem_id="place")
    with gr.Row(elem_classes="figures"):
        with gr.Column(min_width=340):
            gr.HTML(f'<h2>Spectrum{info("spectrum")}</h2>')
            spectrum_words = gr.HTML(first["spectrum_words"], elem_id="internals-words")
            spectrum = LivePlot(first["spectrum"], elem_id="internals-spectrum", label="Spectrum of the chosen matrix")
        with gr.Column(min_width=340):
            gr.HTML("<h2>Where the change is</h2>")
            change_words = gr.HTML(first["change_words"], elem_id="change-words")
            change_map = LivePlot(
                first["change_map"], elem_id="change-map", label="Relative change by layer and matrix"
            )
            change_table = gr.HTML(first["change_table"], elem_id="change-table")
    gr.HTML("<h2>Forget against retain</h2>")
    angles_words = gr.HTML(first["angles_words"], elem_id="angles-words")
    angles = LivePlot(first["angles"], elem_id="angles-plot", label="Principal angles between forget and retain")
    _build_apart()
    return Anatomy(
        place=place,
        spectrum_words=spectrum_words,
        spectrum=spectrum,
        change_words=change_words,
        change_map=change_map,
        change_table=change_table,
        angles_words=angles_words,
        angles=angles,
    )


def _build_apart() -> None:
    """UNLEARN taken apart, the same for every run; nothing where it was never measured."""
    found = measured()
    if found is None:
        return
    gr.HTML("<h2>UNLEARN taken apart</h2>")
    gr.HTML(origin_words(found))
    with gr.Tabs(elem_id="apart"):
        for group, title in GROUPS.items():
            with gr.Tab(title):
                gr.HTML(group_words(found, group))
                LivePlot(
                    apart_figure(found, group), elem_id=f"apart-{group}", label=f"UNLEARN taken apart: {title.lower()}"
                )
                gr.HTML(group_table_html(found, group))


def place_html(layers: list[int], matrices: list[str], place: Place | None) -> str:
    """Two selects, for the layer and the matrix to look at; nothing where there is none."""
    if place is None:
        return ""
    layer = _select("Layer", [(str(name), str(name)) for name in layers], str(place[0]))
    matrix = _select("Matrix", [(name, short_matrix(name)) for name in matrices], place[1])
    return f'<div class="place" data-choose>{layer}{matrix}</div>'


def _select(title: str, options: list[tuple[str, str]], chosen: str) -> str:
    items = "".join(
        f'<option value="{escape(value, quote=True)}"{" selected" if value == chosen else ""}>{escape(words)}</option>'
        for value, words in options
    )
    return f"<label>{title}<select>{items}</select></label>"
