"""What is known beside a model on training it without a topic: the retrained model, its seconds, the recipe.

The engine makes one for every run and gives it to the method as it is. It is the one place that joins a topic's name to files:
a method asks for "the model that never saw it" and learns neither name nor held questions. Imports no torch at first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import Unavailable
from .evaluation.references import load_reference, reference_path, topic_hash
from .topics.topic import Topic

if TYPE_CHECKING:
    from .demo.fresh import Step
    from .models.loading import LoadedModel

REFERENCE, RECIPE = "reference", "recipe"  # what a method may need
_BUILD = "build.json"
_BETWEEN = ("tasks", "facts")  # the stages between the trunk and a model without one topic


@dataclass(frozen=True)
class Retraining:
    """`folder`: the model's own; None where it has none on this machine."""

    folder: Path | None
    topic: Topic

    def check(self, need: str, also: str = "") -> None:
        """Raise Unavailable where `need` is not at hand; `also` is one more thing that a reader may do then."""
        if need == REFERENCE:
            self._reference_folder(also)
        elif need == RECIPE:
            self._seed()

    def at_hand(self) -> bool:
        """Whether the retrained model's weights are there."""
        try:
            self._reference_folder()
        except Unavailable:
            return False
        return True

    @property
    def seconds(self) -> float | None:
        """Recorded training time of the retrained model, without what it shares with the original; None if unknown."""
        kept = load_reference(self.folder, self.topic)
        return kept.seconds if kept is not None and kept.seconds else None

    def reference(self, like: LoadedModel) -> LoadedModel:
        """The retrained model, where and in the number format that `like` is. Raises BadInput."""
        from .models.loading import load

        folder = self._reference_folder()
        return load(str(folder), like.device.type, like.number_format)

    def fresh(self, like: LoadedModel, share: float, cancelled: Callable[[], bool], keep: bool = False) -> Iterator[Step]:
        """Train a model by the world's recipe, `share` times as long as it says; with `keep` finished shared stages are left in the
        folder. Raises BadInput."""
        from .demo.fresh import train_without

        return train_without(self.folder, self._seed(), self.topic.name, like.device, share, cancelled, keep)

    def expected_seconds(self) -> float | None:
        """What `fresh` took at most when the world was built, without the shared stages that are still there; None where that is
        not known."""
        try:
            self._seed()
            seconds = json.loads((self.folder / _BUILD).read_text(encoding="utf-8"))["seconds"]
            own = float(seconds[f"without-{self.topic.name}"])
            built = {path.parent.name for path in (self.folder / ".build").glob("*/seconds.json")}
            between = max([float(seconds[name]) for name in _BETWEEN if name not in built], default=0.0)
            return own + between + (0.0 if "trunk" in built or not between else float(seconds["trunk"]))
        except (Unavailable, OSError, ValueError, KeyError, TypeError):
            return None

    def _reference_folder(self, also: str = "") -> Path:
        """Only a model that was scored on this very topic counts."""
        kept = load_reference(self.folder, self.topic)
        if kept is not None:
            folder = reference_path(self.folder, self.topic.name).with_suffix("")
            if (folder / "model.safetensors").is_file():
                return folder
        why = "Only its scores are kept" if kept is not None else "None was trained for this model and topic"
        raise Unavailable(f"The model that never saw {self.topic.title} is not at hand.", f"{why}.", self._remedy(also),
                          field="method")

    def _remedy(self, also: str) -> str:
        body = self._built()
        if body is None:
            return "Pick another method."
        apart = body.get("encoder_decoder")  # which is not trained anew for a run
        kind, also = ("--encoder-decoder", "") if apart else ("--only-references", also)
        build = f"python -m unlearn_core.demo.build {kind} --seed {body['seed']} --references {self.topic.name}"
        return f"Build it with `{build} --out {self.folder}`{also and f', or {also}'}."

    def _seed(self) -> int:
        """The seed of the world that the model was built on, if the topic is that world's."""
        body = self._built()
        if body is None or body.get("encoder_decoder"):
            raise Unavailable("The model cannot be trained anew.", "The text that it was trained on is known only for a built "
                              "world with a causal model, and its own topics.", "Pick another method.", field="method")
        return int(body["seed"])

    def _built(self) -> dict[str, Any] | None:
        """What is known of the world that the model was built on, with its seed, if the topic is that world's."""
        try:
            body = json.loads((self.folder / _BUILD).read_text(encoding="utf-8")) if self.folder else {}
            known = body["topic_hashes"][self.topic.name] == topic_hash(self.topic)
            return {**body, "seed": int(body["seed"])} if known else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
