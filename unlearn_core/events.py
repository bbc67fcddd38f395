"""The contract between engine and interface: every event that a run can emit, one frozen dataclass each.

All fields are JSON-plain. A run, a race of several or an audit of one is a list of these; exactly one terminal event (`Finished` or
`Failed`), always last. Knows nothing of models, files or pages.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

Stage = str  # "before" | "during" | "after"


@dataclass(frozen=True, slots=True)
class Started:
    """First event. `config` is RunConfig as a dict; `model` and `topic` describe what was loaded."""

    run_id: str
    config: dict[str, Any]
    started_at: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class ModelReady:
    """The model is in memory. `parameters` counts all; `memory` is bytes of its tensors; `weights_hash` is sha256."""

    name: str
    title: str
    device: str
    dtype: str
    parameters: int
    memory: int
    weights_hash: str
    layers: int


@dataclass(frozen=True, slots=True)
class TopicReady:
    """What is to be forgotten. `counts` maps split to number of scored items; `examples` are prompts for Ask both."""

    name: str
    title: str  # as it reads in a sentence: "the Vale books"
    summary: str
    neighbor_title: str
    counts: dict[str, int]
    examples: list[str]


@dataclass(frozen=True, slots=True)
class Phase:
    """`title` in words ("Measure before"); `index` counts from 1 to `count`."""

    name: str
    title: str
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Real work done within the current phase."""

    done: int
    total: int
    unit: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Accuracy of one split. `low`, `high`: 95 % Wilson interval. `answered`: share of answers that are an option.

    `stage` is "before", "during" (a fixed live sample, at optimiser step `step`) or "after".
    `reference` is the floor's accuracy on that very split or None; `reference_kind` "retrained" | "chance" | None.
    """

    stage: Stage
    step: int
    split: str
    accuracy: float
    correct: int
    n: int
    low: float
    high: float
    reference: float | None = None
    reference_kind: str | None = None
    answered: float | None = None


@dataclass(frozen=True, slots=True)
class Perplexity:
    """Perplexity of held-out general sentences, per token."""

    stage: Stage
    value: float
    n: int


@dataclass(frozen=True, slots=True)
class Loss:
    """Training losses at one optimiser step (nats); None where a method has no such term."""

    step: int
    total: int
    forget: float | None
    retain: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One scored question, under the original and the unlearned model.

    `original_ok`/`edited_ok`: judged as the split is judged. `original_logprob`/`edited_logprob`: log-probability
    (nats) of the expected answer. `reference_ok`: whether the retrained model knew it, None when not known.
    `outcome`: forgotten | leaked | kept | damaged | unchanged.
    """

    question_id: str
    split: str
    prompt: str
    expected: str
    original: str
    edited: str
    original_ok: bool
    edited_ok: bool
    original_logprob: float
    edited_logprob: float
    outcome: str
    reference_ok: bool | None = None


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Teacher-forced scores of one text under both models. All lists have one entry a token.

    `original`, `edited`: log-probabilities (nats); ranks count from 1; `top_*`: five [token, probability] pairs each.
    """

    question_id: str
    tokens: list[str]
    original: list[float]
    edited: list[float]
    original_rank: list[int]
    edited_rank: list[int]
    top_original: list[list[list[Any]]]
    top_edited: list[list[list[Any]]]


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Singular values (descending, at most 64) of one weight matrix.

    `original`: of the weights; `task`: of the task matrix as identified; `removed`: of what is really subtracted,
    after discrimination and truncation; `kept`: of the part of the task matrix that discrimination left in place.
    `rank` and `relative_change` belong to `removed`. Lists may be empty where a method has no such matrix.
    `energy_removed`: share of the task matrix' squared norm that is subtracted; None where there is no task matrix.
    """

    layer: int
    matrix: str
    original: list[float]
    task: list[float]
    removed: list[float]
    kept: list[float]
    rank: int
    task_rank: int
    energy_removed: float | None
    relative_change: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """Principal angles between the input subspaces of forget and retain in one matrix.

    `cosines`: cosines of the angles, descending, before discrimination; `cosines_after`: of the removed part with the
    retain subspace. `overlap`: mean squared cosine in [0, 1]; `overlap_after` likewise.
    """

    layer: int
    matrix: str
    cosines: list[float]
    cosines_after: list[float]
    overlap: float
    overlap_after: float


@dataclass(frozen=True, slots=True)
class EditReady:
    """The edit was saved and loaded again. `trained`: numbers that it holds. `relative_change`: Frobenius norm of the change over
    that of the weights, None where no weight changes."""

    kind: str
    rank: int
    trained: int
    relative_change: float | None
    bytes: int


@dataclass(frozen=True, slots=True)
class RaceStarted:
    """First event of a race. `config` is RaceConfig as a dict. `lanes`: method, title, family and family_title of each that
    takes part, in order; `left_out`: method, title and why of each that cannot."""

    race_id: str
    config: dict[str, Any]
    started_at: str  # ISO 8601, UTC
    lanes: list[dict[str, Any]]
    left_out: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class LaneBegun:
    """A method's turn in a race has come; phases, progress and live measurements that follow are its own. `index` counts
    from 1 to `count`."""

    method: str
    run_id: str
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class LaneEnded:
    """A method's turn in a race is over, in whatever way. `row` is its row of the table."""

    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RequestBegun:
    """A request's turn in a sequence has come, as the run of that id. `index` counts from 1 to `count`."""

    title: str
    run_id: str
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class AuditStarted:
    """First event of an audit. `config` is AuditConfig as a dict; `run_id` is the run that is put to the test. `attacks`:
    every attack that takes part, in order, as `Attack.describe` gives it without its settings' schema. `subjects`: which models
    are attacked ("original" | "unlearned" | "reference")."""

    audit_id: str
    run_id: str
    config: dict[str, Any]
    started_at: str  # ISO 8601, UTC
    attacks: list[dict[str, Any]]
    subjects: list[str]


@dataclass(frozen=True, slots=True)
class AttackBegun:
    """An attack's turn on one of the models has come; progress that follows is its own. `index` counts from 1 to `count` over
    all attacks and models. `kept`: what it found is known from an earlier audit."""

    attack: str
    subject: str
    index: int
    count: int
    kept: bool = False


@dataclass(frozen=True, slots=True)
class AttackPoint:
    """One place of an attack's curve on one model: `knowledge` is the share of judged items that came out at `x`. `series`
    tells curves of one attack apart, "" where it has but one."""

    attack: str
    subject: str
    series: str
    x: float
    knowledge: float


@dataclass(frozen=True, slots=True)
class AttackEnded:
    """An attack has been carried out on every model. `row` is its row of the robustness card."""

    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the reader: a limit, a choice, a warning."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Terminal. `status` is "done" or "stopped"; `summary` is what `summary.json` holds."""

    status: str
    seconds: float
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """Terminal. What happened, why, what to do; `trace` is the folded traceback."""

    what: str
    why: str
    remedy: str
    trace: str


Event = (
    Started
    | ModelReady
    | TopicReady
    | Phase
    | Progress
    | Measured
    | Perplexity
    | Loss
    | Answer
    | TokenScores
    | Spectrum
    | Overlap
    | EditReady
    | RaceStarted
    | LaneBegun
    | LaneEnded
    | RequestBegun
    | AuditStarted
    | AttackBegun
    | AttackPoint
    | AttackEnded
    | Notice
    | Finished
    | Failed
)
TERMINAL = (Finished, Failed)
_KINDS = {kind.__name__: kind for kind in Event.__args__}


def encode(event: Event, at: float) -> str:
    """One JSON line; `at` is seconds since the run started. Non-finite numbers become null."""
    body = {"event": type(event).__name__, "at": round(at, 3)} | finite(dataclasses.asdict(event))
    return json.dumps(body, ensure_ascii=False, allow_nan=False)


def decode(line: str) -> tuple[Event, float] | None:
    """(event, seconds since start), or None for a kind this version does not know or a line cut short."""
    try:
        body = json.loads(line)
        kind = _KINDS[body.pop("event")]
        at = float(body.pop("at", 0.0))
        known = {field.name for field in dataclasses.fields(kind)}
        return kind(**{key: value for key, value in body.items() if key in known}), at
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError):
        return None


def finite(value: Any) -> Any:
    """The same data with null for every number that JSON cannot say."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
