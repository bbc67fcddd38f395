"""What the browser shows while the page's scripts are still on their way: the verdict, ready-made in the document.

Gradio draws everything by script, seconds after the document is there, what it is given for the head included. Until its own
verdict stands, a plain copy stands in its place; where the page will open another run, a line that says so. What must be asked
before Gradio is asked when the page is left stands there too (leaving.js).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unlearn_core.errors import LetheError
from unlearn_core.store import RECORDED, Store

from .verdict import verdict_html
from .view import replay

ASSETS = Path(__file__).parent.parent / "assets"


def first_paint(store: Store, watched: Callable[[], str | None] = lambda: None) -> Callable[[], str]:
    """Gives, for each page that is asked for, styles and a script for the beginning of its head; nothing where the recorded run
    cannot be read. `watched`: what a page without an address opens instead (a run or an audit of one), or None."""
    try:
        verdict = verdict_html(replay(store.events(RECORDED)))
    except LetheError:
        return lambda: ""
    style = (ASSETS / "style.css").read_text(encoding="utf-8")
    script = (ASSETS / "first_paint.js").read_text(encoding="utf-8")
    quoted = json.dumps(verdict).replace("<", "\\u003c")

    def html() -> str:
        elsewhere = json.dumps(watched() is not None)
        known = f"window.letheVerdict = {quoted};window.letheElsewhere = {elsewhere};"
        return f"<style>{style}</style><script>{known}\n{script}</script>"

    return html


class FirstPaint:
    """ASGI middleware that puts HTML at the beginning of the page's head, and the script for when it is left. Every other answer
    passes as it is."""

    def __init__(self, app: ASGIApp, html: Callable[[], str]) -> None:
        self._app, self._html = app, html
        self._leaving = f"<script>{(ASSETS / 'leaving.js').read_text(encoding='utf-8')}</script>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/":
            await self._app(scope, receive, _Insertion(send, b"<head>", (self._leaving + self._html()).encode()))
        else:
            await self._app(scope, receive, send)


class _Insertion:
    """Holds an answer back until it is whole, and sends it with `more` behind the first `mark`."""

    def __init__(self, send: Send, mark: bytes, more: bytes) -> None:
        self._send, self._mark, self._more = send, mark, more
        self._start: dict[str, Any] = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = dict(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = self._body.replace(self._mark, self._mark + self._more, 1)
        headers = [(name, value) for name, value in self._start["headers"] if name.lower() != b"content-length"]
        await self._send(self._start | {"headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await self._send({"type": "http.response.body", "body": body})
