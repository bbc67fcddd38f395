"""Servers, a browser that notices what a page must not do, and the gestures that the tests share. Knows no test."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, expect

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
STARTS_WITHIN = 180  # seconds, on a very busy machine
PATIENCE = 60_000  # milliseconds; nothing here waits that long on an idle machine
# Aborted streams when a page is closed under way, and what the left page hears of a session that is gone; not errors of the page.
EXPECTED_NOISE = (
    "ERR_ABORTED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "AbortError", "Connection errored out",
    "Unexpected error 404: Not Found",
)  # fmt: skip
RUN_ID = re.compile(r"run=(\d{4}-[^&]+)")

expect.set_options(timeout=PATIENCE)


def chromium() -> str:
    """The browser's path; fails where there is none."""
    path = CHROMIUM if Path(CHROMIUM).exists() else shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "These tests need Chromium: apt-get install chromium"
    return path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server process of ours and its address."""

    def __init__(self, command: list[str], port: int, log: Path) -> None:
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.url, self.log = f"http://127.0.0.1:{port}", log
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self) -> Server:
        while time.monotonic() - self.started < STARTS_WITHIN:
            assert self._process.poll() is None, f"the server ended:\n{self.log.read_text()}"
            try:
                urllib.request.urlopen(self.url, timeout=5).close()
                return self
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"the server did not answer:\n{self.log.read_text()}")

    def tell(self, word: str) -> None:
        """Write a line to the server's standard input; the scripted one listens."""
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End the server; that it was still there is part of every test that it served."""
        status = self._process.poll()
        assert status is None, f"the server had ended by itself with status {status}:\n{self.log.read_text()}"
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Visit:
    """Opens pages in contexts of their own and remembers everything that a page must not do."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts = []
        self.complaints: list[str] = []

    def __call__(
        self,
        url: str,
        width: int = 1440,
        height: int = 900,
        before: Callable[[Page], None] = lambda page: None,
        beside: Page | None = None,
        **context: object,
    ) -> Page:
        """A new page at `url`, come alive, in a browser of its own or in another tab `beside` a page; `before` may prepare it
        before it goes anywhere."""
        opened = beside.context if beside else self._browser.new_context(viewport={"width": width, "height": height}, **context)
        if beside is None:
            self._contexts.append(opened)
        page = opened.new_page()
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self._complain(str(error)))
        page.on("request", lambda request: self._check(request.url))
        page.set_default_timeout(PATIENCE)
        before(page)
        page.goto(url)
        expect(page.locator("#strip-words .lt-strip")).to_be_visible()
        expect(page.locator("html.lethe-ready")).to_have_count(1)
        return page

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(noise in message.text for noise in EXPECTED_NOISE):
            self.complaints.append(f"{message.text} (from {message.location.get('url') or 'no address'})")

    def _complain(self, text: str) -> None:
        if not any(noise in text for noise in EXPECTED_NOISE):
            self.complaints.append(text)

    def _check(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.complaints.append(f"a remote request: {url}")

    def close(self) -> None:
        while self._contexts:
            self._contexts.pop().close()


def start(page: Page, long: bool = False) -> str:
    """Press Unlearn and return the run's id. `long`: a run that trains until it is stopped."""
    if long:
        pick(page, "#topic", "four private people")
    page.locator("#start").click()
    page.wait_for_url(RUN_ID)
    return RUN_ID.search(page.url).group(1)


def running(page: Page) -> None:
    expect(page.locator("#stop")).to_be_visible()
    expect(page.locator("#strip-words")).to_contain_text("phase")


def finished(page: Page) -> None:
    expect(page.locator("#strip-words")).to_contain_text("Done")
    expect(page.locator("#start")).to_be_visible()


def points(page: Page, plot: str) -> int:
    """How many points the curves of a plot have."""
    return page.evaluate(
        "(id) => (document.querySelector('#' + id + ' .js-plotly-plot')?.calcdata || [])"
        ".reduce((sum, curve) => sum + curve.length, 0)",
        plot,
    )


def pick(page: Page, selector: str, option: str) -> None:
    page.locator(f"{selector} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def open_run(page: Page, name: str) -> None:
    """Open the run of that id, or the only one of that name."""
    page.get_by_role("tab", name="Runs").click()
    rows = page.locator("#runs-table tr")
    row = page.locator(f"#runs-table tr[data-run='{name}']").or_(rows.filter(has=page.get_by_text(name, exact=True)))
    row.locator(".run-name").click()
    page.locator("#open-run").click()
    expect(page.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")
