"""The sentences above the plots of the weights: what is seen, and what a good picture looks like. Pure."""

from __future__ import annotations

from html import escape
from typing import Any

from unlearn_core.events import Spectrum

from .numbers import NOT_MEASURED, percent
from .plots import matrix_order, short_matrix
from .problems import empty_html
from .spreadsheet import link_html
from .terms import explained
from .view import Place, RunView

LOCAL = 0.5  # share of the change in three matrices from which on it is called local
CHANGE_COLUMNS = ("layer", "matrix", "rank", "relative_change", "strongest_removed")
ENERGY = 0.95  # share of a task matrix by which the engine counts its directions


def places(view: RunView) -> list[Place]:
    """All (layer, matrix) with a spectrum, by layer and then in the order in which a block applies them."""
    order = {matrix: index for index, matrix in enumerate(matrix_order(view))}
    return sorted(view.spectra, key=lambda place: (place[0], order[place[1]]))


def layers(view: RunView) -> list[int]:
    return sorted({layer for layer, _ in view.spectra})


def strongest(view: RunView) -> Place | None:
    """The place that changed most, relative to its own weights: what the page opens on."""
    return max(places(view), key=lambda place: view.spectra[place].relative_change or 0.0, default=None)


def spectrum_words(view: RunView, layer: int, matrix: str) -> str:
    """What was found and subtracted in one matrix, as HTML."""
    item = view.spectra.get((layer, matrix))
    if item is None:
        return _nothing(view, "Here the singular values of each weight matrix show where the change lies.")
    where = f"Layer {layer}, <code>{escape(short_matrix(matrix))}</code>: "
    if not item.rank:
        return _words(f"{where}nothing is subtracted, these are the original's weights.")
    count = f"{explained('direction', 'rank')} is" if item.rank == 1 else f"{explained('directions', 'rank')} are"
    change = (f"<b>{item.rank}</b> {count} subtracted, a change of "
              f"<b>{percent(item.relative_change)}</b> {explained('of the weights', 'relative_change')}.")
    if item.energy_removed is None and view.status == "stopped":
        weights = "" if item.original else " The weights' own spectrum was left out: it takes too long for a stop."
        return _words(f"{where}{change} The run was stopped: this is the edit as far as it got, by its own factors; no task "
                      f"matrix stands beside it.{weights}")
    if item.energy_removed is None:
        return _words(f"{where}{change} This method has no task matrix, so nothing was held back by discrimination.")
    held = (f" The {explained('task matrix', 'task')} has {percent(ENERGY)} of its energy in {item.task_rank} directions; "
            f"<b>{percent(item.energy_removed)}</b> of all its {explained('energy', 'energy')} lies in the directions that are "
            f"subtracted, the rest {explained('stays in place', 'kept')}, where retained text is too. Turned away from there, what "
            "is subtracted may be as strong as the task matrix was.")
    return _words(f"{where}{change}{held}{_against_weights(item)}")


def _against_weights(item: Spectrum) -> str:
    """How the largest singular value subtracted compares with the largest of the weights."""
    if not item.removed or not item.original or not item.original[0]:
        return ""
    ratio = item.removed[0] / item.original[0]
    if ratio <= 1:
        return " No direction of the change is stronger than the weights' own strongest: a gentle change."
    return (f" The change's first direction is {ratio:.1f} times as strong as the weights' own strongest: a strong change in few "
            "directions.")


def change_words(view: RunView, strength: float = 1.0) -> str:
    """Where in the model the change lies, as HTML. The map is that of strength 1, which is said where the dial is moved."""
    place = strongest(view)
    if place is None:
        return _nothing(view, "Here a map of layers and matrices shows where the weights changed.")
    total = sum((item.relative_change or 0.0) ** 2 for item in view.spectra.values())
    top = sorted(view.spectra.values(), key=lambda item: -(item.relative_change or 0.0))[:3]
    held = sum((item.relative_change or 0.0) ** 2 for item in top) / total if total else 0.0
    size = percent(view.edit.relative_change) if view.edit else ""
    of_weights = explained("of the weights", "relative_change")
    at = "" if strength == 1 else " This map is of strength 1."
    whole = f"{at} Over the whole model the change is {size} {of_weights}." if size else at
    return _words(f"The change is largest in layer {place[0]}, <code>{escape(short_matrix(place[1]))}</code>; the "
                  f"three most changed of {len(view.spectra)} matrices hold {percent(held)} of it.{whole} "
                  f"{'A local change.' if held >= LOCAL else 'It is spread over the model.'}")


def angles_words(view: RunView, layer: int, matrix: str) -> str:
    """How much of retain lies where forget lies, before and after discrimination, as HTML."""
    item = view.overlaps.get((layer, matrix))
    if item is None:
        if view.spectra and not view.overlaps and view.status == "stopped":
            return _words("No angles: the run was stopped before it came to them, or its method looks at no subspaces.")
        if view.spectra and not view.overlaps:
            return _words("This method looks at no subspaces, so there are no angles: see the map of change instead.")
        return _nothing(view, "Here the angles between what forget text and retain text use show why retain survived.")
    return _words(f"In layer {layer}, <code>{escape(short_matrix(matrix))}</code>, forget and retain inputs "
                  f"{explained('overlap', 'overlap')} by <b>{percent(item.overlap)}</b>; the subtracted part overlaps "
                  f"with retain by <b>{percent(item.overlap_after)}</b>. The lower the "
                  f"{explained('cosines', 'angles')} in orange, the less of what retained text uses is touched.")


def change_table_html(view: RunView) -> str:
    """The map of change as a table, for those who cannot or will not read the picture."""
    if not view.spectra:
        return ""
    matrices = matrix_order(view)
    head = "".join(f'<th scope="col">{escape(short_matrix(matrix))}</th>' for matrix in matrices)
    rows = "".join(f'<tr><th scope="row">layer {layer}</th>{"".join(_cell(view, (layer, m)) for m in matrices)}</tr>'
                   for layer in layers(view))
    return ('<details class="lt lt-table"><summary>The same as a table: change in per cent, and rank</summary>'
            f'<div class="lt-scroll"><table><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
            f"{link_html('change-csv', 'lethe-change.csv', CHANGE_COLUMNS, change_rows(view))}</details>")


def change_rows(view: RunView) -> list[dict[str, Any]]:
    """Every matrix that was looked at, a row each."""
    return [{"layer": layer, "matrix": matrix, "rank": item.rank, "relative_change": item.relative_change,
             "strongest_removed": max(item.removed, default=None)}
            for (layer, matrix), item in sorted(view.spectra.items())]


def _cell(view: RunView, place: Place) -> str:
    item = view.spectra.get(place)
    if item is None:
        return f"<td>{NOT_MEASURED}</td>"
    return f'<td>{percent(item.relative_change)}<span class="lt-quiet"> r{item.rank}</span></td>'


def _words(html: str) -> str:
    return f'<p class="lt lt-words">{html}</p>'


def _nothing(view: RunView, what: str) -> str:
    if view.spectra:
        return _words("This matrix was not changed.")
    actions = {"running": "It comes with the end of this run.", "stopped": "This run was stopped before it came to that.",
               "failed": "This run failed before it came to that.", "done": "This method changes no weight matrix."}
    return empty_html(what, actions.get(view.status, "Press Unlearn to make one."))
