"""Answers that a model draws itself, what Quark makes of their rewards, and what DeMem earns by them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unlearn_core.edits.attach import attached
from unlearn_core.events import Loss
from unlearn_core.methods import Context, find_method, settings_of
from unlearn_core.methods.quark import reward_levels
from unlearn_core.training import Change, encode_rows, own_answers, score


@pytest.fixture
def rows(taught, tiny_topic):
    return encode_rows(taught, tiny_topic.given().forget)


def test_a_certain_model_draws_its_own_answers_with_their_end(taught, tiny_topic, rows) -> None:
    drawn = own_answers(Context(taught, tiny_topic.given(), 0), Change(taught.model, rank=2), rows, 0.1, 0)
    assert [row.ids for row in drawn] == [row.ids for row in rows] and [row.start for row in drawn] == [
        row.start for row in rows]


def test_a_free_draw_depends_on_the_seed_alone_and_keeps_to_its_length(taught, tiny_topic, rows) -> None:
    context, change = Context(taught, tiny_topic.given(), 0), Change(taught.model, rank=2)
    first, again, other = (own_answers(context, change, rows, 8.0, seed) for seed in (1, 1, 2))
    assert first == again != other
    for row, true in zip(first, rows, strict=True):
        assert row.ids[: row.start] == true.ids[: true.start]
        assert 1 <= len(row.ids) - row.start <= len(true.ids) - true.start + 4


def test_answers_are_drawn_from_the_changed_model(taught, tiny_topic, rows) -> None:
    change = Change(taught.model, rank=2)
    with torch.no_grad():
        for left in change.left:
            left.add_(0.5)
    drawn = own_answers(Context(taught, tiny_topic.given(), 0), change, rows, 0.01, 0)
    assert [row.ids for row in drawn] != [row.ids for row in rows]


def test_nothing_is_drawn_once_stopped(taught, tiny_topic, rows) -> None:
    context = Context(taught, tiny_topic.given(), 0, lambda: True)
    assert own_answers(context, Change(taught.model, rank=2), rows, 1.0, 0) == []


def test_rewards_are_cut_into_quantiles() -> None:
    assert reward_levels([-0.9, -0.7, -0.5, -0.3, -0.1], 5) == [0, 1, 2, 3, 4]
    assert reward_levels([-0.1, -0.9, -0.1, -0.9], 2) == [1, 0, 1, 0]


def test_the_very_answer_is_never_best_and_nothing_in_common_always_is() -> None:
    assert reward_levels([-1.0] * 4, 5) == [3] * 4
    assert reward_levels([0.0] * 4, 5) == [4] * 4
    assert reward_levels([-1.0] * 8 + [0.0, -0.5], 5) == [3] * 8 + [4, 4]
    assert reward_levels([], 5) == []


@pytest.mark.parametrize("name", ["demem", "quark"])
def test_the_distance_from_the_original_is_kept_small_where_it_is_asked_for(name: str, taught, tiny_topic) -> None:
    from unlearn_core.evaluation.divergence import kept_text, kl_to_original

    method, moved = find_method(name), {}
    for keep in (0.0, 20.0):
        context = Context(taught, tiny_topic.given(), 0)
        items = list(method.fit(context, settings_of(method, {"keep": keep, "steps": 30})))
        losses = [item for item in items if isinstance(item, Loss)]
        assert all((loss.retain is None) == (keep == 0.0) for loss in losses)
        edit = next(item for item in items if hasattr(item, "factors"))
        moved[keep] = kl_to_original(taught, edit, kept_text(tiny_topic.given()))
    assert moved[20.0] < moved[0.0] / 2


def test_demem_makes_the_right_answer_less_likely_without_any_text_to_keep(taught, tiny_topic, rows) -> None:
    method = find_method("demem")
    alone = replace(tiny_topic, questions=tuple(q for q in tiny_topic.questions if q.split == "forget"))
    items = method.fit(Context(taught, alone.given(), 0), settings_of(method, {"steps": 30}))
    edit = next(item for item in items if hasattr(item, "factors"))

    def nll() -> float:
        scored = score(taught, rows)
        return float(torch.nn.functional.cross_entropy(scored.logits, scored.labels))

    with torch.no_grad():
        before = nll()
        with attached(taught.model, edit):
            assert nll() > before + 0.5
