"""A browser and the servers that it visits. Without Chromium these tests fail: nothing is tested that nobody opened."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from visiting import Server, Visit, chromium, free_port


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def scripted_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("scripted"), free_port()
    server = Server([sys.executable, "tests/app/serve.py", str(port), str(folder)], port, folder / "log").wait()
    yield server
    server.stop()


@pytest.fixture
def scripted(scripted_server: Server) -> Iterator[Server]:
    """The page on a runner that plays a made-up run; afterwards nothing runs there any more."""
    yield scripted_server
    scripted_server.tell("stop")


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A function that opens pages; at the end, no console error and no remote request may have happened."""
    visit = Visit(browser)
    yield visit
    visit.close()
    assert not visit.complaints, visit.complaints
