"""UNLEARN's margin: who gets one, and what it does to kept text's weight."""

from __future__ import annotations

import pytest

from unlearn_core.methods.unlearn import MARGIN, UnlearnConfig, _with_margin


@pytest.mark.parametrize(
    ("asked", "named", "forced", "at"),
    [
        (0.0, False, False, MARGIN),  # a task and nothing else
        (0.0, True, False, 1.0),  # facts are told apart by names alone
        (0.0, False, True, 1.0),  # a forced choice is brought to a mark, which a margin would overshoot
        (0.8, True, False, 0.8),
        (0.8, False, False, 0.8),
        (0.8, False, True, 1.0),
        (1.0, False, False, 1.0),
    ],
)
def test_a_margin_is_for_open_questions_without_names_unless_asked_for(
    asked: float, named: bool, forced: bool, at: float
) -> None:
    found = _with_margin(UnlearnConfig(forget_at=asked, keep=10.0), named, forced)
    assert found.forget_at == at
    assert found.keep == (20.0 if at < 1 else 10.0)
