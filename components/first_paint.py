"""What the browser shows while the page's scripts are still on their way: the verdict, ready-made in the page's head.

Gradio draws everything by script, seconds after the document is there. Until its own verdict stands, a plain copy stands in its
place; an address that opens a run of its own shows none.
"""

from __future__ import annotations

import json
from pathlib import Path

from unlearn_core.errors import LetheError
from unlearn_core.store import RECORDED, Store

from .verdict import verdict_html
from .view import replay

ASSETS = Path(__file__).parent.parent / "assets"


def first_paint_html(store: Store) -> str:
    """Styles and a script for the document's head; nothing where the recorded run cannot be read."""
    try:
        verdict = verdict_html(replay(store.events(RECORDED)))
    except LetheError:
        return ""
    style = (ASSETS / "style.css").read_text(encoding="utf-8")
    script = (ASSETS / "first_paint.js").read_text(encoding="utf-8")
    quoted = json.dumps(verdict).replace("<", "\\u003c")
    return f"<style>{style}</style><script>window.letheVerdict = {quoted};\n{script}</script>"
