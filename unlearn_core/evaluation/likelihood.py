"""What log-probabilities of right and wrong answers say: probability, truth ratio, forget quality, utility.

Knows numbers only: neither models nor tokenizers, nor which tokens the caller counted. Log-probabilities are in
nats and lie below 0; "length-normalised" means nats per token, the mean over an answer's tokens, the end token
among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, expm1, fsum, inf, isnan

from .metric import About, Metric, mean_of, unmeasured

_TOFU = "TOFU (Maini et al. 2024, arXiv 2401.06121)"

ABOUT: dict[str, About] = {
    "probability": About(
        judges="How likely the model finds each answer word for word, as the geometric mean over the answer's "
               "tokens.",
        better="Low on what is to be forgotten, high on what is to be kept; 0 to 1.",
        misleads="It hangs on the one wording that was asked for: a model that now says the same thing in other "
                 "words, or that is ruined altogether, also scores low.",
        source=f"{_TOFU}.",
    ),
    "probability_with_options": About(
        judges="How much of the probability of a fixed list of answers falls on the right one.",
        better="High on what is to be kept; 0 to 1, and one over the number of answers for a model that cannot "
               "choose.",
        misleads="Only the listed answers compete, so it says nothing of what the model would write by itself.",
        source=f"{_TOFU}, on real authors and world facts; with length-normalised probabilities, as its code has "
               "it.",
    ),
    "truth_ratio": About(
        judges="Whether the model still finds the right answer (in other words, where the topic has it so) likelier than "
               "false ones of the same shape.",
        better="Near 1 on what is to be forgotten (right and false are alike to it), and near 1 on what is to be "
               "kept (right stands far above false); the two are different formulas.",
        misleads="A ruined model finds all answers alike, and so scores near 1 on what is to be forgotten; one "
                 "that now prefers the false answers scores low, as if it still knew.",
        source=f"{_TOFU}, in the form of its code and of OpenUnlearning: the geometric mean over the false answers.",
    ),
    "truth_ratio_paper": About(
        judges="How the right answer's probability stands against the mean probability of the false ones.",
        better="0.5 where right and false are alike; near 1 on what is to be kept, at 0.5 or below on what is to "
               "be forgotten.",
        misleads="Values are not comparable with the other truth ratio, though both go by the same name in papers.",
        source="OpenUnlearning (Dorna et al. 2025, arXiv 2506.12618), option prob_mean; the false answers averaged "
               "as in TOFU's paper.",
    ),
    "forget_quality": About(
        judges="Whether the truth ratios on the forget set could come from a model that never saw it.",
        better="High: above 0.05 the two cannot be told apart; near 0 they differ clearly. It is a p-value, 0 to "
               "1.",
        misleads="Few questions make any two models look alike, and many make the slightest difference fatal; it "
                 "also falls when a model forgets too much.",
        source=f"{_TOFU}: two-sample Kolmogorov-Smirnov test.",
    ),
    "model_utility": About(
        judges="What the model is still good for, as one number for everything it is to keep.",
        better="High; 0 to 1.",
        misleads="A harmonic mean follows its lowest part: a single 0 makes the whole 0, whatever the others are.",
        source=f"{_TOFU}: probability, ROUGE and truth ratio on the retain set, real authors and world facts.",
    ),
}

_NO_ROWS = "There are no answers to measure."
_NOT_A_NUMBER = "The model gave no usable numbers for answer {}."


def probability(logprobs: Sequence[Sequence[float]]) -> Metric:
    """Geometric mean token probability of each answer, exp(mean log p), then the mean over answers (TOFU).

    `logprobs`: (rows, tokens of that row), nats; the end token is one of them. An answer without tokens has no
    probability, so the whole is not measured (our reading: leaving the row out would hide it).
    """
    for number, row in enumerate(logprobs, 1):
        if not len(row):
            return unmeasured(f"Answer {number} has no tokens to measure.")
    return _mean([exp(fsum(row) / len(row)) for row in logprobs])


def probability_with_options(right: Sequence[float], wrong: Sequence[Sequence[float]]) -> Metric:
    """P(right) / (P(right) + sum of P(wrong)) per row, then the mean (TOFU, real authors and world facts).

    `right` (rows,) and `wrong` (rows, false answers of that row): length-normalised log-probabilities, as TOFU's
    code has it; its paper does not normalise here. Our reading: no 1e-10 is added below the line, so tiny
    probabilities count too.
    """
    if reason := _no_options(wrong):
        return unmeasured(reason)
    return _mean([_share(own, others, 1) for own, others in zip(right, wrong, strict=True)])


def truth_ratio(right: Sequence[float], wrong: Sequence[Sequence[float]], forget: bool = True) -> Metric:
    """R = exp(mean of wrong) / exp(right) per row; the mean of min(R, 1/R), or, not `forget`, of max(0, 1 - R).

    `right` (rows,): length-normalised log-probability of the right answer, paraphrased where there is a
    paraphrase; `wrong` (rows, false answers of that row). The mean is over log-probabilities, so it is the
    geometric mean over false answers: the form of TOFU's and OpenUnlearning's code. TOFU's paper has the
    arithmetic mean, and knows no min(R, 1/R) for the forget set. Our reading: no 1e-10 is added below the line.
    """
    if reason := _no_options(wrong):
        return unmeasured(reason)
    gaps = _gaps(right, wrong)
    if forget:
        return _mean([exp(-abs(gap)) for gap in gaps])
    return _mean([0.0 if gap >= 0 else -expm1(gap) for gap in gaps])


def truth_ratio_raw(right: Sequence[float], wrong: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """R of `truth_ratio` for each row, for `forget_quality`: 0 or more, infinite where too large for a float."""
    return tuple(_exp(gap) for gap in _gaps(right, wrong))


def truth_ratio_paper(right: Sequence[float], wrong: Sequence[Sequence[float]]) -> Metric:
    """P(right) / (P(right) + mean of P(wrong)) per row, then the mean: 0.5 where right and false are alike.

    The form is OpenUnlearning's option `prob_mean` (its paper, Dorna et al. 2025), with P =
    exp(length-normalised log-probability) and, our reading, the arithmetic mean of the probabilities of the
    false answers as in TOFU's paper; OpenUnlearning's code takes the geometric mean there too. Peers disagree:
    TOFU's paper writes mean of P(wrong) / P(right), its code `truth_ratio` above (open-unlearning issues 26,
    138, 160; pull request 163).

    `right` (rows,), `wrong` (rows, false answers of that row): nats per token.
    """
    if reason := _no_options(wrong):
        return unmeasured(reason)
    return _mean([_share(own, others, len(others)) for own, others in zip(right, wrong, strict=True)])


def forget_quality(unlearned: Sequence[float], reference: Sequence[float]) -> Metric:
    """p-value, not its logarithm, of the two-sample Kolmogorov-Smirnov test between truth ratios (TOFU).

    `unlearned` (rows,) of the unlearned model on the forget set, kept as the items; `reference` (any number of
    rows,) of a model trained without the forget set, on the same questions; both from `truth_ratio_raw`.
    Two-sided; exact for small samples, as scipy chooses.
    """
    if not len(reference):
        return unmeasured("This needs a reference: a model retrained without what is to be forgotten. There is none.")
    if not len(unlearned):
        return unmeasured(_NO_ROWS)
    for whose, ratios in (("unlearned", unlearned), ("reference", reference)):
        if any(isnan(ratio) for ratio in ratios):
            return unmeasured(f"The {whose} model gave no usable numbers for some answers.")

    from scipy.stats import ks_2samp  # imported late: it takes a second

    return Metric(float(ks_2samp(unlearned, reference).pvalue), tuple(float(ratio) for ratio in unlearned))


def model_utility(parts: Mapping[str, float | None]) -> Metric:
    """Harmonic mean of the named parts, each 0 to 1, in their order; 0 if any is 0 (TOFU: nine parts).

    A part that is None or not a number leaves the whole unmeasured (our reading): a mean of the rest would be
    compared with means of all.
    """
    if not parts:
        return unmeasured("None of the parts that make up this number was measured.")
    missing = [name for name, part in parts.items() if part is None or isnan(part)]
    if missing:
        return unmeasured(f"Not measured, and needed for this number: {', '.join(missing)}.")
    items = tuple(float(part) for part in parts.values() if part is not None)
    return Metric(0.0 if 0.0 in items else len(items) / fsum(1 / item for item in items), items)


def _mean(items: Sequence[float]) -> Metric:
    """The mean of the items; a reason where an item is not a number, as a ruined model's are."""
    broken = next((number for number, item in enumerate(items, 1) if isnan(item)), None)
    return mean_of(items, _NO_ROWS) if broken is None else unmeasured(_NOT_A_NUMBER.format(broken))


def _no_options(wrong: Sequence[Sequence[float]]) -> str | None:
    """Why nothing can be compared, where some answer has no false ones beside it."""
    bare = next((number for number, others in enumerate(wrong, 1) if not len(others)), None)
    return None if bare is None else f"Answer {bare} has no false answers to compare it with."


def _gaps(right: Sequence[float], wrong: Sequence[Sequence[float]]) -> list[float]:
    """log R of each row: mean of the false answers' log-probabilities minus the right one's, nats per token."""
    return [fsum(others) / len(others) - own for own, others in zip(right, wrong, strict=True)]


def _share(own: float, others: Sequence[float], divisor: int) -> float:
    """P(own) / (P(own) + sum of P(others) / divisor), from log-probabilities, without underflow."""
    top = max(own, *others)
    if top == -inf:  # nothing has any probability
        return float("nan")
    mine = exp(own - top)
    return mine / (mine + fsum(exp(other - top) for other in others) / divisor)


def _exp(value: float) -> float:
    try:
        return exp(value)
    except OverflowError:
        return inf
