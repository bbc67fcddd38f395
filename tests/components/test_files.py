"""What tables are saved as: unrounded, and no formula. The tables of races, sequences, audits and curves: in their own files."""

from __future__ import annotations

from types import SimpleNamespace

from files import saved

from components import internals, runs
from components.spreadsheet import link_html
from unlearn_core.config import RunConfig


def test_a_link_holds_its_rows_whatever_is_in_them() -> None:
    rows = [{"a": 'x"y,\n<b>&#%', "b": 1 / 3}, {"a": "=SUM(A1)", "b": None}]
    link = link_html("one", 'a"b.csv', ("a", "b"), rows)
    assert saved(link, "one") == [{"a": 'x"y,\n<b>&#%', "b": repr(1 / 3)}, {"a": "'=SUM(A1)", "b": ""}]
    assert 'download="a&quot;b.csv"' in link and "<b>" not in link


def test_the_runs_with_their_settings_and_every_set() -> None:
    record = SimpleNamespace(run_id="r-1", title="=Mine", note="n", status="done", seconds=12.5, started_at="2026-11-26T07:00:00",
                             config=RunConfig(topic="book-series", settings={"rank": 3}, seed=5),
                             summary={"accuracy": {"forget": {"before": 1.0, "after": 1 / 3}}})
    row, = saved(runs.table_html([record], "r-1", None), "runs-csv")
    assert (row["run"], row["name"], row["forget_after"], row["retain_after"], row["settings"], row["seed"]) == (
        "r-1", "'=Mine", repr(1 / 3), "", '{"rank": 3}', "5")


def test_the_change_of_every_matrix(view) -> None:
    rows = saved(internals.change_table_html(view), "change-csv")
    assert len(rows) == len(view.spectra)
    (layer, matrix), item = sorted(view.spectra.items())[0]
    assert (rows[0]["layer"], rows[0]["matrix"], rows[0]["relative_change"]) == (str(layer), matrix, repr(item.relative_change))
