"""All metrics of the open run, of a model or of an edit elsewhere: shown where they were measured before, measured at the press of
a button. Wires nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from unlearn_core.config import EvaluationConfig
from unlearn_core.errors import LetheError

from .desk import Desk
from .metrics import ELSEWHERE, EMPTY, OF, RUN, file_html, metrics_html, words_html
from .problems import card
from .screen import Drawn
from .seats import Seat

MEASURE_AGAIN = ("Measure again", "#measure-metrics")
ALL = ("metrics", "metrics_words", "metrics_file", "measure_metrics")


class MetricsDesk:
    """Handlers of the metrics at the end of Compare. `form`: of what, then the sidebar's model, topic and device."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.runner = desk, desk.runner

    def attend(self, seat: Seat, *form: str) -> Drawn:
        """A run was opened, or something else is to be measured: its metrics, where they are known."""
        config = self._asked(seat, *form)
        seat.metrics_of = self._name(seat, config)
        return {} if seat.measuring == seat.metrics_of else self._shown(seat, config)

    def _shown(self, seat: Seat, config: EvaluationConfig | None) -> Drawn:
        body = self.runner.kept_metrics(seat.run_id) if config is None else self.runner.kept_evaluation(config)
        answers = self.desk.view(seat).answers if body and config is None else ()
        return {"metrics": metrics_html(body), "metrics_file": file_html(body, seat.metrics_of, answers),
                "metrics_words": words_html("" if body else EMPTY if config is None else self._words(config)),
                "measure_metrics": gr.Button("Measure again" if body else "Measure all metrics", interactive=True)}

    def _asked(self, seat: Seat, of: str = RUN, model: str = "", topic: str = "", device: str = "auto") -> EvaluationConfig | None:
        """The request that the form makes; None for the metrics of the open run."""
        if of not in OF or of == RUN or not (model or "").strip() or not topic:
            return None
        return EvaluationConfig(model=model.strip(), topic=topic, edits=(seat.run_id,) if of == ELSEWHERE else (),
                                device=device or "auto")

    @staticmethod
    def _name(seat: Seat, config: EvaluationConfig | None) -> str:
        """What is looked at, as a file's name has it."""
        return seat.run_id if config is None else f"{config.topic.rsplit('/', 1)[-1]}-{config.digest()}"

    @staticmethod
    def _words(config: EvaluationConfig) -> str:
        what = f"{config.model} with the edit of {config.edits[0]}" if config.edits else f"{config.model} as it is"
        return f"All metrics of {what} on {config.topic}: measured when asked for, without unlearning anything."

    def measure(self, seat: Seat, *form: str) -> Iterator[Drawn]:
        """Measure them; given up where something else is looked at meanwhile."""
        config = self._asked(seat, *form)
        name = seat.metrics_of = seat.measuring = self._name(seat, config)
        yield {"metrics_words": words_html("Measuring all metrics…"), "measure_metrics": gr.Button(interactive=False)}
        try:
            for update in self._updates(seat, config):
                if seat.metrics_of != name:
                    return
                if isinstance(update, dict):
                    yield self._shown(seat, config)
                else:
                    amount = f": {update.done:,} of {update.total:,} {update.unit}" if update.total else ", waiting for the model"
                    yield {"metrics_words": words_html(f"Measuring all metrics{amount}")}
        except LetheError as error:
            if seat.metrics_of == name:
                yield self._shown(seat, config) | {"metrics_words": card(error, MEASURE_AGAIN)}
        finally:
            seat.measuring = "" if seat.measuring == name else seat.measuring

    def _updates(self, seat: Seat, config: EvaluationConfig | None) -> Iterator[Any]:
        return self.runner.metrics(seat.run_id) if config is None else self.runner.evaluate(config)
