"""A slider whose number box may hold anything. Whoever reads its value judges it; knows no setting."""

from __future__ import annotations

import gradio as gr


class Slider(gr.Slider):
    """Gradio's slider, without its check on the server: that one raises before anybody could say what is wrong.

    The box is emptied (None) and leaves its bounds while somebody types; it is back within them once it is left.
    """

    def preprocess(self, payload: float | None) -> float | None:
        return payload

    def get_block_name(self) -> str:
        return "slider"
