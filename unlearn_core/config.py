"""What one run, race, sequence or audit is asked to do, as frozen plain data. Imports no torch and knows no method."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WrapValidator, field_validator
from pydantic_core import PydanticCustomError

SPLITS = ("forget", "forget_paraphrase", "forget_spanish", "forget_choice", "neighbor", "retain", "general")
FORGET_SPLITS = tuple(split for split in SPLITS if split.startswith("forget"))
KEEP_SPLITS = tuple(split for split in SPLITS if not split.startswith("forget"))
DEFAULTS, EQUAL_DAMAGE = MODES = ("defaults", "equal-damage")  # of a race
BUDGET = 0.02  # of equal damage: nats an answer token, of KL to the original on given text to keep
LARGEST_SEED = 2**31 - 1
SEEDS = f"It should be a whole number from 0 to {LARGEST_SEED}"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def _in_words(value: Any, check: Callable[[Any], int]) -> int:
    """The checked seed; both bounds are named whichever is crossed."""
    try:
        return check(value)
    except ValidationError as error:
        raise PydanticCustomError("seed", SEEDS) from error


Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED), WrapValidator(_in_words)]
Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
DEVICES, DTYPES = get_args(Device), get_args(Dtype)


class RunConfig(BaseModel):
    """Everything that determines a run. `settings` are the method's own fields, checked by its config class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("demo", description="'demo', a hub id, or a local folder")
    topic: str = Field(..., description="a topic's name, or the path of a topic file")
    method: str = Field("unlearn", description="a method's name")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="the method's settings that differ from its defaults"
    )
    seed: Seed = Field(0, description="seeds the method only")
    edits: tuple[str, ...] = Field((), description="earlier runs whose edits lie underneath")
    device: Device = "auto"
    dtype: Dtype = "auto"

    @field_validator("method")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("a method's name is lower-case words joined by hyphens")
        return value

    def digest(self) -> str:
        """Eight hexadecimal digits: the same request has the same digest."""
        return _digest(self)

    def command(self) -> str:
        """The headless command that repeats this run."""
        import shlex

        parts = [
            "python -m unlearn_core run",
            f"--model {shlex.quote(self.model)}",
            f"--topic {shlex.quote(self.topic)}",
            f"--method {self.method}",
        ]
        parts += [f"--set {shlex.quote(f'{key}={_plain(value)}')}" for key, value in sorted(self.settings.items())]
        parts += [f"--edit {shlex.quote(edit)}" for edit in self.edits]
        parts.append(f"--seed {self.seed}")
        if self.device != "auto":
            parts.append(f"--device {self.device}")
        if self.dtype != "auto":
            parts.append(f"--dtype {self.dtype}")
        return " ".join(parts)


class RaceConfig(BaseModel):
    """Everything that determines a race. `methods` empty: all that there are; `settings` by method; `budget` only where
    the mode is equal damage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("demo", description="'demo', a hub id, or a local folder")
    topic: str = Field(..., description="a topic's name, or the path of a topic file")
    methods: tuple[str, ...] = Field((), description="which methods take part, in order")
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict, description="settings that differ from defaults")
    mode: Literal["defaults", "equal-damage"] = DEFAULTS
    budget: float | None = Field(None, description="for equal damage: KL to the original on kept text, in nats")
    seed: Seed = Field(0, description="seeds the methods only")
    device: Device = "auto"
    dtype: Dtype = "auto"

    def digest(self) -> str:
        """Eight hexadecimal digits: the same request has the same digest."""
        return _digest(self)

    def run(self, method: str) -> RunConfig:
        """What is asked of one method."""
        return RunConfig(model=self.model, topic=self.topic, method=method, settings=self.settings.get(method, {}),
                         seed=self.seed, device=self.device, dtype=self.dtype)

    def command(self) -> str:
        """The headless command that repeats this race."""
        import shlex

        parts = ["python -m unlearn_core race", f"--model {shlex.quote(self.model)}", f"--topic {shlex.quote(self.topic)}"]
        parts += [f"--methods {','.join(self.methods)}"] if self.methods else []
        parts += [f"--mode {self.mode}"] + ([f"--budget {self.budget:g}"] if self.budget is not None else [])
        parts += [f"--set {shlex.quote(f'{method}.{key}={_plain(value)}')}"
                  for method, settings in sorted(self.settings.items()) for key, value in sorted(settings.items())]
        parts.append(f"--seed {self.seed}")
        parts += [f"--device {self.device}"] if self.device != "auto" else []
        parts += [f"--dtype {self.dtype}"] if self.dtype != "auto" else []
        return " ".join(parts)


class SequenceConfig(BaseModel):
    """Everything that determines a sequence of requests. `requests`: how many entities of the one topic ask, None where each
    topic asks as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("demo", description="'demo', a hub id, or a local folder")
    topics: tuple[str, ...] = Field(..., min_length=1, description="the topics that ask, or the one whose entities do")
    requests: int | None = Field(None, description="how many of the topic's entities ask, in its order")
    method: str = Field("unlearn", description="a method's name")
    mode: Literal["stack", "fuse", "apart", "joint"] = Field("stack", description="how the edits come together")
    settings: dict[str, Any] = Field(default_factory=dict, description="the method's settings that differ from its defaults")
    seed: Seed = Field(0, description="seeds the method only")
    device: Device = "auto"
    dtype: Dtype = "auto"

    def run(self, topic: str) -> RunConfig:
        """What is asked of the method about one topic."""
        return RunConfig(model=self.model, topic=topic, method=self.method, settings=self.settings, seed=self.seed,
                         device=self.device, dtype=self.dtype)

    def command(self) -> str:
        """The headless command that repeats this sequence."""
        import shlex

        asked = (f"--topics {shlex.quote(','.join(self.topics))}" if self.requests is None else
                 f"--topic {shlex.quote(self.topics[0])} --split-by-entity --requests {self.requests}")
        parts = [f"python -m unlearn_core sequence --model {shlex.quote(self.model)} {asked}",
                 f"--method {self.method} --mode {self.mode}"]
        parts += [f"--set {shlex.quote(f'{key}={_plain(value)}')}" for key, value in sorted(self.settings.items())]
        parts.append(f"--seed {self.seed}")
        parts += [f"--device {self.device}"] if self.device != "auto" else []
        parts += [f"--dtype {self.dtype}"] if self.dtype != "auto" else []
        return " ".join(parts)


class AuditConfig(BaseModel):
    """Everything that determines an audit of one run's result. `attacks` empty: all that there are; `settings` by attack."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field(..., description="the run that is put to the test, by its id")
    attacks: tuple[str, ...] = Field((), description="which attacks, in order")
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict, description="settings that differ from defaults")
    seed: Seed = Field(0, description="seeds the attacks, and the halves of the forget set")

    def digest(self) -> str:
        """Eight hexadecimal digits: the same request has the same digest."""
        return _digest(self)

    def command(self) -> str:
        """The headless command that repeats this audit."""
        import shlex

        parts = [f"python -m unlearn_core audit {shlex.quote(self.run)}"]
        parts += [f"--attacks {','.join(self.attacks)}"] if self.attacks else []
        parts += [f"--set {shlex.quote(f'{attack}.{key}={_plain(value)}')}"
                  for attack, settings in sorted(self.settings.items()) for key, value in sorted(settings.items())]
        parts.append(f"--seed {self.seed}")
        return " ".join(parts)


class EvaluationConfig(BaseModel):
    """What is measured without unlearning anything: a model, or a model with runs' edits on, on a topic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("demo", description="'demo', a hub id, or a local folder")
    topic: str = Field(..., description="a topic's name, or a file")
    edits: tuple[str, ...] = Field((), description="runs whose edits are on")
    device: Device = "auto"

    def digest(self) -> str:
        """Eight hexadecimal digits: the same request has the same digest."""
        return _digest(self)


class ReferenceConfig(BaseModel):
    """The model that never saw a topic, to be trained beside the model that did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("demo", description="'demo' or the folder of a built world")
    topic: str = Field(..., description="a topic of that world")
    device: Device = "auto"


def _digest(request: BaseModel) -> str:
    text = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
