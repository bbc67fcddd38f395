"""The view's state as a query string and back. Pure; knows no browser. Nonsense gives defaults and a message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

TABS = ("compare", "questions", "audit", "internals", "runs")
LONGEST_VALUE = 1000
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


@dataclass(frozen=True, slots=True)
class ViewState:
    """What a link restores: the open run (""= the default), the tab, and the question asked or looked at."""

    run: str = ""
    tab: str = TABS[0]
    question: str = ""
    race: str = ""  # the race in sight, within the tab of runs
    sequence: str = ""  # the sequence in sight, there too
    audit: str = ""  # the audit in sight, where it is not the run's newest


def query_string(state: ViewState) -> str:
    """"?run=…&tab=…&q=…&race=…&sequence=…&audit=…" without the parts that are defaults; "" where all are."""
    pairs = [("run", state.run), ("tab", "" if state.tab == TABS[0] else state.tab), ("q", state.question), ("race", state.race),
             ("sequence", state.sequence), ("audit", state.audit)]
    text = urlencode([(key, value) for key, value in pairs if value])
    return f"?{text}" if text else ""


def parse(query: Mapping[str, str]) -> tuple[ViewState, list[str]]:
    """(state, messages) from decoded query parameters; each value that makes no sense gives one message."""
    messages: list[str] = []
    run, tab, question, race, sequence = (str(query.get(key) or "").strip() for key in ("run", "tab", "q", "race", "sequence"))
    audit = str(query.get("audit") or "").strip()
    if run and not _RUN.fullmatch(run):
        messages.append(f"The link names no possible run ({_short(run)}): the default run is open instead.")
        run = ""
    if race and not _RUN.fullmatch(race):
        messages.append(f"The link names no possible race ({_short(race)}).")
        race = ""
    if sequence and not _RUN.fullmatch(sequence):
        messages.append(f"The link names no possible sequence ({_short(sequence)}).")
        sequence = ""
    if audit and not _RUN.fullmatch(audit):
        messages.append(f"The link names no possible audit ({_short(audit)}).")
        audit = ""
    if tab and tab.lower() not in TABS:
        messages.append(f"There is no tab {_short(tab)}: the tabs are {', '.join(TABS)}.")
        tab = ""
    if len(question) > LONGEST_VALUE or any(ord(c) < 32 for c in question):
        messages.append("The question in the link is too long or not text: it was left out.")
        question = ""
    state = ViewState(run=run, tab=tab.lower() or TABS[0], question=question, race=race, sequence=sequence, audit=audit)
    return state, messages


def _short(value: str) -> str:
    clean = "".join(c if c.isprintable() else "?" for c in value)
    return f"“{clean[:40]}{'…' if len(clean) > 40 else ''}”"
