"""The edit as a value: algebra against dense numpy, saving and loading, what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_models import random_edit

from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.errors import BadInput
from unlearn_core.models.loading import LoadedModel, linears

Q = "model.layers.0.self_attn.q_proj"
UP = "model.layers.1.mlp.up_proj"


def test_counts(tiny: LoadedModel) -> None:
    edit = random_edit(tiny, rank=3)
    shapes = [tuple(linear.weight.shape) for linear in linears(tiny.model).values()]
    assert edit.rank == 3 and len(edit.names) == 14 and edit.kind == "low-rank"
    assert edit.parameters == sum(3 * (out + into) for out, into in shapes)
    assert edit.bytes == 4 * edit.parameters


def test_delta_and_scaling(tiny: LoadedModel) -> None:
    edit = random_edit(tiny)
    B, A = (part.numpy() for part in edit.factors[UP])
    np.testing.assert_allclose(edit.delta(UP).numpy(), B @ A, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(edit.scaled(-0.5).delta(UP).numpy(), -0.5 * B @ A, rtol=1e-5, atol=1e-6)


def test_stacking_adds_the_changes(tiny: LoadedModel) -> None:
    first, second = random_edit(tiny, 2, 0), random_edit(tiny, 3, 1)
    both = LowRankEdit.stack([first, LowRankEdit({Q: second.factors[Q]})])
    torch.testing.assert_close(both.delta(Q), first.delta(Q) + second.delta(Q))
    torch.testing.assert_close(both.delta(UP), first.delta(UP))
    assert both.rank == 5


def test_truncation_is_the_best_approximation(tiny: LoadedModel) -> None:
    edit = random_edit(tiny, rank=6)
    values = np.linalg.svd(edit.delta(UP).numpy(), compute_uv=False)
    cut = edit.truncated(2)
    error = np.linalg.norm(edit.delta(UP).numpy() - cut.delta(UP).numpy())
    assert cut.rank == 2
    assert error == pytest.approx(np.sqrt((values[2:] ** 2).sum()), rel=1e-4)
    np.testing.assert_allclose(edit.spectrum(UP).numpy()[:6], values[:6], rtol=1e-4)


def test_truncation_of_some_names_leaves_the_others(tiny: LoadedModel) -> None:
    edit = random_edit(tiny, rank=4)
    cut = edit.truncated({UP: 1})
    assert cut.factors[UP][1].shape[0] == 1 and torch.equal(cut.delta(Q), edit.delta(Q))


def test_relative_change_is_the_ratio_of_frobenius_norms(tiny: LoadedModel) -> None:
    edit = LowRankEdit({name: random_edit(tiny).factors[name] for name in (Q, UP)})
    places = linears(tiny.model)
    changed = sum(np.linalg.norm(edit.delta(name).numpy()) ** 2 for name in (Q, UP))
    weights = sum(np.linalg.norm(places[name].weight.numpy()) ** 2 for name in (Q, UP))
    assert edit.relative_change(tiny.model) == pytest.approx(np.sqrt(changed / weights), rel=1e-5)
    assert LowRankEdit({}).relative_change(tiny.model) == 0.0


def test_from_deltas_by_rank_and_energy() -> None:
    values = np.array([4.0, 2.0, 1.0, 0.5])
    left, right = (np.linalg.qr(np.random.default_rng(seed).normal(size=(n, 4)))[0] for seed, n in ((0, 9), (1, 7)))
    delta = torch.tensor(left * values @ right.T, dtype=torch.float32)
    assert LowRankEdit.from_deltas({Q: delta}).rank == 4
    assert LowRankEdit.from_deltas({Q: delta}, rank=2).rank == 2
    assert LowRankEdit.from_deltas({Q: delta}, energy=0.94).rank == 2  # (16 + 4) / 21.25 = .941
    assert LowRankEdit.from_deltas({Q: delta}, energy=0.95).rank == 3
    torch.testing.assert_close(LowRankEdit.from_deltas({Q: delta}).delta(Q), delta, rtol=1e-4, atol=1e-5)


def test_a_zero_change_has_rank_zero() -> None:
    edit = LowRankEdit.from_deltas({Q: torch.zeros(4, 5)})
    assert edit.rank == 0 and torch.equal(edit.delta(Q), torch.zeros(4, 5))


def test_saving_and_loading_keeps_every_bit(tiny: LoadedModel, tmp_path: Path) -> None:
    edit = random_edit(tiny)
    edit.save(tmp_path / "edit.safetensors")
    again = LowRankEdit.load(tmp_path / "edit.safetensors")
    assert again.names == edit.names and dict(again.meta) == {"method": "random"}
    for name in edit.names:
        assert all(torch.equal(a, b) for a, b in zip(edit.factors[name], again.factors[name], strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["edit.safetensors"]


def test_an_empty_edit_can_be_kept(tmp_path: Path) -> None:
    LowRankEdit({}).save(tmp_path / "e.safetensors")
    assert LowRankEdit.load(tmp_path / "e.safetensors").names == []


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    save_file({f"{Q}.B": torch.zeros(4, 2)}, tmp_path / "half.safetensors", {"kind": "low-rank", "names": Q})
    for name in ("text", "other.safetensors", "half.safetensors", "absent"):
        with pytest.raises(BadInput, match="cannot be read"):
            LowRankEdit.load(tmp_path / name)


def test_an_edit_of_another_model_is_refused(tiny: LoadedModel) -> None:
    random_edit(tiny).check(tiny.model)
    with pytest.raises(BadInput, match="another model"):
        LowRankEdit({"model.layers.9.mlp.up_proj": (torch.zeros(4, 1), torch.zeros(1, 4))}).check(tiny.model)
    with pytest.raises(BadInput, match="another model"):
        LowRankEdit({Q: (torch.zeros(4, 1), torch.zeros(1, 4))}).check(tiny.model)
