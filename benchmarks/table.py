"""A Markdown table, and the machine in words. Knows no benchmark."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Headings and rows as Markdown, columns aligned; the first column to the left, the others to the right."""
    widths = [max(len(line[place]) for line in (headings, *rows)) for place in range(len(headings))]
    rule = ["-" * width if not place else "-" * (width - 1) + ":" for place, width in enumerate(widths)]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.rjust(width) if place else cell.ljust(width)
                  for place, (cell, width) in enumerate(zip(cells, widths, strict=True))]
        return f"| {' | '.join(padded)} |"

    return "\n".join(line(cells) for cells in (headings, rule, *rows))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def machine() -> str:
    """"2 cores, no GPU": as much as a reader needs to compare."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    return f"{cores} cores, {gpu}"


def threads() -> str:
    """"2 threads": how many torch computes with."""
    import torch

    count = torch.get_num_threads()
    return f"{count} thread{'s' if count > 1 else ''}"


def load_average() -> float:
    """Processes that wanted a core in the last minute."""
    return os.getloadavg()[0]
