"""Fusion: one map gives itself back, equal ones do, disjoint inputs leave no residual, overlap gives numpy's least squares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import random_edit  # noqa: F401 - makes the path of the tests' own modules known
from torch import Tensor

from unlearn_core.edits.kinds import load_edit
from unlearn_core.edits.layers import LayerEdit, TrainedLayers, fused
from unlearn_core.errors import BadInput
from unlearn_core.models.loading import LoadedModel
from unlearn_core.sequence.carry import combine
from unlearn_core.subspace.fusion import fuse
from unlearn_core.training import Row


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gram(inputs: Tensor) -> Tensor:
    return inputs.T @ inputs


def test_one_map_and_equal_maps_give_themselves_back() -> None:
    own, first, second = drawn(4, 6), drawn(3, 6, seed=1), drawn(20, 6, seed=2)  # fewer inputs than dimensions, and more
    for inputs in ([first], [second], [first, second]):
        torch.testing.assert_close(fuse([own] * len(inputs), [gram(each) for each in inputs]), own)


def test_disjoint_inputs_leave_no_residual() -> None:
    maps = [drawn(4, 6, seed=3), drawn(4, 6, seed=4)]
    inputs = [torch.cat([drawn(9, 3), torch.zeros(9, 3)], 1), torch.cat([torch.zeros(9, 3), drawn(9, 3, seed=5)], 1)]
    one = fuse(maps, [gram(each) for each in inputs], ridge=1e-12)
    for each, own in zip(inputs, maps, strict=True):
        torch.testing.assert_close(each @ one.T, each @ own.T)


def test_overlap_gives_the_least_squares_optimum() -> None:
    maps, inputs = [drawn(4, 6, seed=seed) for seed in (6, 7, 8)], [drawn(11, 6, seed=seed) for seed in (9, 10, 11)]
    one = fuse(maps, [gram(each) for each in inputs], ridge=1e-14)
    targets = [each @ own.T for each, own in zip(inputs, maps, strict=True)]
    best, *_ = np.linalg.lstsq(torch.cat(inputs).numpy(), torch.cat(targets).numpy(), rcond=None)
    np.testing.assert_allclose(one.numpy(), best.T, atol=1e-9)


def layers(loaded: LoadedModel, width: int, seed: int) -> LayerEdit:
    trained = TrainedLayers(loaded.model, width, seed)
    for place, matrix in enumerate(trained.outer):
        matrix.data = drawn(*matrix.shape, seed=100 * seed + place).float()
    rows = [Row((5, 9, 200 + seed, 31), 2), Row((7, 7, 8, 100 + seed, 12), 1)]
    return trained.edit(trained.grams(loaded, rows))


def test_a_sequence_fuses_with_its_ridge_towards_the_mean_where_little_was_read(tiny: LoadedModel) -> None:
    """What `sequence --mode fuse` makes of single matrices, against its closed form in numpy."""
    edits = [layers(tiny, 0, seed) for seed in (1, 2)]
    made = combine("fuse", edits)
    assert combine("fuse", edits[:1]) is not None and combine("fuse", []) is None
    for name, (found,) in made.layers.items():
        maps, grams = ([getattr(edit, part)[name][0].double().numpy() for edit in edits] for part in ("layers", "grams"))
        bound = 0.1 * np.trace(sum(grams)) / len(grams[0])
        wanted = sum(own @ gram for own, gram in zip(maps, grams, strict=True)) + bound * sum(maps) / 2
        np.testing.assert_allclose(found.numpy(), wanted @ np.linalg.inv(sum(grams) + bound * np.eye(len(grams[0]))), atol=1e-3)


@pytest.mark.parametrize("width", [0, 5])
def test_layers_of_one_request_fuse_to_themselves(tiny: LoadedModel, width: int, tmp_path) -> None:
    edit = layers(tiny, width, 1)
    edit.save(tmp_path / "e.safetensors")
    for one in (fused([edit]), fused([edit, edit]), fused([load_edit(tmp_path / "e.safetensors")])):
        for name, layer in edit.layers.items():
            for mine, other in zip(layer, one.layers[name], strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_grams_are_those_of_what_the_layers_read(tiny: LoadedModel) -> None:
    edit = layers(tiny, 5, 2)
    name = next(iter(edit.layers))
    seen: list[Tensor] = []
    handle = tiny.model.get_submodule(name).register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    with torch.no_grad():
        for row in ([5, 9, 202, 31], [7, 7, 8, 102, 12]):
            tiny.model(input_ids=torch.tensor([row]))
    handle.remove()
    read = torch.cat([each[0] for each in seen])
    inner = (read @ edit.layers[name][0].T).clamp_min(0)
    torch.testing.assert_close(edit.grams[name][0], gram(read), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(edit.grams[name][1], gram(inner), rtol=1e-4, atol=1e-4)


def test_layers_that_do_not_fit_together_are_refused(tiny: LoadedModel) -> None:
    with pytest.raises(BadInput, match="fused"):
        fused([layers(tiny, 5, 1), layers(tiny, 0, 1)])
    with pytest.raises(BadInput, match="fused"):
        fused([LayerEdit(layers(tiny, 5, 1).layers)])
