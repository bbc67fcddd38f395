"""Steps per second of three methods, against a bare training loop of the same loss: `python -m benchmarks.steps`.

The bare loop is what a reader of the papers would write with transformers and peft: one padded batch to forget, one to keep,
a forward pass for each, logits at all places, and for NPO the original's likelihood from a pass with the adapter off at every step.
Both train the same LoRA with the same optimiser on the same rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import cycle

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn import functional

from unlearn_core.events import Loss
from unlearn_core.methods import Context, find_method, settings_of
from unlearn_core.models.loading import LoadedModel, linears, load
from unlearn_core.preflight import model_folder
from unlearn_core.topics.catalogue import find_topic
from unlearn_core.training import Row, encode_rows

from .table import load_average, markdown, median, threads

FORGET_ROWS, RETAIN_ROWS, RANK, RATE = 32, 40, 8, 3e-3  # those of the methods
Batch = tuple[Tensor, Tensor, Tensor]  # ids, mask, labels


def batches(rows: list[Row], size: int) -> Iterator[Batch]:
    """Endless padded batches."""
    parts = [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]
    for part in cycle(parts):
        width = max(len(row.ids) for row in part)
        ids = torch.tensor([[*row.ids, *[0] * (width - len(row.ids))] for row in part])
        mask = torch.tensor([[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in part])
        labels = torch.tensor(
            [[-100] * row.start + list(row.ids[row.start :]) + [-100] * (width - len(row.ids)) for row in part]
        )
        yield ids, mask, labels


def nll(model: torch.nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Summed answer NLL of every row, and its number of tokens."""
    ids, mask, labels = batch
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    each = functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none")
    return each.sum(1), (labels[:, 1:] != -100).sum(1)


def npo(model: torch.nn.Module, batch: Batch) -> Tensor:
    with torch.no_grad(), model.disable_adapter():
        reference, _ = nll(model, batch)
    return -2 / 0.5 * functional.logsigmoid(0.5 * (nll(model, batch)[0] - reference)).mean()


def simnpo(model: torch.nn.Module, batch: Batch) -> Tensor:
    total, count = nll(model, batch)
    return -2 / 2.5 * functional.logsigmoid(2.5 * total / count).mean()


def difference(model: torch.nn.Module, batch: Batch) -> Tensor:
    total, count = nll(model, batch)
    return functional.relu(4.0 - total / count).mean()


LOSSES: dict[str, Callable[[torch.nn.Module, Batch], Tensor]] = {
    "npo": npo, "gradient-difference": difference, "simnpo": simnpo}  # fmt: skip


def bare(loaded: LoadedModel, name: str, forget: list[Row], retain: list[Row], steps: int) -> list[float]:
    """Seconds of each step of the bare loop."""
    targets = sorted({name.rsplit(".", 1)[-1] for name in linears(loaded.model)})
    model = get_peft_model(loaded.model, LoraConfig(r=RANK, lora_alpha=RANK, target_modules=targets, lora_dropout=0.0))
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE)
    drawn, seconds = zip(batches(forget, FORGET_ROWS), batches(retain, RETAIN_ROWS), strict=False), []
    for _ in range(steps):
        started = time.perf_counter()
        first, second = next(drawn)
        total, count = nll(model, second)
        loss = LOSSES[name](model, first) + (total / count).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        seconds.append(time.perf_counter() - started)
    loaded.model = model.unload()
    loaded.model.requires_grad_(False)
    return seconds


def ours(context: Context, name: str, steps: int) -> list[float]:
    """Seconds of each step of the method."""
    method, seconds = find_method(name), []
    fitting, started = method.fit(context, settings_of(method, {"steps": steps})), time.perf_counter()
    for item in fitting:
        if isinstance(item, Loss):
            seconds.append(time.perf_counter() - started)
        if isinstance(item, Loss) and item.step == steps:
            break
        started = time.perf_counter()
    fitting.close()
    return seconds[1:]


def row(name: str, steps: int, rounds: int) -> list[str]:
    """One line: steps a second of both, in turns, and their ratio."""
    loaded = load("demo", "cpu", "float32")
    given = find_topic("book-series", model_folder("demo")).given()
    forget, retain = encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)
    mine: list[float] = []
    others: list[float] = []
    for _ in range(rounds):
        mine += ours(Context(loaded, given, 0), name, steps)
        others += bare(loaded, name, forget, retain, steps)[1:]
    fast, slow = 1 / median(mine), 1 / median(others)
    return [name, f"{slow:.2f}", f"{fast:.2f}", f"{fast / slow:.2f}"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args(arguments)
    before = load_average()
    rows = [row(name, chosen.steps, chosen.rounds) for name in LOSSES]
    print(markdown(["method", "bare loop, steps a second", "Lethe, steps a second", "times as fast"], rows))
    print(f"\nBuilt-in model, book-series; medians, in turns; {threads()}; load average {before:.1f} before. The one pass for "
          "NPO's reference, once a run, is not in the steps.")


if __name__ == "__main__":
    main()
