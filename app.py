"""Start the page: flags in, server out. Knows neither models nor widgets; torch comes only after the page is there."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported; without it the start phones home
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from components.settings import Settings
from components.stubs import without_stub_files


def read_settings(arguments: list[str] | None = None) -> Settings:
    """The command line as settings; bad flags end the program with one line, as argparse does."""
    parser = argparse.ArgumentParser(prog="python app.py", description="Lethe: watch a language model forget.")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs are kept")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, help="the port (default: the first free one from 7860 on)")
    parser.add_argument("--model", default="demo", help="what the sidebar offers first: demo, a hub id, or a folder")
    parser.add_argument("--trust-remote-code", action="store_true", help="allow a model's own code to run")
    known = parser.parse_args(arguments)
    if known.runs_dir.exists() and not known.runs_dir.is_dir():
        parser.error(f"'{known.runs_dir}' is a file. Runs are kept in a folder; name one with --runs-dir.")
    return Settings(known.runs_dir, known.host, known.port, known.model, known.trust_remote_code)


def main() -> None:
    settings = read_settings()
    with without_stub_files():
        from components.dashboard import build_ui
        from components.first_paint import first_paint
        from components.follower import watched
        from components.launch import launch_arguments
    from unlearn_core.allocator import keep_freed_memory
    from unlearn_core.runner import Runner
    from unlearn_core.store import Store

    keep_freed_memory()
    store = Store(settings.runs_dir)
    runner = Runner(store, settings.trust_remote_code)
    beginning = first_paint(store, lambda: watched(runner) or runner.auditing())
    page = build_ui(runner, store, settings)
    try:
        _, address, _ = page.launch(**launch_arguments(settings, beginning), quiet=True, prevent_thread_lock=True)
    except OSError as error:
        if settings.port is None:
            raise
        raise SystemExit(f"Port {settings.port} cannot be used: something listens there already, or it is not allowed. "
                         "Name another with --port, or none.") from error
    print(f"Lethe is at {address} (Ctrl+C ends it)", flush=True)
    page.block_thread()


if __name__ == "__main__":
    main()
