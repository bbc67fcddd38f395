"""Tables as CSV that no spreadsheet misreads. Pure; knows no run and no file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

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
