"""From the start of a process to what a person waits for: the verdict in Chromium, and a run's summary.

`python -m benchmarks.start [--model demo] [--topic book-series] [--repeats 3] [--no-page] [--no-run]`. The browser is
open before the clock starts. A run gets an empty runs folder each time, so nothing is kept from an earlier one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Browser, sync_playwright

from unlearn_core.store import RECORDED, Store

from .table import load_average, markdown, median

ROOT = Path(__file__).resolve().parents[1]
VERDICT, DRAWN = ".lt-sentence", "#verdict .lt-sentence"  # the first copy of it counts; the page itself comes later
PATIENCE = 300  # seconds
HEADINGS = ["from the start of", "to", "seconds", "of these, the program's CPU", "load average before"]


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen]:
    """A Python process in the repository's root, ended at the end."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    child = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def cpu_seconds(child: subprocess.Popen) -> float:
    """CPU time that a living process has used."""
    used = psutil.Process(child.pid).cpu_times()
    return used.user + used.system


def page_seconds(browser: Browser, runs: Path, port: int) -> list[tuple[float, float]]:
    """From the start of app.py to the verdict on screen, and to the whole page: (seconds, CPU seconds of the server by then)."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    started = time.monotonic()
    with process("app.py", "--port", str(port), "--runs-dir", str(runs)) as server:
        _open(page, f"http://127.0.0.1:{port}", server, started)
        found = []
        for selector in (VERDICT, DRAWN):
            page.wait_for_selector(selector, state="visible", timeout=PATIENCE * 1000)
            found.append((time.monotonic() - started, cpu_seconds(server)))
    page.close()
    return found


def _open(page, url: str, server: subprocess.Popen, started: float) -> None:
    """Go to the page as soon as the server answers; it is asked without the browser, which each refusal would keep busy."""
    port = int(url.rpartition(":")[2])
    while True:
        if server.poll() is not None:
            raise SystemExit(f"app.py ended with status {server.returncode}; run `python app.py` to see why.")
        if time.monotonic() - started > PATIENCE:
            raise SystemExit(f"app.py did not answer within {PATIENCE} s.")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            page.goto(url, wait_until="commit")
            return


def run_seconds(model: str, topic: str, method: str, runs: Path) -> tuple[float, float]:
    """(seconds from the start of the command to its summary.json, CPU seconds by then)."""
    started, used = time.monotonic(), 0.0
    with process("-m", "unlearn_core", "run", "--model", model, "--topic", topic, "--method", method,
                 "--runs-dir", str(runs), "--json") as command:
        while not (found := list(runs.glob("*/summary.json"))):
            if command.poll() is not None:
                raise SystemExit(f"the run ended with status {command.returncode} and left no summary.")
            used = cpu_seconds(command)
            time.sleep(0.02)
        seconds = time.monotonic() - started
        command.wait(PATIENCE)
    status = json.loads(found[0].read_text())["status"]
    if status != "done":
        raise SystemExit(f"the run ended as '{status}'.")
    return seconds, used


def page_rows(repeats: int) -> list[list[str]]:
    """The page on the recorded run; nothing where no run ships yet."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        runs = Path(folder)
        if not any(record.run_id == RECORDED for record in Store(runs).runs()):
            return [["python app.py", "verdict visible (no recorded run ships yet)", "n/a", "n/a", "n/a"]]
        before = load_average()
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        times = [page_seconds(browser, runs, free_port()) for _ in range(repeats)]
        browser.close()
    ends = ("verdict visible in Chromium", "whole page in Chromium")
    return [_row("python app.py", end, list(found), before) for end, found in zip(ends, zip(*times, strict=True), strict=True)]


def run_rows(model: str, topic: str, method: str, repeats: int) -> list[list[str]]:
    """A run that finds no kept answers."""
    before, times = load_average(), []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            times.append(run_seconds(model, topic, method, Path(folder)))
    name = Path(model).name
    return [_row(f"unlearn_core run ({name}, {topic}, {method})", "summary.json", times, before)]


def _row(start: str, end: str, times: list[tuple[float, float]], load: float) -> list[str]:
    seconds = [wall for wall, _ in times]
    spread = f"{median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
    return [start, end, spread, f"{median([cpu for _, cpu in times]):.1f}", f"{load:.1f}"]


def chromium() -> str:
    """The browser's path; ends the program where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise SystemExit("Chromium is missing: apt-get install chromium")
    return path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--topic", default="book-series")
    parser.add_argument("--method", default="unlearn")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-page", action="store_true")
    parser.add_argument("--no-run", action="store_true")
    chosen = parser.parse_args(arguments)
    rows = [] if chosen.no_page else page_rows(chosen.repeats)
    if not chosen.no_run:
        rows += run_rows(chosen.model, chosen.topic, chosen.method, chosen.repeats)
    print(markdown(HEADINGS, rows))
    print(f"\nMedian (least to most) of {chosen.repeats}.")


if __name__ == "__main__":
    main()
