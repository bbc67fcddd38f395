"""Whether forgotten text still looks like training text: scores for a row, and how well they tell two groups apart.

Knows token log-probabilities, norms and vectors as numbers; neither models, tokenizers nor topics.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .metric import About, Metric, unmeasured

SHARE = 0.4  # of the tokens that Min-K% reads; MUSE and OpenUnlearning use it, the paper itself 0.2
MOST_FALSE_ALARMS = 0.01  # the false positive rate at which an attack's true positive rate is read
SMALLEST_DEVIATION = 1e-6  # nats; below it Min-K%++ would divide by nothing
ROUNDED = 5  # decimal places of a nat
SMALLEST_REFERENCE = 0.01  # PrivLeak's denominator is never smaller
FEWEST_ROWS = 2
FEWEST_VECTORS = 10
_FOLDS = 5
_CONFIDENCE = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Attack:
    """How well one score tells members from others. `auc`: area under the ROC curve, 0..1; `tpr`: share of the members
    that are found while at most 1 % of the others are taken for members, 0..1. The items of both are the members' scores,
    in the order given."""

    auc: Metric
    tpr: Metric


def loss_scores(logprobs: Sequence[Sequence[float]]) -> list[float]:
    """The mean token log-probability of each row, in nats: minus its mean NLL (Yeom et al. 2018).

    `logprobs`: n rows of any length. A row without tokens scores nan, here and below, which `attack` refuses.
    """
    return [_mean(row) for row in logprobs]


def zlib_scores(logprobs: Sequence[Sequence[float]], texts: Sequence[str]) -> list[float]:
    """Minus the mean NLL over the bytes of the zlib-compressed text, in nats a byte (Carlini et al. 2021).

    `logprobs`: n rows of any length; `texts`: the n texts they belong to. Our reading: UTF-8, zlib's default level.
    """
    return [_mean(row) / len(zlib.compress(text.encode("utf-8")))
            for row, text in zip(logprobs, texts, strict=True)]


def reference_scores(logprobs: Sequence[Sequence[float]],
                     reference_logprobs: Sequence[Sequence[float]]) -> list[float]:
    """The mean token log-probability minus that of a reference model on the same rows, in nats (Carlini et al. 2021).

    Both: n rows. Our reading: each mean is over that model's own tokens, so rows may differ in length. Differences are
    rounded to ROUNDED places, so that two passes over like models do not rank rows by their rounding errors.
    """
    return [round(_mean(row) - _mean(other), ROUNDED) for row, other in zip(logprobs, reference_logprobs, strict=True)]


def min_k_scores(logprobs: Sequence[Sequence[float]], k: float = SHARE) -> list[float]:
    """The mean of the lowest `k` share of each row's token log-probabilities, in nats: Min-K% (Shi et al. 2024).

    `logprobs`: n rows of any length; `k`: 0..1. As in the authors' code the count is rounded down; at least one token.
    """
    return [_mean_of_lowest(row, k) for row in logprobs]


def min_k_plus_plus_scores(logprobs: Sequence[Sequence[float]], means: Sequence[Sequence[float]],
                           deviations: Sequence[Sequence[float]], k: float = SHARE) -> list[float]:
    """Min-K% over (log-probability - mean) / deviation, without a unit: Min-K%++ (Zhang et al. 2024).

    All three: n rows of the same lengths; `means`, `deviations`: the moments of log p under p at that position, in
    nats. Our reading: a deviation below 1e-6 counts as 1e-6, so a certain position gives a finite number.
    """
    return [_mean_of_lowest([(value - mean) / max(deviation, SMALLEST_DEVIATION)
                             for value, mean, deviation in zip(*row, strict=True)], k)
            for row in zip(logprobs, means, deviations, strict=True)]


def gradnorm_scores(norms: Sequence[float]) -> list[float]:
    """Minus the norm of the gradient of each row's mean NLL; what is known pulls little (Wang et al. 2024).

    `norms`: n numbers, measured elsewhere.
    """
    return [-float(norm) for norm in norms]


def attack(members: Sequence[float], others: Sequence[float], seed: int = 0, draws: int = 1000) -> Attack:
    """Tells `members` (n scores) from `others` (m scores) by one threshold; higher = more like a member.

    Both values carry a 95 % bootstrap percentile interval: `draws` times both groups are drawn anew, each for itself.
    Counted, not integrated: equal to scikit-learn's roc_auc_score (a tie counts half) and to the largest true positive
    rate of its full roc_curve at a false positive rate of at most 0.01, but free of rounding, so that a list against
    itself gives exactly 0.5. The order of the rows does not matter.
    """
    ours, theirs = np.sort(np.asarray(members, dtype=float)), np.sort(np.asarray(others, dtype=float))
    if min(ours.size, theirs.size) < FEWEST_ROWS:
        return _no_attack(f"Each side needs at least {FEWEST_ROWS} rows; there are {ours.size} and {theirs.size}.")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return _no_attack("Some scores are not finite numbers, so the rows cannot be put in order.")
    levels, codes = np.unique(np.concatenate([ours, theirs]), return_inverse=True)
    ours, theirs = codes[:ours.size], codes[ours.size:]
    rng = np.random.default_rng(seed)
    drawn = np.array([_curve(rng.choice(ours, ours.size), rng.choice(theirs, theirs.size), levels.size)
                      for _ in range(draws)])
    low, high = np.quantile(drawn, _CONFIDENCE, axis=0)
    items = tuple(float(score) for score in members)
    auc, tpr = (Metric(value, items, low=float(under), high=float(over))
                for value, under, over in zip(_curve(ours, theirs, levels.size), low, high, strict=True))
    return Attack(auc, tpr)


def privleak(auc: float | None, reference_auc: float | None) -> Metric:
    """How far the attack's AUC lies from that of a model that never saw the text, in percent (MUSE, Shi et al. 2024).

    (s - r) / r * 100 with s = 1 - auc and r = 1 - reference_auc, the field's form; 0.5 stands in for an unknown
    reference. Below 0: under-unlearned, the text still looks familiar; above 0: over-unlearned. Our reading: the
    divisor is at least 0.01, since the field's form was seen at 7e11 for a reference of 1; equal to it is 0 always.
    """
    reference = 0.5 if reference_auc is None else reference_auc
    if auc is None:
        return unmeasured("There is no attack on this model to compare.")
    if not (np.isfinite(auc) and np.isfinite(reference)):
        return unmeasured("The attack's AUC is not a finite number.")
    return Metric(float((reference - auc) / max(1.0 - reference, SMALLEST_REFERENCE) * 100.0))


def classifier_auc(forget: np.ndarray, others: np.ndarray, seed: int = 0) -> Metric:
    """The AUC of `classifier`."""
    return classifier(forget, others, seed).auc


def classifier(forget: np.ndarray, others: np.ndarray, seed: int = 0) -> Attack:
    """How well a classifier tells forget text from other text by its representation (Chen and Yang 2023, EUL).

    `forget`: (n, d), `others`: (m, d), one final representation a row. Our reading of EUL's membership classifier:
    standardised logistic regression, five-fold cross-validated; only out-of-fold probabilities count, and the interval
    redraws these, not the training. Rows are sorted first, so that their order does not choose the folds.
    """
    ours, theirs = np.asarray(forget, dtype=float), np.asarray(others, dtype=float)
    if min(len(ours), len(theirs)) < FEWEST_VECTORS:
        return _no_attack(f"The classifier needs at least {FEWEST_VECTORS} rows a side; "
                          f"there are {len(ours)} and {len(theirs)}.")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return _no_attack("Some representations hold numbers that are not finite.")
    places = _order(ours)
    rows = np.concatenate([ours[places], theirs[_order(theirs)]])
    labels = np.repeat([1, 0], [len(ours), len(theirs)])
    chances = _out_of_fold(rows, labels, seed)
    members = np.empty(len(ours))
    members[places] = chances[labels == 1]  # back in the order given
    return attack(members, chances[labels == 0], seed)


def _mean(row: Sequence[float]) -> float:
    return float(np.mean(row)) if len(row) else float("nan")


def _mean_of_lowest(row: Sequence[float], k: float) -> float:
    count = max(1, int(k * len(row) + 1e-9))  # 0.29 * 100 is 28.999...
    return _mean(np.sort(np.asarray(row, dtype=float))[:count])


def _curve(ours: np.ndarray, theirs: np.ndarray, levels: int) -> tuple[float, float]:
    """AUC and TPR at 1 % FPR of scores given as ranks 0..levels-1: (n,) members, (m,) others."""
    found, alarms = np.bincount(ours, minlength=levels), np.bincount(theirs, minlength=levels)
    beaten = np.cumsum(alarms) - alarms / 2
    allowed = np.cumsum(alarms[::-1]) / theirs.size <= MOST_FALSE_ALARMS
    return float(found @ beaten / (ours.size * theirs.size)), float(found[::-1][allowed].sum() / ours.size)


def _no_attack(reason: str) -> Attack:
    return Attack(unmeasured(reason), unmeasured(reason))


def _order(rows: np.ndarray) -> np.ndarray:
    return np.lexsort(rows.T)


def _out_of_fold(rows: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Each row's chance to be a member, by the folds that it is not in. Turned onto the rows' own span first: the same optimum
    in as many numbers as there are rows, where Newton's steps find it fast."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression  # imported late: it takes a second
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    model = make_pipeline(StandardScaler(), PCA(svd_solver="full"), LogisticRegression(solver="newton-cholesky"))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    with threadpool_limits(1):  # matrices this small only lose by sharing them out
        return cross_val_predict(model, rows, labels, cv=folds, method="predict_proba")[:, 1]


_BETTER = ("Near 0.5 is best: forget text then looks like text never seen; near 1 it is still recognised, "
           "well below 0.5 it stands out as suppressed.")
_COLLAPSE = "A collapsed model, to which all text looks alike, can score an ideal 0.5; read it next to retain."

_AREAS: dict[str, About] = {
    "mia_loss": About(
        "Whether forget text gets a higher mean log-probability than comparable text that was never seen (AUC).",
        _BETTER,
        f"Text that is easier to begin with looks like a member too. {_COLLAPSE}",
        "Yeom et al. 2018, Privacy Risk in Machine Learning"),
    "mia_zlib": About(
        "The loss attack, with each text's loss set against how far zlib compresses it (AUC).",
        _BETTER,
        f"Text length moves the score, so both groups need texts of like length. {_COLLAPSE}",
        "Carlini et al. 2021, Extracting Training Data from Large Language Models"),
    "mia_reference": About(
        "The loss attack, with each text's log-probability set against that of a reference model (AUC).",
        _BETTER,
        f"It is only as good as its reference, which must not have seen the forget text. {_COLLAPSE}",
        "Carlini et al. 2021, Extracting Training Data from Large Language Models"),
    "mia_min_k": About(
        "Whether even the least expected 40 % of a forget text's tokens surprise less than in unseen text (AUC).",
        _BETTER,
        f"In short answers it rests on one or two tokens. {_COLLAPSE}",
        "Shi et al. 2024, Detecting Pretraining Data from Large Language Models (Min-K%)"),
    "mia_min_k_plus_plus": About(
        "Min-K%, with each token's log-probability standardised by what the model expects at that position (AUC).",
        _BETTER,
        f"Where the model is almost certain the deviation is tiny and one token can outweigh all others. {_COLLAPSE}",
        "Zhang et al. 2024, Min-K%++: Improved Baseline for Detecting Pre-Training Data"),
    "mia_gradnorm": About(
        "Whether forget text pulls less at the weights, by the norm of its loss gradient, than unseen text (AUC).",
        _BETTER,
        f"Norms depend on which weights are read and on text length. {_COLLAPSE}",
        "Wang et al. 2024, Pandora's White-Box"),
    "mia_classifier": About(
        "Whether a classifier tells forget text from other text by the model's final representations (AUC).",
        _BETTER,
        "Groups that differ in topic or wording are told apart even by a model that never saw either, and "
        f"cross-validation on few rows can fall below 0.5 by itself. {_COLLAPSE}",
        "Chen and Yang 2023, Unlearn What You Want to Forget: Efficient Unlearning for LLMs (EUL)"),
    "privleak": About(
        "How far the Min-K% attack is from its result on a model that never saw the forget text, in percent.",
        "Near 0 is best: below it the text still looks familiar, above it the text stands out as suppressed.",
        "Without a retrained model the reference is taken as 0.5; with a reference AUC near 1 the value grows large, "
        "and is held finite by dividing by 0.01 at least. "
        "A collapsed model, to which all text looks alike, can score near an ideal 0; read it next to retain.",
        "Shi et al. 2024, MUSE: Machine Unlearning Six-Way Evaluation for Language Models"),
}

ABOUT: dict[str, About] = _AREAS | {f"{name}_tpr": About(
    f"The share of forget texts that {name} finds while it takes at most 1 % of the unseen texts for seen (TPR at 1 % FPR).",
    "Near 0.01 is best, as by guessing; the higher, the more single texts are recognised with certainty.",
    f"With few unseen texts it may take none of them for seen, and moves in large steps: read the interval. {_COLLAPSE}",
    "Carlini et al. 2022, Membership Inference Attacks From First Principles") for name in _AREAS if name != "privleak"}
