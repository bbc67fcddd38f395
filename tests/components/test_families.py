"""Lists by family: what stands in a box, what is chosen of them. No page, no model."""

from __future__ import annotations

from components.families import all_or_none, boxes, by_family, of_families
from unlearn_core import methods
from unlearn_core.methods.base import FAMILIES

KINDS = [("a", "first", "Ada 2020", "a run"), ("b", "second", "", ""), ("c", "first", "", "")]
ENTRIES = [{"name": name, "title": name.upper(), "family": family, "family_title": family.capitalize(), "summary": f"Does {name}.",
            "paper": paper, "access": "weights", "cost": cost} for name, family, paper, cost in KINDS]


def test_each_family_has_a_list_and_each_entry_a_box_that_says_what_it_does() -> None:
    made = boxes(ENTRIES, ["a", "b"], "x")
    assert list(made) == ["first", "second"] and [made[family].label for family in made] == ["First", "Second"]
    assert made["first"].choices == [("A\nDoes a.\nAda 2020\nNeeds weights; costs a run", "a"), ("C\nDoes c.\nNeeds weights", "c")]
    assert made["first"].value == ["a"] and made["second"].value == ["b"] and made["first"].elem_id == "x-first"


def test_what_is_chosen_keeps_the_order_of_the_catalogue() -> None:
    assert of_families(ENTRIES, (["c", "a"], ["b"])) == ("a", "b", "c")
    assert of_families(ENTRIES, (None, ["b", "unknown"])) == ("b",)
    assert all_or_none(ENTRIES, True, "x") == {"x_first": ["a", "c"], "x_second": ["b"]}
    assert all_or_none(ENTRIES, False, "x") == {"x_first": [], "x_second": []}


def test_every_method_stands_under_its_family_with_paper_needs_and_cost() -> None:
    catalogue = methods.catalogue()
    assert list(by_family(catalogue)) == list(FAMILIES)
    said = {name: label for group in boxes(catalogue, [], "x").values() for label, name in group.choices}
    assert list(said) == list(methods.METHODS)
    for entry in catalogue:
        title, *lines = said[entry["name"]].split("\n")
        assert title == entry["title"] and len(lines) == 3 and lines[0] == entry["summary"] and lines[2].startswith("Needs ")
