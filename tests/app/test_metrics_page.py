"""All metrics without unlearning, on a scripted runner: a model as it is, and a run's edit, on the sidebar's topic."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from visiting import pick

pytestmark = pytest.mark.timeout(400)
CARD = "#metrics [data-metric=probability]"


def test_a_model_is_measured_on_the_sidebars_topic_without_unlearning(scripted, visit):
    page = visit(scripted.url)
    pick(page, "#metrics-of", "The sidebar's model on its topic, no unlearning")
    expect(page.locator("#metrics-words")).to_contain_text("demo as it is on")
    page.locator("#measure-metrics").click()
    expect(page.locator(CARD)).to_contain_text("0.980")
    expect(page.locator(CARD)).not_to_contain_text("→")
    pick(page, "#topic", "four private people")
    expect(page.locator("#metrics .metric")).to_have_count(0)
    expect(page.locator("#metrics-words")).to_contain_text("private-people")
    pick(page, "#metrics-of", "This run's edit on the sidebar's topic")
    expect(page.locator("#metrics-words")).to_contain_text("with the edit of recorded on private-people")
    page.locator("#measure-metrics").click()
    expect(page.locator(CARD)).to_contain_text("→")
    pick(page, "#metrics-of", "This run, before and after")
    expect(page.locator("#metrics .metric")).to_have_count(0)
