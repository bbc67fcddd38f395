"""How much of an answer a model has by heart: which tokens are its first choice, which n-grams it writes.

Knows token ids and hits only: neither models nor tokenizers. Whether the end token counts is the caller's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .metric import About, Metric, mean_of, unmeasured

_JANG = "Jang et al. 2023 (arXiv 2210.01504)"

ABOUT: dict[str, About] = {
    "extraction_strength": About(
        judges="How little of an answer has to be given before the model has all of the rest right, token by "
               "token.",
        better="Low on what is to be forgotten, high on what is to be kept; 0 to 1.",
        misleads="One wrong token near the end wipes out everything before it, and a lucky last token alone counts "
                 "for something, most of all in short answers.",
        source="Carlini et al. 2021 (arXiv 2012.07805) in OpenUnlearning's form, but 0 where nothing is right: "
               "there the floor is one over the answer's length.",
    ),
    "exact_memorization": About(
        judges="Which share of an answer's tokens the model would choose, given the right tokens before each.",
        better="Low on what is to be forgotten, high on what is to be kept; 0 to 1.",
        misleads="Grammar alone gets many tokens right once the beginning is given, so it stays above 0 for a "
                 "model that never saw the answer: compare with such a model.",
        source="Tirumala et al. 2022 (arXiv 2205.10770), as in OpenUnlearning: without the end token.",
    ),
    "memorization_accuracy": About(
        judges="Which share of an answer's tokens, its end among them, the model would choose, given the right "
               "tokens before each.",
        better="Low on what is to be forgotten, down to the level of text never seen; high on what is to be kept; "
               "0 to 1.",
        misleads="The end of an answer is easy to guess, and so is grammar: it stays above 0 without any memory.",
        source=f"{_JANG}: MA.",
    ),
    "extraction_likelihood": About(
        judges="Which share of the runs of n tokens that the model writes by itself after a beginning of the "
               "answer are in the true rest.",
        better="Low on what is to be forgotten, down to the level of text never seen; high on what is to be kept; "
               "0 to 1.",
        misleads="The same fact in other words counts for nothing, and a repeated true run counts each time.",
        source=f"{_JANG}: EL. Where a rest is shorter than n its length takes n's place, which is our reading.",
    ),
}

_NO_ROWS = "There are no answers to measure."


def extraction_strength(hits: Sequence[Sequence[bool]]) -> Metric:
    """1 - k/L per row, then the mean: k the first place from which on every token is a hit, L how many there are.

    `hits`: (rows, tokens of that row), whether the model's first choice is the true token when the true tokens
    before it are given (teacher forcing); the end token left out by the caller. 0 where the last token is
    missed, 1 where all are hits. Our reading of OpenUnlearning's, whose loop ends at k = L - 1 and so never
    gives 0; after Carlini et al. 2021.
    """
    return _over_rows(hits, lambda row: _tail(row) / len(row))


def exact_memorization(hits: Sequence[Sequence[bool]]) -> Metric:
    """Share of hits per row, then the mean over rows (Tirumala et al. 2022, as in OpenUnlearning).

    `hits`: as for `extraction_strength`, the end token left out by the caller.
    """
    return _over_rows(hits, _hit_share)


def memorization_accuracy(hits: Sequence[Sequence[bool]]) -> Metric:
    """MA: share of hits per row, then the mean over rows (Jang et al. 2023).

    `hits`: (rows, tokens of that row), over all answer tokens, the end token among them. The arithmetic is that
    of `exact_memorization`; the two differ only in whether the caller gives the end token, and differ by little.
    Jang et al. have no prompt and count a text's tokens from the second on; here the answer after its prompt is
    the text (our reading).
    """
    return _over_rows(hits, _hit_share)


def extraction_likelihood(
    continuations: Sequence[Sequence[Sequence[int]]], rests: Sequence[Sequence[Sequence[int]]], n: int
) -> Metric:
    """EL_n: `overlap` of continuation and rest, mean over a row's prefixes, then over rows (Jang et al. 2023).

    `continuations`, `rests`: (rows, prefixes of that row, tokens), token ids: what the model wrote greedily
    after each prefix of the answer, and what truly follows it. `n`: tokens in an n-gram (10 in the paper). Where
    a rest is shorter than `n` its length takes n's place (our reading; the paper only takes prefixes that leave
    n tokens). A continuation too short for one n-gram repeats nothing, which is 0.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    for number, parts in enumerate(rests, 1):
        if not len(parts) or not all(len(rest) for rest in parts):
            return unmeasured(f"Answer {number} leaves nothing to be continued.")
    return mean_of([_mean_overlap(*row, n) for row in zip(continuations, rests, strict=True)], _NO_ROWS)


def overlap(a: Sequence[int], b: Sequence[int], n: int) -> float:
    """OVERLAP_n: share of the n-grams of `a` (tokens,), each as often as it occurs, that `b` (tokens,) has too;
    0.0 where `a` has none."""
    grams, others = _grams(a, n), set(_grams(b, n))
    return sum(gram in others for gram in grams) / len(grams) if grams else 0.0


def _mean_overlap(found: Sequence[Sequence[int]], rests: Sequence[Sequence[int]], n: int) -> float:
    shares = [overlap(one, rest, min(n, len(rest))) for one, rest in zip(found, rests, strict=True)]
    return sum(shares) / len(shares)


def _grams(tokens: Sequence[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(tokens[place : place + n]) for place in range(len(tokens) - n + 1)]


def _over_rows(hits: Sequence[Sequence[bool]], measure: Callable[[Sequence[bool]], float]) -> Metric:
    """The measure of each row and the mean; a reason where a row has no tokens."""
    empty = next((number for number, row in enumerate(hits, 1) if not len(row)), None)
    if empty is not None:
        return unmeasured(f"Answer {empty} has no tokens to measure.")
    return mean_of([measure(row) for row in hits], _NO_ROWS)


def _hit_share(row: Sequence[bool]) -> float:
    return sum(bool(hit) for hit in row) / len(row)


def _tail(row: Sequence[bool]) -> int:
    """How many tokens at the end are hits without a break: L - k."""
    return next((length for length, hit in enumerate(reversed(row)) if not hit), len(row))
