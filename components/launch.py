"""How the page is served: theme, fonts, styles, and what Gradio must not do by itself. Knows no run and no widget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes.utils.fonts import LocalFont
from starlette.middleware import Middleware

from .first_paint import FirstPaint
from .settings import Settings

ASSETS = Path(__file__).parent.parent / "assets"
MAX_UPLOAD = "50mb"
THREADS = 80  # every follower holds one while it waits


def launch_arguments(settings: Settings, first_paint: Callable[[], str] = str) -> dict[str, Any]:
    """What `Blocks.launch` needs for this page: no request leaves the machine, nothing is recorded by Gradio itself.

    `first_paint`: gives the HTML that the document begins with, for the time until the page is drawn.
    """
    theme = gr.themes.Default(
        primary_hue="slate",
        neutral_hue="slate",
        radius_size="md",
        font=[LocalFont("Source Sans Pro", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=[LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"],
    )
    return {
        "server_name": settings.host,
        "server_port": settings.port,
        "theme": theme,
        "footer_links": [],
        "css_paths": [ASSETS / "style.css", ASSETS / "page.css"],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "share": False,
        "show_error": False,
        "max_file_size": MAX_UPLOAD,
        "max_threads": THREADS,
        "app_kwargs": {"middleware": [Middleware(FirstPaint, html=first_paint)]},
        "allowed_paths": [str(settings.runs_dir.absolute())],
        "head": f"<script>{(ASSETS / 'keys.js').read_text(encoding='utf-8')}</script>",
    }
