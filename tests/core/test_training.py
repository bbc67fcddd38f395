"""The trainer: scores against one unpadded text at a time, changes that leave the weights alone, and its events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

import numpy as np
import pytest
import torch
from tiny_models import random_edit
from torch import Tensor
from transformers import Gemma2Config, Gemma2ForCausalLM

from unlearn_core import objectives
from unlearn_core.edits.attach import attached
from unlearn_core.events import Loss
from unlearn_core.methods.base import Context, Snapshot
from unlearn_core.models.loading import LoadedModel, linears, weights_hash
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.topics.topic import Given, Question, Topic
from unlearn_core.training import (
    Change,
    Plan,
    Row,
    Scored,
    Tally,
    answer_nlls,
    encode_rows,
    forced_choices,
    greedy_share,
    loss_of,
    open_part,
    part_of,
    parts_by_entity,
    readings,
    reference_logprobs,
    score,
    some_rows,
    train,
)
from unlearn_core.training.product import WithProduct


def question(number: int, prompt: str, answer: str, options: tuple[str, ...] = ()) -> Question:
    return Question(f"q-{number}", "forget", prompt, answer, "both", options)


OPEN = [question(0, "Ada hat?", "red"), question(1, "Bo has which hat?", "a green one"), question(2, "Cy?", "x")]
CHOICES = [question(place, f"Hat {'I' * place}?", "yes", ("yes", "no")) for place in range(3, 8)]


def logits_alone(loaded: LoadedModel, row: Row) -> np.ndarray:
    """Log-probabilities (answer tokens, vocabulary) of one row without padding."""
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([row.ids])).logits[0, row.start - 1:-1].double().numpy()
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def logprob_alone(loaded: LoadedModel, row: Row) -> float:
    answer = row.ids[row.start:]
    return float(logits_alone(loaded, row)[np.arange(len(answer)), answer].sum())


def descend(part: Scored, places=()) -> Tensor:
    return objectives.answer_nll(part.logits, part.labels, part.rows, part.count)


def identities(loaded: LoadedModel) -> dict[str, Tensor]:
    return {name: torch.eye(place.in_features) for name, place in linears(loaded.model).items()}


def context_of(loaded: LoadedModel, cancelled: Callable[[], bool] = lambda: False, seed: int = 0) -> Context:
    return Context(loaded, Given((), (), ()), seed, cancelled)


# rows and scores


def test_a_row_is_the_prompt_and_the_answer(tiny: LoadedModel) -> None:
    for row, asked in zip(encode_rows(tiny, OPEN), OPEN, strict=True):
        assert list(row.ids[:row.start]) == encode_prompt(tiny.tokenizer, asked.prompt)
        assert list(row.ids[row.start:]) == encode_answer(tiny.tokenizer, asked.answer)
        assert row.options == 0


def test_a_forced_choice_is_one_row_an_option(tiny: LoadedModel) -> None:
    rows = encode_rows(tiny, [OPEN[0], *CHOICES[:2]], choices=True)
    assert [row.options for row in rows] == [0, 2, 2, 2, 2]
    assert list(rows[1].ids[rows[1].start:]) == encode_answer(tiny.tokenizer, "no")
    assert [row.options for row in encode_rows(tiny, CHOICES)] == [0] * len(CHOICES)


def test_scores_of_a_padded_batch_are_those_of_each_row_alone(tiny: LoadedModel) -> None:
    rows = encode_rows(tiny, OPEN)
    with torch.no_grad():
        scored = score(tiny, rows)
    assert scored.labels.tolist() == [token for row in rows for token in row.ids[row.start:]]
    assert scored.rows.tolist() == [place for place, row in enumerate(rows) for _ in row.ids[row.start:]]
    expected = np.concatenate([logits_alone(tiny, row) for row in rows])
    np.testing.assert_allclose(torch.log_softmax(scored.logits.double(), dim=-1), expected, atol=1e-4)


def test_a_model_that_gives_all_logits_scores_the_same(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = encode_rows(tiny, OPEN)
    few = score(tiny, rows)
    monkeypatch.setattr(LoadedModel, "few_logits", lambda self, wanted: {})
    every = score(tiny, rows)
    assert torch.equal(few.labels, every.labels) and torch.equal(few.rows, every.rows)
    torch.testing.assert_close(few.logits, every.logits)


def test_the_loss_of_an_answer_is_the_sum_over_its_tokens(tiny: LoadedModel) -> None:
    rows = encode_rows(tiny, OPEN)
    expected = [-logprob_alone(tiny, row) for row in rows]
    np.testing.assert_allclose(answer_nlls(tiny, rows, batch=2), expected, rtol=1e-4)


def test_forced_choices_are_scored_by_whole_options(tiny: LoadedModel) -> None:
    four = question(9, "Which?", "red", ("red", "blue", "a green one", "x"))
    rows = encode_rows(tiny, [CHOICES[0], OPEN[1], four, CHOICES[1]], choices=True)
    with torch.no_grad():
        scores, groups = forced_choices(score(tiny, rows))
    chosen = [row for row in rows if row.options]
    np.testing.assert_allclose(scores, [logprob_alone(tiny, row) for row in chosen], rtol=1e-4)
    assert groups.tolist() == [0, 0, 1, 1, 1, 1, 2, 2]


def test_a_batch_of_open_questions_has_no_forced_choice(tiny: LoadedModel) -> None:
    with torch.no_grad():
        assert not any(len(part) for part in forced_choices(score(tiny, encode_rows(tiny, OPEN))))


def test_parts_of_a_batch_are_numbered_from_zero(tiny: LoadedModel) -> None:
    rows = encode_rows(tiny, [CHOICES[0], *OPEN], choices=True)
    with torch.no_grad():
        scored = score(tiny, rows)
        alone = score(tiny, rows[2:])
    for part in (part_of(scored, 2, 5), open_part(scored)):
        assert part.rows.tolist() == alone.rows.tolist() and part.count == 3
        assert part.labels.tolist() == alone.labels.tolist()
        torch.testing.assert_close(part.logits, alone.logits, atol=1e-4, rtol=1e-4)


def test_a_loss_of_nothing_is_zero_where_logits_add_up_to_more_than_16_bits_hold() -> None:
    logits = torch.full((4, 100), 1000.0, dtype=torch.float16, requires_grad=True)
    nothing = Scored(logits, torch.zeros(4, dtype=torch.long), torch.tensor([0, 0, 1, 1]), torch.zeros(2)).nothing()
    assert float(nothing.detach()) == 0 and logits.sum().isinf()
    nothing.backward()
    assert torch.equal(logits.grad, torch.zeros(4, 100, dtype=torch.float16))


def test_reference_log_probabilities_are_found_by_position(tiny: LoadedModel) -> None:
    rows = encode_rows(tiny, OPEN)
    found = reference_logprobs(tiny, rows, batch=2)([2, 0])
    expected = np.concatenate([logits_alone(tiny, rows[2]), logits_alone(tiny, rows[0])])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def passes_of(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every pass of the model from here on."""
    passes: list[int] = []
    forward = type(loaded.model).forward

    @wraps(forward)
    def counted(*given: object, **named: object) -> object:
        passes.append(1)
        return forward(*given, **named)

    monkeypatch.setattr(type(loaded.model), "forward", counted)
    return passes


def test_references_too_large_to_keep_come_from_what_the_head_reads(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = encode_rows(tiny, OPEN)
    tokens = sum(len(row.ids) - row.start for row in rows)
    expected = np.concatenate([logits_alone(tiny, rows[2]), logits_alone(tiny, rows[0])])
    monkeypatch.setattr(readings, "KEPT_BYTES", 4 * tokens * 32)  # the width of the model, not its vocabulary
    found, passes = reference_logprobs(tiny, rows, batch=2), passes_of(tiny, monkeypatch)
    with attached(tiny.model, random_edit(tiny)):
        np.testing.assert_allclose(found([2, 0]), expected, atol=1e-4)
    assert not passes
    np.testing.assert_allclose(logits_alone(tiny, rows[2]), expected[: len(rows[2].ids) - rows[2].start], atol=1e-6)


@pytest.mark.parametrize("room", ["none", "states"])
def test_references_are_asked_anew_where_nothing_of_them_can_be_kept(
    room: str, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No room at all, or a model that bounds its logits after the head (Gemma 2)."""
    loaded = tiny
    if room == "states":
        config = Gemma2Config(vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                              num_key_value_heads=2, head_dim=8, final_logit_softcapping=0.5, initializer_range=0.2)
        loaded = replace(tiny, model=Gemma2ForCausalLM(config).eval().requires_grad_(False))
    rows = encode_rows(loaded, OPEN)
    tokens = sum(len(row.ids) - row.start for row in rows)
    monkeypatch.setattr(readings, "KEPT_BYTES", 0 if room == "none" else 4 * 32 * tokens)
    found, passes = reference_logprobs(loaded, rows), passes_of(loaded, monkeypatch)
    np.testing.assert_allclose(found([1]), logits_alone(loaded, rows[1]), atol=1e-4)
    assert passes


def test_greedy_share_counts_answers_right_in_every_token(taught: LoadedModel, tiny_topic: Topic) -> None:
    rows = encode_rows(taught, tiny_topic.questions[:7])
    wrong = Row((*rows[0].ids[:-2], 90, rows[0].ids[-1]), rows[0].start)
    assert greedy_share(context_of(taught), None, rows) == 1.0
    assert greedy_share(context_of(taught), None, [*rows, wrong], batch=3) == 7 / 8


def test_some_rows_are_whole_questions_in_order() -> None:
    rows = [Row((place, 1, 2), 1, options=size) for place, size in enumerate([3, 3, 3, 0, 2, 2, 0, 3, 3, 3])]
    assert some_rows(rows, len(rows), seed=0) == rows
    found = [some_rows(rows, 4, seed) for seed in range(20)]
    for part in found:
        kept = [row.ids[0] for row in part]
        assert kept == sorted(set(kept)) and 4 <= len(part) <= 6
        assert all(group <= set(kept) or not group & set(kept) for group in ({0, 1, 2}, {4, 5}, {7, 8, 9}))
    assert len({tuple(part) for part in found}) > 1


def test_loss_of_is_the_mean_over_rows_in_blocks(tiny: LoadedModel) -> None:
    rows = encode_rows(tiny, OPEN)
    expected = np.mean([-logprob_alone(tiny, row) / len(row.ids[row.start:]) for row in rows])
    edit = Change(tiny.model, rank=2).edit()  # starts at zero
    assert loss_of(context_of(tiny), edit, rows, descend, batch=2) == pytest.approx(expected, rel=1e-4)


# the change


def test_a_change_starts_at_zero(tiny: LoadedModel) -> None:
    rows = encode_rows(tiny, OPEN)
    for change in (Change(tiny.model, rank=3), Change(tiny.model, identities(tiny))):
        assert not any(delta.any() for delta in change.deltas().values())
        with torch.no_grad():
            original = score(tiny, rows).logits
            with change.active():
                assert torch.equal(score(tiny, rows).logits, original)


def test_a_change_needs_either_directions_or_a_rank(tiny: LoadedModel) -> None:
    with pytest.raises(ValueError):
        Change(tiny.model)
    with pytest.raises(ValueError):
        Change(tiny.model, {}, rank=2)


def test_training_with_a_change_equals_running_with_its_edit(tiny: LoadedModel) -> None:
    change = Change(tiny.model, rank=3, seed=1)
    with torch.no_grad():
        for left in change.left:
            left.normal_(std=0.1, generator=torch.Generator().manual_seed(2))
        rows, edit = encode_rows(tiny, OPEN), change.edit()
        original = score(tiny, rows).logits
        with change.active():
            trained = score(tiny, rows).logits
        assert not torch.equal(trained, original) and torch.equal(score(tiny, rows).logits, original)
        with attached(tiny.model, edit):
            run = score(tiny, rows).logits
        torch.testing.assert_close(trained, run, atol=1e-4, rtol=1e-4)
        before = edit.delta(edit.names[0]).clone()
        change.left[0].add_(1.0)
        assert torch.equal(edit.delta(edit.names[0]), before)  # the edit shares no memory with the change


def test_the_product_of_one_step_is_the_same_as_of_four() -> None:
    generator = torch.Generator().manual_seed(3)
    sizes = {"inputs": (2, 5, 7), "left": (4, 3), "right": (3, 7)}
    mine = {name: torch.randn(size, generator=generator, dtype=torch.float64, requires_grad=True) for name, size in sizes.items()}
    weight, bias = (torch.randn(size, generator=generator, dtype=torch.float64) for size in ((4, 7), (4,)))
    theirs = {name: value.detach().clone().requires_grad_() for name, value in mine.items()}
    given = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    for strength in (1.0, 0.6):
        for values in (mine, theirs):
            for value in values.values():
                value.grad = None
        found = WithProduct.apply(mine["inputs"], weight, bias, mine["left"], mine["right"], strength)
        expected = theirs["inputs"] @ (weight + strength * theirs["left"] @ theirs["right"]).T + bias
        torch.testing.assert_close(found, expected)
        (found * given).sum().backward()
        (expected * given).sum().backward()
        for name in sizes:
            torch.testing.assert_close(mine[name].grad, theirs[name].grad)


def test_the_product_takes_frozen_factors_no_bias_no_rows_and_strength_0() -> None:
    weight, right, inputs = torch.eye(3)[:2], torch.ones(1, 3), torch.arange(3.0).repeat(2, 1)
    left = torch.tensor([[1.0], [2.0]], requires_grad=True)
    found = WithProduct.apply(inputs, weight, None, left, right, 1.0)
    assert found.tolist() == [[3.0, 7.0]] * 2  # (0, 1) + 3 * (1, 2)
    found.sum().backward()
    assert left.grad.tolist() == [[6.0], [6.0]] and right.grad is None
    assert torch.equal(WithProduct.apply(inputs, weight, None, left, right, 0.0), inputs[:, :2])
    assert WithProduct.apply(inputs[:0], weight, None, left, right, 1.0).shape == (0, 2)


def test_maps_that_are_no_plain_ones_get_a_hook_and_the_same_gradients(tiny: LoadedModel) -> None:
    """Such as one on which an edit is attached: its own forward must be kept."""
    rows, under, slopes = encode_rows(tiny, OPEN), random_edit(tiny), []
    own = {name: place.weight.data for name, place in linears(tiny.model).items()}
    for way in ("attached", "folded"):
        change = Change(tiny.model, rank=3, seed=1)
        with torch.no_grad():
            for left in change.left:
                left.normal_(std=0.1, generator=torch.Generator().manual_seed(2))
        if way == "folded":
            for name, place in linears(tiny.model).items():
                place.weight.data = own[name] + under.delta(name)
        try:
            with attached(tiny.model, under if way == "attached" else None), change.active():
                score(tiny, rows).logits.square().sum().backward()
        finally:
            for name, place in linears(tiny.model).items():
                place.weight.data = own[name]
        assert not any("forward" in place.__dict__ for place in linears(tiny.model).values())
        slopes.append([parameter.grad for parameter in change.parameters()])
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_an_error_inside_leaves_the_modules_as_they_were(tiny: LoadedModel) -> None:
    change = Change(tiny.model, rank=2)
    with pytest.raises(ZeroDivisionError), change.active():
        raise ZeroDivisionError
    assert not any(place.__dict__.get("forward") or place._forward_hooks for place in linears(tiny.model).values())


def test_what_stands_after_the_last_predicted_token_is_never_read(tiny: LoadedModel) -> None:
    seen: list[int] = []
    rows = encode_rows(tiny, OPEN)
    handle = tiny.model.get_input_embeddings().register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[1]))
    try:
        with torch.no_grad():
            longest = max(rows, key=lambda row: len(row.ids))
            short, whole = score(tiny, [longest]).logits, score(tiny, [longest], whole=True).logits
    finally:
        handle.remove()
    assert seen == [len(longest.ids) - 1, len(longest.ids)]
    torch.testing.assert_close(short, whole)


def test_given_directions_are_never_trained(tiny: LoadedModel) -> None:
    directions = {name: torch.full((2, place.in_features), 0.1) for name, place in linears(tiny.model).items()}
    change = Change(tiny.model, directions)
    list(train(context_of(tiny), change, Plan(2, 1e-2), encode_rows(tiny, OPEN), [], descend, None))
    for name, (left, right) in change.edit().factors.items():
        assert left.any() and torch.equal(right, directions[name])


def test_a_resumed_change_is_the_edit_that_it_goes_on_from(tiny: LoadedModel) -> None:
    edit = random_edit(tiny)
    again = Change.resumed(tiny.model, edit)
    assert all(torch.equal(again.edit().delta(name), edit.delta(name)) for name in edit.names)
    with torch.no_grad():
        again.left[0].add_(1.0)
    assert not torch.equal(again.edit().factors[edit.names[0]][0], edit.factors[edit.names[0]][0])  # a copy


def test_parts_hold_whole_entities_or_where_too_few_are_named_every_nth_question() -> None:
    named = [Question(str(n), "forget", "?", "!", entity=name) for n, name in enumerate("aabbccddee")]
    assert parts_by_entity(named, 2) == [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7]]
    assert parts_by_entity(named[:4], 3) == [[0, 3], [1], [2]]
    assert parts_by_entity(named[:1], 5) == [[0]] and parts_by_entity([], 5) == []


def test_several_trainings_count_as_one_with_the_edits_before(tiny: LoadedModel) -> None:
    first, second = random_edit(tiny), random_edit(tiny, scale=0.1)
    tally = Tally(5)
    told = [*tally.told([Loss(1, 2, 0.5, None), Loss(2, 2, 0.25, None)]),
            *tally.told([Loss(1, 3, 1.0, 2.0), Snapshot(2, 3, second)], [first])]
    assert told[:3] == [Loss(1, 5, 0.5, None), Loss(2, 5, 0.25, None), Loss(3, 5, 1.0, 2.0)]
    name = first.names[0]
    assert (told[3].step, told[3].total) == (4, 5)
    assert torch.allclose(told[3].edit.delta(name), first.delta(name) + second.delta(name), atol=1e-6)


def test_only_the_named_matrices_move(tiny: LoadedModel) -> None:
    change = Change(tiny.model, identities(tiny))
    chosen = change.names[2:4]
    change.train_only(chosen)
    list(train(context_of(tiny), change, Plan(2, 1e-2), encode_rows(tiny, OPEN), [], descend, None))
    assert [name for name, delta in change.deltas().items() if delta.any()] == chosen


# the trainer


def test_training_lowers_the_loss_and_leaves_the_weights_alone(tiny: LoadedModel) -> None:
    rows, change, before = encode_rows(tiny, OPEN), Change(tiny.model, rank=4), weights_hash(tiny.model)
    losses = [event for event in train(context_of(tiny), change, Plan(15, 1e-2, snapshots=1), rows, [], descend, None)
              if isinstance(event, Loss)]
    assert [event.step for event in losses] == list(range(1, 16)) and {event.total for event in losses} == {15}
    assert losses[-1].forget < 0.8 * losses[0].forget and all(event.retain is None for event in losses)
    expected = np.mean([-logprob_alone(tiny, row) / len(row.ids[row.start:]) for row in rows])
    assert losses[0].forget == pytest.approx(expected, rel=1e-4)
    assert weights_hash(tiny.model) == before == tiny.weights_hash
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in tiny.model.parameters())


def test_retain_loss_is_told_which_rows_it_holds(tiny: LoadedModel) -> None:
    forget, retain = encode_rows(tiny, OPEN[:1]), encode_rows(tiny, OPEN)
    seen: list[int] = []

    def keep(part: Scored, places) -> Tensor:
        expected = [token for place in places for token in retain[place].ids[retain[place].start:]]
        assert part.labels.tolist() == expected and part.count == len(places)
        seen.extend(places)
        return descend(part)

    plan = Plan(6, 1e-3, forget_rows=1, retain_rows=2)
    events = [e for e in train(context_of(tiny), Change(tiny.model, rank=2), plan, forget, retain, descend, keep)
              if isinstance(e, Loss)]
    assert set(seen) == {0, 1, 2} and len(seen) == 12
    assert all(event.forget is not None and event.retain is not None for event in events)


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_forget_rows_see_so_much_of_the_change_and_kept_rows_all_of_it(tiny: LoadedModel, strength: float) -> None:
    edit, rows = random_edit(tiny, 2), encode_rows(tiny, OPEN)
    seen: dict[str, Tensor] = {}

    def noting(name: str):
        def loss(part: Scored, places) -> Tensor:
            seen[name] = part.logits.detach().clone()
            return descend(part)

        return loss

    change, plan = Change.resumed(tiny.model, edit), Plan(1, 1e-9, forget_rows=3, retain_rows=3)
    list(train(context_of(tiny), change, plan, rows, rows, noting("forget"), noting("kept"), forget_strength=strength))
    for name, share in (("forget", strength), ("kept", 1.0)):
        with attached(tiny.model, edit.scaled(share)), torch.no_grad():
            expected = {row: part_of(score(tiny, [row]), 0, 1).logits for row in rows}
        found = sorted(seen[name].sum(1).tolist())
        assert found == pytest.approx(sorted(torch.cat(list(expected.values())).sum(1).tolist()), abs=1e-3)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_loss_that_asks_the_original_anew_gets_the_original(
    tiny: LoadedModel, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large vocabulary's log-probabilities are not kept but found again at each step, which the change must not be on for."""
    rows = encode_rows(tiny, OPEN)
    known = torch.cat([torch.log_softmax(score(tiny, [row]).logits.detach().float(), -1) for row in rows])
    monkeypatch.setattr(readings, "KEPT_BYTES", 0)
    original = reference_logprobs(tiny, rows)
    seen: list[Tensor] = []

    def keep(part: Scored, places) -> Tensor:
        seen.append(original(sorted(places)))
        return descend(part)

    change = Change.resumed(tiny.model, random_edit(tiny, 2))
    list(train(context_of(tiny), change, Plan(1, 1e-9, retain_rows=3), rows, rows, descend, keep, forget_strength=strength))
    torch.testing.assert_close(seen[0], known, atol=1e-4, rtol=1e-4)


def test_a_penalty_alone_keeps_the_change_small(tiny: LoadedModel) -> None:
    def size(penalty) -> float:
        change, plan = Change(tiny.model, rank=2), Plan(8, 1e-2, snapshots=1)
        list(train(context_of(tiny), change, plan, encode_rows(tiny, OPEN), [], descend, None, penalty))
        return sum(float(delta.detach().square().sum()) for delta in change.deltas().values())

    assert size(lambda deltas: 100 * sum(delta.square().sum() for delta in deltas.values())) < 0.5 * size(None)


def test_the_edit_in_progress_is_on_during_a_snapshot_only(tiny: LoadedModel) -> None:
    rows = encode_rows(tiny, OPEN)
    original = score(tiny, rows).logits
    snapshots, change = [], Change(tiny.model, rank=2)
    for event in train(context_of(tiny), change, Plan(4, 1e-2, snapshots=2), rows, [], descend, None):
        during = isinstance(event, Snapshot)
        assert torch.equal(score(tiny, rows).logits, original) != during
        snapshots += [event] if during else []
    assert [(event.step, event.total) for event in snapshots] == [(2, 4), (4, 4)]


@pytest.mark.parametrize("steps", [0, 3])
def test_a_stop_ends_before_the_next_step(tiny: LoadedModel, steps: int) -> None:
    done: list[Loss] = []
    change, context = Change(tiny.model, rank=2), context_of(tiny, lambda: len(done) >= steps)
    for event in train(context, change, Plan(50, 1e-2), encode_rows(tiny, OPEN), [], descend, None):
        if isinstance(event, Loss):
            done.append(event)
    assert len(done) == steps
    assert any(delta.any() for delta in change.deltas().values()) == (steps > 0)


def test_the_seed_decides_everything(tiny: LoadedModel) -> None:
    def result(seed: int) -> dict[str, Tensor]:
        change = Change(tiny.model, rank=2, seed=seed)
        plan = Plan(4, 1e-2, forget_rows=1)
        list(train(context_of(tiny, seed=seed), change, plan, encode_rows(tiny, OPEN), [], descend, None))
        return {name: delta.detach() for name, delta in change.deltas().items()}

    first, second, other = result(1), result(1), result(2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def drawn(loaded: LoadedModel, rows: list[Row], size: int, steps: int) -> list[list[int]]:
    """Which rows each batch of training on `rows` holds, by position."""
    seen: list[list[int]] = []

    def note(part: Scored, places) -> Tensor:
        seen.append(list(places))
        return part.logits.sum() * 0

    plan = Plan(steps, 1e-3, retain_rows=size, snapshots=1)
    list(train(context_of(loaded), Change(loaded.model, rank=1), plan, [], rows, None, note))
    return seen


def test_the_options_of_a_choice_come_together(tiny: LoadedModel) -> None:
    """Five choices in batches of two: now and then a batch holds the end of one round and the start of the next."""
    for batch in drawn(tiny, encode_rows(tiny, CHOICES, choices=True), size=4, steps=12):
        assert len(batch) == 4
        assert all(place % 2 == 0 and after == place + 1 for place, after in zip(batch[::2], batch[1::2], strict=True))


def test_every_row_is_drawn_once_a_round(tiny: LoadedModel) -> None:
    rows = encode_rows(tiny, CHOICES, choices=True)
    every = [place for batch in drawn(tiny, rows, size=2, steps=10) for place in batch]
    assert sorted(every[:10]) == sorted(every[10:]) == list(range(10))


def test_a_batch_larger_than_the_rows_holds_each_once(tiny: LoadedModel) -> None:
    for batch in drawn(tiny, encode_rows(tiny, OPEN), size=64, steps=3):
        assert sorted(batch) == [0, 1, 2]


def test_learning_to_be_undecided_evens_the_options_out(tiny: LoadedModel) -> None:
    rows = encode_rows(tiny, CHOICES, choices=True)
    plan = Plan(25, 1e-2, forget_rows=len(rows), warmup=1, snapshots=1)
    events = train(context_of(tiny), Change(tiny.model, rank=4), plan, rows, [],
                   lambda part, places: objectives.option_spread(*forced_choices(part)), None)
    losses = [event.forget for event in events if isinstance(event, Loss)]
    assert losses[-1] < 0.1 * losses[0] and np.isfinite(losses).all()
