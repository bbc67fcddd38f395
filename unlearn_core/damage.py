"""Equal damage: any method's edit, kept to the same budget of KL to the original on given text to keep.

Our reading of "stopped when the damage reaches a budget": a method runs to its end, because some forget first and repair
later. An end within the budget is taken whole. Otherwise there are two ways back to the budget, the last of its snapshots
that was within it and the final edit scaled down to it by bisection, and the one that forgets more on a fixed sample of
the given forget questions is taken. Snapshots are watched on a fixed sample of the kept text; what is taken is judged, and
scaled where it must be, on all of it. This is done around a method's `fit`, and no method knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .events import Notice
from .methods.base import Context, Method, Snapshot, Stage

if TYPE_CHECKING:
    from .edits.edit import Edit
    from .evaluation.divergence import Gauge
    from .evaluation.recall import Recall

LOOKS = 50  # snapshots that a method is asked for where a budget is watched
HALVINGS = 8  # of an edit's strength


@dataclass
class Watch:
    """Reads the gauge at snapshots. `last`: the edit of the last snapshot within the budget, by the gauge's sample."""

    gauge: Gauge
    budget: float
    step: int = 0
    total: int = 0
    last: Edit | None = None

    def look(self, snapshot: Snapshot) -> None:
        """Only while the edit is active. What is no number does not count as within."""
        if snapshot.edit is not None and self.gauge.read() <= self.budget:
            self.last, self.step, self.total = snapshot.edit, snapshot.step, snapshot.total


@dataclass(frozen=True)
class Ending:
    """How an edit came to be within the budget. `how`: whole | step | scaled; `divergence` on all given text, in nats."""

    how: str
    words: str
    divergence: float

    @property
    def sentence(self) -> str:
        """For a reader who knows nothing of the race."""
        return f"At equal damage: {self.words}."


def within_budget(method: Method, budget: float, tell: Callable[[Ending], None]) -> Method:
    """The same method, whose edit stays within the budget; `tell` learns how that came about."""
    def fit(context: Context, config: Any) -> Iterator[Any]:
        from .edits.edit import Edit
        from .edits.low_rank import LowRankEdit
        from .evaluation.divergence import Gauge, kept_text, meter
        from .evaluation.recall import Recall
        from .spectra import describe

        kept, final = kept_text(context.given), None
        watch = Watch(Gauge(context.loaded, kept), budget)
        if not watch.gauge:
            yield Notice("There is no given text to keep: the budget cannot be measured, and the method runs to its end.")
            yield from method.fit(context, config)
            return
        with closing(method.fit(replace(context, snapshots=LOOKS), config)) as fitting:
            for item in fitting:
                if isinstance(item, Edit):
                    final = item
                elif isinstance(item, Snapshot):
                    watch.look(item)
                yield item
        if context.cancelled() or final is None:
            return
        yield Stage("budget")
        divergence = meter(context.loaded, kept, context.cancelled)
        edit, ending = settle(watch, final, divergence, Recall(context.loaded, context.given.forget))
        if context.cancelled():
            return
        tell(ending)
        yield Notice(ending.sentence)
        if edit is not final:
            yield edit
            if isinstance(edit, LowRankEdit):
                yield from describe(context.loaded.model, edit)

    return replace(method, fit=fit, stages=(*method.stages, ("budget", "Keep to the budget")))


def settle(watch: Watch, final: Edit, divergence: Callable[[Edit, float], float], recall: Recall) -> tuple[Edit, Ending]:
    """The final edit where it is within the budget, else the better forgotten of what was within and what is scaled to be.

    `divergence` of an edit and a strength, on all text to keep.
    """
    edit, said, found = scaled_within(final, watch.budget, divergence)
    if not said:
        return final, Ending("whole", "ran to its end within the budget", found)
    if watch.last is not None:
        step, more, moved = scaled_within(watch.last, watch.budget, divergence)
        if not recall.of(edit) < recall.of(step):  # so a final edit that is no number loses
            words = f"taken at step {watch.step} of {watch.total}, {more or 'the last within the budget'}"
            return step, Ending("step", words, moved)
    return edit, Ending("scaled", said, found)


def scaled_within(edit: Edit, budget: float, divergence: Callable[[Edit, float], float]) -> tuple[Edit, str, float]:
    """The edit itself where it is within the budget, else scaled down to it; by how much in words; its divergence."""
    found = divergence(edit, 1.0)
    if found <= budget:
        return edit, "", found
    strength = largest_within(lambda strength: divergence(edit, strength), budget)
    scaled = edit.scaled(strength)
    return scaled, f"scaled to {strength:.3g} of its strength", divergence(scaled, 1.0)


def largest_within(divergence: Callable[[float], float], budget: float) -> float:
    """The largest strength below 1 whose divergence is within the budget, to 1 in 2^HALVINGS; 0.0 where none is."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if divergence(middle) <= budget:
            low = middle
        else:
            high = middle
    return low
