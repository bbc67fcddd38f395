"""Sequence on the page, with the real engine on a small model: asked for, followed, reloaded, undone, stopped."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from visiting import Server, free_port

from unlearn_core.topics.reader import write_topic
from unlearn_core.topics.topic import Topic

pytestmark = pytest.mark.timeout(400)
SEQUENCE_ID = re.compile(r"sequence=(\d{4}-[^&]+)")
LONG = "2000"  # optimiser steps: a request that lasts until it is stopped


@pytest.fixture(scope="module")
def hats(tmp_path_factory: pytest.TempPathFactory, taught_folder: Path, tiny_topic: Topic) -> Iterator[Server]:
    """The program itself, on a small model that learnt a small topic."""
    (taught_folder / "topics").mkdir(exist_ok=True)
    write_topic(tiny_topic, taught_folder / "topics" / "tiny-hats.json")
    folder, port = tmp_path_factory.mktemp("sequences"), free_port()
    command = [sys.executable, "app.py", "--port", str(port), "--runs-dir", str(folder / "runs"), "--model", str(taught_folder)]
    server = Server(command, port, folder / "log").wait()
    yield server
    server.stop()


def view(page: Page) -> None:
    page.get_by_role("tab", name="Runs").click()
    page.get_by_role("tab", name="Sequence").click()
    expect(page.locator("#sequence-start")).to_be_visible()


def choose(page: Page, steps: str, count: str) -> None:
    """So many steps in the sidebar, and so many who ask."""
    page.locator("#advanced > .label-wrap").click()
    box = page.locator("#setting-steps input, #setting-steps textarea").last
    box.fill(steps)
    box.blur()
    view(page)
    number = page.locator("#sequence-count input[type=number]")
    number.fill(count)
    number.blur()
    expect(page.locator("#sequence-command textarea, #sequence-command input")).to_have_value(
        re.compile(f"--requests {count} .*steps={steps}"))


def begin(page: Page) -> str:
    page.locator("#sequence-start").click()
    page.wait_for_url(SEQUENCE_ID)
    return SEQUENCE_ID.search(page.url).group(1)


def columns(page: Page, *titles: str) -> None:
    """The open sequence's table has these steps."""
    expect(page.locator("#sequences details[open] thead th.number")).to_have_text(["Floor", *titles])


def test_a_sequence_grows_request_by_request_and_one_is_undone_and_reload_shows_it(hats, visit):
    page = visit(hats.url)
    choose(page, "8", "2")
    expect(page.locator("#sequence-words")).to_contain_text("In this order: Ada")
    expect(page.locator("#sequence-mode-words")).to_contain_text("cannot be fused")
    expect(page.locator("#sequence-mode")).not_to_contain_text("Fused")
    name = begin(page)
    expect(page.locator("#sequence-now .race-lane")).to_have_count(2)
    columns(page, "original", "after 1", "after 2")
    expect(page.locator("#stop-sequence")).to_have_count(0)
    expect(page.locator("#sequences details[open] .conflicts")).to_contain_text("Request 1")
    page.locator("#sequences details[open] .undo-request").first.click()
    columns(page, "original", "after 1", "after 2", "without 1")
    page.reload()
    columns(page, "original", "after 1", "after 2", "without 1")
    assert name in page.url
    page.locator("#sequences details[open] .run-name").first.click()
    page.wait_for_url(re.compile(r"run=\d{4}-"))
    expect(page.locator("#verdict")).to_contain_text("Ada")
    assert "sequence=" not in page.url


def test_a_running_sequence_is_followed_from_everywhere_and_stopped(hats, visit):
    first = visit(hats.url)
    choose(first, LONG, "2")
    name = begin(first)
    expect(first.locator("#sequence-now")).to_contain_text("Request 1 of 2")
    columns(first, "original")
    first.reload()
    expect(first.locator("#sequence-now")).to_contain_text("Request 1 of 2")
    second = visit(f"{hats.url}/?run=recorded", width=390, height=844)
    view(second)
    second.locator("#sequence-start").click()
    expect(second.locator("#sequence-messages")).to_contain_text("A sequence started")
    second.locator("#sequence-messages .card-action").click()
    second.wait_for_url(re.compile(re.escape(name)))
    assert second.evaluate("document.documentElement.scrollWidth") <= 390
    second.locator("#stop-sequence").click()
    for page in (first, second):
        expect(page.locator("#stop-sequence")).to_have_count(0)
        expect(page.locator("#sequences details[open] summary")).to_contain_text("stopped")
    expect(first.locator(".lt-problem")).to_have_count(0)


def test_what_cannot_be_asked_gets_a_sentence(hats, visit):
    page = visit(hats.url)
    view(page)
    page.locator("#sequence-who").get_by_text("Whole topics").click()
    expect(page.locator("#sequence-topics")).to_be_visible()
    page.locator("#sequence-start").click()
    expect(page.locator("#sequence-messages")).to_contain_text("Choose the topics")
    expect(page.locator("#stop-sequence")).to_have_count(0)
