"""Training a change of a model: rows, what is trained, the loop, and what is read off on the way."""

from .changes import Change, Scaling, Trainable, map_names
from .loop import BatchLoss, Plan, descend, on_answers, train, trained_edit
from .parts import Tally, parts_by_entity
from .readings import (
    KEPT_BYTES,
    answer_nlls,
    continuations,
    damage_meter,
    extraction_likelihood,
    greedy_share,
    hidden_states,
    largest_scale,
    loss_of,
    memorisation_accuracy,
    own_answers,
    reference_logprobs,
    step_within,
)
from .rows import (
    Row,
    Scored,
    encode_rows,
    forced_choices,
    given_rows,
    open_part,
    paired,
    part_of,
    question_starts,
    rounds,
    row_nlls,
    score,
    some_rows,
    text_rows,
    without_ends,
)

__all__ = [
    "BatchLoss", "Change", "KEPT_BYTES", "Plan", "Row", "Scaling", "Scored", "Tally", "Trainable",
    "answer_nlls", "continuations", "damage_meter", "descend", "encode_rows", "extraction_likelihood", "forced_choices",
    "given_rows", "greedy_share", "hidden_states", "largest_scale", "loss_of", "map_names", "memorisation_accuracy", "on_answers",
    "open_part", "own_answers", "paired", "part_of", "parts_by_entity", "question_starts", "reference_logprobs", "rounds",
    "row_nlls", "score", "some_rows", "step_within", "text_rows", "train", "trained_edit", "without_ends",
]
