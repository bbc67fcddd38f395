"""Original and unlearned model answering together, against a plain batch of two of the original.

`python -m benchmarks.pair [--sizes "built-in size,100 M"] [--rank 8] [--tokens 50] [--device auto]`. Both go through
the same loop, token by token; runs alternate, so that a busy moment of the machine hits both.
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
REPEATS = {"built-in size": 21, "100 M": 7, "tiny": 5}


def token_seconds(loaded: LoadedModel, edit: LowRankEdit | None, tokens: int) -> float:
    """Seconds a token for two rows, the reading of the prompt included."""
    started = time.perf_counter()
    count = sum(1 for _ in stream_pair(loaded, edit, QUESTION, max_tokens=tokens))
    return (time.perf_counter() - started) / count


def compare(loaded: LoadedModel, edit: LowRankEdit, tokens: int, repeats: int) -> tuple[float, float, float]:
    """Medians of (seconds a token plain, with the edit on one row, ratio of neighbouring runs)."""
    token_seconds(loaded, edit, tokens)
    plain, pair = [], []
    for _ in range(repeats):
        plain.append(token_seconds(loaded, None, tokens))
        pair.append(token_seconds(loaded, edit, tokens))
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
    print(f"\nMedians of alternating runs of {chosen.tokens} tokens; {threads()}; "
          f"load average {before:.1f} before.")


if __name__ == "__main__":
    main()
