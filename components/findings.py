"""What the numbers of a run mean: what was removed, kept, leaked, damaged, or never measured. Pure; writes no HTML.

The rules are those of the design, 2.4: `removed` is the share of knowledge above the floor that is gone; a chance floor
counts as reached when the Wilson interval of `after` contains it; below the floor is over-forgetting or relabelling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unlearn_core.config import KEEP_SPLITS
from unlearn_core.events import Measured

from .numbers import percent
from .palette import SPLIT_TITLES
from .view import RunView

LEAST_KNOWN = 0.05  # before − floor below this: there was nothing to remove
KEPT = 0.975  # after / before from which a set counts as kept
BADLY_DAMAGED = 0.9
GONE = 0.9  # share removed from which a set counts as forgotten
HARDLY = 0.1  # share removed below which nothing happened
_SUMMARY_KEYS = {"forget": "removed", "forget_paraphrase": "removed_paraphrase", "forget_spanish": "removed_spanish"}
LEAKS = {
    "forget_paraphrase": "Asked in other words, it still answers",
    "forget_spanish": "Asked in Spanish, it still answers",
    "forget_choice": "Offered several options, it still picks the right one for",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth saying. `severity`: bad (not what was wanted), mixed (a reservation), note (for information)."""

    kind: str
    text: str
    severity: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that was to be kept, pooled over its splits: shares before and after, over `n` questions."""

    before: float
    after: float
    n: int

    @property
    def share(self) -> float:
        return self.after / self.before if self.before > 0 else 1.0


def removed(view: RunView, split: str) -> float | None:
    """Share of the knowledge above the floor that is gone, at most 1; None if unmeasured or nothing was known."""
    key = _SUMMARY_KEYS.get(split, "")
    if key in view.summary:
        return view.summary[key]
    before, after = view.before.get(split), view.after.get(split)
    if before is None or after is None:
        return None
    floor = before.reference if before.reference is not None else after.reference or 0.0
    if before.accuracy - floor < LEAST_KNOWN:
        return None
    reached = at_chance(after)
    return min(1.0, (before.accuracy - (floor if reached else after.accuracy)) / (before.accuracy - floor))


def at_chance(after: Measured) -> bool:
    """Whether the floor is chance and the interval of `after` contains it."""
    return after.reference_kind == "chance" and after.low <= (after.reference or 0.0) <= after.high


def kept(view: RunView) -> Kept | None:
    """All keep splits measured before and after, pooled; None if there are none."""
    splits = [split for split in KEEP_SPLITS if split in view.before and split in view.after]
    before, after = [view.before[s] for s in splits], [view.after[s] for s in splits]
    n_before, n_after = sum(m.n for m in before), sum(m.n for m in after)
    if not n_before or not n_after:
        return None
    return Kept(sum(m.correct for m in before) / n_before, sum(m.correct for m in after) / n_after, n_after)


def paired(view: RunView, split: str) -> tuple[float, float, float] | None:
    """(difference, low, high) of after − before on the same questions: the summary's, else from the answers (Wald)."""
    saved = view.summary.get("accuracy", {}).get(split, {}).get("paired") if view.summary else None
    if isinstance(saved, dict):
        saved = [saved.get(name) for name in ("difference", "low", "high")]
    if isinstance(saved, (list, tuple)) and len(saved) == 3 and all(isinstance(v, (int, float)) for v in saved):
        return float(saved[0]), float(saved[1]), float(saved[2])
    answers = view.answers_of(split)
    if len(answers) < 2:
        return None
    lost = sum(a.original_ok and not a.edited_ok for a in answers)
    gained = sum(a.edited_ok and not a.original_ok for a in answers)
    n, difference = len(answers), (gained - lost) / len(answers)
    spread = 1.96 * max(lost + gained - (gained - lost) ** 2 / n, 0.0) ** 0.5 / n
    return difference, difference - spread, difference + spread


def relabelled(view: RunView, split: str = "forget") -> bool:
    """Whether the answers on `split` are turned round rather than gone: significantly below chance, or so measured."""
    said: Any = view.summary.get("relabelled")
    if isinstance(said, dict):
        said = said.get(split)
    elif isinstance(said, (list, tuple)):
        said = split in said
    after = view.after.get(split)
    below = after is not None and after.reference_kind == "chance" and after.high < (after.reference or 0.0)
    return below or said is True


def why_unmeasured(view: RunView, split: str) -> str:
    """The reason for an "n/a", in words."""
    if view.topic is not None and view.topic.counts and not view.topic.counts.get(split):
        return "this topic has no such questions"
    if view.status == "stopped":
        return "the run was stopped before it was measured"
    if view.status == "failed":
        return "the run failed before it was measured"
    if view.status == "interrupted":
        return "the program ended before it was measured"
    if view.status == "running":
        return "not measured yet"
    return "it was not measured"


def findings(view: RunView) -> list[Finding]:
    """Everything that the one sentence leaves out, the worst first."""
    found = [*_stated(view), *_floor(view), *_leaks(view), *_damage(view), *_perplexity(view), *_missing(view)]
    order = {"bad": 0, "mixed": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.severity])


def _stated(view: RunView) -> list[Finding]:
    """The states that the engine found the model in, in its words: what it has all answers for, and earlier runs lack."""
    severity = {"collapsed": "bad", "relabelled": "bad" if relabelled(view) else "mixed", "gibberish": "note"}
    return [Finding(one["name"], one["text"], severity.get(one["name"], "mixed")) for one in view.summary.get("conditions") or []]


def _floor(view: RunView) -> list[Finding]:
    after = view.after.get("forget")
    if after is None:
        return []
    found = [] if "conditions" in view.summary else _beyond(view, after)
    if after.reference is None:
        found.append(Finding("no-reference", "No model without this topic was measured: the floor is taken as 0.",
                             "note"))
    if removed(view, "forget") is None and "forget" in view.before:
        found.append(Finding("nothing-known", "Share removed: n/a, the original knew hardly more than the floor.",
                             "note"))
    return found


def _beyond(view: RunView, after: Measured) -> list[Finding]:
    """Relabelling or over-forgetting, of a run from before the engine stated them itself."""
    if relabelled(view):
        return [Finding("relabelled", "Relabelled, not removed: whoever swaps the labels back has the knowledge.", "bad")]
    if after.reference_kind == "retrained" and after.high < (after.reference or 0.0):
        return [Finding("over-forgetting", f"Over-forgetting: {percent(after.accuracy)} is below the "
                        f"{percent(after.reference)} of a model that never saw the topic.", "mixed")]
    return []


def _leaks(view: RunView) -> list[Finding]:
    main = removed(view, "forget")
    if main is not None and main < HARDLY:
        return []
    found = []
    for split, opening in LEAKS.items():
        share, after = removed(view, split), view.after.get(split)
        if share is None or after is None or share >= GONE:
            continue
        floor = "" if after.reference is None else (
            f" (guessing: {percent(after.reference)})" if after.reference_kind == "chance"
            else f" (a model that never saw it: {percent(after.reference)})")
        found.append(Finding(f"leak-{split}", f"{opening} {percent(after.accuracy)}{floor}.",
                             "bad" if share < 0.5 else "mixed"))
    return found


def _damage(view: RunView) -> list[Finding]:
    found = []
    for split in view.keep_splits:
        before, after = view.before.get(split), view.after.get(split)
        if before is None or after is None or before.accuracy <= 0 or after.accuracy >= KEPT * before.accuracy:
            continue
        title = SPLIT_TITLES[split]
        if split == "neighbor" and view.topic and view.topic.neighbor_title:
            title = f"{title} ({view.topic.neighbor_title})"
        severity = "bad" if after.accuracy < BADLY_DAMAGED * before.accuracy else "mixed"
        found.append(Finding(f"damage-{split}", f"{title} damaged: {percent(before.accuracy)} → "
                                                f"{percent(after.accuracy)}.", severity))
    return found


def _perplexity(view: RunView) -> list[Finding]:
    before, after = view.perplexity.get("before"), view.perplexity.get("after")
    if not before or not after or not before.value or after.value is None or after.value <= before.value / KEPT:
        return []
    severity = "bad" if after.value > 1.25 * before.value else "mixed"
    return [Finding("perplexity", f"Ordinary sentences became harder to predict: perplexity {before.value:.3g} → "
                                  f"{after.value:.3g}.", severity)]


def _missing(view: RunView) -> list[Finding]:
    if not view.over or not view.after:
        return []
    names = {"forget_paraphrase": "Other wordings", "forget_spanish": "Spanish", "neighbor": "Neighbours",
             "retain": "Retain"}
    return [Finding(f"unmeasured-{split}", f"{name}: n/a, {why_unmeasured(view, split)}.", "note")
            for split, name in names.items() if split not in view.after]
