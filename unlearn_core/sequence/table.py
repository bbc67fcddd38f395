"""A sequence as text: a line for each request and for all that is kept, a column for each step. Knows only the saved data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

POOLED = {"forget": "forgotten so far", "forget_paraphrase": "  in other words", "forget_spanish": "  in Spanish",
          "forget_choice": "  among options"}  # fmt: skip


AGAIN = 0.1  # by how much more of a request must be known again, or less of it come back, for an undo to say so


def unexpected(body: Mapping[str, Any], step: Mapping[str, Any]) -> list[str]:
    """What an undo did besides: requests that stay asked for and are known again, and undone ones that do not come back."""
    first, last, without = body["steps"][0], body["steps"][-1], step["title"]
    said = []
    for row in body["rows"]:
        shares = [(one["cells"].get(row["key"]) or {}).get("accuracy") for one in (first, last, step)]
        if row["kind"] != "request" or row["split"] != "forget" or None in shares:
            continue
        known, before, now = shares
        who, place = f"request {row['request']} ({row['title']})", row["request"]
        if place in step["asked"] and now - before >= AGAIN:
            said.append(f"{without}: {who}, which stays asked for, is known again to {now:.0%} ({before:.0%} before): it relied on "
                        "what was undone. Ask for it once more.")  # fmt: skip
        elif place in step.get("without", ()) and known - now >= AGAIN:
            back = f"comes back to {now:.0%} only" if round(now, 2) else "does not come back"
            said.append(f"{without}: {who} {back} ({known:.0%} originally): other requests took it along.")
    return said


def table(body: Mapping[str, Any]) -> str:
    """The sequence for a person. In brackets: a request that was not made yet, or was undone."""
    steps = [*body["steps"], *body["undone"]]
    head = ["", "floor", *(step["title"] for step in steps)]
    lines = [head]
    for row in body["rows"]:
        if row["split"] == "forget" or row["kind"] != "request":
            title = f"{row['request']} {row['title']}" if row["request"] else row["title"]
            lines.append([title, _figure(row["reference"], ""), *(_cell(row, step) for step in steps)])
    places = sum(row["kind"] == "request" and row["split"] == "forget" for row in body["rows"])
    lines[1 + places:1 + places] = [
        [words, "", *(_pooled(step, split) for step in steps)]
        for split, words in POOLED.items() if any(split in step["pooled"] for step in steps)]  # fmt: skip
    lines.append(["perplexity", "", *(_figure(step["perplexity"], "n/a", 2) for step in steps)])
    lines.append(["seconds", "", *(_figure(step.get("seconds"), "", 1) for step in steps)])
    widest = max(len(line[0]) for line in lines) + 2
    text = ["".join([line[0].ljust(widest), *(cell.rjust(max(9, len(head[place]) + 2)) for place, cell in
                                              enumerate(line[1:], start=1))]).rstrip() for line in lines]  # fmt: skip
    said = [f"contradiction: {conflict['words']}" for conflict in body["conflicts"]]
    said += [line for step in body["undone"] for line in step.get("unexpected", ())]
    error = [f"failed: {body['error']['what']} {body['error']['why']}".rstrip()] if body.get("error") else []
    first = f"{body['sequence_id']}: {body['method']}, {body['mode']}; {body['status']}, {body['seconds']} s"
    return "\n".join([first, "", *text, *([""] if said or error else []), *said, *error])


def _cell(row: Mapping[str, Any], step: Mapping[str, Any]) -> str:
    cell = step["cells"].get(row["key"])
    shown = _figure(cell["accuracy"] if cell else None)
    return f"({shown})" if row["request"] and row["request"] not in step["asked"] else shown


def _pooled(step: Mapping[str, Any], split: str) -> str:
    cell = step["pooled"].get(split)
    return _figure(cell["accuracy"]) if cell else ""


def _figure(value: float | None, absent: str = "n/a", digits: int = 3) -> str:
    return absent if value is None else f"{value:.{digits}f}"
