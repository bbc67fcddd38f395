"""Tensor bytes with an edit loaded and switched on, against the model alone: `python -m benchmarks.memory`.

Counts the storages of all living tensors of the process, each once; a key-value cache, which any answer needs, is not
part of it.
"""

from __future__ import annotations

import argparse
import gc

import torch

from unlearn_core.edits.attach import attached
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.models.loading import LoadedModel
from unlearn_core.store import RECORDED, Store

from .models import SHAPES, millions, random_edit, random_model
from .table import markdown

RANKS = (4, 8, 16)


def living_bytes() -> int:
    """Bytes of the storages of every tensor that Python still holds."""
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor):
            storage = thing.untyped_storage()
            storages[storage.device, storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def added_bytes(loaded: LoadedModel, edit: LowRankEdit, before: int) -> int:
    """Bytes that the edit adds while it is on for one row, its own factors included."""
    with attached(loaded.model, edit, 1.0, slice(1, 2)):
        return living_bytes() - before


def rows(name: str, ranks: tuple[int, ...]) -> list[list[str]]:
    """One line a rank for a random model of that size."""
    before_model = living_bytes()
    loaded = random_model(name, torch.device("cpu"), torch.float32)
    alone = living_bytes() - before_model
    found = []
    for rank in ranks:
        before = living_bytes()
        edit = random_edit(loaded, rank)
        found.append(_line(name, loaded, alone, str(rank), added_bytes(loaded, edit, before)))
        del edit
    return found


def recorded_rows() -> list[list[str]]:
    """The built-in model with the edit of the recorded run, where both are there."""
    from unlearn_core.models.loading import load

    record = next((record for record in Store("runs").runs() if record.run_id == RECORDED), None)
    if record is None or record.edit_path is None:
        return []
    before_model = living_bytes()
    loaded = load(record.config.model, device="cpu")
    alone = living_bytes() - before_model
    before = living_bytes()
    edit = LowRankEdit.load(record.edit_path)
    return [_line("built-in, recorded run", loaded, alone, f"up to {edit.rank}", added_bytes(loaded, edit, before))]


def _line(name: str, loaded: LoadedModel, alone: int, rank: str, added: int) -> list[str]:
    return [name, millions(loaded.parameters), rank, f"{alone / 2**20:.1f}", f"{(alone + added) / 2**20:.1f}",
            f"{(alone + added) / alone:.3f}"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="built-in size,100 M", help=", ".join(SHAPES))
    chosen = parser.parse_args(arguments)
    found = [line for name in chosen.sizes.split(",") for line in rows(name, RANKS)] + recorded_rows()
    print(markdown(["model", "parameters", "rank", "model, MiB", "with the edit on, MiB", "ratio"], found))


if __name__ == "__main__":
    main()
