"""Where a model runs and in which number format, and whether it fits. Knows sizes, not architectures."""

from __future__ import annotations

import psutil
import torch

from ..errors import BadInput

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SMALL = 100_000_000  # parameters up to which 32 bits are used everywhere: it costs little and repeats exactly
_WORKING = 1.1  # activations, key-value cache and the edit, as a factor on the weights
_BASE = 200_000_000  # bytes used whatever the model


def _present() -> dict[str, bool]:
    return {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}


def choose_device(device: str) -> torch.device:
    """`auto` takes CUDA, then Apple's MPS, then the CPU; a device that is not there raises BadInput."""
    present = _present()
    if device == "auto":
        return torch.device(next(name for name, there in present.items() if there))
    if device not in present:
        raise BadInput(f"There is no device '{device}'.", remedy="Use auto, cuda, mps or cpu.", field="device")
    if not present[device]:
        there = ", ".join(name for name, ok in present.items() if ok)
        raise BadInput(f"This machine offers no {device} device.", f"PyTorch sees only: {there}.", "Use --device auto.",
                       field="device")
    return torch.device(device)


def free_memory(device: torch.device) -> int:
    """Free bytes where the weights would go."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def memory_need(parameters: int, dtype: torch.dtype) -> int:
    """Bytes needed to hold and run a model, roughly."""
    return int(parameters * dtype.itemsize * _WORKING) + _BASE


def choose_dtype(dtype: str, parameters: int, device: torch.device) -> torch.dtype:
    """`auto`: 32 bits for small models and on a CPU with room, else bfloat16. BadInput when the model does not fit."""
    if dtype not in DTYPES and dtype != "auto":
        raise BadInput(f"There is no number format '{dtype}'.", remedy=f"Use auto, {', '.join(DTYPES)}.", field="dtype")
    free = free_memory(device)
    if dtype != "auto":
        chosen = DTYPES[dtype]
    elif parameters <= SMALL or (device.type == "cpu" and memory_need(parameters, torch.float32) <= free):
        chosen = torch.float32
    else:
        chosen = torch.bfloat16
    need = memory_need(parameters, chosen)
    if need > free:
        raise BadInput(f"The model does not fit into memory: it needs {_gigabytes(need)}, {_gigabytes(free)} are free.",
                       f"It has {parameters / 1e6:,.0f} M parameters of {chosen.itemsize} bytes on {device.type}.",
                       _ways_out(parameters, chosen, device), field="model")
    return chosen


def _free_if_known(device: str) -> int:
    """The same, 0 where a device that is there cannot be asked: somebody may have all of it."""
    try:
        return free_memory(torch.device(device))
    except RuntimeError:
        return 0


def _ways_out(parameters: int, dtype: torch.dtype, device: torch.device) -> str:
    """What makes a model fit that does not: fewer bytes a value or another device where either is enough, else a smaller one."""
    half = dtype.itemsize > 2 and memory_need(parameters, torch.bfloat16) <= free_memory(device)
    ways = ["use --dtype bfloat16"] if half else []
    ways += [f"use --device {name}" for name, there in _present().items() if there and name != device.type
             and memory_need(parameters, dtype) <= _free_if_known(name)]
    ways += ["close other programs", "pick a smaller model"] if ways else ["pick a smaller model", "close other programs"]
    return f"{', '.join(ways[:-1])}, or {ways[-1]}.".capitalize()


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
