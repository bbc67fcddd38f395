"""UNLEARN taken apart on the page: what a curve says, and what is shown where nothing was measured."""

from __future__ import annotations

import json
from pathlib import Path

from files import saved

from components.apart import GROUPS, apart_figure, group_table_html, group_words, measured, origin_words


def case(group: str, name: str, *points: tuple[float, int, int]) -> dict:
    return {"group": group, "name": name, "rank": 3, "relative_change": 0.2,
            "points": [{"strength": s, "forget": [forget, 50], "neighbor": [kept, 40]} for s, forget, kept in points]}


FOUND = {"title": "<b>People", "topic": "people", "seed": 4, "cases": [
    case("parts", "as it is", (1.0, 5, 38), (0.5, 25, 40)), case("parts", "no stand-ins", (1.0, 0, 20)),
    case("ranks", "rank 1", (1.0, 50, 40)), case("shared", "0% shared", (1.0, 0, 40)),
    case("shared", "0% shared, not discriminated", (1.0, 0, 10))]}


def test_a_curve_runs_from_weak_to_strong_in_per_cent_forgotten_and_kept() -> None:
    trace = apart_figure(FOUND, "parts").data[0]
    assert trace.name == "as it is"
    assert list(trace.x) == [50.0, 90.0] and list(trace.y) == [100.0, 95.0]
    assert trace.marker.size[1] > trace.marker.size[0]  # the mark stands at strength 1


def test_every_group_shows_its_own_cases_and_ranks_stand_beside_the_whole() -> None:
    assert [trace.name for trace in apart_figure(FOUND, "parts").data] == ["as it is", "no stand-ins"]
    assert [trace.name for trace in apart_figure(FOUND, "ranks").data] == ["as it is", "rank 1"]
    shared = apart_figure(FOUND, "shared").data
    assert [trace.name for trace in shared] == ["0% shared", "0% shared, not discriminated"]
    assert shared[0].marker.symbol + "-open" == shared[1].marker.symbol


def test_the_table_holds_strength_1_and_says_what_was_not_measured() -> None:
    table = group_table_html(FOUND, "parts")
    assert "as it is" in table and "rank 1" not in table
    assert "10.0 %" in table and "95.0 %" in table  # 5 of 50, 38 of 40
    assert table.count("50.0 %") == 1  # 20 of 40; the 25 of 50 at strength 0.5 is left out
    assert "General knowledge" not in table


def test_words_are_escaped_and_name_the_command() -> None:
    words = origin_words(FOUND)
    assert "<b>People" not in words and "&lt;b&gt;People" in words
    assert "python -m benchmarks.apart --topic people" in words


def test_every_part_that_was_exchanged_is_explained() -> None:
    found = measured()
    words = group_words(found, "parts")
    names = [item["name"] for item in found["cases"] if item["group"] == "parts"]
    assert len(names) == words.count('role="note"') and all(f">{name}<" in words for name in names)
    assert "rank" in group_words(found, "ranks") and "discrimination" in group_words(found, "shared")
    assert "What is meant" not in group_words({"cases": [case("parts", "something new", (1.0, 5, 38))]}, "parts")


def test_a_file_that_is_missing_or_broken_shows_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    assert measured(tmp_path / "none.json") is None and measured(broken) is None


def test_the_shipped_measurement_has_every_group_at_strength_1() -> None:
    found = measured()
    assert found is not None and {item["group"] for item in found["cases"]} == set(GROUPS)
    for item in found["cases"]:
        at = [point for point in item["points"] if point["strength"] == 1]
        assert len(at) == 1 and 0 <= at[0]["forget"][0] <= at[0]["forget"][1]
    json.dumps(found)


def test_the_curves_of_unlearn_taken_apart() -> None:
    found = measured()
    for group in GROUPS:
        rows = saved(group_table_html(found, group), f"apart-{group}-csv")
        assert len(rows) == sum(len(case["points"]) for case in found["cases"] if case["group"] == group) > 0
        assert all(0 <= float(row["forget"]) <= 1 for row in rows)
