"""Earlier and later pictures of one part of the page. Knows no widgets."""

from __future__ import annotations


def numbered(html: str, number: int) -> str:
    """A picture for a `KeptPicker`, of which there are earlier and later ones; the widget shows no earlier one after a later."""
    return f"<!--{number}-->{html}"
