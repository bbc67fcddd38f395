"""The Questions tab on a scripted runner: every item listed, filtered, searched, sorted, unfolded, downloaded."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from visiting import Server, finished, running, start

from components.questions import COLUMNS, PAGE

pytestmark = pytest.mark.timeout(400)


def answers(server: Server) -> list[dict]:
    """The events of kind Answer of the recorded run, from its file."""
    lines = (server.log.parent / "recorded" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "Answer"]


def opened(visit, server: Server, query: str = "tab=questions", **how: object) -> Page:
    """The list of the recorded run, once nothing more comes by itself."""
    page = visit(f"{server.url}/?{query}", **how)
    settled(page)
    return page


def settled(page: Page) -> None:
    expect(page.locator("html[data-run='over']")).to_have_count(1)
    expect(rows(page).first).to_be_visible()


def rows(page: Page) -> Locator:
    return page.locator("#question-list .question-row")


def row(page: Page, name: str) -> Locator:
    return page.locator(f"#question-list .question-row[data-row='{name}']")


def listed(page: Page, count: int, total: int) -> None:
    expect(page.locator(".question-line")).to_contain_text(f"{count} of {total} questions")


def choose(page: Page, kind: str, name: str) -> None:
    button = page.locator(f"#question-filters [data-{kind}='{name}']")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")


def at(page: Page, name: str) -> None:
    """J and K stand on this row."""
    expect(row(page, name).locator(".question-name")).to_be_focused()


def unfolded(page: Page, name: str) -> None:
    """This row is open, and no other."""
    expect(page.locator("#question-list .question-row.open")).to_have_count(1)
    expect(row(page, name)).to_have_class(re.compile(r"\bopen\b"))
    expect(page.locator("#question-list .question-detail")).to_have_count(1)


def counts(page: Page, kind: str) -> dict[str, int]:
    buttons = page.locator(f"#question-filters [data-{kind}]").all()
    return {one.get_attribute(f"data-{kind}"): int(one.get_attribute("data-total")) for one in buttons}


# Filters --------------------------------------------------------------------------------------------------------------

def test_the_recorded_run_is_listed_with_what_changed_first(scripted, visit):
    events = answers(scripted)
    page = opened(visit, scripted)
    changed = [event for event in events if event["outcome"] not in ("kept", "unchanged")]
    listed(page, len(changed), len(events))
    expect(rows(page)).to_have_count(PAGE)
    first = rows(page).first
    for words in ("Forget", changed[0]["prompt"], "Tessa Vey", "a quiet harbour", "forgotten", "−9.10", "wrong"):
        expect(first).to_contain_text(words)


def test_the_counts_beside_the_filters_add_up_to_the_answers_of_the_run(scripted, visit):
    events = answers(scripted)
    page = opened(visit, scripted)
    for kind, field in (("outcome", "outcome"), ("split", "split")):
        found = counts(page, kind)
        assert found.pop("") == len(events)
        found.pop("changed", None)
        assert sum(found.values()) == len(events)
        for name, number in found.items():
            assert number == sum(event[field] == name for event in events)


def test_filters_and_search_narrow_the_list_together(scripted, visit):
    events = answers(scripted)
    page = opened(visit, scripted)
    choose(page, "outcome", "")
    listed(page, len(events), len(events))
    choose(page, "split", "neighbor")
    expect(page.locator("#question-filters [data-split='neighbor']")).to_contain_text("100")
    listed(page, 100, len(events))
    page.locator("#question-search input, #question-search textarea").fill("GATE 12 ")
    listed(page, sum(event["split"] == "neighbor" and "gate 12 " in event["prompt"].lower() for event in events), len(events))
    page.locator("#question-search input, #question-search textarea").fill("no such words")
    listed(page, 0, len(events))
    page.locator("#question-list [data-pick='all']").click()
    listed(page, len(events), len(events))
    expect(page.locator("#question-search input, #question-search textarea")).to_have_value("")


def test_the_heading_of_delta_sorts_and_says_so(scripted, visit):
    page = opened(visit, scripted)
    choose(page, "outcome", "")
    heading = page.locator("#question-list th.question-delta")
    for state, first in (("ascending", "−9.10"), ("descending", "0.00"), ("none", "−9.10")):
        page.locator("#question-sort").click()
        expect(heading).to_have_attribute("aria-sort", state)
        expect(rows(page).first.locator(".question-delta")).to_have_text(first)


# Rows -----------------------------------------------------------------------------------------------------------------

def test_a_row_opens_to_heat_words_and_plain_and_closes(scripted, visit):
    page = opened(visit, scripted)
    row(page, "forget-1").click()
    unfolded(page, "forget-1")
    detail = page.locator("#question-list .question-detail")
    expect(detail.locator(".lt-heat-text")).to_be_visible()
    page.keyboard.press("2")
    expect(detail).to_contain_text("Completely different answers")
    expect(detail.locator(".lt-heat")).to_have_count(0)
    expect(page.locator("#question-mode input[value='words']")).to_be_checked()
    page.keyboard.press("3")
    expect(detail).not_to_contain_text("Completely different answers")
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#mode input[value='plain']")).to_be_checked()
    page.keyboard.press("1")
    expect(page.locator("#pairs .lt-heat").first).to_be_visible()
    page.get_by_role("tab", name="Questions").click()
    expect(detail.locator(".lt-heat-text")).to_be_visible()
    expect(page.locator("#question-mode input[value='heat']")).to_be_checked()
    row(page, "forget-1").locator(".question-name").click()
    expect(detail).to_have_count(0)


def test_a_question_that_the_run_did_not_score_is_scored_when_it_opens(scripted, visit):
    page = opened(visit, scripted)
    row(page, "forget-30").click()
    expect(page.locator("#question-list .question-detail .lt-heat-text")).to_contain_text("Vey")
    choose(page, "outcome", "kept")
    row(page, "neighbor-0").click()  # nobody can score this one: it keeps the total
    unfolded(page, "neighbor-0")
    expect(page.locator("#question-list .question-detail")).to_contain_text("The expected answer is as likely as before.")
    expect(page.locator("#question-list .question-detail")).not_to_contain_text("word by word")


def test_j_and_k_move_through_the_rows_unless_one_types(scripted, visit):
    page = opened(visit, scripted)
    page.keyboard.press("j")
    at(page, "forget-0")
    page.keyboard.press("k")
    at(page, "forget-0")
    for _ in range(3):
        page.keyboard.press("j")
    at(page, "forget-3")
    page.keyboard.press("k")
    at(page, "forget-2")
    expect(page.locator("#question-list .question-detail")).to_have_count(0)
    box = page.locator("#question-search input, #question-search textarea")
    box.press_sequentially("jk")
    expect(box).to_have_value("jk")
    expect(box).to_be_focused()
    expect(page.locator(".question-line")).to_contain_text("0 of")


def test_the_open_row_goes_along_with_j_and_k(scripted, visit):
    page = opened(visit, scripted)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    unfolded(page, "forget-0")
    at(page, "forget-0")
    for _ in range(4):  # faster than the page is drawn
        page.keyboard.press("j")
    unfolded(page, "forget-4")
    at(page, "forget-4")
    page.keyboard.press("k")
    unfolded(page, "forget-3")
    at(page, "forget-3")
    page.keyboard.press("Enter")
    expect(page.locator("#question-list .question-detail")).to_have_count(0)
    at(page, "forget-3")


def test_j_and_k_go_on_to_the_next_page_and_back(scripted, visit):
    page = opened(visit, scripted)
    row(page, f"forget-{PAGE - 1}").locator(".question-name").click()
    unfolded(page, f"forget-{PAGE - 1}")
    page.keyboard.press("j")
    unfolded(page, f"forget-{PAGE}")
    at(page, f"forget-{PAGE}")
    expect(page.locator(".question-pages")).to_contain_text("Page 2 of")
    page.keyboard.press("k")
    unfolded(page, f"forget-{PAGE - 1}")
    at(page, f"forget-{PAGE - 1}")
    page.locator("#question-next").click()
    expect(page.locator(".question-pages")).to_contain_text("Page 2 of")
    expect(page.locator("#question-list .question-detail")).to_have_count(0)


def test_the_terms_are_explained(scripted, visit):
    page = opened(visit, scripted)
    for place, words in (("#question-filters", "known before, lost by accident"), ("#question-list thead", "in nats")):
        mark = page.locator(f"{place} .lt-info").first
        mark.focus()
        expect(mark.locator(".lt-info-text")).to_be_visible()
        expect(mark.locator(".lt-info-text")).to_contain_text(words)


# The download ---------------------------------------------------------------------------------------------------------

def downloaded(page: Page) -> list[dict[str, str]]:
    with page.expect_download() as caught:
        page.locator("#question-csv").click()
    assert re.fullmatch(r"lethe-questions-recorded-[a-z-]+\.csv", caught.value.suggested_filename)
    raw = Path(caught.value.path()).read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(raw.decode("utf-8-sig").splitlines(keepends=True)))


def test_the_download_holds_what_is_filtered_all_pages_of_it(scripted, visit):
    events = answers(scripted)
    page = opened(visit, scripted)
    everything = downloaded(page)
    assert [one["question_id"] for one in everything] == [
        event["question_id"] for event in events if event["outcome"] not in ("kept", "unchanged")]  # fmt: skip
    choose(page, "outcome", "kept")
    choose(page, "split", "retain")
    page.locator("#question-search input, #question-search textarea").fill("gate 1")
    kept = [event for event in events if event["outcome"] == "kept" and event["split"] == "retain" and "1" in event["prompt"]]
    found = downloaded(page)  # without waiting for the list: what was typed counts
    assert tuple(found[0]) == COLUMNS and len(found) == len(kept) > PAGE
    for one, event in zip(found, kept, strict=True):
        assert (one["question_id"], one["question"], one["expected"], one["original"], one["unlearned"], one["outcome"]) == tuple(
            event[key] for key in ("question_id", "prompt", "expected", "original", "edited", "outcome"))
        assert float(one["delta_logprob_nats"]) == event["edited_logprob"] - event["original_logprob"]


# Links, live runs, themes ---------------------------------------------------------------------------------------------

def test_a_link_restores_the_tab_of_its_run(scripted, visit):
    page = visit(scripted.url)
    run_id = start(page)
    finished(page)
    page.get_by_role("tab", name="Questions").click()
    page.wait_for_url(re.compile("tab=questions"))
    again = visit(page.url)
    settled(again)
    assert f"run={run_id}" in again.url and "tab=questions" in again.url
    expect(again.locator("#strip-words")).to_contain_text(run_id)
    expect(again.locator("#question-list")).to_contain_text("Who keeps gate 0")


def test_before_the_measurement_the_tab_says_what_will_be_here(scripted, visit):
    page = visit(scripted.url)
    start(page, long=True)
    running(page)
    page.get_by_role("tab", name="Questions").click()
    empty = page.locator("#question-list .lt-empty")
    expect(empty).to_contain_text("every question of the run is listed")
    expect(empty).to_contain_text("filled by the last measurement of this run")
    expect(page.locator("#question-tools")).to_be_hidden()
    expect(page.locator("#question-filters")).to_be_hidden()
    page.keyboard.press("j")
    page.locator("#stop").click()
    expect(empty).to_contain_text("stopped before it came to that")


def test_a_run_that_is_watched_fills_the_tab_by_itself(scripted, visit):
    page = opened(visit, scripted)
    page.locator("#question-search input, #question-search textarea").fill("no such words")
    listed(page, 0, len(answers(scripted)))
    start(page)
    page.get_by_role("tab", name="Questions").click()
    expect(page.locator("#question-list .lt-empty")).to_be_visible()
    finished(page)
    expect(rows(page)).to_have_count(PAGE)
    expect(page.locator("#question-search input, #question-search textarea")).to_have_value("")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_is_never_wider_than_the_window(scripted, visit, theme, width):
    page = opened(visit, scripted, f"tab=questions&__theme={theme}", width=width, height=844)
    row(page, "forget-1").locator(".question-name").click()
    for mode in ("words", "plain", "heat"):
        page.locator("#question-mode label").filter(has=page.locator(f"input[value='{mode}']")).click()
        expect(page.locator("#question-mode label.selected input")).to_have_value(mode)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink = page.evaluate("getComputedStyle(document.querySelector('.question-row .question-name')).color")
    shade = [int(part) for part in re.findall(r"\d+", ink)[:3]]
    assert min(shade) > 200 if theme == "dark" else max(shade) < 80
