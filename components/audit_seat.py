"""How a browser tab looks at an audit of its open run. Knows no widgets, no runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .audit_view import AuditView
from .series_seat import SeriesSeat

PICTURE = ("head", "actions", "now", "live", "live_words", "card", "file", "notes", "detail", "plot")  # of one audit
PLOTS = ("live", "plot")


@dataclass
class AuditSeat(SeriesSeat):
    """The audit in sight, of which run, and how its card stands. `name` is "" where the run has none; `older`: it is not the run's
    newest; `listed`: the list of the run's audits as it is on the page."""

    run_id: str = ""
    older: bool = False
    listed: str = ""
    sort: str = "family"
    opened: str = ""  # the attack whose curves are open
    closed: str = ""  # the one whose details were just closed
    view: AuditView = field(default_factory=AuditView)
    now: float = 0.0
    running: bool = False

    def reset(self) -> None:
        self.view, self.now, self.running, self.opened = AuditView(), 0.0, False, ""

    def leave(self) -> None:
        """Another run is open: nothing of this one's audits stays."""
        self.open("")
        self.run_id, self.older, self.pending = "", False, False

    def blank(self) -> dict[str, Any]:
        """The page without any audit, as long as it is not known which to look at; nothing where it is."""
        if self.run_id:
            return {}
        self.listed = ""
        return {f"audit_{name}": None if name in PLOTS else "" for name in PICTURE} | {"audit_earlier": "", "audit_messages": ""}
