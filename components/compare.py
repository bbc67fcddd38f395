"""The Compare tab: what it is made of and in which order. Wires nothing; knows no run."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from .ask import Ask, build_ask
from .live_plot import LivePlot
from .metrics import EMPTY, OF, RUN, words_html
from .picker import KeptPicker, Picker
from .terms import info

MODES = [("Heat", "heat"), ("Words", "words"), ("Plain", "plain")]


@dataclass(frozen=True, slots=True)
class Compare:
    """The widgets of the tab."""

    verdict: Picker
    cards: gr.HTML
    dial_words: gr.HTML
    measure_all: gr.Button
    ask: Ask
    build: KeptPicker
    mode: gr.Radio
    pairs: gr.HTML
    more: gr.Button
    accuracy: LivePlot
    spectrum: LivePlot
    spectrum_words: gr.HTML
    metrics: gr.HTML
    metrics_words: gr.HTML
    metrics_of: gr.Dropdown
    metrics_file: gr.HTML
    measure_metrics: gr.Button


def build_compare(first: dict[str, str | None]) -> Compare:
    """`first`: what each widget shows before anything is asked of the server, so that the page is never blank."""
    verdict = Picker(first["verdict"], elem_id="verdict")
    cards = gr.HTML(first["cards"], elem_id="cards")
    with gr.Row(elem_id="dial-row", visible=True):
        dial_words = gr.HTML("", elem_id="dial-words")
        measure_all = gr.Button("Measure all", size="sm", visible=False, elem_id="measure-all", min_width=120, scale=0)
    ask = build_ask(first["chips"] or "")
    build = KeptPicker("", elem_id="ask-build", elem_classes="build")
    with gr.Row(elem_id="pairs-head"):
        gr.HTML("<h2>Answer pairs</h2>", min_width=180)
        mode = gr.Radio(MODES, value="heat", show_label=False, container=False, elem_id="mode",
                        elem_classes="way", scale=0, min_width=240)  # fmt: skip
    pairs = gr.HTML(first["pairs"], elem_id="pairs")
    more = gr.Button("Show more pairs", size="sm", elem_id="more-pairs")
    with gr.Row(elem_id="plots"):
        with gr.Column(min_width=320):
            gr.HTML(f'<h2>Accuracy while unlearning{info("curve")}</h2>')
            accuracy = LivePlot(
                first["accuracy"],
                elem_id="accuracy-plot",
                label="Accuracy while unlearning",
                empty="Here the accuracy of each set is drawn while a run works.",
            )
        with gr.Column(min_width=320):
            gr.HTML(f'<h2>Where in the weights{info("spectrum")}</h2>')
            spectrum_words = gr.HTML(first["spectrum_words"], elem_id="spectrum-words")
            spectrum = LivePlot(
                first["spectrum"],
                elem_id="spectrum-plot",
                label="Spectrum of one weight matrix",
            )
    with gr.Row(elem_id="metrics-head"):
        gr.HTML("<h2>All metrics</h2>", min_width=130)
        metrics_of = gr.Dropdown([(words, name) for name, words in OF.items()], value=RUN, show_label=False, container=False,
                                 label="Metrics of what", elem_id="metrics-of", scale=0, min_width=330)
        metrics_file = gr.HTML("", elem_id="metrics-file")
        measure_metrics = gr.Button("Measure all metrics", size="sm", elem_id="measure-metrics", min_width=130, scale=0)
    metrics_words = gr.HTML(words_html(EMPTY), elem_id="metrics-words")
    metrics = gr.HTML("", elem_id="metrics")
    return Compare(
        verdict=verdict,
        cards=cards,
        dial_words=dial_words,
        measure_all=measure_all,
        ask=ask,
        build=build,
        mode=mode,
        pairs=pairs,
        more=more,
        accuracy=accuracy,
        spectrum=spectrum,
        spectrum_words=spectrum_words,
        metrics=metrics,
        metrics_words=metrics_words,
        metrics_of=metrics_of,
        metrics_file=metrics_file,
        measure_metrics=measure_metrics,
    )
