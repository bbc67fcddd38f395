"""What generated texts look like beside the expected ones: ROUGE recall, and how much a text repeats itself.

Knows texts only: neither models nor questions, nor what any text means.
"""

from __future__ import annotations

from collections.abc import Sequence

from .metric import About, Metric, mean_of, unmeasured

KINDS = ("rouge1", "rougeL")

ABOUT: dict[str, About] = {
    "rouge_recall": About(
        judges="Which share of the expected answer's words are in what the model wrote: in any order (rouge1), or "
               "in the expected order (rougeL).",
        better="Low on what is to be forgotten, high on what is to be kept; 0 to 1.",
        misleads="Words are counted, not meanings: a long answer catches many by chance, a denial that repeats the "
                 "question scores high, and only unaccented Latin letters and digits count as parts of words.",
        source="Lin 2004, with the package rouge-score and its stemmer, as in TOFU (Maini et al. 2024, arXiv "
               "2401.06121).",
    ),
    "repetition": About(
        judges="How much of a text is the same run of words over again, a sign of a ruined model.",
        better="Low everywhere, as low as before; 0 to 1.",
        misleads="Texts of few words, and empty ones, score 0 however poor they are, and gibberish without repeats "
                 "does too; languages written without spaces are one word.",
        source="Welleck et al. 2020 (arXiv 1908.04319): seq-rep-n, on words rather than tokens.",
    ),
}

_NO_TEXTS = "There are no texts to measure."


def rouge_recall(generated: Sequence[str], expected: Sequence[str], kind: str) -> Metric:
    """ROUGE recall of each generated text against the expected one, with stemming, then the mean over texts.

    `generated`, `expected`: (rows,); `kind`: one of KINDS. An empty generated text has recall 0. rouge-score
    reads only the letters a-z and digits: an expected text without any, as in another script, has no words to
    recall, so the whole is not measured (our reading; the package gives 0).
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")

    from rouge_score.rouge_scorer import RougeScorer  # imported late: it takes a second

    scorer = RougeScorer([kind], use_stemmer=True)
    for number, text in enumerate(expected, 1):
        if not scorer.score(text, text)[kind].recall:
            return unmeasured(f"Expected answer {number} has no words for ROUGE, which reads only a to z and digits.")
    pairs = zip(expected, generated, strict=True)
    return mean_of([scorer.score(wanted, found)[kind].recall for wanted, found in pairs], _NO_TEXTS)


def repetition(generated: Sequence[str], n: int = 4) -> Metric:
    """1 - distinct n-grams / n-grams of each text's words, then the mean over texts (Welleck et al. 2020).

    `generated`: (rows,); words are what white space separates, as written. 0 for a text shorter than `n` words.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    return mean_of([_repeated(text.split(), n) for text in generated], _NO_TEXTS)


def _repeated(words: Sequence[str], n: int) -> float:
    grams = [tuple(words[place : place + n]) for place in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
