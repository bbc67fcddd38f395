"""Figures carry the run's numbers in both themes; the words above them say what is seen; links survive nonsense."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from components import internals, plots
from components.links import TABS, ViewState, parse, query_string
from components.palette import PLOT_FORGET, PLOT_RETAIN, SPLIT_TITLES
from components.view import RunView, replay
from unlearn_core import spectra
from unlearn_core.events import Finished, Loss


def test_accuracy_curves(view):
    figure = plots.accuracy_figure(view)
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name) == ["Forget", "Neighbours", "Retain"]
    assert by_name["Forget"].line.dash == "dash" and by_name["Forget"].line.color == PLOT_FORGET
    assert by_name["Retain"].line.dash == "solid" and by_name["Retain"].line.color == PLOT_RETAIN
    assert list(by_name["Forget"].x)[-1] == 60 and by_name["Forget"].y[0] == 100
    assert figure.layout.meta["points"] == len(view.live)


def test_the_curve_grows(events):
    lengths = [plots.accuracy_figure(replay(events[:cut])).layout.meta["points"] for cut in (20, 40, 60, 80)]
    assert lengths == sorted(lengths) and lengths[0] < lengths[-1]


def test_too_few_points_are_explained():
    assert "first measurements" in plots.accuracy_figure(RunView()).layout.annotations[0].text
    unmeasured = RunView(run_id="r", losses=tuple(Loss(step, 60, 1.0, None) for step in range(1, 31)))
    assert "measured at its end" in plots.accuracy_figure(unmeasured).layout.annotations[0].text


def test_the_curve_starts_at_what_the_original_knows(view):
    for curve in plots.accuracy_figure(view).data:
        split = next(name for name in view.before if curve.name == SPLIT_TITLES[name])
        assert curve.x[0] == 0 and curve.y[0] == round(100 * view.before[split].accuracy, 2)
        assert list(curve.x[1:]) == [item.step for item in view.live if item.split == split]


@pytest.mark.parametrize(("floor", "curve", "end", "side"), [
    (2, [100, 75, 50, 25, 4], "left", "bottom"),  # down slowly, to the floor
    (2, [100, 4, 4, 4, 4], "left", "top"),  # down at once, and close above it to the end
    (2, [100, 2, 2, 2, 2], "right", "bottom"),  # upon it to the end
    (2, [100, 0, 0, 0, 0], "right", "bottom"),  # down at once, and below it
    (25, [100, 30, 30, 60, 60], "right", "bottom"),
    (25, [100, 30, 30, 30, 30], "left", "top"),
    (25, [100, 90, 50, 20, 20], "left", "bottom"),
])
def test_the_name_of_the_floor_is_where_the_curve_is_not(view, floor, curve, end, side):
    live = [replace(view.before["forget"], stage="during", step=10 * place, accuracy=share / 100)
            for place, share in enumerate(curve)]
    before = {"forget": replace(view.before["forget"], reference=floor / 100)}
    figure = plots.accuracy_figure(replace(view, before=before, live=live))
    (name,), (least, most) = figure.layout.annotations, figure.layout.yaxis.range
    assert (name.text, name.y, name.xanchor, name.x, name.yanchor) == ("never saw it", floor, end, float(end == "right"), side)
    assert least <= (floor if side == "bottom" else floor - 10) and most == 104 and least <= -4


def test_spectrum_traces(view):
    figure = plots.spectrum_figure(view, 2, "mlp.down_proj")
    assert [trace.name for trace in figure.data] == ["Original weights", "Left in place", "Subtracted", "Task matrix"]
    assert len(figure.data[2].y) == 8 and figure.data[2].line.dash == "dash" and figure.layout.yaxis.type == "log"


def test_zero_singular_values_are_gaps(view):
    place = (2, "mlp.down_proj")
    item = replace(view.spectra[place], removed=[1.0, 0.0, None], kept=[], task=[])
    figure = plots.spectrum_figure(replace(view, spectra={place: item}), *place)
    assert list(figure.data[-1].y) == [1.0, None, None] and len(figure.data) == 2


@pytest.mark.parametrize(("least", "most", "marks"), [
    (0.001, 50, ["0.01", "0.1", "1", "10"]),  # down to a ten-thousandth of the largest
    (0.2, 3, ["0.2", "0.5", "1", "2"]),
    (1.2, 3.5, ["1", "1.5", "2", "3", "4"]),
])
def test_a_logarithmic_axis_has_marks_to_read_it_by(view, least, most, marks):
    place = (2, "mlp.down_proj")
    item = replace(view.spectra[place], original=[most, least], removed=[], kept=[], task=[])
    figure = plots.spectrum_figure(replace(view, spectra={place: item}), *place)
    low, high = figure.layout.yaxis.range
    assert list(figure.layout.yaxis.ticktext) == marks
    assert all(low <= math.log10(value) <= high for value in figure.layout.yaxis.tickvals)


def test_where_nothing_is_subtracted_the_words_say_so(view):
    place = (2, "mlp.down_proj")
    item = replace(view.spectra[place], rank=0, removed=[], relative_change=0.0)
    words = internals.spectrum_words(replace(view, spectra={place: item}), *place)
    assert "nothing is subtracted" in words and "energy" not in words


def test_change_map_has_every_cell(view):
    trace = plots.change_map_figure(view).data[0]
    assert len(trace.z) == 4 and len(trace.z[0]) == 7
    assert list(trace.x)[:4] == ["q_proj", "k_proj", "v_proj", "o_proj"]


def test_angles(view):
    before, after = plots.angles_figure(view, 1, "self_attn.q_proj").data
    assert max(after.y) < min(before.y) + 0.2 and before.line.dash == "solid" and after.line.dash == "dash"


@pytest.mark.parametrize("build", [
    plots.accuracy_figure, plots.change_map_figure, lambda v: plots.spectrum_figure(v, 0, "mlp.up_proj"),
    lambda v: plots.angles_figure(v, 0, "mlp.up_proj")])
def test_figures_suit_both_themes_and_draw_from_nothing(view, build):
    for figure in (build(view), build(RunView())):
        body = json.loads(figure.to_json())["layout"]
        assert body["paper_bgcolor"] == body["plot_bgcolor"] == "rgba(0,0,0,0)"
        assert body["height"] and body["uirevision"]
    assert build(RunView()).layout.annotations


def test_words_above_the_plots(view):
    spectrum = internals.spectrum_words(view, 2, "mlp.down_proj").replace("\u00a0", " ")
    assert internals.ENERGY == spectra.ENERGY
    assert "Layer 2" in spectrum and "62 %" in spectrum and "strong" in spectrum
    assert "overlap" in internals.angles_words(view, 1, "self_attn.q_proj")
    assert "layer 3" in internals.change_words(view)
    assert internals.change_table_html(view).count("<tr>") == 5


def test_a_change_is_called_strong_or_gentle_by_its_numbers(view):
    place = (2, "mlp.down_proj")
    for largest, words in ((3.0, "1.5 times as strong"), (1.0, "gentle")):
        item = replace(view.spectra[place], removed=[largest, 0.1], original=[2.0, 1.0])
        assert words in internals.spectrum_words(replace(view, spectra={place: item}), *place)
    one = {place: replace(view.spectra[place], relative_change=1.0)}
    many = {(layer, "mlp.down_proj"): one[place] for layer in range(20)}
    assert "local" in internals.change_words(replace(view, spectra=one))
    assert "spread" in internals.change_words(replace(view, spectra=many))


def test_words_for_what_is_not_there(view, events):
    assert "Press Unlearn" in internals.spectrum_words(RunView(), 0, "x")
    assert "end of this run" in internals.change_words(replay(events[:20]))
    no_angles = replace(view, overlaps={})
    stopped = replace(no_angles, end=Finished("stopped", 1.0, {}))
    assert "the run was stopped" in internals.angles_words(stopped, 0, "x")
    assert "no subspaces" in internals.angles_words(no_angles, 0, "x")
    assert "not changed" in internals.spectrum_words(view, 9, "x") and internals.change_table_html(RunView()) == ""


def test_a_method_without_task_matrix(view):
    place = (0, "mlp.up_proj")
    item = replace(view.spectra[place], energy_removed=None, task=[], kept=[])
    assert "no task matrix" in internals.spectrum_words(replace(view, spectra={place: item}), *place)


def test_places_and_the_strongest(view):
    assert len(internals.places(view)) == 28 and internals.places(view)[0] == (0, "self_attn.q_proj")
    best = internals.strongest(view)
    assert view.spectra[best].relative_change == max(item.relative_change for item in view.spectra.values())
    assert internals.strongest(RunView()) is None and internals.layers(view) == [0, 1, 2, 3]


def test_matrix_names_are_escaped(view):
    place = (0, "<b>x</b>")
    evil = replace(view, spectra={place: replace(view.spectra[(0, "mlp.up_proj")], matrix=place[1])})
    html = internals.spectrum_words(evil, *place) + internals.change_words(evil) + internals.change_table_html(evil)
    assert "<b>x" not in html


# Links --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("state", [ViewState(), ViewState("2026-11-22-x-3f", "runs", "¿Dónde nació? &=#"),
                                   ViewState(tab="internals")])
def test_links_there_and_back(state):
    from urllib.parse import parse_qsl

    text = query_string(state)
    assert parse(dict(parse_qsl(text.lstrip("?")))) == (state, [])


@pytest.mark.parametrize("query", [
    {"run": "../../etc/passwd"}, {"run": "<script>"}, {"tab": "nonsense"}, {"q": "x" * 5000}, {"run": "x" * 500},
    {"tab": "compare\n"}, {"q": "a\x00b"}, {"unknown": "?"}, {"run": "", "tab": "", "q": ""}])
def test_nonsense_gives_defaults_and_says_so(query):
    state, messages = parse(query)
    assert state.tab in TABS and state.run == "" and len(state.question) <= 1000
    strange = [key for key, value in query.items() if value.strip() not in {"", "compare"} and key != "unknown"]
    assert len(messages) == len(strange)
    assert all(message.endswith(".") and len(message) < 160 for message in messages)
