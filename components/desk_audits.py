"""Using the Audit tab: asking for an audit of the open run, following it in every tab, sorting its card, opening a row. Wires
nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from unlearn_core.config import AuditConfig
from unlearn_core.errors import LetheError
from unlearn_core.runner import Busy

from . import audit_words as words
from . import sidebar
from .audit_card import card_html, detail_html, file_html
from .audit_plot import LIVE_HEIGHT, curves_figure
from .audit_view import AuditView, fold
from .desk import Desk
from .desk_sequences import SequencesDesk
from .families import all_or_none, of_families
from .follower import seconds_since
from .links import parse
from .problems import BY_FIELD, card, notice_html, problem_html
from .screen import Drawn, address
from .seats import Seat

AUDIT = "audit"
WATCH_AUDIT = "audit:"  # what a card's button names where it leads to an audit
EVERY = 0.5  # seconds between two pictures of an audit


class AuditsDesk:
    """Handlers of the Audit tab. Its form is the chosen attacks of each family, in the catalogue's order."""

    def __init__(self, desk: Desk, sequences: SequencesDesk) -> None:
        self.desk, self.sequences, self.runner, self.store = desk, sequences, desk.runner, desk.store
        self.attacks = desk.catalogue.get("attacks", [])
        self.names = [str(attack["name"]) for attack in self.attacks]

    # --- asking for one -----------------------------------------------------------------------------------------------

    def refresh(self, seat: Seat, *form: list[str]) -> Drawn:
        """Another choice, or another run: how many attacks that is, how long the last took, the command that it stands for."""
        config, chosen = self._asked(seat, *form), sum(len(names or []) for names in form)
        return {"audit_estimate": words.chosen_html(chosen, len(self.names), self._last(chosen)),
                "audit_command": self.desk.settings.command(config) if config else ""}

    def _asked(self, seat: Seat, *form: list[str]) -> AuditConfig | None:
        """The request that the form makes of the open run, None where no attack is chosen."""
        chosen = of_families(self.attacks, form)
        return AuditConfig(run=seat.run_id, attacks=() if chosen == tuple(self.names) else chosen) if chosen else None

    def _last(self, chosen: int) -> tuple[float, int] | None:
        """Seconds and attacks of the last audit, of whichever run, that went to its end and measured at least half as many as are
        chosen now: a small one says nothing of a large one."""
        done = (record.summary for record in self.store.audits() if record.status == "done")
        known = ((float(body["seconds"]), sum(row.get("unlearned") is not None for row in body.get("rows") or ()))
                 for body in done if body.get("seconds"))
        return next((found for found in known if found[1] and 2 * found[1] >= chosen), None)

    def choose(self, seat: Seat, every: bool) -> Drawn:
        return all_or_none(self.attacks, every, "audit")

    def act(self, seat: Seat, picked: dict[str, Any], *form: list[str]) -> Drawn:
        """The one button: Attack, or Stop while an audit goes on."""
        if picked["value"] == "stop":
            self.runner.stop_series(seat.audit.name)
            seat.audit.stopping = True
            return self._drawn(seat)
        return self._start(seat, *form)

    def _start(self, seat: Seat, *form: list[str]) -> Drawn:
        """Start an audit of the open run; refused with a card, which offers to watch what is in the way."""
        config = self._asked(seat, *form)
        if config is None:
            choose = problem_html("Choose at least one attack.", action=BY_FIELD["attacks"])
            return {"audit_messages": choose, "audit_choosing": gr.Accordion(open=True)}
        try:
            audit_id = self.runner.start_audit(config)
        except Busy as error:
            return {"audit_messages": sidebar.busy_html(error.run_id, seconds_since(error.since), error.kind)}
        except LetheError as error:
            return {"audit_messages": card(error)}
        opened = self._open(seat, audit_id)
        seat.audit.running = True  # at once: nothing of an earlier audit stays beside it, and no second one is asked for
        return opened | self._drawn(seat)

    # --- opening and following ----------------------------------------------------------------------------------------

    def arrive(self, seat: Seat, query: dict[str, str]) -> Drawn:
        """A page was opened or reloaded: the audit that its address names; without an address, one that is going on."""
        state, _ = parse(query)
        audit_id = state.audit or ("" if state.run or state.race or state.sequence else self.runner.auditing() or "")
        if not audit_id:
            return {}
        try:
            record = self.store.audit(audit_id)
            if state.run in ("", record.config.run):
                return self.watch(seat, {"value": f"{WATCH_AUDIT}{record.audit_id}"})
            return {"messages": notice_html("The audit in the link is of another run: that run's own is open instead.")}
        except LetheError as error:
            return {"messages": notice_html(f"{error.what} Those of the open run stand under Audit.")}

    def watch(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """The offer on a card was taken up: look at what it names. An audit opens with its run."""
        value = str(picked["value"])
        if not value.startswith(WATCH_AUDIT):
            return self.sequences.watch(seat, picked)
        record = self.store.audit(value.removeprefix(WATCH_AUDIT))
        opened = self.desk.open(seat, record.config.run, tab=AUDIT) if seat.run_id != record.config.run else {}
        seat.tab = AUDIT
        shown = opened | self._open(seat, record.audit_id)
        return shown | {"tabs": gr.Tabs(selected=AUDIT), "messages": "", "race_messages": "", "sequence_messages": "",
                        "address": address(seat)}

    def attend(self, seat: Seat) -> Drawn:
        """A run was opened: where it is another than before, its audit in progress, or its newest."""
        newest = next(iter(self.store.audits(seat.run_id)), None)
        return {} if seat.audit.run_id == seat.run_id else self._open(seat, newest.audit_id if newest else "")

    def look(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """The tab came into sight: an audit of the run may have been begun elsewhere, and a picture that is not followed is drawn
        whole, should a part of it have been lost on the way."""
        if str(picked["value"]).lower() != AUDIT:
            return {}
        seat.tab = AUDIT
        if seat.audit.run_id != seat.run_id:
            return self.attend(seat) | {"address": address(seat)}
        newest = next(iter(self.store.audits(seat.run_id)), None)
        if newest is not None and newest.audit_id != seat.audit.name and (newest.status == "running" or not seat.audit.name):
            return self._open(seat, newest.audit_id)
        whole = {} if seat.audit.name else self._anew(seat)
        return whole | self._list(seat) | {"address": address(seat)}

    def _anew(self, seat: Seat) -> Drawn:
        """All parts, whatever the page has."""
        with seat.audit.lock:
            seat.audit.seen.clear()
        return self._drawn(seat)

    def _open(self, seat: Seat, audit_id: str) -> Drawn:
        """Look at an audit of the open run from now on; "": the run has none."""
        seat.audit.open(audit_id)
        seat.audit.run_id = seat.run_id
        drawn = {"audit_messages": "", "audit_choosing": gr.Accordion(open=not audit_id)} | self._list(seat)
        if not audit_id:
            seat.audit.begin()  # there is nothing to follow
            drawn |= self._drawn(seat)
        return drawn | {"address": address(seat)}

    def follow(self, seat: Seat) -> Iterator[Drawn]:
        """The audit in sight, from its first event on, until it is over or another is opened."""
        here = seat.audit
        generation = here.begin()
        if generation is None:
            yield {}
            return
        view, name = AuditView(), here.name
        for batch in self.runner.follow_audit(name, EVERY):
            for event, at in batch:
                view = fold(view, event, at)
            if here.generation != generation:
                return
            running = not view.over and self._going_on(name)
            now = max(view.at, seconds_since(view.started_at)) if running and view.started_at else view.at
            yield self._picture(seat, generation, view, now, running)
        left = replace(view, interrupted=bool(view.audit_id) and not view.over)
        if here.generation == generation:
            here.seen.clear()  # all of it once more, so that no late word of an earlier follower stays
            yield self._picture(seat, generation, left, left.at, False) | self._list(seat)

    def _going_on(self, audit_id: str) -> bool:
        try:
            return self.runner.auditing() == audit_id or self.store.audit(audit_id).status == "running"
        except LetheError:  # it failed before any attack had its turn, and left nothing behind
            return False

    def _picture(self, seat: Seat, generation: int, view: AuditView, now: float, running: bool) -> Drawn:
        here = seat.audit
        with here.lock:
            if here.generation != generation:
                return {}
            here.view, here.now, here.running = view, now, running
        return self._drawn(seat)

    def _drawn(self, seat: Seat) -> Drawn:
        """The parts that are not as they are on the page."""
        here = seat.audit
        with here.lock:
            view, running = here.view, here.running
            ours = running and self.runner.auditing() == here.name
            live = curves_figure(view, view.latest, LIVE_HEIGHT) if running else None
            plot = curves_figure(view, here.opened) if view.row(here.opened) else None
            parts = {
                "head": words.head_html(view, running),
                "actions": words.action_html(ours, here.stopping, bool(view.rows)),
                "now": words.now_html(view, here.now, running),
                "live_words": words.live_words(view, running),
                "live": live.to_json() if live else None,
                "card": card_html(view, here.sort, here.opened, here.closed),
                "file": "" if running else file_html(view),
                "notes": words.notes_html(view),
                "detail": detail_html(view, here.opened),
                "plot": plot.to_json() if plot else None,
            }
            return here.changed({f"audit_{name}": value for name, value in parts.items()})

    def _list(self, seat: Seat) -> Drawn:
        """The audits of the open run to choose from, where they are not as they are on the page."""
        records = self.store.audits(seat.audit.run_id)
        seat.audit.older = seat.audit.name in [record.audit_id for record in records[1:]]
        shown = words.earlier_html(records, seat.audit.name)
        if shown == seat.audit.listed:
            return {}
        seat.audit.listed = shown
        return {"audit_earlier": shown}

    # --- looking ------------------------------------------------------------------------------------------------------

    def pick(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """In the card, a row is opened, or closed where it was; or the button beside its details closes it."""
        here = seat.audit
        kind, _, value = str(picked["value"]).partition(":")
        here.closed, here.opened = here.opened, value if kind == "attack" and value != here.opened else ""
        drawn, here.closed = self._drawn(seat), ""
        return drawn

    def pick_audit(self, seat: Seat, picked: dict[str, Any]) -> Drawn:
        """Another audit of the run was chosen. The list itself stays: it shows already what was chosen in it."""
        named = next(iter(picked["value"] or ()), None)
        if not named:  # what a list says of itself when the page has found its server again
            return {}
        audit_id = self.store.audit(str(named)).audit_id
        drawn = self._open(seat, audit_id)
        drawn.pop("audit_earlier", None)
        return drawn

    def set_sort(self, seat: Seat, sort: str) -> Drawn:
        seat.audit.sort = sort if sort in (words.FAMILY, words.RECOVERED) else words.FAMILY
        return self._drawn(seat)
