"""The four cards under the verdict: forget, neighbours, retain, leak check, each from → to with its interval. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from unlearn_core.events import Measured

from .findings import paired, removed, why_unmeasured
from .numbers import NOT_MEASURED, SPACE, interval, percent, points, points_interval, signed
from .palette import glyph, side
from .terms import explained, info
from .view import RunView


@dataclass(frozen=True, slots=True)
class Card:
    """What one card is about. `split` gives the big number; `extra` are splits that get a line of their own."""

    split: str
    title: str
    direction: str  # "↓" or "↑": the wanted direction
    term: str
    extra: tuple[tuple[str, str], ...] = ()


CARDS = (
    Card("forget", "Forget", "↓", "forget", (("forget_choice", "multiple choice"),)),
    Card("neighbor", "Neighbours", "↑", "neighbor"),
    Card("retain", "Retain", "↑", "retain", (("general", "general"),)),
    Card("forget_paraphrase", "Leak check", "↓", "leak", (("forget_spanish", "in Spanish"),)),
)


def cards_html(view: RunView, rescored: Mapping[str, Any] | None = None) -> str:
    """All four cards. `rescored`: measurements at another strength, `{"strength": 0.5, "everything": False,
    "accuracy": {split: {"accuracy", "correct", "n", "low", "high"}}}`; a split absent from it is n/a on its card."""
    other = rescored_splits(rescored) if rescored else None
    cards = "".join(_card(view, card, other, _perplexity(view, rescored)) for card in CARDS)
    return f'<div class="lt lt-cards">{cards}</div>{_strength_line(rescored)}'


def rescored_splits(rescored: Mapping[str, Any]) -> dict[str, Measured]:
    """The measurements of a rescored result; entries are objects as above, or (correct, n)."""
    strength_splits = rescored.get("accuracy", {})
    out = {}
    for split, item in strength_splits.items():
        row = item if isinstance(item, Mapping) else {"correct": item[0], "n": item[1]}
        n, correct = int(row.get("n") or 0), int(row.get("correct") or 0)
        if n <= 0:
            continue
        accuracy = row.get("accuracy", correct / n)
        low, high = row.get("low"), row.get("high")
        if low is None or high is None:
            low, high = _wilson(accuracy, n)
        out[split] = Measured("after", 0, split, accuracy, correct, n, low, high, row.get("reference"),
                              row.get("reference_kind"), row.get("answered"))
    return out


def _wilson(share: float, n: int) -> tuple[float, float]:
    z2 = 1.96**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = (share * (1 - share) / n + z2 / (4 * n * n)) ** 0.5 * 1.96 / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def _strength_line(rescored: Mapping[str, Any] | None) -> str:
    if not rescored:
        return ""
    strength = rescored.get("strength")
    asked = "all questions" if rescored.get("everything") else "the live sample"
    said = f"At strength {strength:g}, " if isinstance(strength, (int, float)) else ""
    text = f"{said}measured on {asked}. The saved result, at strength 1, is unchanged."
    return f'<p class="lt lt-strength" role="status">{escape(text[0].upper() + text[1:])}{info("strength")}</p>'


def _card(view: RunView, card: Card, other: dict[str, Measured] | None, perplexity: str) -> str:
    before, after = view.before.get(card.split), _after(view, card.split, other)
    live = _latest_live(view, card.split) if after is None and other is None else None
    now = after or live
    kind = side(card.split)
    head = (f'<header class="lt-card-head"><span class="lt-mark lt-{kind}" aria-hidden="true">{glyph(card.split)}'
            f'</span><h3>{card.title} <span class="lt-quiet" title="{_wanted(card)}">{card.direction}</span></h3>'
            f'{info(card.term)}</header>')
    lines = _number(view, card, before, now) + _range(before, now, kind) + _small(view, card, before, now, live, other)
    extra = _about(view, card) + "".join(_extra(view, split, title, other) for split, title in card.extra)
    extra += perplexity if card.split == "retain" else ""
    return (f'<section class="lt-card lt-card-{kind}" aria-label="{card.title}, {_wanted(card)}">{head}{lines}{extra}'
            '</section>')


def _wanted(card: Card) -> str:
    return "lower is better" if card.direction == "↓" else "higher is better"


def _after(view: RunView, split: str, other: dict[str, Measured] | None) -> Measured | None:
    return view.after.get(split) if other is None else other.get(split)


def _latest_live(view: RunView, split: str) -> Measured | None:
    return next((item for item in reversed(view.live) if item.split == split), None)


def _number(view: RunView, card: Card, before: Measured | None, now: Measured | None) -> str:
    if now is None:
        was = f'<span class="lt-from">was {percent(before.accuracy)}</span>' if before else ""
        reason = escape(why_unmeasured(view, card.split))
        return (f'<p class="lt-number"><span class="lt-big lt-none">{NOT_MEASURED}</span>{was}</p>'
                f'<p class="lt-card-line">{reason}</p>')
    came = ""
    if before is not None:
        came = f'<span class="lt-from">from {percent(before.accuracy)}</span>'
        if now.n == before.n:  # a sample is not compared with all questions
            came += f'<span class="lt-move">{points(now.accuracy - before.accuracy, "pts")}</span>'
    return f'<p class="lt-number"><span class="lt-big">{percent(now.accuracy)}</span>{came}</p>'


def _range(before: Measured | None, now: Measured | None, kind: str) -> str:
    """A line from 0 to 100 %: ○ before, ■ after with its interval, | the floor."""
    if now is None and before is None:
        return ""
    marks = []
    if now is not None:
        width = 100 * (now.high - now.low)
        marks.append(f'<span class="lt-ci" style="left:{100 * now.low:.1f}%;width:{width:.1f}%"></span>')
        reference = now.reference if now.reference is not None else before.reference if before else None
        if reference is not None:
            marks.append(f'<span class="lt-floor" style="left:{100 * reference:.1f}%"></span>')
    if before is not None:
        marks.append(f'<span class="lt-was" style="left:{100 * before.accuracy:.1f}%"></span>')
    if now is not None:
        marks.append(f'<span class="lt-now" style="left:{100 * now.accuracy:.1f}%"></span>')
    return f'<div class="lt-range lt-{kind}" aria-hidden="true">{"".join(marks)}</div>'


def _small(view: RunView, card: Card, before: Measured | None, now: Measured | None, live: Measured | None,
           other: dict[str, Measured] | None) -> str:
    if now is None:
        return ""
    final = other is None and live is None
    asked = explained(f"sample of {now.n}", "live_sample") if live is not None else f"n{SPACE}{now.n:,}"
    first = f"{explained('95 %', 'interval')}: {interval(now.low, now.high)}, {asked}"
    second = [_floor(card, before, now)]
    share = removed(view, card.split) if card.direction == "↓" and final else None
    if share is not None:
        second.append(f"{explained('removed', 'removed')} {signed(share)}")
    change = paired(view, card.split) if card.direction == "↑" and final else None
    if change is not None:
        second.append(f"{explained('difference', 'paired')} {points_interval(change[1], change[2])}")
    if now.answered is not None:
        second.append(f"{explained('answered', 'answered')} {percent(now.answered)}")
    return (f'<p class="lt-card-line">{first}</p>'
            f'<p class="lt-card-line">{" · ".join(part for part in second if part) or "&nbsp;"}</p>')


def _floor(card: Card, before: Measured | None, now: Measured) -> str:
    source = now if now.reference is not None else before
    if card.direction == "↑":
        return ""
    if source is None or source.reference is None:
        return "no reference: floor 0"
    if source.reference_kind == "chance":
        return f"{explained('chance', 'chance')} {percent(source.reference)}"
    return f"{explained('never saw it', 'reference')} {percent(source.reference)}"


def _extra(view: RunView, split: str, title: str, other: dict[str, Measured] | None) -> str:
    before, after = view.before.get(split), _after(view, split, other)
    if before is None and after is None and split == "forget_choice":
        return ""
    if after is None:
        value = f"{NOT_MEASURED}, {why_unmeasured(view, split)}"
        if before is not None and other is None:  # the card itself says why there is no more
            value = f"was {percent(before.accuracy)}{f', now {NOT_MEASURED}' if view.over else ''}"
    else:
        came = f"{percent(before.accuracy)} → " if before else ""
        value = f"{came}{percent(after.accuracy)}"
    return _row(explained(title, split), value)


def _about(view: RunView, card: Card) -> str:
    """What the set is about: the topic, its neighbour, or how the leak check asks."""
    if card.split == "forget_paraphrase":
        return _row("asked", "in other words")
    if view.topic is None or card.split not in {"forget", "neighbor"}:
        return ""
    return _row("about", view.topic.title if card.split == "forget" else view.topic.neighbor_title)


def _perplexity(view: RunView, rescored: Mapping[str, Any] | None) -> str:
    before, after = (item.value if item else None for item in map(view.perplexity.get, ("before", "after")))
    now = rescored.get("perplexity") if rescored else after
    if before is None:
        return ""
    unmeasured = " → n/a" if view.over and view.edit and not rescored else " before"
    return _row(explained("perplexity", "perplexity"), f"{before:.3g}{f' → {now:.3g}' if now is not None else unmeasured}")


def _row(label: str, value: str) -> str:
    """`label` is HTML, `value` plain text."""
    return f'<p class="lt-card-extra"><span>{label}</span><span>{escape(value)}</span></p>'
