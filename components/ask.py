"""Ask both models one question: the widgets, and the panes that fill word by word. Wires nothing; knows no model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from .numbers import seed_fault
from .picker import Picker
from .slider import Slider

LONGEST_QUESTION = 2000  # characters
CHIPS = 6
STRONGEST, STRENGTH_STEP = 2.0, 0.25
LONGEST_ANSWER = 512  # tokens
HOTTEST = 2.0


@dataclass(frozen=True, slots=True)
class Ask:
    """The widgets of "Ask both"."""

    question: gr.Textbox
    send: gr.Button
    stop: gr.Button
    chips: Picker
    strength: gr.Slider
    max_tokens: gr.Slider
    temperature: gr.Slider
    seed: gr.Textbox
    panes: gr.HTML

    @property
    def form(self) -> list[gr.components.Component]:
        return [self.question, self.strength, self.max_tokens, self.temperature, self.seed]


def build_ask(chips: str = "") -> Ask:
    """One line of input, its examples, the dial, and two panes side by side."""
    with gr.Column(elem_id="ask", elem_classes="lethe-panel"):
        with gr.Row(elem_id="ask-line"):
            question = gr.Textbox(
                show_label=False,
                container=False,
                placeholder="Ask both models anything…",
                max_lines=1,
                lines=1,
                scale=8,
                elem_id="question",
                label="Question",
            )
            send = gr.Button("Ask both", variant="primary", scale=0, min_width=110, elem_id="send")
            stop = gr.Button("Stop", variant="stop", scale=0, min_width=110, visible=False, elem_id="stop-ask")
        with gr.Row(elem_id="ask-more"):
            picker = Picker(chips, elem_id="chips")
            strength = Slider(
                0,
                STRONGEST,
                value=1,
                step=STRENGTH_STEP,
                label="Strength of the change",
                elem_id="strength",
                scale=0,
                min_width=300,
                buttons=["reset"],
            )
        with gr.Accordion("Sampling: length, temperature, seed", open=False, elem_id="sampling"), gr.Row():
            max_tokens = Slider(
                1, LONGEST_ANSWER, value=60, step=1, label="Longest answer (tokens)", elem_id="max-tokens", buttons=[],
                info="A token is a word or a piece of one"
            )
            temperature = Slider(
                0, HOTTEST, value=0, step=0.1, label="Temperature (0 is greedy)", elem_id="temperature", buttons=[],
                info="Above 0 tokens are drawn, the higher the freer"
            )
            seed = gr.Textbox(
                "0", label="Seed", max_lines=1, elem_id="ask-seed",
                info="Fixes what is drawn; of no effect at temperature 0"
            )
        panes = gr.HTML("", elem_id="panes")
    return Ask(
        question=question,
        send=send,
        stop=stop,
        chips=picker,
        strength=strength,
        max_tokens=max_tokens,
        temperature=temperature,
        seed=seed,
        panes=panes,
    )


def chips_html(examples: list[str]) -> str:
    """Example questions as buttons that ask themselves."""
    chips = "".join(
        f'<button type="button" class="chip" data-pick="{escape(text, quote=True)}">{escape(text)}</button>'
        for text in examples[:CHIPS]
    )
    return f'<div class="chips" role="group" aria-label="Example questions">{chips}</div>' if chips else ""


def panes_html(question: str, original: str, edited: str, done: bool, status: str, strength: float,
               reference: str | None = None) -> str:
    """The answers as they stand, that of a model which never saw the topic where there is one. `status`: tokens a second, or what
    is being waited for."""
    title = "Unlearned" if strength == 1 else f"Unlearned, strength {strength:g}"
    cursor = "" if done else '<span class="cursor" aria-hidden="true"></span>'
    beside = "" if reference is None else _pane("reference", "Never saw the topic", reference, cursor, done)
    return (
        f'<div class="panes{" three" if beside else ""}" data-done="{"yes" if done else "no"}">'
        f'<p class="asked">{escape(question)}</p>'
        f"{_pane('original', 'Original', original, cursor, done)}{_pane('edited', title, edited, cursor, done)}{beside}"
        f'<p class="pane-status" role="status">{escape(status)}</p></div>'
    )


def _pane(kind: str, title: str, text: str, cursor: str, done: bool) -> str:
    shown = escape(text) if text.strip() else ('<span class="nothing">(no answer)</span>' if done else "")
    return f'<section class="pane pane-{kind}"><h3>{escape(title)}</h3><p>{shown}{cursor}</p></section>'


def check_question(question: str, seed: str) -> str | None:
    """What is wrong with the question or its seed, in a sentence; None if nothing is."""
    if not (question or "").strip():
        return "Write a question first, or pick one of the examples."
    if len(question) > LONGEST_QUESTION:
        return f"The question is longer than {LONGEST_QUESTION:,} characters: shorten it."
    return seed_fault(str(seed or "0").strip())


def within(shown: float | None, least: float, most: float) -> float:
    """A slider's value between its ends; the least where its box is empty, as the box itself has it once it is left."""
    return min(max(shown if shown is not None else least, least), most)


def settled(shown: float | None, otherwise: float) -> float:
    """The dial's position nearest to what its box shows; `otherwise` where the box is empty."""
    if shown is None:
        return otherwise
    return round(within(shown, 0.0, STRONGEST) / STRENGTH_STEP) * STRENGTH_STEP


def settled_words(strength: float) -> str:
    """What to say where the box showed something that is no position of the dial."""
    return f"The dial goes from 0 to {STRONGEST:g} in steps of {STRENGTH_STEP:g}: it is set to {strength:g}."


def answers(updates: Iterator[Any], question: str, strength: float) -> Iterator[str]:
    """The panes after each update of `runner.ask`. Closing this closes the engine's side."""
    for update in updates:
        yield panes_html(question, update.original, update.edited, update.done, _status(update), strength, update.reference)


def _status(update: Any) -> str:
    if update.waiting is not None and not update.original and not update.edited and not update.done:
        if update.waiting > 0:
            return f"Waiting for the model: {update.waiting} before this one, which may take minutes"
        return "Loading the model…"
    speed = f"{update.tokens_per_second:.0f} tokens/s" if update.tokens_per_second else ""
    return " · ".join(part for part in (speed, str(update.device or "")) if part)
