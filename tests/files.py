"""Reads the files that links of the page save."""

from __future__ import annotations

import csv
import html
import io
import re
from urllib.parse import unquote

from components.spreadsheet import BYTE_ORDER_MARK


def saved(page: str, name: str) -> list[dict[str, str]]:
    """The rows of the file that the link of that id saves."""
    link = re.search(rf'<a class="csv-file" id="{re.escape(name)}"[^>]*href="data:text/csv;charset=utf-8,([^"]*)"', page)
    text = unquote(html.unescape(link[1]))
    assert text.startswith(BYTE_ORDER_MARK)
    return list(csv.DictReader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK))))
