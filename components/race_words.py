"""A race as words and a table: what it is, how far each method is, what was found, every number. Pure; wires nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from unlearn_core.config import BUDGET, DEFAULTS, EQUAL_DAMAGE, SPLITS
from unlearn_core.events import Failed, Progress

from .numbers import NOT_MEASURED, count, duration, percent
from .palette import SPLIT_TITLES
from .problems import empty_html, failed_html
from .race_plot import MARKS, OTHER
from .race_view import Lane, RaceView
from .spreadsheet import link_html
from .terms import explained

MODE_TITLES = {DEFAULTS: "each at its defaults", EQUAL_DAMAGE: "at equal damage"}
# What counts as forgotten and as kept in the sentence above the picture: the bars that this program is held to.
FORGOTTEN, KEPT = 0.96, 0.975
_STATUS = {"running": "Running", "done": "Done", "stopped": "Stopped", "failed": "Failed", "interrupted": "Interrupted"}
KEPT_TOO, DAMAGED, REMAINED = "Forgot and kept", "Forgot, but damaged what is kept", "Did not forget"
RELABELLED = "Turned the answers round, which is not forgetting"
TEACHES = "Teaches, and is not meant to forget"
_FIGURES = {"removed": "Removed", "perplexity": "Perplexity", "kl": "KL, nats", "seconds": "Time", "trained": "Trained"}
_TERMS = {"removed": "removed", "perplexity": "perplexity", "kl": "damage", "trained": "trained"}
METHOD, STATUS = "method", "status"
RACE_COLUMNS = ("race", STATUS, "model", "topic", "mode", "methods", "seed", "started_at")


def mode_words(mode: str, budget: float | None = None) -> str:
    """What a mode does, in a sentence."""
    if mode == DEFAULTS:
        return "Every method runs to its end with its own default settings: what a person gets who changes nothing."
    return (f"Every method's result is kept to the same damage: a KL to the original of {budget or BUDGET:g} nats an answer token "
            "on given text to keep. A method runs to its end; where that is beyond the budget, its last step about within it, "
            "scaled down where it must be, or its result scaled down to it is taken, whichever forgets more of the given questions "
            "(our reading).")


def head_html(view: RaceView, running: bool) -> str:
    """Which race it is and how it stands; nothing without one."""
    if not view.race_id:
        return empty_html("Here each method will be one point: how much it forgot, across, and how much it kept, upwards; and "
                          "below, a table of every number.", "Choose methods and press Race.")
    mode = str(view.config.get("mode") or DEFAULTS)
    status = "Running" if running else _STATUS.get(view.status, "")
    number = len(view.lanes)
    facts = [status, f"{number} method{'s' * (number != 1)}", MODE_TITLES[mode], f"seed {view.config.get('seed', 0)}"]
    damage = escape(mode_words(mode, view.config.get("budget"))) if mode == EQUAL_DAMAGE else ""
    said = f'<p class="lt-quiet race-mode">{damage}</p>' if damage else ""
    failed = failed_html(view.end) if isinstance(view.end, Failed) else ""
    return (f'<div class="lt race-head"><h2>Race: forgetting {escape(view.topic_title)}</h2>'
            f'<p class="lt-quiet">{escape(" · ".join(facts))}</p>{said}{failed}</div>')


def stop_html(view: RaceView, running: bool, stopping: bool) -> str:
    """The button that stops the race, while there is something to stop."""
    if not running:
        return ""
    off, words = (" disabled", "Stopping after this step…") if stopping else ("", "Stop race")
    return f'<button type="button" class="card-action" id="stop-race" data-pick="stop"{off}>{words}</button>'


# How far it is --------------------------------------------------------------------------------------------------------

def now_html(view: RaceView, now: float, running: bool) -> str:
    """Every method's progress while the race goes on, then the time it took."""
    if not view.race_id:
        return ""
    if not running:
        whole = view.ended - sum(lane.status == "stopped" for lane in view.lanes)
        return f'<div class="lt lt-quiet race-time">{whole} of {len(view.lanes)} methods in {duration(view.at)}</div>'
    lane = view.running
    place = f"{view.ended + 1} of {len(view.lanes)}: {lane.title}" if lane else _doing(view.phase, None) or "Starting"
    top = (f'<div class="lt-strip-row" role="status"><span class="lt-dot" aria-hidden="true"></span>'
           f'<span class="lt-strip-what"><b>{escape(place)}</b><span class="lt-quiet">'
           f'{escape(_doing(lane.phase, lane.progress) if lane else _amount(view.progress))}</span></span>'
           f'<span class="lt-strip-time">{duration(now)}</span></div>')
    chips = "".join(_chip(lane) for lane in view.lanes)
    lanes = f'<ol class="race-lanes" aria-label="Progress by method">{chips}</ol>'
    return f'<div class="lt lt-strip-running race-now">{top}{lanes}</div>'


def _doing(phase: Any, progress: Progress | None) -> str:
    return " · ".join(part for part in (phase.title if phase else "", _amount(progress)) if part)


def _amount(progress: Progress | None) -> str:
    return f"{progress.done:,} of {progress.total:,} {progress.unit}" if progress else ""


def _chip(lane: Lane) -> str:
    share = _share(lane)
    words = {"running": percent(share)}.get(lane.status, lane.status)
    return (f'<li class="race-lane race-lane-{escape(lane.status)}"><span>{escape(lane.title)}</span>'
            f'<span class="lt-quiet">{escape(words)}</span>'
            f'<span class="lt-bar" aria-hidden="true"><span class="lt-bar-fill" style="width:{100 * share:.1f}%"></span></span>'
            "</li>")


def _share(lane: Lane) -> float:
    """Done share of a method's whole turn, every phase counting alike."""
    if lane.status != "running" or lane.phase is None:
        return float(lane.row is not None)
    inside = lane.progress.done / lane.progress.total if lane.progress and lane.progress.total else 0.0
    return min((lane.phase.index - 1 + min(inside, 1.0)) / max(lane.phase.count, 1), 1.0)


# What was found -------------------------------------------------------------------------------------------------------

def finding_html(view: RaceView) -> str:
    """Which methods forgot and kept, which forgot and damaged, which did not forget; nothing before the first is measured."""
    groups: dict[str, list[str]] = {name: [] for name in (KEPT_TOO, DAMAGED, RELABELLED, REMAINED, TEACHES)}
    for lane in view.lanes:
        if (found := _judged(view, lane)) is not None:
            groups[found].append(lane.title)
    lines = "".join(f"<li><b>{name}</b> ({len(titles)}): {escape(', '.join(titles))}</li>"
                    for name, titles in groups.items() if titles)
    if not lines:
        return ""
    bars = (f"Forgot: at least {percent(FORGOTTEN)} of the knowledge above the floor is gone. Kept: neighbours and retain at least "
            f"{100 * KEPT:g} % of before.")
    return f'<div class="lt race-finding"><ul>{lines}</ul><p class="lt-quiet">{bars}</p></div>'


def _judged(view: RaceView, lane: Lane) -> str | None:
    removed = (lane.row or {}).get("removed")
    if removed is None:
        return None
    if lane.teaches or removed < FORGOTTEN:
        return TEACHES if lane.teaches else REMAINED
    if lane.row.get("relabelled"):
        return RELABELLED
    kept = [(lane.after(split), view.before[split].accuracy) for split in ("neighbor", "retain") if split in view.before]
    whole = all(after is not None and after >= KEPT * before for after, before in kept)
    return KEPT_TOO if whole else DAMAGED


# The table ------------------------------------------------------------------------------------------------------------

def columns(view: RaceView) -> dict[str, str]:
    """The numbers of the table: key -> title, of the sets that were measured."""
    splits = [split for split in SPLITS if split in view.before or any(lane.after(split) is not None for lane in view.lanes)]
    return {split: SPLIT_TITLES[split] for split in splits} | _FIGURES


def table_html(view: RaceView, sort: str, falling: bool) -> str:
    """The original, the floor, then a row for each method; each heading sorts, each name opens its run."""
    if not view.lanes:
        return ""
    shown = columns(view)
    sorts = {METHOD: "Method", **shown, STATUS: "Result"}
    heads = "".join(_head(key, title, sort, falling) for key, title in sorts.items())
    fixed = _fixed("the original", {split: item.accuracy for split, item in view.before.items()}, view, shown)
    floors = {split: item.reference for split, item in view.before.items() if item.reference is not None}
    fixed += _fixed("never knew (floor)", floors, view, shown) if floors else ""
    rows = "".join(_row(lane, shown, view.over or view.interrupted) for lane in ordered(view.lanes, sort, falling))
    left = "".join(f'<tr><th scope="row">{escape(str(entry["title"]))}</th><td class="race-said" colspan="{len(shown) + 1}">'
                   f'cannot run here: {escape(str(entry["why"]))}</td></tr>' for entry in view.left_out)
    return (f'<div class="table-scroll" tabindex="0" role="region" aria-label="Results of the race"><table class="runs race-table">'
            f"<thead><tr>{heads}</tr></thead><tbody>{fixed}{rows}{left}</tbody></table></div>"
            f"{link_html('race-csv', f'lethe-{view.race_id}.csv', *saved_rows(view, shown))}")


def saved_rows(view: RaceView, shown: Mapping[str, str]) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Columns, and the table's rows in the race's own order."""
    rows = [{METHOD: "original", **{split: item.accuracy for split, item in view.before.items()}},
            {METHOD: "floor", **{split: item.reference for split, item in view.before.items()}}]
    rows += [{METHOD: lane.method, "run": lane.run_id, STATUS: _said(lane, view.over or view.interrupted),
              **{key: _value(lane, key) for key in shown}} for lane in view.lanes]
    rows += [{METHOD: str(entry["method"]), STATUS: f"cannot run here: {entry['why']}"} for entry in view.left_out]
    return (METHOD, "run", *shown, STATUS), rows


def ordered(lanes: Sequence[Lane], sort: str, falling: bool) -> list[Lane]:
    """The lanes by one column, in the race's own order where none is chosen; what has no value comes last."""
    if not sort:
        return list(lanes)
    valued = [(value, lane) for lane in lanes if (value := _value(lane, sort)) is not None]
    valued.sort(key=lambda pair: pair[0], reverse=falling)
    return [lane for _, lane in valued] + [lane for lane in lanes if _value(lane, sort) is None]


def _value(lane: Lane, key: str) -> float | str | None:
    if key == METHOD:
        return lane.title.casefold()
    if key == STATUS:
        return lane.status
    return lane.after(key) if key in SPLITS else (lane.row or {}).get(key)


def _head(key: str, title: str, sort: str, falling: bool) -> str:
    chosen = key == sort
    state = f' aria-sort="{"descending" if falling else "ascending"}"' if chosen else ""
    mark = f'<span aria-hidden="true"> {"▼" if falling else "▲"}</span>' if chosen else ""
    kind = "" if key in (METHOD, STATUS) else ' class="number"'
    return (f'<th scope="col"{kind}{state}><button type="button" class="race-sort" data-pick="sort:{key}">{escape(title)}{mark}'
            "</button></th>")


def _fixed(title: str, accuracy: Mapping[str, float], view: RaceView, shown: Mapping[str, str]) -> str:
    cells = "".join(f'<td class="number">{percent(accuracy.get(key)) if key in accuracy else ""}</td>' for key in shown)
    return f'<tr class="race-fixed"><th scope="row">{escape(title)}</th>{cells}<td></td></tr>'


def _row(lane: Lane, shown: Mapping[str, str], over: bool) -> str:
    run_id = escape(lane.run_id, quote=True)
    _, mark = MARKS.get(lane.family, OTHER)
    title = escape(lane.title)
    name = f'<a class="run-name" href="?run={run_id}" data-pick="run:{run_id}">{title}</a>' if lane.run_id else title
    cells = "".join(f'<td class="number">{_cell(lane, key)}</td>' for key in shown)
    return (f'<tr data-run="{run_id}"><th scope="row"><span class="race-mark" title="{escape(lane.family_title, quote=True)}" '
            f'aria-hidden="true">{mark}</span>{name}</th>{cells}<td class="race-said">{escape(_said(lane, over))}</td></tr>')


def _cell(lane: Lane, key: str) -> str:
    value = _value(lane, key)
    if value is None:
        return NOT_MEASURED if lane.row else ""
    if key in SPLITS or key == "removed":
        return percent(value)
    return {"seconds": duration, "trained": count, "kl": "{:.4f}".format, "perplexity": "{:.2f}".format}[key](value)


def _said(lane: Lane, over: bool) -> str:
    row = lane.row or {}
    if over and not lane.row:
        return "not run" if lane.status == "waiting" else "interrupted"
    if row.get("error"):
        return " ".join(part for part in ("failed:", row["error"]["what"], row["error"]["why"]) if part)
    damage = (row.get("damage") or {}).get("words")
    return "; ".join(part for part in (lane.status, damage, row.get("note")) if part)


def notes_html(view: RaceView) -> str:
    """How the picture and the table are to be read."""
    if not view.lanes:
        return ""
    sample = next((item for lane in view.lanes for item in lane.live if item.split == "forget"), None)
    live = (f"Open marks: a method at work, on a live sample ({sample.n} forget questions); filled ones: all questions. "
            if sample else "")
    terms = " · ".join(explained(_FIGURES[key], term) for key, term in _TERMS.items())
    return (f'<div class="lt lt-quiet race-notes">{escape(live)}A mark\'s shape tells the family of its method. '
            f"Click a mark or a name to open the run. What is meant by {terms}.</div>")


# Before, and earlier ones ---------------------------------------------------------------------------------------------

def estimate_html(chosen: Sequence[str], seconds: Mapping[str, float]) -> str:
    """How long the chosen methods take, as far as their last runs tell."""
    known = [seconds[name] for name in chosen if name in seconds]
    number = f"{len(chosen)} method{'s' * (len(chosen) != 1)}"
    if not chosen:
        words = "Choose at least one method."
    elif not known:
        words = f"{number}; time not known yet: none of them ran on this model."
    elif len(known) == len(chosen):
        words = f"{number}, about {duration(sum(known))} by the last run of each."
    else:
        words = (f"{number}: about {duration(sum(known))} for {len(known)} of them by the last run of each, not known yet for "
                 "the others.")
    return f'<p class="estimate">{escape(words)}</p>'


def unable_html(unable: Mapping[str, str], titles: Mapping[str, str]) -> str:
    """The methods that cannot run on the chosen model, with the reason; nothing where all can."""
    if not unable:
        return ""
    rows = "".join(f"<li><b>{escape(titles.get(name, name))}</b>: {escape(why)}</li>" for name, why in unable.items())
    return f'<div class="lt lt-notice race-unable"><p>Cannot run here, and will be left out:</p><ul>{rows}</ul></div>'


def list_html(races: Sequence[Any], opened: str, titles: Mapping[str, str]) -> str:
    """All races that were kept, newest first; each opens. `titles`: of the topics, by name."""
    if not races:
        return ""
    rows = "".join(_entry(record, opened, titles) for record in races)
    heads = "".join(f'<th scope="col">{title}</th>' for title in ("Race", "Status", "Methods", "Mode", "Started"))
    return (f'<div class="lt"><h2>All races</h2></div><div class="table-scroll"><table class="runs"><thead><tr>{heads}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div>{link_html('races-csv', 'lethe-races.csv', RACE_COLUMNS, map(_race, races))}")


def _race(record: Any) -> dict[str, Any]:
    config = record.config
    return {"race": record.race_id, "status": record.status, "model": config.model, "topic": config.topic, "mode": config.mode,
            "methods": len((record.summary or {}).get("methods") or config.methods) or None, "seed": config.seed,
            "started_at": record.started_at}


def _entry(record: Any, opened: str, titles: Mapping[str, str]) -> str:
    race_id, config = escape(record.race_id, quote=True), record.config
    mark = '<span class="open-mark">open</span>' if record.race_id == opened else ""
    number = len((record.summary or {}).get("methods") or config.methods) or "all"
    cells = [f'<span class="status status-{escape(record.status)}">{escape(record.status)}</span>', str(number),
             escape(MODE_TITLES[config.mode]), escape(record.started_at[:16].replace("T", " "))]
    return (f'<tr data-pick="race:{race_id}"><th scope="row"><button type="button" class="run-name" data-pick="race:{race_id}">'
            f'{escape(titles.get(config.topic, config.topic))}</button>{mark}</th>'
            f'{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
