"""A request as plain data: frozen, checked, hashed, and written as the command that repeats it."""

from __future__ import annotations

import shlex

import pytest
from pydantic import ValidationError

from unlearn_core.__main__ import _config, _parser
from unlearn_core.config import FORGET_SPLITS, KEEP_SPLITS, SPLITS, RaceConfig, RunConfig

FULL = RunConfig(model="my models/a b", topic="it's.csv", method="task-vector", seed=7, edits=("2026-01-01-a", "b"),
                 settings={"rank": 4, "rate": 1e-4, "soft": False, "mode": "a b", "layers": [1, 2], "cap": None},
                 device="cpu", dtype="bfloat16")


@pytest.mark.parametrize("config", [FULL, RunConfig(topic="book-series")])
def test_the_command_repeats_the_request(config: RunConfig) -> None:
    words = shlex.split(config.command())
    assert words[:3] == ["python", "-m", "unlearn_core"]
    assert _config(_parser().parse_args(words[3:])) == config


def test_the_digest_depends_on_the_content_only() -> None:
    same = RunConfig(**{**FULL.model_dump(), "settings": dict(reversed(FULL.settings.items()))})
    assert same.digest() == FULL.digest() and len(FULL.digest()) == 8
    assert FULL.model_copy(update={"seed": 8}).digest() != FULL.digest()


@pytest.mark.parametrize("fields", [{}, {"topic": "t", "seed": -1}, {"topic": "t", "seed": 2**31},
                                    {"topic": "t", "methd": "x"}, {"topic": "t", "method": "Un Learn"},
                                    {"topic": "t", "device": "tpu"}])
def test_a_bad_request_is_refused(fields: dict) -> None:
    with pytest.raises(ValidationError):
        RunConfig(**fields)


@pytest.mark.parametrize("seed", [-1, 99999999999999, "x", 1.5])
@pytest.mark.parametrize("kind", [RunConfig, RaceConfig])
def test_a_seed_out_of_bounds_names_both(kind: type, seed: object) -> None:
    with pytest.raises(ValidationError) as caught:
        kind(topic="t", seed=seed)
    assert [fault["msg"] for fault in caught.value.errors()] == ["It should be a whole number from 0 to 2147483647"]


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        FULL.seed = 1


def test_every_split_is_either_forgotten_or_kept() -> None:
    assert sorted(FORGET_SPLITS + KEEP_SPLITS) == sorted(SPLITS) and not set(FORGET_SPLITS) & set(KEEP_SPLITS)
