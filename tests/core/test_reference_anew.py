"""Every method that holds on to the original holds on to the same one where its log-probabilities are too many to be kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from unlearn_core import training
from unlearn_core.activations import InputMoments
from unlearn_core.events import Loss
from unlearn_core.methods import METHODS, Context, find_method, settings_of
from unlearn_core.models.loading import LoadedModel
from unlearn_core.topics.topic import Topic
from unlearn_core.training import Row, encode_rows, readings

VOCABULARY, WIDTH = 260, 64  # of the taught model
ASKING = [
    name
    for name in METHODS
    if any(
        reading in inspect.getsource(inspect.getmodule(find_method(name).fit))
        for reading in ("reference_logprobs", "damage_meter")
    )
]
SETTINGS: dict[str, dict[str, Any]] = {
    "eul": {"epochs": 4},
    "kga": {"helper_steps": 4},
    "whp": {"keep": 4.0, "reinforce": 4},
    "quark": {"every": 2},
}
VARIANTS = {name: (name, SETTINGS.get(name, {})) for name in ASKING} | {
    "eul, square": ("eul", {"epochs": 4, "width": 0}),
    "unlearn, groups": ("unlearn", {"groups": 2}),
}


@pytest.fixture
def losses(
    taught: LoadedModel, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, int], list[float]]:
    """A function of a method and of the bytes there are for each answer token whose log-probabilities it wants to keep, giving the
    losses of its first steps."""
    reference_logprobs, room = readings.reference_logprobs, [0]

    def limited(loaded: LoadedModel, rows: Sequence[Row], *how: Any, **more: Any) -> Callable[[Sequence[int]], Tensor]:
        monkeypatch.setattr(readings, "KEPT_BYTES", room[0] * sum(len(row.ids) - row.start for row in rows))
        return reference_logprobs(loaded, rows, *how, **more)

    for module in (training, readings):
        monkeypatch.setattr(module, "reference_logprobs", limited)

    def found(variant: str, bytes_each: int) -> list[float]:
        name, settings = VARIANTS[variant]
        method, room[0] = find_method(name), bytes_each
        settings = settings_of(method, ({"steps": 6} if "steps" in method.config.model_fields else {}) | settings)
        told = [item for item in method.fit(Context(taught, tiny_topic.given(), 0), settings) if isinstance(item, Loss)]
        return [value for loss in told for value in (loss.forget, loss.retain) if value is not None]

    return found


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_original_found_anew_at_each_step_gives_the_losses_of_the_one_that_was_kept(
    variant: str, losses: Callable[[str, int], list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, score = [], readings.score
    monkeypatch.setattr(readings, "score", lambda *given, **more: passes.append(1) or score(*given, **more))
    kept, once = losses(variant, 4 * VOCABULARY), len(passes)
    anew = losses(variant, 0)
    assert len(passes) > 2 * once and len(kept) >= 6
    assert anew == pytest.approx(kept, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_room_for_hidden_states_alone_gives_the_same_losses(
    variant: str, losses: Callable[[str, int], list[float]]
) -> None:
    assert losses(variant, 4 * WIDTH) == pytest.approx(losses(variant, 4 * VOCABULARY), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("capped", [False, True])
@pytest.mark.parametrize("bytes_each", [4 * VOCABULARY, 4 * WIDTH, 0])
def test_who_reads_along_sees_every_text_once_or_none(
    bytes_each: int, capped: bool, taught: LoadedModel, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics of kept text are taken from these passes, where there were any; some models bound their logits after the head."""
    rows, forward = encode_rows(taught, tiny_topic.questions[:6]), taught.model.forward

    def bounded(*given: Any, **more: Any) -> Any:
        output = forward(*given, **more)
        output.logits = 5 * torch.tanh(output.logits / 5)
        return output

    if capped:
        monkeypatch.setitem(taught.model.__dict__, "forward", bounded)
    monkeypatch.setattr(readings, "KEPT_BYTES", bytes_each * sum(len(row.ids) - row.start for row in rows))
    with torch.no_grad():
        logits = [taught.model(input_ids=torch.tensor([row.ids])).logits[0, row.start - 1 : -1] for row in rows]
    moments = InputMoments(taught.model)
    original = readings.reference_logprobs(taught, rows, along=moments)
    assert moments.count in (0, sum(len(row.ids) for row in rows))
    torch.testing.assert_close(
        original([4, 1]), torch.log_softmax(torch.cat([logits[4], logits[1]]), -1), rtol=1e-4, atol=1e-4
    )
