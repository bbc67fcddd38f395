"""Using Compare and Internals: asking, the strength dial, ways of looking at pairs and matrices. Wires nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import gradio as gr

from unlearn_core.errors import BadInput, LetheError
from unlearn_core.events import Answer, TokenScores

from . import ask
from .desk import MORE, Desk
from .pairs import FEW, MANY
from .plots import short_matrix
from .problems import RUN_AGAIN, Action, card, problem_html
from .screen import Drawn, address, shown_questions
from .seats import Seat

NO_EDIT = "There is no edit to scale: a run has one only near its end."
ASK_AGAIN: Action = ("Ask again", "#send")


class CompareDesk:
    """Handlers of the widgets that look at the open run."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.runner = desk, desk.runner

    # --- asking -------------------------------------------------------------------------------------------------------

    def ask(
        self, seat: Seat, question: str, strength: float | None, max_tokens: float | None, temperature: float | None, seed: str
    ) -> Iterator[Drawn]:
        """Both answers, word by word."""
        fault = ask.check_question(question, seed)
        if fault:
            seat.answered, seat.asking = None, ""
            yield {"panes": problem_html(fault)}
            return
        seat.refused = False
        seat.question, strength, asking = question.strip(), ask.settled(strength, seat.strength), seat.asking
        seat.answered = seat.question, strength
        length, heat = ask.within(max_tokens, 1, ask.LONGEST_ANSWER), ask.within(temperature, 0, ask.HOTTEST)
        yield {
            "panes": ask.panes_html(seat.question, "", "", False, "Asking…", strength),
            "address": address(seat),
        }
        generation = seat.generation
        updates = self.runner.ask(
            seat.run_id, seat.question, strength, int(length), float(heat), int(seed or 0), asking
        )
        try:
            for panes in ask.answers(updates, question.strip(), strength):
                if seat.asking != asking:  # another run was opened meanwhile, or something else asked
                    break
                yield {"panes": panes}
            if seat.generation != generation and not seat.asking and seat.answered is None:
                yield {"panes": ""}  # a word that was still on its way when the other run's page was drawn
        except LetheError as error:
            if seat.asking == asking:
                seat.refused, seat.answered = True, None
                yield {"panes": card(error, self._way_out(seat, error))}
        finally:
            if seat.asking == asking:
                seat.asking = ""

    def _way_out(self, seat: Seat, error: LetheError) -> Action | None:
        """What a refused question's button does: asks again, unless that would be refused again."""
        if not isinstance(error, BadInput):
            return ASK_AGAIN
        if error.field in ("model", "device"):  # of the run, not those of the sidebar
            return None
        view = self.desk.view(seat)
        ended = view.edit is None and not self.desk.at_work(seat) and view.status in ("failed", "running", "interrupted")
        return (RUN_AGAIN[0], "#verdict .card-action") if ended else None

    def ask_again(
        self, seat: Seat, _: str, strength: float | None, max_tokens: float | None, temperature: float | None, seed: str
    ) -> Iterator[Drawn]:
        """The question whose answers are in sight once more, where the dial has been moved since."""
        answered = seat.answered
        if answered is None or answered[1] == seat.strength:
            yield {}
            return
        yield from self.ask(seat, answered[0], seat.strength, max_tokens, temperature, seed)

    def asking_again(self, seat: Seat) -> Drawn:
        """The dial was moved: answers at another strength are given up, and those that take their place can be stopped."""
        answered = seat.answered
        if answered is None or answered[1] == seat.strength:
            return {}
        seat.answered = answered[0], None
        return self.asking(seat)

    def asking(self, seat: Seat) -> Drawn:
        """A question was sent: it can be stopped from now on."""
        seat.asking = uuid.uuid4().hex
        return _ask_buttons(asking=True)

    def asked(self, seat: Seat) -> Drawn:
        """Answers have ended, in whatever way; others may be on their way by now."""
        return _ask_buttons(asking=bool(seat.asking))

    def pick_chip(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        return {"question": str(picked["value"])[: ask.LONGEST_QUESTION]}

    def stop_ask(self, seat: Seat) -> Drawn:
        self.runner.stop_ask(seat.asking)
        return {}

    # --- the dial -----------------------------------------------------------------------------------------------------

    def dial(self, seat: Seat, shown: float | None) -> Drawn:
        """Another strength: the spectrum follows at once, and what has to be measured is announced. Answers stay, under the
        strength that they were given at, until they are given anew.

        What was typed and is no position of the dial sets it to the nearest one.
        """
        strength = ask.settled(shown, seat.strength)
        moved, drawn = strength != 1, {}
        if strength != seat.strength:
            seat.set_strength(strength)
            drawn = self.desk.redraw(seat) | ({} if seat.answered else {"panes": ""})
        if shown is not None and shown != strength:
            seat.settled = ask.settled_words(strength)
            drawn["dial"] = strength
        scales = self.desk.view(seat).edit is not None
        text = "" if not moved or (scales and seat.rescored is not None) else "Measuring at this strength…" if scales else NO_EDIT
        return drawn | {"dial_words": _dial_words(text, seat), "measure_all": gr.Button(visible=moved and scales)}

    def rescore(self, seat: Seat, everything: bool = False) -> Iterator[Drawn]:
        """The shown pairs' heat and the cards at the dial's strength; given up when the dial moves on meanwhile."""
        strength, generation = seat.strength, seat.generation
        if strength == 1 or self.desk.view(seat).edit is None or (seat.rescored is not None and not everything):
            yield {}
            return

        def stale() -> bool:
            return seat.strength != strength or seat.generation != generation

        try:
            shown = shown_questions(self.desk.view(seat), seat)
            scores, answers = self._heat(seat, shown), self._answers(seat, shown)
            if stale():
                return
            seat.look(strength, scores, answers)
            yield self.desk.redraw(seat)
            yield from self._measured(seat, strength, everything, stale)
        except LetheError as error:
            yield {"dial_words": card(error)}

    def _measured(self, seat: Seat, strength: float, everything: bool, stale: Callable[[], bool]) -> Iterator[Drawn]:
        for update in self.runner.rescore(seat.run_id, strength, everything):
            if stale():
                return
            if isinstance(update, dict):
                seat.rescored = {"strength": strength, "everything": everything} | update
                yield self.desk.redraw(seat) | {"dial_words": _dial_words("", seat)}
            else:
                amount = (
                    f": {update.done:,} of {update.total:,} {update.unit}"
                    if update.total
                    else ", waiting for the model"
                )
                yield {"dial_words": _dial_words(f"Measuring at strength {strength:g}{amount}", seat)}

    def _heat(self, seat: Seat, shown: list[str]) -> dict[str, TokenScores]:
        return {item.question_id: item for item in self.runner.heat(seat.run_id, shown, seat.strength)}

    def _answers(self, seat: Seat, shown: list[str]) -> dict[str, Answer]:
        return {item.question_id: item for item in self.runner.answers(seat.run_id, shown, seat.strength)}

    def reheat(self, seat: Seat) -> Drawn:
        """More pairs are on the screen: those that the run did not score are scored now, at another strength all of them."""
        view, strength = self.desk.view(seat), seat.strength
        shown = shown_questions(view, seat)
        if strength == 1:
            shown = [name for name in shown if name not in view.scores]
        if not shown:
            return {}
        try:
            scores = self._heat(seat, shown)
            answers = self._answers(seat, shown) if strength != 1 else {}
        except LetheError:  # a run that cannot be asked: its pairs stay without the heat
            return {}
        if seat.strength == strength:
            seat.look(strength, scores, answers)
        return self.desk.redraw(seat)

    def rescore_all(self, seat: Seat) -> Iterator[Drawn]:
        yield {"dial_words": _dial_words("Measuring everything at this strength…", seat)}
        yield from self.rescore(seat, everything=True)

    # --- looking ------------------------------------------------------------------------------------------------------

    def set_mode(self, seat: Seat, mode: str) -> Drawn:
        seat.mode = mode
        return self.desk.redraw(seat) | {"questions_mode": mode}

    def more_pairs(self, seat: Seat) -> Drawn:
        seat.limit = MANY if seat.limit == FEW else FEW
        words = MORE if seat.limit == FEW else "Show fewer pairs"
        return self.desk.redraw(seat) | {"more": gr.Button(words)}

    def set_place(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """Another layer or matrix was chosen."""
        layer, matrix = picked["value"]
        return self._look(seat, int(layer), str(matrix))

    def _look(self, seat: Seat, layer: int, matrix: str) -> Drawn:
        seat.layer, seat.matrix = layer, matrix
        return self.desk.redraw(seat)

    def pick_cell(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """A cell of the map of change: look at that matrix."""
        for layer, matrix in self.desk.view(seat).spectra:
            if str(layer) == str(picked["y"]) and short_matrix(matrix) == picked["x"]:
                return self._look(seat, layer, matrix)
        return {}

    def set_tab(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """Another tab is shown; the table of runs is read again whenever it comes into sight."""
        tab = seat.tab = str(picked["value"]).lower()
        return {"address": address(seat)} | (self.desk.listing(seat) if tab == "runs" else {})


def _ask_buttons(asking: bool) -> Drawn:
    return {"send": gr.Button(visible=not asking), "stop_ask": gr.Button(visible=asking)}


def _dial_words(text: str, seat: Seat) -> str:
    text = f"{seat.settled} {text}".strip()
    return f'<p class="dial-words" role="status">{escape(text)}</p>' if text else ""
