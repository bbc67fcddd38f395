"""What a method is: a name, a paper, a config with bounds, and `fit`. Imports no torch; knows no particular method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ..topics.topic import Given

if TYPE_CHECKING:
    from ..edits.edit import Edit
    from ..models.loading import LoadedModel
    from ..retraining import Retraining


FAMILIES = {
    "subspace": "Subspaces",
    "layers": "Added layers",
    "gradient": "Losses on answers",
    "preference": "Preference losses",
    "representation": "Hidden states",
    "reinforcement": "Reinforcement learning",
    "rewriting": "Generic answers (Who's Harry Potter)",
    "merging": "Parameter merging",
    "context": "In context",
    "baseline": "Baselines",
}


class MethodConfig(BaseModel):
    """Base of every method's settings: frozen, unknown names refused. Fields carry bounds, a default and one line of help."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Stage:
    """Yielded by `fit` when it enters one of the stages that its method declares."""

    name: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Yielded by `fit` while the edit in progress is active on the model: the moment to measure the live sample.

    `edit` is what is active, where the method says it.
    """

    step: int
    total: int
    edit: Edit | None = None


@dataclass(frozen=True)
class Context:
    """All that a method is given.

    `given` holds the only questions it may see. `kept` maps names to tensors that an earlier run of the same model and
    topic computed (statistics of the given text); a method may read from it and add to it. `cancelled` is asked before
    every step; once it says so, the method yields the edit as far as it got and returns. `snapshots`: how many the caller
    would like to see at least, evenly over the training. `on_progress` hears of texts read and of all, where a stage reads many
    before anything is trained. `retraining` is for the baselines that need a model which never
    saw the topic; it names no topic and shows no question. `trained`: how many values each training changed, a method's helpers
    and what it changes without an optimiser included.
    """

    loaded: LoadedModel
    given: Given
    seed: int
    cancelled: Callable[[], bool] = lambda: False
    kept: dict[str, Any] = field(default_factory=dict)
    snapshots: int = 0
    on_progress: Callable[[int, int], None] = lambda done, total: None
    retraining: Retraining | None = None
    trained: list[int] = field(default_factory=list)

    def statistics(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The tensors kept under `name`, or what `compute` gives, kept from now on unless a stop cut it short."""
        if name not in self.kept:
            found = compute()
            if self.cancelled():
                return found
            self.kept[name] = found
        return self.kept[name]


@dataclass(frozen=True, slots=True)
class Method:
    """One way to unlearn. `family` is one of FAMILIES; `knob` names the one setting that matters; `stages` are (name, title
    in words), in order. `access` says what of a model it needs, `cost` what it costs, each in a few words; `causal_only` is a
    sentence on why it cannot work on an encoder-decoder, empty where it can. `needs` says which part of `retraining` it rests
    on with given settings ("reference" | "recipe" | ""); `is_reference`, that its result is the reference itself, so that
    kept scores may stand for a run; `teaches`, that it adds the topic instead of removing it.

    `fit(context, config)` yields events, `Stage`, `Snapshot` and `Edit`s; the last edit is the result.
    """

    name: str
    title: str
    paper: str
    family: str
    summary: str
    knob: str
    config: type[MethodConfig]
    stages: tuple[tuple[str, str], ...]
    fit: Callable[[Context, Any], Iterator[Any]]
    access: str = field(default="weights and gradients", kw_only=True)
    causal_only: str = field(default="", kw_only=True)
    cost: str = field(kw_only=True)
    needs: Callable[[Any], str] = field(default=lambda config: "", kw_only=True)
    is_reference: bool = field(default=False, kw_only=True)
    teaches: bool = field(default=False, kw_only=True)

    def describe(self) -> dict[str, Any]:
        """Plain data for the page and for `list methods`."""
        return {
            "name": self.name,
            "title": self.title,
            "summary": self.summary,
            "paper": self.paper,
            "family": self.family,
            "family_title": FAMILIES[self.family],
            "access": self.access,
            "causal_only": self.causal_only,
            "cost": self.cost,
            "knob": self.knob,
            "teaches": self.teaches,
            "config_schema": self.config.model_json_schema(),
        }
