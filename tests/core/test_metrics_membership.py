"""Membership scores against hand-computed values, and the attack against scikit-learn's curves."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from unlearn_core.evaluation import membership
from unlearn_core.evaluation.membership import attack, classifier, classifier_auc, privleak

ROWS = [[-1.0, -2.0, -3.0, -4.0, -10.0], [-0.5]]


def two_groups(shift: float, members: int = 60, others: int = 130, decimals: int = 12,
               seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1.0, members).round(decimals), rng.normal(0.0, 1.0, others).round(decimals)


def vectors(shift: float, n: int = 150, m: int = 150, d: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.normal(shift, 1.0, (n, d)), rng.normal(0.0, 1.0, (m, d))


def test_loss_is_the_mean_log_probability():
    assert membership.loss_scores(ROWS) == [-4.0, -0.5]


def test_zlib_divides_by_the_compressed_bytes():
    texts = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "Zoë"]
    lengths = [len(zlib.compress(text.encode())) for text in texts]
    assert membership.zlib_scores(ROWS, texts) == pytest.approx([-4.0 / lengths[0], -0.5 / lengths[1]])
    assert lengths[0] < len(texts[0])


def test_reference_subtracts_the_references_mean():
    assert membership.reference_scores(ROWS, [[-1.0, -2.0], [-3.0]]) == [-2.5, 2.5]


def test_min_k_reads_the_lowest_share_and_at_least_one_token():
    assert membership.min_k_scores(ROWS) == [-7.0, -0.5]  # the lowest two of five: -10 and -4
    assert membership.min_k_scores(ROWS, 0.01) == [-10.0, -0.5]
    assert membership.min_k_scores(ROWS, 1.0) == membership.loss_scores(ROWS)


def test_min_k_counts_shares_that_floats_round_down():
    assert membership.min_k_scores([[-float(i) for i in range(1, 101)]], 0.29) == [-86.0]  # 72..100; 28 give -86.5


def test_min_k_plus_plus_standardises_before_it_chooses():
    means, deviations = [[-1.0, -1.0, -1.0, -4.0, -10.0], [-1.0]], [[1.0, 0.5, 4.0, 1.0, 1.0], [0.25]]
    # standardised: 0, -2, -0.5, 0, 0 and 2; the two most unlikely tokens are the usual ones at their positions
    assert membership.min_k_plus_plus_scores(ROWS, means, deviations) == pytest.approx([-1.25, 2.0])


def test_min_k_plus_plus_survives_a_deviation_of_nothing():
    assert membership.min_k_plus_plus_scores([[0.0]], [[0.0]], [[0.0]]) == [0.0]
    far = membership.min_k_plus_plus_scores([[-3.0]], [[-1.0]], [[0.0]])[0]
    assert math.isfinite(far)
    assert far < -1000


def test_a_small_gradient_looks_like_a_member():
    assert membership.gradnorm_scores([2.0, 0.5]) == [-2.0, -0.5]


def test_rows_and_companions_must_match():
    with pytest.raises(ValueError, match="zip"):
        membership.zlib_scores(ROWS, ["one"])
    with pytest.raises(ValueError, match="zip"):
        membership.min_k_plus_plus_scores(ROWS, [[0.0], [0.0]], [[1.0], [1.0]])


def test_a_row_without_tokens_is_refused_by_the_attack():
    scores = membership.loss_scores([[], [-1.0]])
    assert math.isnan(scores[0])
    assert "not finite" in attack(scores, [0.0, 1.0]).auc.reason


def test_hand_computed_auc_and_tpr():
    found = attack([3.0, 2.0, 1.0], [2.0, 0.0])
    assert found.auc.value == pytest.approx(4.5 / 6)  # wins 2 + 1 + 1, one tie
    assert found.tpr.value == pytest.approx(1 / 3)  # without a false alarm only the 3 is found
    assert found.auc.items == found.tpr.items == (3.0, 2.0, 1.0)


@pytest.mark.parametrize("decimals", [12, 1, 0])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learn_also_on_ties(decimals: int, seed: int):
    members, others = two_groups(1.0, decimals=decimals, seed=seed, others=330)
    labels, scores = np.repeat([1, 0], [members.size, others.size]), np.concatenate([members, others])
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    found = attack(members, others, draws=20)
    assert found.auc.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found.tpr.value == pytest.approx(tpr[fpr <= 0.01].max(), abs=1e-12)


def test_one_false_alarm_in_a_hundred_is_allowed():
    others = [float(i) for i in range(100)]
    assert attack([98.5, 0.5], others, draws=20).tpr.value == 0.5
    assert attack([97.5, 0.5], others, draws=20).tpr.value == 0.0


@pytest.mark.parametrize("n", [2, 3, 7, 10, 49, 101])
def test_a_list_against_itself_gives_exactly_a_half(n: int):
    scores = np.random.default_rng(n).normal(size=n).tolist()
    assert attack(scores, scores, draws=20).auc.value == 0.5


def test_perfect_separation():
    found = attack([2.0, 3.0, 4.0], [0.0, 1.0])
    assert (found.auc.value, found.auc.low, found.auc.high) == (1.0, 1.0, 1.0)
    assert (found.tpr.value, found.tpr.low, found.tpr.high) == (1.0, 1.0, 1.0)
    assert attack([0.0, 1.0], [2.0, 3.0, 4.0]).auc.value == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_contains_the_value_and_narrows_with_rows(seed: int):
    few, many = attack(*two_groups(0.7, 40, 40, seed=seed)), attack(*two_groups(0.7, 400, 400, seed=seed))
    for metric in (few.auc, few.tpr, many.auc, many.tpr):
        assert metric.low <= metric.value <= metric.high
    assert 0 < many.auc.high - many.auc.low < few.auc.high - few.auc.low


def test_the_interval_is_as_wide_as_theory_says():
    members, others = two_groups(0.0, 400, 400)
    auc = attack(members, others).auc
    deviation = math.sqrt((400 + 400 + 1) / (12 * 400 * 400))  # of the rank sum statistic without a difference
    assert auc.high - auc.low == pytest.approx(2 * 1.96 * deviation, rel=0.15)


def test_the_same_seed_gives_the_same_interval():
    groups = two_groups(0.5)
    assert attack(*groups, seed=4) == attack(*groups, seed=4)
    assert attack(*groups, seed=4).auc.low != attack(*groups, seed=5).auc.low


def test_the_order_of_rows_changes_no_value_and_the_items_follow_it():
    members, others = two_groups(0.5)
    forget, kept = vectors(0.5, 40, 30)
    for found, turned in ((attack(members, others), attack(members[::-1], others[::-1])),
                          (classifier(forget, kept), classifier(forget[::-1], kept[::-1]))):
        for metric, other in ((found.auc, turned.auc), (found.tpr, turned.tpr)):
            assert (metric.value, metric.low, metric.high) == (other.value, other.low, other.high)
            assert metric.items == other.items[::-1] and len(set(metric.items)) > 10


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_not_measured(bad: float):
    for found in (attack([1.0, bad], [0.0, 1.0]), attack([0.0, 1.0], [1.0, bad])):
        assert found.auc.value is found.tpr.value is None
        assert "not finite" in found.auc.reason
        assert found.tpr.reason == found.auc.reason


def test_too_few_rows_are_not_measured():
    for found in (attack([1.0], [0.0, 1.0]), attack([0.0, 1.0], []), attack([], [])):
        assert found.auc.value is found.tpr.value is None
        assert "at least 2 rows" in found.auc.reason


def test_privleak_by_hand():
    assert privleak(0.75, None).value == pytest.approx(-50.0)
    assert privleak(0.4, 0.6).value == pytest.approx(50.0)  # s .6, r .4
    assert privleak(0.6, 0.6).value == 0.0
    assert privleak(1.0, 0.5).value == -100.0


def test_privleak_stays_finite_for_a_reference_of_one():
    assert privleak(0.5, 1.0).value == pytest.approx(5000.0)  # s .5, r 0, divided by .01
    assert privleak(0.0, 1.0).value == pytest.approx(10000.0)
    assert privleak(1.0, 1.0).value == 0.0  # like its reference, whatever that is
    assert privleak(0.5, 0.98).value == pytest.approx(2400.0)  # r .02 is taken as it is


def test_privleak_without_an_attack_says_why():
    assert privleak(None, 0.5).value is None
    assert privleak(None, 0.5).reason
    assert "not a finite" in privleak(math.nan, 0.5).reason
    assert "not a finite" in privleak(0.5, math.nan).reason


def test_the_classifier_learns_nothing_from_identical_gaussians():
    found = classifier_auc(*vectors(0.0))
    assert found.value == pytest.approx(0.5, abs=0.12)
    assert found.low <= found.value <= found.high


def test_the_classifier_separates_what_is_separate():
    assert classifier_auc(*vectors(2.0)).value > 0.95
    forget, others = vectors(0.0)
    assert classifier_auc(forget * 1e-6 + [1e-5, 0, 0, 0], others * 1e-6).value > 0.95  # scaled before it is learnt


def test_the_classifier_is_reproducible():
    groups = vectors(0.5, 40, 30)
    assert classifier_auc(*groups, seed=1) == classifier_auc(*groups, seed=1)
    assert classifier_auc(*groups, seed=1).value != classifier_auc(*groups, seed=2).value  # other folds


def test_the_classifier_does_not_mark_its_own_training():
    forget, others = vectors(0.0, 30, 30, 200)  # more columns than rows: every training set is told apart perfectly
    assert classifier_auc(forget, others).value < 0.75


def test_the_classifier_says_why_it_cannot():
    forget, others = vectors(0.0, 9, 20)
    assert "9 and 20" in classifier_auc(forget, others).reason
    assert "20 and 9" in classifier_auc(others, forget).reason
    broken = others.copy()
    broken[3, 1] = np.nan
    assert "not finite" in classifier_auc(others, broken).reason
    assert classifier_auc(*vectors(0.0, 10, 10)).value is not None


def test_every_metric_is_explained():
    attacks = {"mia_loss", "mia_zlib", "mia_reference", "mia_min_k", "mia_min_k_plus_plus", "mia_gradnorm", "mia_classifier"}
    assert set(membership.ABOUT) == attacks | {f"{name}_tpr" for name in attacks} | {"privleak"}
    for name, about in membership.ABOUT.items():
        assert all((about.judges, about.better, about.misleads, about.source)), name
        assert "collapsed" in about.misleads, name
