"""What the open run's widgets show, for a view and a seat; drawn again only where it changed. Wires nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from unlearn_core.events import Spectrum
from unlearn_core.store import RECORDED

from .anatomy import place_html
from .ask import chips_html
from .internals import angles_words, change_table_html, change_words, layers, spectrum_words, strongest
from .links import ViewState, query_string
from .pairs import pairs_html, shown
from .pictures import numbered
from .plots import accuracy_figure, angles_figure, change_map_figure, matrix_order, spectrum_figure
from .question_list import filters_html, list_html
from .seats import Seat
from .verdict import cards_html, verdict_html
from .view import Place, RunView

Drawn = dict[str, Any]


def place(view: RunView, seat: Seat) -> Place | None:
    """The matrix that the seat looks at, or the one that changed most."""
    chosen = (seat.layer, seat.matrix)
    return chosen if chosen in view.spectra else strongest(view)


def at_strength(item: Spectrum, strength: float) -> Spectrum:
    """The spectrum of an edit applied at another strength: what is subtracted grows in proportion."""
    if strength == 1:
        return item
    return replace(
        item,
        removed=[strength * value for value in item.removed],
        rank=item.rank if strength else 0,
        relative_change=strength * (item.relative_change or 0.0),
    )


def shown_questions(view: RunView, seat: Seat) -> list[str]:
    """The questions whose pairs are on the screen."""
    return [answer.question_id for answer in shown(view, seat.limit)]


def address(seat: Seat) -> str:
    """The query string that restores what this tab shows; "?" where that is what the page opens with by itself.

    It is never empty: the page takes an empty value for none, and the address would keep what made no sense in it.
    """
    run = "" if seat.run_id == RECORDED or not seat.kept else seat.run_id
    race = seat.race.name if seat.tab == "runs" and seat.race.shown else ""
    sequence = seat.sequence.name if seat.tab == "runs" and seat.sequence.shown else ""
    audit = seat.audit.name if seat.tab == "audit" and seat.audit.older else ""
    state = ViewState(run=run, tab=seat.tab, question=seat.question, race=race, sequence=sequence, audit=audit)
    return query_string(state) or "?"


def draw(view: RunView, seat: Seat, running: bool = False) -> Drawn:
    """The parts that changed since they were last drawn for this seat, by name. `running`: a worker is at this run.

    A part is looked at again when one of the things that it depends on is another object than before: a fold keeps
    the fields that it does not touch, so that comparing them costs next to nothing.
    """
    drawn: Drawn = {}
    with seat.lock:
        seat.pictures += 1
        for name, (depends, render) in _PARTS.items():
            key = depends(view, seat, running)
            if not _same(seat.seen.get(name), key):
                seat.seen[name] = key
                drawn[name] = render(view, seat, running)
    return drawn


def _same(seen: tuple | None, key: tuple) -> bool:
    return seen is not None and all(a is b or (type(a) in _SMALL and a == b) for a, b in zip(seen, key, strict=True))


_SMALL = (int, float, bool, str, tuple, type(None))


# What each part depends on, and how it is drawn ---------------------------------------------------------------------


def _numbers(view: RunView, seat: Seat, running: bool) -> tuple:
    return (
        view.config,
        view.model,
        view.topic,
        view.before,
        view.after,
        view.live,
        view.perplexity,
        view.answers,
        view.edit,
        view.notices,
        view.status,
        running,
    )


def _verdict(view: RunView, seat: Seat, running: bool) -> str:
    return verdict_html(view, running, seat.strength)


def _cards(view: RunView, seat: Seat, running: bool) -> str:
    return cards_html(view, seat.rescored)


def _chips(view: RunView, seat: Seat, running: bool) -> str:
    return chips_html(view.topic.examples if view.topic else [])


def _pairs(view: RunView, seat: Seat, running: bool) -> str:
    return pairs_html(view, seat.mode, seat.limit, seat.looked_at, seat.scores, seat.answers)


def _questions(view: RunView, seat: Seat, running: bool) -> str:
    return numbered(list_html(view, seat.listed, seat.mode, seat.heats, seat.scoring, seat.strength), seat.pictures)


def _filters(view: RunView, seat: Seat, running: bool) -> str:
    return numbered(filters_html(view.answers, seat.listed), seat.pictures)


def _accuracy(view: RunView, seat: Seat, running: bool) -> str:
    return accuracy_figure(view).to_json()


def _scaled(view: RunView, seat: Seat) -> tuple[RunView, Place | None]:
    spot = place(view, seat)
    if spot is None or seat.strength == 1:
        return view, spot
    return replace(view, spectra=view.spectra | {spot: at_strength(view.spectra[spot], seat.strength)}), spot


def _spectrum(view: RunView, seat: Seat, running: bool) -> str | None:
    scaled, spot = _scaled(view, seat)
    return spectrum_figure(scaled, *spot).to_json() if spot else None


def _spectrum_words(view: RunView, seat: Seat, running: bool) -> str:
    scaled, spot = _scaled(view, seat)
    return spectrum_words(scaled, *(spot or (0, "")))


def _change_map(view: RunView, seat: Seat, running: bool) -> str | None:
    return change_map_figure(view).to_json() if view.spectra else None


def _angles(view: RunView, seat: Seat, running: bool) -> str | None:
    spot = place(view, seat)
    return angles_figure(view, *spot).to_json() if spot and view.overlaps else None


def _at(view: RunView, seat: Seat, running: bool) -> tuple:
    return view.spectra, view.overlaps, place(view, seat), seat.strength, view.status


def _place(view: RunView, seat: Seat, running: bool) -> str:
    return place_html(layers(view), matrix_order(view), place(view, seat))


_PARTS: dict[str, tuple[Callable[[RunView, Seat, bool], tuple], Callable[[RunView, Seat, bool], Any]]] = {
    "verdict": (lambda v, s, r: (*_numbers(v, s, r), v.phase, s.strength), _verdict),
    "cards": (lambda v, s, r: (*_numbers(v, s, r), s.rescored), _cards),
    "chips": (lambda v, s, r: (v.topic,), _chips),
    "pairs": (lambda v, s, r: (v.answers, v.scores, v.status, s.mode, s.limit, s.looked_at, s.scores, s.answers), _pairs),
    "questions_filters": (lambda v, s, r: (v.answers, s.listed), _filters),
    "questions_list": (lambda v, s, r: (v.answers, v.scores, v.status, s.listed, s.mode if s.listed.opened else "", s.heats,
                                        s.scoring, s.strength), _questions),
    "accuracy": (lambda v, s, r: (v.live, v.before), _accuracy),
    "spectrum": (_at, _spectrum),
    "spectrum_words": (_at, _spectrum_words),
    "place": (_at, _place),
    "change_map": (lambda v, s, r: (v.spectra,), _change_map),
    "change_words": (lambda v, s, r: (v.spectra, v.edit, v.status, s.strength), lambda v, s, r: change_words(v, s.strength)),
    "change_table": (lambda v, s, r: (v.spectra,), lambda v, s, r: change_table_html(v)),
    "angles": (_at, _angles),
    "angles_words": (_at, lambda v, s, r: angles_words(v, *(place(v, s) or (0, "")))),
    "address": (lambda v, s, r: (s.run_id, s.kept, s.tab, s.question, s.race.name, s.race.shown,
                               s.sequence.name, s.sequence.shown, s.audit.name, s.audit.older), lambda v, s, r: address(s)),
}
