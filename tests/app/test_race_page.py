"""Race on the page, on a scripted runner: asked for, followed, stopped, sorted, opened again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from scripted_races import WHY
from visiting import pick, points, running, start

pytestmark = pytest.mark.timeout(400)
RACE_ID = re.compile(r"race=(\d{4}-[^&]+)")


def view(page: Page) -> None:
    page.get_by_role("tab", name="Runs").click()
    page.get_by_role("tab", name="Race", exact=True).click()
    expect(page.locator("#race-start")).to_be_visible()


def begin(page: Page, long: bool = False) -> str:
    """Press Race and return the race's id. `long`: its second method trains until it is stopped."""
    if long:
        pick(page, "#topic", "four private people")
    view(page)
    page.locator("#race-start").click()
    page.wait_for_url(RACE_ID)
    return RACE_ID.search(page.url).group(1)


def over(page: Page, status: str = "Done") -> None:
    expect(page.locator("#race-head")).to_contain_text(status)
    expect(page.locator("#stop-race")).to_have_count(0)


def drawn(page: Page, what: str, least: int) -> None:
    """`what`: points (methods measured on all questions) or live (looks at the live sample)."""
    page.wait_for_function("([what, least]) => (document.querySelector('#race-plot .js-plotly-plot')?.layout?.meta?.[what] || 0)"
                           " >= least", arg=[what, least])


def names(page: Page) -> list[str]:
    return page.locator("#race-table tbody .run-name").all_text_contents()


def test_before_a_race_the_page_says_what_will_be_here_and_how_long_it_takes(scripted, visit):
    page = visit(scripted.url)
    view(page)
    expect(page.locator("#race-head")).to_contain_text("each method will be one point")
    expect(page.locator("#race-plot")).to_be_hidden()
    expect(page.locator("#race-estimate")).to_contain_text("2 methods")
    expect(page.locator("#race-unable")).to_contain_text(WHY)
    page.locator("#race-mode").get_by_text("At equal damage").click()
    expect(page.locator("#race-form")).to_contain_text("0.02 nats")
    expect(page.locator("#race-command textarea, #race-command input")).to_have_value(re.compile(
        "python -m unlearn_core race --model demo --topic book-series --mode equal-damage"))
    page.locator("#race-methods button").first.click()
    page.locator("#race-none").click()
    expect(page.locator("#race-estimate")).to_contain_text("at least one")
    page.locator("#race-start").click()
    expect(page.locator("#race-messages")).to_contain_text("Choose at least one method")


def test_a_race_goes_from_its_button_to_points_and_a_table(scripted, visit):
    page = visit(scripted.url)
    begin(page)
    over(page)
    drawn(page, "points", 2)
    assert points(page, "race-plot") == 2
    expect(page.locator("#race-table tbody tr", has_text="UNLEARN")).to_contain_text("99 %")
    expect(page.locator("#race-table")).to_contain_text(f"cannot run here: {WHY}")
    expect(page.locator("#race-finding")).to_contain_text("Forgot and kept (1): UNLEARN")
    expect(page.locator("#race-plot")).to_contain_text("never knew")


def test_the_headings_sort_and_say_so(scripted, visit):
    page = visit(scripted.url)
    begin(page)
    over(page)
    heading = page.locator("#race-table th", has_text="Forget").first
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#race-table th[aria-sort=ascending]")).to_contain_text("Forget")
    assert names(page) == ["UNLEARN", "Task vector"]
    heading.locator("button").click()
    expect(page.locator("#race-table th[aria-sort=descending]")).to_contain_text("Forget")
    assert names(page) == ["Task vector", "UNLEARN"]


def test_neighbours_can_stand_upwards(scripted, visit):
    page = visit(scripted.url)
    begin(page)
    over(page)
    drawn(page, "points", 2)
    page.locator("#race-upward").get_by_text("Neighbours").click()
    expect(page.locator("#race-plot .ytitle")).to_contain_text("Neighbours")
    page.wait_for_function("document.querySelector('#race-plot .js-plotly-plot').data.some((trace) => trace.y.includes(70))")


def test_stop_keeps_the_rows_so_far(scripted, visit):
    page = visit(scripted.url)
    begin(page, long=True)
    drawn(page, "points", 1)
    drawn(page, "live", 2)  # of the method at work, beside the one that was measured
    expect(page.locator("#race-now .race-lane")).to_have_count(2)
    page.locator("#stop-race").click()
    over(page, "Stopped")
    rows = page.locator("#race-table tbody tr")
    expect(rows.filter(has_text="UNLEARN")).to_contain_text("done")
    expect(rows.filter(has_text="Task vector")).to_contain_text("stopped")
    expect(page.locator(".lt-problem")).to_have_count(0)


def test_reload_attaches_again_and_a_second_tab_follows_and_can_stop(scripted, visit):
    first = visit(scripted.url)
    race_id = begin(first, long=True)
    drawn(first, "points", 1)
    first.reload()
    expect(first.locator("#race-now .race-now")).to_be_visible()
    drawn(first, "points", 1)
    assert race_id in first.url
    second = visit(scripted.url)
    second.wait_for_url(re.compile(re.escape(race_id)))
    expect(second.locator("#race-now .race-now")).to_be_visible()
    second.locator("#stop-race").click()
    for page in (first, second):
        over(page, "Stopped")


def test_a_row_and_a_point_open_their_run(scripted, visit):
    page = visit(scripted.url)
    begin(page)
    over(page)
    drawn(page, "points", 2)
    link = page.locator("#race-table .run-name", has_text="Task vector")
    run_id = link.get_attribute("href").removeprefix("?run=")
    link.click()
    page.wait_for_url(re.compile(f"run={re.escape(run_id)}"))
    expect(page.locator("#verdict")).to_contain_text("no longer answers")
    assert "race=" not in page.url
    page.get_by_role("tab", name="Runs").click()
    page.locator("#race-plot .scatterlayer .trace .points path").first.click(force=True)
    expect(page.locator("#verdict")).to_be_visible()
    page.wait_for_function("(run) => !location.search.includes(run)", arg=run_id)
    assert "run=" in page.url


def test_an_earlier_race_opens_again(scripted, visit):
    page = visit(scripted.url)
    race_id = begin(page)
    over(page)
    other = visit(scripted.url)
    view(other)
    other.locator(f"#race-list button[data-pick='race:{race_id}']").click()
    over(other)
    drawn(other, "points", 2)
    third = visit(f"{scripted.url}/?tab=runs&race={race_id}")
    over(third)
    assert names(third) == names(other)


def test_a_second_race_or_run_says_who_is_running_and_offers_to_watch(scripted, visit):
    first = visit(scripted.url)
    race_id = begin(first, long=True)
    second = visit(f"{scripted.url}/?tab=internals&run=recorded")
    second.locator("#start").click()
    expect(second.locator("#messages")).to_contain_text("A race started")
    second.locator("#messages .card-action").click()
    second.wait_for_url(re.compile(re.escape(race_id)))
    expect(second.locator("#messages .card-action")).to_have_count(0)
    second.locator("#race-start").click()
    expect(second.locator("#race-messages")).to_contain_text("A race started")
    second.locator("#stop-race").click()
    over(first, "Stopped")


def test_a_race_does_not_start_while_a_run_goes_on(scripted, visit):
    first, second = visit(scripted.url), visit(f"{scripted.url}/?run=recorded")
    run_id = start(first, long=True)
    view(second)
    second.locator("#race-start").click()
    expect(second.locator("#race-messages")).to_contain_text("A run started")
    second.locator("#race-messages .card-action").click()
    second.wait_for_url(re.compile(re.escape(run_id)))
    running(second)
    second.locator("#stop").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(scripted, visit, scheme):
    page = visit(scripted.url, width=390, height=844, color_scheme=scheme)
    view(page)
    page.locator("#race-start").click()
    over(page)
    drawn(page, "points", 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.locator("#race-table .run-name").first).to_be_visible()


def test_a_link_to_no_race_says_so(scripted, visit):
    page = visit(f"{scripted.url}/?race=2026-01-01-race-nothing-00000000")
    expect(page.locator("#messages")).to_contain_text("There is no race")
