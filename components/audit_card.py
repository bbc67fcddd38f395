"""The robustness card: a row for each attack, its details when it is opened, and all of it as CSV. Pure; wires nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from .audit_plot import marks
from .audit_view import ORIGINAL, REFERENCE, SUBJECTS, UNLEARNED, AuditView
from .audit_words import RECOVERED, TITLES, unbroken
from .numbers import NOT_MEASURED, UNIT, interval, percent
from .palette import GLYPHS
from .spreadsheet import link_html
from .terms import TERMS, about, info, remarked

Row = dict[str, Any]
SAME = "same attack"
# What stands beside the unlearned model where the same attack on a model that never saw the topic does not: words, explanation.
FLOORS = {
    "chance": ("guessing", "The floor of this attack is what guessing gives: a model that never saw the topic would be no floor "
                           "here, or is not at hand."),
    "kept scores": ("asked plainly", "No model that never saw the topic is at hand to be attacked: what such a model scored when "
                                     "it was asked plainly stands for it."),
    "zero": ("no such model", "No model that never saw the topic is known: the floor is 0."),
}
COLUMNS = ("attack", "title", "family", "access", "source", "recovered", "recovered_low", "recovered_high", *SUBJECTS, "n", "floor",
           "floor_kind", "sentence")
SPAN = 7  # columns of the table
LONGEST_VALUE = 400  # characters of a detail


def card_html(view: AuditView, sort: str, opened: str, closed: str = "") -> str:
    """Every row so far under its family, or the most recovered first; the name of each opens it. `closed`: the attack whose details
    were just closed, where the keyboard comes back to."""
    if not view.rows:
        return ""
    heads = (f'<th scope="col">Attack</th><th scope="col" class="audit-share">Recovered{info("recovered")}</th>'
             f'<th scope="col" class="number"><span aria-hidden="true">{GLYPHS["original"]} </span>Original</th>'
             f'<th scope="col" class="number"><span aria-hidden="true">{GLYPHS["edited"]} </span>Unlearned</th>'
             f'<th scope="col" class="number">Never saw it{info("same_attack")}</th><th scope="col" class="number">n</th>'
             '<th scope="col">What came of it</th>')
    groups = [("", by_share(view))] if sort == RECOVERED else by_family(view)
    body = "".join(_group(view, title, rows, opened) for title, rows in groups)
    waiting = "" if view.over or view.interrupted else _waiting(view)
    back = f' data-back="{escape(f"attack:{closed}", quote=True)}"' if closed else ""
    return f'<table class="runs audit-table"{back}><thead><tr>{heads}</tr></thead>{body}{waiting}</table>'


def by_family(view: AuditView) -> list[tuple[str, list[Row]]]:
    """The rows under the titles of their families, both in the audit's order."""
    order = {attack["name"]: place for place, attack in enumerate(view.attacks)}
    groups: dict[str, list[Row]] = {}
    for row in sorted(view.rows, key=lambda row: order.get(row["attack"], len(order))):
        title = view.attack(row["attack"]).get("family_title") or str(row.get("family") or "")
        groups.setdefault(str(title), []).append(row)
    return list(groups.items())


def by_share(view: AuditView) -> list[Row]:
    """The most recovered first, what has no share last; otherwise in the audit's order."""
    rows = [row for _, group in by_family(view) for row in group]
    return sorted(rows, key=lambda row: (row.get(RECOVERED) is None, -(row.get(RECOVERED) or 0.0)))


def _group(view: AuditView, title: str, rows: list[Row], opened: str) -> str:
    head = f'<tr class="audit-family"><th scope="rowgroup" colspan="{SPAN}">{escape(title)}</th></tr>' if title else ""
    return f'<tbody>{head}{"".join(_row(view, row, row["attack"] == opened) for row in rows)}</tbody>'


def _row(view: AuditView, row: Row, opened: bool) -> str:
    pick = escape(f"attack:{row['attack']}", quote=True)
    explained = escape(str(row["title"]))
    name = f'<button type="button" class="run-name" aria-expanded="{str(opened).lower()}" data-pick="{pick}">{explained}</button>'
    name = f'<span class="audit-name">{name}{about(_about(view, row))}</span>'
    chosen = ' class="chosen"' if opened else ""
    cells = "".join(f'<td class="number" data-label="{TITLES[subject]}">{_known(row, subject)}</td>'
                    for subject in (ORIGINAL, UNLEARNED))
    return (f'<tr data-row="{escape(row["attack"], quote=True)}" data-pick="{pick}"{chosen}>'
            f'<th scope="row">{name}</th><td class="audit-share">{_share(row)}</td>{cells}'
            f'<td class="number" data-label="{TITLES[REFERENCE]}">{_floor(row)}</td>'
            f'<td class="number" data-label="n">{row.get("n") or "–"}</td>'
            f'<td class="audit-said">{escape(_sentence(row))}</td></tr>')


def _sentence(row: Row) -> str:
    return unbroken(str(row.get("sentence") or ""))


def _about(view: AuditView, row: Row) -> str:
    """What the attacker does, what is needed for it and where it comes from."""
    source = view.attack(row["attack"]).get("source")
    needs = f"Needs {row['access']}." if row.get("access") else ""
    parts = (str(row.get("summary") or ""), needs, f"Source: {source}." if source else "")
    return " ".join(part for part in parts if part)


def _share(row: Row) -> str:
    """A bar from 0 to 1 with its interval, and the same in figures."""
    share, low, high = (row.get(key) for key in (RECOVERED, "low", "high"))
    if share is None:
        return f'<span class="lt-quiet">{NOT_MEASURED}</span>'
    line, words = "", ""
    if low is not None and high is not None:
        line = f'<span class="audit-line" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></span>'
        words = f'<span class="lt-quiet">{interval(low, high)}</span>'
    fill = f'<span class="audit-fill" style="width:{100 * share:.1f}%"></span>'
    return (f'<div class="audit-bar" aria-hidden="true">{fill}{line}</div>'
            f'<div class="audit-figures"><b>{percent(share)}</b>{words}</div>')


def _known(row: Row, subject: str) -> str:
    value, reason = row.get(subject), (row.get("reasons") or {}).get(subject)
    if value is None and reason:
        return remarked(NOT_MEASURED, str(reason))
    return percent(value)


def _floor(row: Row) -> str:
    """What the same attack gets out of a model that never saw the topic; where something else stands for it, that, marked."""
    kind = str(row.get("floor_kind") or SAME)
    if kind == SAME or row.get(UNLEARNED) is None:
        return _known(row, REFERENCE)
    words, why = FLOORS.get(kind, (kind, ""))
    own = f"{_known(row, REFERENCE)}<br>" if row.get(REFERENCE) is not None else ""
    return own + remarked(f"{words} {percent(row.get('floor'))}", why)


def _waiting(view: AuditView) -> str:
    """The attacks that have no row yet, in a line."""
    titles = [str(attack["title"]) for attack in view.waiting]
    if not titles:
        return ""
    return (f'<tbody><tr class="audit-waiting"><td colspan="{SPAN}">Still to come: {escape(", ".join(titles))}</td></tr></tbody>')


# A row that is opened -------------------------------------------------------------------------------------------------

def detail_html(view: AuditView, opened: str) -> str:
    """What an attack is and what it found on each model; nothing where none is opened."""
    row = view.row(opened)
    if row is None:
        return ""
    attack = view.attack(opened)
    facts = {"Recovered": _share_words(row), "Floor": _floor_words(row), "Needs": row.get("access"), "Source": attack.get("source"),
             "Curves": marks(view.points.get(opened, ()))}
    lines = "".join(f"<div><dt>{key}</dt><dd>{escape(str(value))}</dd></div>" for key, value in facts.items() if value)
    close = '<button type="button" class="card-action" data-pick="close">Close</button>'
    head = f'<header><h2>{escape(str(row["title"]))}</h2>{close}</header>'
    return (f'<section class="lt audit-detail" tabindex="-1" aria-label="{escape(str(row["title"]), quote=True)}">{head}'
            f'<p>{escape(str(row.get("summary") or ""))}</p><p>{escape(_sentence(row))}</p><dl>{lines}</dl>'
            f"{_found(view, row)}</section>")


def _share_words(row: Row) -> str:
    share, low, high = (row.get(key) for key in (RECOVERED, "low", "high"))
    between = f" (95{UNIT} interval {interval(low, high)})" if low is not None and high is not None else ""
    return "" if share is None else f"{percent(share)}{between}"


def _floor_words(row: Row) -> str:
    if row.get(UNLEARNED) is None:
        return ""
    kind = str(row.get("floor_kind") or SAME)
    return f"{percent(row.get('floor'))}. {TERMS['same_attack'] if kind == SAME else FLOORS.get(kind, ('', kind))[1]}"


def _found(view: AuditView, row: Row) -> str:
    """What the attack told of each model, key by key."""
    details: Mapping[str, Mapping[str, Any]] = row.get("detail") or {}
    reasons: Mapping[str, str] = row.get("reasons") or {}
    subjects = [subject for subject in SUBJECTS if subject in view.subjects or subject in details or subject in reasons]
    keys = list(dict.fromkeys(key for subject in subjects for key in details.get(subject) or {}))
    lines = [(key.replace("_", " "), [(details.get(subject) or {}).get(key) for subject in subjects]) for key in keys]
    if reasons:
        lines.append(("not applicable", [reasons.get(subject) for subject in subjects]))
    if not lines:
        return ""
    saved = link_html("audit-found-csv", f"lethe-{view.audit_id}-{row['attack']}.csv", ("found", *subjects),
                      [{"found": key, **dict(zip(subjects, map(_plain, values), strict=True))} for key, values in lines])
    heads = "".join(f'<th scope="col">{TITLES[subject]}</th>' for subject in subjects)
    body = "".join(f'<tr><th scope="row">{escape(key)}</th>{"".join(f"<td>{escape(shown(value))}</td>" for value in values)}</tr>'
                   for key, values in lines)
    table = f'<table class="runs audit-found"><thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="table-scroll" tabindex="0" role="region" aria-label="What it found">{table}</div>{saved}'


def _plain(value: Any) -> Any:
    """A detail as one cell: lists and the like as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, tuple, dict)) else value


def shown(value: Any) -> str:
    """A detail as plain text, numbers with four digits."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, (list, tuple)):
        text = ", ".join(shown(item) for item in value)
    elif isinstance(value, dict):
        text = ", ".join(f"{key}: {shown(item)}" for key, item in value.items())
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


# The card as a file ---------------------------------------------------------------------------------------------------

def card_rows(view: AuditView) -> list[dict[str, Any]]:
    """The card's rows in the audit's order, as they are saved."""
    rows = [row for _, group in by_family(view) for row in group]
    return [row | {"recovered_low": row.get("low"), "recovered_high": row.get("high"),
                   "source": view.attack(row["attack"]).get("source")} for row in rows]


def file_html(view: AuditView) -> str:
    """A link that saves the card; nothing before it has a row."""
    if not view.rows:
        return ""
    return link_html("audit-csv", f"lethe-{view.audit_id}.csv", COLUMNS, card_rows(view))
