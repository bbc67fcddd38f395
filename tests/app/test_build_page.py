"""Training the model that never saw the open run's topic from the page, on a scripted runner: offered, followed, stopped, done."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.timeout(400)
TOPIC = "book-series"  # of the recorded run


def part(page: Page, where: str = "ask"):
    return page.locator(f"#{where}-build")


def press(page: Page, words: str, where: str = "ask") -> None:
    part(page, where).get_by_role("button", name=words).click()


def audit(page: Page) -> None:
    page.get_by_role("tab", name="Audit", exact=True).click()
    expect(page.locator("#audit-form")).to_be_visible()


def test_nothing_is_offered_where_that_model_is_at_hand(scripted, visit):
    page = visit(scripted.url)
    expect(page.locator("#pairs")).to_be_visible()
    expect(part(page)).to_be_hidden()
    audit(page)
    expect(part(page, "audit")).to_be_hidden()


def test_it_is_offered_below_the_question_and_above_the_attacks_with_its_time(scripted, visit):
    scripted.tell(f"missing {TOPIC}")
    page = visit(scripted.url)
    expect(part(page)).to_contain_text("No model that never saw the Vale books is at hand")
    expect(part(page)).to_contain_text(re.compile("About 5.min 30.s"))
    audit(page)
    expect(part(page, "audit")).to_contain_text("Train it")


def test_it_is_followed_in_both_places_and_in_a_second_tab_which_can_stop_it(scripted, visit):
    scripted.tell(f"missing {TOPIC}")
    page = visit(scripted.url)
    press(page, "Train it")
    expect(part(page)).to_contain_text(f"Train a model that never sees <the> {TOPIC}")
    expect(part(page)).to_contain_text("of 400 steps")
    second = visit(scripted.url)
    expect(part(second)).to_contain_text("of 400 steps")
    audit(second)
    press(second, "Stop", "audit")
    for tab, where in ((second, "audit"), (page, "ask")):
        expect(part(tab, where)).to_contain_text("The training was stopped")
        expect(part(tab, where)).to_contain_text("Train it")
        expect(tab.locator(".lt-problem")).to_have_count(0)


def test_reload_attaches_again(scripted, visit):
    scripted.tell(f"missing {TOPIC}")
    page = visit(scripted.url)
    press(page, "Train it")
    expect(part(page)).to_contain_text("of 400 steps")
    page.reload()
    expect(part(page)).to_contain_text("of 400 steps")
    press(page, "Stop")
    expect(part(page)).to_contain_text("Train it")


def test_at_its_end_it_says_what_is_new(scripted, visit):
    scripted.tell(f"missing {TOPIC}")
    scripted.tell(f"short {TOPIC}")
    page = visit(scripted.url)
    press(page, "Train it")
    expect(part(page)).to_contain_text("is at hand now: ask again")
    expect(part(page).get_by_role("button")).to_have_count(0)
    page.reload()
    expect(page.locator("#pairs")).to_be_visible()
    expect(part(page)).to_be_hidden()


def test_a_run_meanwhile_is_refused_with_an_offer_that_leads_to_the_training(scripted, visit):
    scripted.tell(f"missing {TOPIC}")
    page = visit(scripted.url)
    press(page, "Train it")
    expect(part(page)).to_contain_text("of 400 steps")
    page.get_by_role("tab", name="Internals", exact=True).click()
    page.locator("#start").click()
    expect(page.locator("#messages")).to_contain_text("The training of a model that never saw a topic started")
    page.locator("#messages .card-action").click()
    expect(part(page)).to_be_visible()
    expect(part(page)).to_contain_text("of 400 steps")
    expect(page.locator("#messages .lt-problem")).to_have_count(0)
