"""Second moments of inputs against sums made by hand, one unpadded text at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from unlearn_core.activations import InputMoments, second_moments
from unlearn_core.models.loading import LoadedModel, linears
from unlearn_core.training import Row, reference_logprobs, score

IDS = [[0, 2, 40, 41, 42, 43, 3, 60], [0, 2, 99, 3], [0, 2, 17, 18, 19, 3, 7, 8, 9, 10, 11]]
ROWS = [Row(tuple(ids), 2) for ids in IDS]


@contextmanager
def listening(loaded: LoadedModel) -> Iterator[dict[str, list[np.ndarray]]]:
    """Everything that flows into each linear map: name -> list of (tokens, in)."""
    heard: dict[str, list[np.ndarray]] = {name: [] for name in linears(loaded.model)}

    def hook(name: str):
        return lambda module, inputs: heard[name].append(inputs[0][0].double().numpy())

    handles = [place.register_forward_pre_hook(hook(name)) for name, place in linears(loaded.model).items()]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def by_hand(loaded: LoadedModel, rows: list[list[int]]) -> dict[str, np.ndarray]:
    with torch.no_grad(), listening(loaded) as heard:
        for row in rows:
            loaded.model(input_ids=torch.tensor([row]))
    joined = {name: np.concatenate(parts) for name, parts in heard.items()}
    return {name: x.T @ x / len(x) for name, x in joined.items()}


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, G in found.items():
        np.testing.assert_allclose(G.numpy(), expected[name], rtol=1e-4, atol=1e-5 * np.abs(expected[name]).max())


def test_padding_adds_nothing(tiny: LoadedModel) -> None:
    assert_same(second_moments(tiny, ROWS), by_hand(tiny, IDS))


def test_only_what_stands_behind_a_rows_start_counts(tiny: LoadedModel) -> None:
    starts = [6, 1, 4]
    with torch.no_grad(), listening(tiny) as heard:
        for ids in IDS:
            tiny.model(input_ids=torch.tensor([ids]))
    found = second_moments(tiny, ROWS, starts=starts)
    for name, inputs in heard.items():
        x = np.concatenate([part[start:] for part, start in zip(inputs, starts, strict=True)])
        np.testing.assert_allclose(found[name].numpy(), x.T @ x / len(x), rtol=1e-4, atol=1e-5 * np.abs(x.T @ x).max() / len(x))


def test_what_counts_is_said_for_one_pass_alone(tiny: LoadedModel) -> None:
    with InputMoments(tiny.model) as moments, torch.no_grad():
        moments.count_only(torch.tensor([[False, False, True, True]]))
        tiny.model(input_ids=torch.tensor([IDS[1]]), attention_mask=torch.ones(1, 4))
        assert moments.count == 2
        tiny.model(input_ids=torch.tensor([IDS[1]]), attention_mask=torch.ones(1, 4))
        assert moments.count == 6


def test_scoring_inside_the_block_gathers_the_same(tiny: LoadedModel) -> None:
    with InputMoments(tiny.model) as moments:
        reference_logprobs(tiny, ROWS, batch=2)
    assert moments.count == sum(map(len, IDS))
    assert_same(moments.means(), by_hand(tiny, IDS))
    score(tiny, ROWS)  # after the block nothing is heard any more
    assert moments.count == sum(map(len, IDS))


def test_batching_changes_nothing(tiny: LoadedModel) -> None:
    heard: list[tuple[int, int]] = []
    assert_same(second_moments(tiny, ROWS, batch_tokens=12, on_progress=lambda *done: heard.append(done)), by_hand(tiny, IDS))
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_maps_that_read_the_same_tensor_share_one_matrix(tiny: LoadedModel) -> None:
    found = second_moments(tiny, ROWS)
    layer = {name.rsplit(".", 1)[1]: G for name, G in found.items() if ".1." in name}
    assert layer["q_proj"] is layer["k_proj"] is layer["v_proj"]
    assert layer["gate_proj"] is layer["up_proj"]
    assert len({id(layer[name]) for name in ("q_proj", "o_proj", "gate_proj", "down_proj")}) == 4
    assert len({id(G) for G in found.values()}) == 8


def test_matrices_are_symmetric_and_have_no_negative_direction(tiny: LoadedModel) -> None:
    for name, G in second_moments(tiny, ROWS).items():
        assert G.shape == (linears(tiny.model)[name].in_features,) * 2 and G.dtype == torch.float32
        values = np.linalg.eigvalsh(G.double().numpy())
        assert values.min() > -1e-5 * values.max()


def test_a_stop_keeps_the_mean_of_what_was_seen(tiny: LoadedModel) -> None:
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 1

    found = second_moments(tiny, ROWS, cancelled, batch_tokens=1)  # one text a batch, the longest first
    assert_same(found, by_hand(tiny, [IDS[2]]))


def test_no_hook_stays_behind(tiny: LoadedModel) -> None:
    second_moments(tiny, ROWS)
    assert not any(place._forward_pre_hooks for place in linears(tiny.model).values())
