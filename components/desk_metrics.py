"""All metrics of the open run: shown where they were measured before, measured at the press of a button. Wires nothing."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from unlearn_core.errors import LetheError

from .desk import Desk, card
from .metrics import EMPTY, file_html, metrics_html, words_html
from .screen import Drawn
from .seats import Seat

ALL = ("metrics", "metrics_words", "metrics_file", "measure_metrics")


class MetricsDesk:
    """Handlers of the metrics at the end of Compare."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.runner = desk, desk.runner

    def attend(self, seat: Seat) -> Drawn:
        """A run was opened: its metrics, where they are known."""
        body = self.runner.kept_metrics(seat.run_id)
        answers = self.desk.view(seat).answers if body else ()
        return {"metrics": metrics_html(body), "metrics_file": file_html(body, seat.run_id, answers),
                "metrics_words": words_html("" if body else EMPTY),
                "measure_metrics": gr.Button("Measure again" if body else "Measure all metrics", interactive=True)}

    def measure(self, seat: Seat) -> Iterator[Drawn]:
        """Measure them for the open run; given up where another is opened meanwhile."""
        run_id = seat.run_id
        yield {"metrics_words": words_html("Measuring all metrics…"), "measure_metrics": gr.Button(interactive=False)}
        try:
            for update in self.runner.metrics(run_id):
                if seat.run_id != run_id:
                    return
                if isinstance(update, dict):
                    yield self.attend(seat)
                else:
                    amount = f": {update.done:,} of {update.total:,} {update.unit}" if update.total else ", waiting for the model"
                    yield {"metrics_words": words_html(f"Measuring all metrics{amount}")}
        except LetheError as error:
            if seat.run_id == run_id:
                yield self.attend(seat) | {"metrics_words": card(error)}
