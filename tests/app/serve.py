"""Serve the page on the scripted runner: `python serve.py PORT FOLDER [PACE]`. For tests that need no model."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripted import ScriptedRunner, record

from components.settings import Settings
from components.stubs import without_stub_files

with without_stub_files():
    from components.dashboard import build_ui
    from components.first_paint import first_paint
    from components.follower import watched
    from components.launch import launch_arguments
from unlearn_core.store import Store


def listen(runner: ScriptedRunner) -> None:
    """Stop whatever runs at each line of standard input: the test that started it has ended. Or `missing TOPIC`: no model that
    never saw it is at hand any more, and the training of one ends by itself at the `short` ones."""
    for line in sys.stdin:
        kind, _, topic = line.strip().partition(" ")
        if kind in ("missing", "short"):
            getattr(runner, kind).add(topic)
            continue
        runner.missing.clear()
        runner.short.clear()
        runner.stop(runner.running() or "")
        runner.stop_series(runner.racing() or runner.auditing() or runner.building() or "")


def main(port: str, folder: str, pace: str = "1") -> None:
    settings = Settings(runs_dir=Path(folder) / "runs", port=int(port))
    store = Store(settings.runs_dir, Path(folder) / "recorded")
    record(store)
    runner = ScriptedRunner(store, float(pace))
    threading.Thread(target=listen, args=(runner,), daemon=True).start()
    beginning = first_paint(store, lambda: watched(runner) or runner.auditing())
    build_ui(runner, store, settings).launch(**launch_arguments(settings, beginning))


if __name__ == "__main__":
    main(*sys.argv[1:])
