"""What RMU, module negation, NSRU, RepSelect, LEARN and PCGU promise beyond what every method owes, and the parts they rest on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from unlearn_core import objectives
from unlearn_core.activations import WeightGradients, second_moments
from unlearn_core.edits.attach import attached
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.events import Loss
from unlearn_core.methods import Context, find_method, settings_of
from unlearn_core.models.loading import LoadedModel, linears, matrix_place
from unlearn_core.spectra import moment_basis
from unlearn_core.topics.topic import Question, Topic
from unlearn_core.training import Change, Row, Scaling, answer_nlls, damage_meter, encode_rows, score, step_within


def fitted(loaded: LoadedModel, topic: Topic, name: str, **settings: Any) -> tuple[LowRankEdit, list[Loss]]:
    method = find_method(name)
    items = list(method.fit(Context(loaded, topic.given(), 0), settings_of(method, settings)))
    edits = [item for item in items if isinstance(item, LowRankEdit)]
    return edits[-1], [item for item in items if isinstance(item, Loss)]


def rows_of(loaded: LoadedModel, topic: Topic) -> tuple[list[Row], list[Row]]:
    given = topic.given()
    return encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)


def nll(loaded: LoadedModel, edit: LowRankEdit | None, rows: list[Row]) -> float:
    with attached(loaded.model, edit):
        return float(answer_nlls(loaded, rows).mean())


# parts


@pytest.fixture
def asking(tiny: LoadedModel) -> Iterator[dict[str, torch.Tensor]]:
    """The tiny model's linear weights while they ask for gradients."""
    weights = {name: place.weight.requires_grad_(True) for name, place in linears(tiny.model).items()}
    yield weights
    for weight in weights.values():
        weight.requires_grad_(False)


def test_gradients_of_weights_are_those_of_autograd(tiny: LoadedModel, tiny_topic: Topic, asking) -> None:
    rows = [*rows_of(tiny, tiny_topic)[0][:5], Row((5, 6, 7, 8, 9, 10, 11, 12), 3)]  # of mixed lengths
    expected, found = [], []
    for turn in range(2):
        scored = score(tiny, rows)
        loss = (turn + 1) * objectives.answer_nll(scored.logits, scored.labels, scored.rows, scored.count)
        expected.append(torch.autograd.grad(loss, list(asking.values())))
    for weight in asking.values():
        weight.requires_grad_(False)
    with WeightGradients(tiny.model) as gradients:
        scored = score(tiny, rows)
        loss = objectives.answer_nll(scored.logits, scored.labels, scored.rows, scored.count)
        found += [gradients.of(loss, again=True), gradients.of(2 * loss)]
    for right, mine in zip(expected, found, strict=True):
        for gradient, name in zip(right, asking, strict=True):
            torch.testing.assert_close(mine[name], gradient, rtol=1e-4, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in tiny.model.parameters())


def test_a_change_within_a_span_reads_nothing_else(tiny: LoadedModel) -> None:
    within = {name: torch.eye(place.weight.shape[1])[:3] for name, place in linears(tiny.model).items()}
    change = Change(tiny.model, rank=2, within=within, names=list(within)[:4])
    with torch.no_grad():
        for left in change.left:
            left.normal_(generator=torch.Generator().manual_seed(0))
    edit = change.edit()
    assert edit.names == list(within)[:4]
    for name in edit.names:
        assert edit.delta(name)[:, :3].any() and not edit.delta(name)[:, 3:].any()
        assert torch.equal(change.deltas()[name].detach(), edit.delta(name))
    ids = torch.tensor([[4, 5, 6, 7]])
    with torch.no_grad(), attached(tiny.model, edit):
        expected = tiny.model(ids).logits
    with torch.no_grad(), change.active():
        torch.testing.assert_close(tiny.model(ids).logits, expected)


def test_scaling_computes_what_its_edit_does(tiny: LoadedModel) -> None:
    scaling = Scaling(tiny.model)
    with torch.no_grad():
        for scale in scaling.scales:
            scale.normal_(std=0.2, generator=torch.Generator().manual_seed(len(scale)))
        ids = torch.tensor([[4, 5, 6, 7]])
        before = tiny.model(ids).logits
        with attached(tiny.model, scaling.edit()):
            expected = tiny.model(ids).logits
        with scaling.active():
            torch.testing.assert_close(tiny.model(ids).logits, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before, expected)
    for (name, place), scale in zip(linears(tiny.model).items(), scaling.scales, strict=True):
        torch.testing.assert_close(scaling.edit().delta(name), scale.detach()[:, None] * place.weight)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_a_whole_edit_is_the_dense_change(shape: tuple[int, int]) -> None:
    delta = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    edit = LowRankEdit.whole({"a": delta})
    assert torch.equal(edit.delta("a"), delta) and edit.rank == min(shape)


def test_a_step_is_shortened_to_the_budget_and_added_to_what_was_done() -> None:
    def damage(edit: LowRankEdit) -> float:
        return float(edit.delta("a").square().sum())

    done, step = {"a": torch.tensor([[1.0, 0.0]])}, {"a": torch.tensor([[2.0, 0.0]])}
    whole, spent, short = step_within(10.0, damage, done, step)
    assert whole["a"].tolist() == [[3.0, 0.0]] and spent == pytest.approx(9.0) and not short
    part, spent, short = step_within(4.0, damage, done, step)
    assert short and 1.0 < float(part["a"][0, 0]) <= 2.0 and spent <= 4.0
    first, _, _ = step_within(10.0, damage, {}, step)
    assert first["a"].tolist() == [[2.0, 0.0]] and done["a"].tolist() == [[1.0, 0.0]]


def test_damage_is_the_mean_kl_of_all_answer_tokens(taught: LoadedModel, tiny_topic: Topic) -> None:
    kept = rows_of(taught, tiny_topic)[1]
    edit = LowRankEdit({name: (0.02 * B, A) for name, (B, A) in _noise(taught).factors.items()})
    with torch.no_grad():
        before = torch.log_softmax(score(taught, kept).logits, dim=-1)
        with attached(taught.model, edit):
            after = torch.log_softmax(score(taught, kept).logits, dim=-1)
    expected = float((before.exp() * (before - after)).sum(dim=1).mean())
    meter = damage_meter(Context(taught, tiny_topic.given(), 0), kept, batch=3)
    assert meter(edit) == pytest.approx(expected, rel=1e-4) and expected > 0
    assert meter(LowRankEdit({})) == pytest.approx(0.0, abs=1e-7)


def _noise(loaded: LoadedModel) -> LowRankEdit:
    stream = torch.Generator().manual_seed(2)
    return LowRankEdit({
        name: (torch.randn(place.weight.shape[0], 2, generator=stream), torch.randn(2, place.weight.shape[1], generator=stream))
        for name, place in linears(loaded.model).items()
    })


# methods


@pytest.mark.parametrize(("depth", "layers"), [(0.5, {0}), (1.0, {0, 1}), (0.01, {0})])
def test_rmu_changes_no_layer_above_its_own(taught, tiny_topic, depth: float, layers: set[int]) -> None:
    edit, _ = fitted(taught, tiny_topic, "rmu", steps=2, depth=depth)
    assert {matrix_place(name)[0] for name in edit.names} == layers
    assert set(edit.names) == {name for name in linears(taught.model) if matrix_place(name)[0] in layers}


def test_rmu_sends_forget_text_away_and_leaves_kept_text(taught: LoadedModel, tiny_topic: Topic) -> None:
    _, losses = fitted(taught, tiny_topic, "rmu")
    assert losses[-1].forget < 0.3 * losses[0].forget
    assert losses[0].retain == pytest.approx(0.0, abs=1e-6)


def test_nsru_reads_no_direction_that_kept_text_uses(taught: LoadedModel, tiny_topic: Topic) -> None:
    energy = 0.9
    edit, _ = fitted(taught, tiny_topic, "nsru", steps=5, energy=energy)
    moments = second_moments(taught, rows_of(taught, tiny_topic)[1])
    for name in edit.names:
        delta, U = edit.delta(name), moment_basis(moments[name], energy)
        assert delta.norm() > 0
        assert (delta @ U).norm() < 1e-4 * delta.norm()


def test_negated_modules_are_the_trained_ones_turned_round(taught: LoadedModel, tiny_topic: Topic) -> None:
    for module in ("lora", "ia3"):
        once, _ = fitted(taught, tiny_topic, "module-negation", steps=5, scale=1.0, module=module)
        thrice, _ = fitted(taught, tiny_topic, "module-negation", steps=5, scale=3.0, module=module)
        forget = rows_of(taught, tiny_topic)[0]
        before = nll(taught, None, forget)
        assert nll(taught, once.scaled(-1.0), forget) < before < nll(taught, once, forget)
        for name in once.names:
            torch.testing.assert_close(3 * once.delta(name), thrice.delta(name))


@pytest.mark.parametrize("budget", [0.003, 0.05])
@pytest.mark.parametrize("name", ["repselect", "pcgu"])
def test_the_damage_budget_is_kept(taught: LoadedModel, tiny_topic: Topic, name: str, budget: float) -> None:
    edit, losses = fitted(taught, tiny_topic, name, budget=budget)
    damage = damage_meter(Context(taught, tiny_topic.given(), 0), rows_of(taught, tiny_topic)[1])
    assert damage(edit) <= budget * 1.02
    assert losses[-1].retain == pytest.approx(damage(edit), rel=0.02, abs=1e-6)


def test_repselect_changes_the_feed_forward_maps_alone(taught: LoadedModel, tiny_topic: Topic) -> None:
    edit, _ = fitted(taught, tiny_topic, "repselect", steps=2)
    assert edit.names == [name for name in linears(taught.model) if ".mlp." in name]


def test_pcgu_changes_no_more_rows_than_its_share(taught: LoadedModel, tiny_topic: Topic) -> None:
    edit, _ = fitted(taught, tiny_topic, "pcgu", steps=1, share=0.1, budget=10.0)
    lengths = [edit.delta(name).norm(dim=1) for name in edit.names]
    longest = max(float(part.max()) for part in lengths)
    changed = sum(int((part > 1e-5 * longest).sum()) for part in lengths)
    rows = sum(place.weight.shape[0] for place in linears(taught.model).values())
    assert changed == round(0.1 * rows)


def test_pcgu_leaves_a_choice_alone_that_the_right_answer_does_not_lead(taught, tiny_topic: Topic) -> None:
    def asked(question: Question) -> Question:
        return replace(question, answer="zzz", options=("zzz", question.answer)) if question.split == "forget" else question

    edit, losses = fitted(taught, replace(tiny_topic, questions=tuple(map(asked, tiny_topic.questions))), "pcgu", steps=3)
    assert not edit.names and all(loss.forget == 0 for loss in losses)


def test_learn_teaches_what_the_model_lacks(taught: LoadedModel, tiny_topic: Topic) -> None:
    def moved(question: Question) -> Question:
        return replace(question, answer=f"{question.answer[1:]}x") if question.split == "forget" else question

    new = replace(tiny_topic, questions=tuple(map(moved, tiny_topic.questions)))
    topic, kept = rows_of(taught, new)
    edit, _ = fitted(taught, new, "learn")
    gain = nll(taught, None, topic) - nll(taught, edit, topic)
    loss = nll(taught, edit, kept) - nll(taught, None, kept)
    assert gain > 2.0 and gain > 10 * loss, (gain, loss)


def test_llmu_shows_its_random_answers_in_turn(taught: LoadedModel, tiny_topic: Topic) -> None:
    few, _ = fitted(taught, tiny_topic, "llmu", steps=3, answers=1)
    many, _ = fitted(taught, tiny_topic, "llmu", steps=3, answers=6)
    assert any(not torch.equal(few.delta(name), many.delta(name)) for name in few.names)
