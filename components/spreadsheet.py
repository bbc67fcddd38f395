"""Tables as CSV that no spreadsheet misreads, and the links that save them. Pure; knows no run and no file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

BYTE_ORDER_MARK = "\ufeff"  # without it, spreadsheets take UTF-8 for something else
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows as CSV (RFC 4180) under a heading; numbers unrounded, yes or no, empty where there is no value.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    lines: list[str] = []
    writer = csv.writer(SimpleNamespace(write=lines.append))
    writer.writerow(columns)
    writer.writerows([cell(row.get(column)) for column in columns] for row in rows)
    return "".join(lines)


def link_html(name: str, file: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], words: str = "Download CSV") -> str:
    """A link that saves the rows as the CSV file of that name, and needs no server for it. `name`: the link's id."""
    body = quote(BYTE_ORDER_MARK + csv_text(columns, rows))
    return (f'<a class="csv-file" id="{escape(name, quote=True)}" download="{escape(file, quote=True)}" '
            f'href="data:text/csv;charset=utf-8,{body}">{escape(words)}</a>')


def cell(value: Any) -> str:
    """One value as it stands in a cell, before quoting."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value) if isinstance(value, (int, float)) else _safe(str(value))


def _safe(text: str) -> str:
    risky = text.lstrip().startswith(_FORMULA) or text.startswith(("\t", "\r", "\n"))
    return f"'{text}" if risky else text
