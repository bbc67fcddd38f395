"""SVD of a product of two thin factors, against the dense SVD of that product: `python -m benchmarks.spectrum`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from unlearn_core.subspace import low_rank_svd

from .table import load_average, markdown, median, threads


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median time of one call."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return median(times)


def row(width: int, rank: int, repeats: int) -> list[str]:
    """One line: times, their ratio, and the largest relative difference of the singular values."""
    stream = torch.Generator().manual_seed(0)
    B = torch.randn(width, rank, generator=stream)
    A = torch.randn(rank, width, generator=stream)
    product = B @ A
    low_rank_svd(B, A)
    thin = seconds(lambda: low_rank_svd(B, A), 5 * repeats)
    dense = seconds(lambda: torch.linalg.svd(product, full_matrices=False), repeats)
    exact = torch.linalg.svdvals(product.double())[:rank]
    error = float(((low_rank_svd(B, A)[1] - exact).abs() / exact).max())
    return [str(width), str(rank), f"{dense * 1e3:.0f}", f"{thin * 1e3:.2f}", f"{dense / thin:.0f}", f"{error:.1e}"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spectrum", description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args(arguments)
    before = load_average()
    print(markdown(["width", "rank", "dense SVD, ms", "from the factors, ms", "times faster", "largest difference"],
                   [row(chosen.width, chosen.rank, chosen.repeats)]))
    print(f"\nMedians; {threads()}; load average {before:.1f} before.")


if __name__ == "__main__":
    main()
