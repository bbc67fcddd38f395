"""What an unknown name is answered with: what was probably meant, or nothing."""

from __future__ import annotations

import pytest

from unlearn_core.audit import ATTACKS
from unlearn_core.errors import did_you_mean
from unlearn_core.methods import ALSO_CALLED, METHODS

TOPICS = ["addition", "book-series", "film-reviews", "private-people", "world-capitals"]


@pytest.mark.parametrize(("name", "known", "meant"), [
    ("graddiff", METHODS, "gradient-difference"), ("GradDiff", METHODS, "gradient-difference"),
    ("GA", METHODS, "gradient-ascent"), ("gd", METHODS, "gradient-difference"), ("KL", METHODS, "kl-minimization"),
    ("NegGrad", METHODS, "gradient-ascent"), ("neg-grad", METHODS, "gradient-ascent"), ("tv", METHODS, "task-vector"),
    ("task_arithmetic", METHODS, "task-vector"), ("fine-tune", METHODS, "finetune"), ("SimNPO", METHODS, "simnpo"),
    ("negative-preference-optimization", METHODS, "npo"), ("negation", METHODS, "module-negation"),
    ("grad", METHODS, "gradient-difference or gradient-ascent"), ("gradient_ascent", METHODS, "gradient-ascent"),
    ("unlern", METHODS, "unlearn"), ("npp", METHODS, "npo"), ("tsk-vector", METHODS, "task-vector"),
    ("sp", ATTACKS, "soft-prompt"), ("lens", ATTACKS, "logit-lens"), ("nf8", ATTACKS, "nf4"),
    ("books", TOPICS, "book-series"), ("capital", TOPICS, "world-capitals"), ("book-serie", TOPICS, "book-series"),
])
def test_an_abbreviation_a_part_or_a_slip_is_understood(name: str, known: list[str], meant: str) -> None:
    assert did_you_mean(name, list(known), ALSO_CALLED) == f"Did you mean {meant}? Known: {', '.join(known)}."


@pytest.mark.parametrize("name", ["xyz", "salun", "scrub", "memit", "foo", "g", "", "***", "x" * 5000])
def test_what_resembles_nothing_gets_no_suggestion(name: str) -> None:
    assert did_you_mean(name, list(METHODS), ALSO_CALLED) == f"Known: {', '.join(METHODS)}."


def test_many_parts_and_long_ones_do_no_harm() -> None:
    assert did_you_mean("a" * 300, ["-".join("a" * 40), f"a-{'b' * 2000}"]).startswith("Known:")
