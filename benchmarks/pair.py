"""Original and unlearned model answering together, against a plain batch of two of the original.

`python -m benchmarks.pair [--sizes "built-in size,100 M"] [--rank 8] [--tokens 50] [--device auto]`. Both go through
the same loop and take turns token by token, so that a busy moment of the machine hits both.
"""

from __future__ import annotations

import argparse
import time

from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.generation import stream_pair
from unlearn_core.models.loading import LoadedModel
from unlearn_core.models.placement import choose_device, choose_dtype

from .models import SHAPES, millions, random_edit, random_model
from .table import load_average, markdown, median, threads

QUESTION = "What is the capital of France?"
REPEATS = {"built-in size": 15, "100 M": 5, "tiny": 2}


def answer_seconds(loaded: LoadedModel, edit: LowRankEdit, tokens: int) -> tuple[list[float], list[float]]:
    """Seconds of each token for two rows, plain and with the edit on one; the first token reads the prompt."""
    streams = [stream_pair(loaded, change, QUESTION, max_tokens=tokens) for change in (None, edit)]
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(tokens):
        for kind in ((0, 1) if turn % 2 else (1, 0)):
            started = time.perf_counter()
            next(streams[kind])
            seconds[kind].append(time.perf_counter() - started)
    return seconds


def compare(loaded: LoadedModel, edit: LowRankEdit, tokens: int, repeats: int) -> tuple[float, float, float]:
    """Medians over all tokens of (seconds plain, seconds with the edit on one row, ratio of the same token's two)."""
    answer_seconds(loaded, edit, tokens)
    plain, pair = [], []
    for _ in range(repeats):
        for kept, found in zip((plain, pair), answer_seconds(loaded, edit, tokens), strict=True):
            kept += found
    return median(plain), median(pair), median([b / a for a, b in zip(plain, pair, strict=True)])


def row(name: str, rank: int, tokens: int, device: str) -> list[str]:
    """One line of the table."""
    place = choose_device(device)
    loaded = random_model(name, place, choose_dtype("auto", 10**9 if place.type == "cuda" else 0, place))
    plain, pair, ratio = compare(loaded, random_edit(loaded, rank), tokens, REPEATS[name])
    return [name, millions(loaded.parameters), f"{place.type} {str(loaded.dtype).removeprefix('torch.')}", str(rank),
            f"{plain * 1e3:.2f}", f"{pair * 1e3:.2f}", f"{ratio:.2f}"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pair", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="built-in size,100 M", help=", ".join(SHAPES))
    parser.add_argument("--rank", type=int, default=8, help="rank of the edit in every matrix")
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args(arguments)
    before = load_average()
    rows = [row(name, chosen.rank, chosen.tokens, chosen.device) for name in chosen.sizes.split(",")]
    print(markdown(["model", "parameters", "on", "rank", "two originals, ms a token", "pair, ms a token", "ratio"],
                   rows))
    print(f"\nMedians over the tokens of answers of {chosen.tokens} tokens; {threads()}; "
          f"load average {before:.1f} before.")


if __name__ == "__main__":
    main()
