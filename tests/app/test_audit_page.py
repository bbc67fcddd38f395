"""Audit on the page, on a scripted runner: asked for, followed, stopped, sorted, opened, saved, opened again."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from scripted_audits import ATTACKS, LAST
from visiting import open_run, points, running, start

pytestmark = pytest.mark.timeout(400)
EXAMPLE = "recorded"
ROWS = "#audit-card tbody tr[data-row]"


def tab(page: Page) -> None:
    page.get_by_role("tab", name="Audit", exact=True).click()
    expect(page.locator("#audit-form")).to_be_visible()


def box(page: Page, title: str) -> None:
    page.locator(".family-boxes label", has=page.get_by_text(re.compile(f"^{re.escape(title)}\n"))).locator("input").check()


def only(page: Page, *names: str) -> None:
    """Choose these attacks and no others."""
    choosing = page.locator("#audit-choosing > button")
    expect(page.locator("#audit-start")).to_be_visible()
    if not page.locator("#audit-none").is_visible():
        choosing.click()
    page.locator("#audit-none").click()
    expect(page.locator("#audit-estimate")).to_contain_text("at least one")
    for name in names:
        box(page, ATTACKS[name].title)
    expect(page.locator("#audit-estimate")).to_contain_text(f"{len(names)} of")


def begin(page: Page, *names: str, long: bool = False) -> None:
    """Press Attack. `long`: the last of the attacks goes on until it is stopped."""
    tab(page)
    chosen = (*names, LAST) if long else names
    if chosen:
        only(page, *chosen)
    page.locator("#audit-start").click()
    if chosen:
        expect(page.locator("#audit-none")).to_be_hidden()  # a short one may be over before its Stop is looked for
    else:
        expect(page.locator("#audit-stop")).to_be_visible()


def over(page: Page, status: str = "Done") -> None:
    expect(page.locator("#audit-head")).to_contain_text(status)
    expect(page.locator("#audit-start")).to_be_visible()
    expect(page.locator("#audit-now .audit-now")).to_have_count(0)


def rows(page: Page, number: int) -> None:
    expect(page.locator(ROWS)).to_have_count(number)


def names(page: Page) -> list[str]:
    return page.locator(f"{ROWS} .run-name").all_text_contents()


def own_run(page: Page) -> str:
    """Another run than the example, of the topic whose run ends."""
    run_id = start(page)
    expect(page.locator("#strip-words")).to_contain_text("Done")
    return run_id


def test_before_an_audit_the_page_says_what_will_be_here_and_offers_every_attack(scripted, visit):
    page = visit(scripted.url)
    run_id = own_run(page)
    tab(page)
    expect(page.locator("#audit-head")).to_contain_text("each attack will have a row")
    expect(page.locator("#audit-tools")).to_be_hidden()
    expect(page.locator("#audit-plot")).to_be_hidden()
    expect(page.locator("#audit-estimate")).to_contain_text(f"{len(ATTACKS)} attacks chosen")
    expect(page.locator(".family-boxes input:checked")).to_have_count(len(ATTACKS))
    expect(page.locator("#audit-family-relearning")).to_contain_text("Needs the weights of both models")
    only(page, "hints", "int4")
    expect(page.locator("#audit-command textarea, #audit-command input")).to_have_value(re.compile(
        f"python -m unlearn_core audit {re.escape(run_id)} --attacks hints,int4 --seed 0"))
    page.locator("#audit-every").click()
    expect(page.locator(".family-boxes input:checked")).to_have_count(len(ATTACKS))
    page.locator("#audit-none").click()
    expect(page.locator("#audit-estimate")).to_contain_text("at least one")
    page.locator("#audit-start").click()
    expect(page.locator("#audit-messages")).to_contain_text("Choose at least one attack")


def test_an_audit_goes_from_its_button_to_a_verdict_a_row_for_each_attack_and_a_file(scripted, visit):
    page = visit(scripted.url)
    begin(page)
    over(page)
    rows(page, len(ATTACKS))
    expect(page.locator("#audit-head .lt-sentence")).to_contain_text("It does not hold against everything")
    row = page.locator(f"{ROWS}[data-row='int4']")
    expect(row).to_contain_text("40 %")
    expect(row.locator(".audit-fill")).to_have_attribute("style", re.compile(r"width:40\.\d%"))
    expect(page.locator(f"{ROWS}[data-row='choice']")).to_contain_text("guessing")
    expect(page.locator(f"{ROWS}[data-row='soft-prompt']")).to_contain_text("Not applicable: this model takes no <soft> prompt.")
    expect(page.locator("#audit-notes")).to_contain_text("A made-up audit, <of> nothing.")
    expect(page.locator("#audit-estimate")).to_contain_text("the last audit took")
    with page.expect_download() as saved:
        page.locator("#audit-csv").click()
    table = list(csv.DictReader(Path(saved.value.path()).read_text(encoding="utf-8-sig").splitlines()))
    assert saved.value.suggested_filename.endswith(".csv") and [line["attack"] for line in table] == list(ATTACKS)


def test_curves_are_drawn_while_an_attack_is_at_work(scripted, visit):
    page = visit(scripted.url)
    begin(page, "plain", long=True)
    expect(page.locator("#audit-now")).to_contain_text("on the unlearned model")
    page.wait_for_function("document.querySelector('#audit-live .js-plotly-plot')?.layout?.meta?.points >= 12")
    assert points(page, "audit-live") == 12
    expect(page.locator("#audit-live .xtitle")).to_contain_text("steps")
    rows(page, 1)
    expect(page.locator("#audit-card")).to_contain_text(f"Still to come: {ATTACKS[LAST].title}")
    page.locator("#audit-stop").click()
    over(page, "Stopped")
    expect(page.locator("#audit-live")).to_be_hidden()


def test_stop_keeps_the_rows_so_far(scripted, visit):
    page = visit(scripted.url)
    begin(page, "plain", "int4", long=True)
    rows(page, 2)
    page.locator("#audit-stop").click()
    over(page, "Stopped")
    rows(page, 2)
    expect(page.locator("#audit-head .lt-sentence")).to_contain_text("the most is 40 %")
    expect(page.locator(".lt-problem")).to_have_count(0)


def test_reload_attaches_again_and_a_second_tab_follows_and_can_stop(scripted, visit):
    first = visit(scripted.url)
    begin(first, "hints", long=True)
    rows(first, 1)
    first.reload()
    expect(first.locator("#audit-now .audit-now")).to_be_visible()
    rows(first, 1)
    assert "tab=audit" in first.url
    second = visit(scripted.url)
    expect(second.locator("#audit-now .audit-now")).to_be_visible()
    rows(second, 1)
    second.locator("#audit-stop").click()
    for page in (first, second):
        over(page, "Stopped")
        rows(page, 1)


def test_a_tab_that_was_there_before_follows_once_it_looks(scripted, visit):
    first, second = visit(scripted.url), visit(scripted.url)
    begin(first, long=True)
    tab(second)
    expect(second.locator("#audit-stop")).to_be_visible()
    second.locator("#audit-stop").click()
    over(first, "Stopped")


def test_the_card_sorts_and_a_row_opens_its_curves(scripted, visit):
    page = visit(scripted.url)
    begin(page, "worst-wording", "hints", "int4")
    over(page)
    assert names(page) == ["Worst wording", "Hints", "4 bits"]
    page.locator("#audit-sort").get_by_text("Most recovered first").click()
    expect(page.locator(".audit-family")).to_have_count(0)
    assert names(page) == ["4 bits", "Hints", "Worst wording"]
    page.locator(f"{ROWS}[data-row='hints'] .run-name").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#audit-plot .js-plotly-plot')?.layout?.meta?.points === 18")
    expect(page.locator("#audit-plot .xtitle")).to_contain_text("facts shown")
    expect(page.locator("#audit-detail")).to_contain_text("Made up for hints")
    page.locator(f"{ROWS}[data-row='worst-wording'] .run-name").click()
    expect(page.locator("#audit-detail")).to_contain_text("=SUM(A1) <b>of</b> it")
    expect(page.locator("#audit-plot .live-plot")).to_be_hidden()
    page.locator("#audit-detail").get_by_role("button", name="Close").click()
    expect(page.locator("#audit-detail section")).to_have_count(0)
    expect(page.locator(f"{ROWS}[data-row='worst-wording'] .run-name")).to_be_focused()


def test_the_keyboard_keeps_its_place_in_a_card_that_is_drawn_again(scripted, visit):
    page = visit(scripted.url)
    begin(page, "hints", "int4")
    over(page)
    page.locator(f"{ROWS}[data-row='int4'] .run-name").focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"{ROWS}[data-row='int4'] .run-name[aria-expanded=true]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(f"{ROWS}[data-row='int4'] .run-name[aria-expanded=false]")).to_be_focused()


def test_every_attack_is_explained_and_so_is_what_is_recovered(scripted, visit):
    page = visit(scripted.url)
    begin(page, "int4")
    over(page)
    page.locator(f"{ROWS}[data-row='int4'] .lt-info").focus()
    expect(page.get_by_text("Weights rounded to 4 bits. Needs questions and answers. Source: Made up for 4 bits.")).to_be_visible()
    page.locator("#audit-card thead .lt-info").first.focus()
    expect(page.locator("#audit-card thead .lt-info-text").first).to_be_visible()


def test_a_link_restores_the_tab_and_an_earlier_audit(scripted, visit):
    page = visit(scripted.url)
    run_id = own_run(page)
    begin(page, "hints")
    over(page)
    begin(page, "int4", "int8")
    over(page)
    rows(page, 2)
    page.wait_for_url(re.compile(f"run={re.escape(run_id)}&tab=audit$"))
    select = page.locator("#audit-select")
    expect(select.locator("option")).to_have_count(2)
    select.select_option(index=1)
    rows(page, 1)
    page.wait_for_url(re.compile("audit=2"))
    other = visit(page.url)
    rows(other, 1)
    assert names(other) == ["Hints"]
    newest = visit(f"{scripted.url}/?run={run_id}&tab=audit")
    rows(newest, 2)
    wrong = visit(f"{scripted.url}/?audit=2026-01-01-audit-nothing-00000000")
    expect(wrong.locator("#messages")).to_contain_text("There is no audit")


def test_another_run_shows_its_own_audits_and_never_those_of_the_one_before(scripted, visit):
    page = visit(scripted.url)
    begin(page, "hints", "int4")
    over(page)
    rows(page, 2)
    page.locator(f"{ROWS}[data-row='int4'] .run-name").click()
    expect(page.locator("#audit-detail section")).to_have_count(1)
    run_id = own_run(page)
    tab(page)
    expect(page.locator("#audit-head")).to_contain_text("each attack will have a row")
    rows(page, 0)
    expect(page.locator("#audit-detail section")).to_have_count(0)
    begin(page, "spanish")
    over(page)
    assert names(page) == ["Asked in Spanish"]
    open_run(page, EXAMPLE)
    tab(page)
    rows(page, 2)
    open_run(page, run_id)
    tab(page)
    rows(page, 1)


def test_while_an_audit_goes_on_another_run_stays_free_of_it(scripted, visit):
    first, second = visit(scripted.url), visit(f"{scripted.url}/?run=recorded")
    own_run(second)
    begin(first, "hints", long=True)
    rows(first, 1)
    tab(second)
    expect(second.locator("#audit-head")).to_contain_text("each attack will have a row")
    second.locator("#audit-start").click()
    expect(second.locator("#audit-messages")).to_contain_text("An audit started")
    second.locator("#audit-messages .card-action").click()
    expect(second.locator("#audit-stop")).to_be_visible()
    rows(second, 1)
    second.locator("#start").click()
    expect(second.locator("#messages")).to_contain_text("An audit started")
    second.locator("#messages .card-action").click()
    expect(second.locator("#messages .card-action")).to_have_count(0)
    second.locator("#audit-stop").click()
    over(first, "Stopped")


def test_a_run_in_the_way_is_named_and_can_be_watched(scripted, visit):
    first, second = visit(scripted.url), visit(f"{scripted.url}/?run=recorded")
    run_id = start(first, long=True)
    tab(first)
    first.locator("#audit-start").click()
    expect(first.locator("#audit-messages")).to_contain_text("no edit that could be attacked")
    tab(second)
    second.locator("#audit-start").click()
    expect(second.locator("#audit-messages")).to_contain_text("A run started")
    second.locator("#audit-messages .card-action").click()
    second.wait_for_url(re.compile(re.escape(run_id)))
    running(second)
    second.locator("#stop").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(scripted, visit, scheme):
    page = visit(scripted.url, width=390, height=844, color_scheme=scheme)
    begin(page, "worst-wording", "hints", "choice", "soft-prompt")
    over(page)
    page.locator(f"{ROWS}[data-row='hints'] .run-name").click()
    page.wait_for_function("document.querySelector('#audit-plot .js-plotly-plot')?.layout?.meta?.points === 18")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.locator(f"{ROWS}[data-row='hints'] .audit-said")).to_be_visible()
