"""A method for tests: adds seeded noise that depends on the given questions, in steps as slow as wished."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from unlearn_core.methods.base import Context, Method, MethodConfig, Snapshot, Stage


class SlowNoiseConfig(MethodConfig):
    rank: int = Field(2, ge=1, le=16, description="rank of the noise")
    steps: int = Field(3, ge=1, description="how many steps")
    pause: float = Field(0.0, ge=0, description="seconds a step")
    scale: float = Field(0.3, description="size of the noise")
    fault: str = Field("", description="what to do wrong: raise | touch | nothing")


def fit(context: Context, config: SlowNoiseConfig) -> Iterator[Any]:
    import torch

    from unlearn_core.edits.attach import attached
    from unlearn_core.edits.low_rank import LowRankEdit
    from unlearn_core.events import Loss
    from unlearn_core.models.loading import linears

    given = context.given
    text = repr((given.forget, given.neighbor, given.retain)).replace(", reworded=''", "")  # what is not there makes no other noise
    generator = torch.Generator().manual_seed(context.seed + int(hashlib.sha256(text.encode()).hexdigest()[:8], 16))
    if "seen" not in context.kept:
        context.kept["seen"] = torch.tensor([len(given.forget), len(given.neighbor), len(given.retain)])
    factors = {}
    for name, linear in linears(context.loaded.model).items():
        left = torch.randn(linear.out_features, config.rank, generator=generator)
        factors[name] = left * config.scale, torch.randn(config.rank, linear.in_features, generator=generator)
    yield Stage("noise")
    if config.fault == "raise":
        raise RuntimeError("the noise is too loud")
    if config.fault == "touch":
        next(context.loaded.model.parameters()).data.add_(1.0)
    done = 0
    for step in range(1, config.steps + 1):
        if context.cancelled():
            break
        time.sleep(config.pause)
        done = step
        with attached(context.loaded.model, LowRankEdit(factors).scaled(step / config.steps)):
            yield Snapshot(step, config.steps)
        yield Loss(step, config.steps, float(step), None)
    if config.fault != "nothing":
        yield LowRankEdit(factors).scaled(done / config.steps)


METHOD = Method(name="slow-noise", title="Slow noise", paper="none", family="gradient", summary="Adds noise.", knob="rank",
                config=SlowNoiseConfig, stages=(("noise", "Make noise"),), fit=fit, cost="nothing")
