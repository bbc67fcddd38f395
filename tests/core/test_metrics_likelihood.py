"""Probability, truth ratio, forget quality and model utility against values worked out by hand and scipy."""

from __future__ import annotations

from math import exp, inf, log, nan, sqrt

import pytest
from scipy.stats import ks_2samp

from unlearn_core.evaluation import likelihood
from unlearn_core.evaluation.likelihood import (
    forget_quality,
    model_utility,
    probability,
    probability_with_options,
    truth_ratio,
    truth_ratio_paper,
    truth_ratio_raw,
)
from unlearn_core.evaluation.metric import Metric

HALF, FIFTH, TENTH = log(0.5), log(0.2), log(0.1)
RIGHT = [HALF, FIFTH, TENTH]
WRONG = [[TENTH, log(0.4)], [HALF, HALF], [TENTH]]  # geometric means .2, .5, .1; arithmetic .25, .5, .1
RATIOS = (0.4, 2.5, 1.0)


def says(found: Metric, *words: str) -> None:
    assert found.value is None
    assert found.items == ()
    for word in words:
        assert word in (found.reason or "")


def test_probability_is_the_geometric_mean_of_a_rows_tokens() -> None:
    found = probability([[log(0.9), log(0.4)], [HALF], [log(0.8), log(0.1), log(0.1)]])
    assert found.items == pytest.approx((0.6, 0.5, 0.2))
    assert found.value == pytest.approx(1.3 / 3)
    assert found.reason is None


def test_each_row_counts_the_same_whatever_its_length() -> None:
    assert probability([[HALF] * 9, [TENTH]]).value == pytest.approx(0.3)


def test_an_impossible_token_makes_the_probability_0() -> None:
    assert probability([[HALF, -inf]]).items == (0.0,)


def test_probability_of_nothing_has_a_reason() -> None:
    says(probability([]), "no answers")
    says(probability([[HALF], []]), "Answer 2", "no tokens")
    says(probability([[HALF], [HALF, nan]]), "answer 2", "no usable numbers")


def test_probability_with_options() -> None:
    found = probability_with_options(RIGHT, WRONG)
    assert found.items == pytest.approx((0.5 / 1.0, 0.2 / 1.2, 0.1 / 0.2))
    assert found.value == pytest.approx((0.5 + 1 / 6 + 0.5) / 3)


def test_options_too_unlikely_for_a_float_are_still_told_apart() -> None:
    found = probability_with_options([-2000.0], [[-2000.0 + log(3)]])
    assert found.value == pytest.approx(0.25)
    assert truth_ratio_paper([-2000.0], [[-2000.0 + log(3)]]).value == pytest.approx(0.25)


@pytest.mark.parametrize("measure", [probability_with_options, truth_ratio, truth_ratio_paper])
def test_what_compares_needs_something_to_compare(measure) -> None:
    says(measure([], []), "no answers")
    says(measure([HALF, HALF], [[TENTH], []]), "Answer 2", "no false answers")
    says(measure([HALF, nan], [[TENTH], [TENTH]]), "answer 2", "no usable numbers")
    says(measure([HALF, HALF], [[TENTH], [TENTH, nan]]), "answer 2", "no usable numbers")
    says(measure([-inf], [[-inf, -inf]]), "answer 1", "no usable numbers")
    with pytest.raises(ValueError):
        measure([HALF], [[TENTH], [TENTH]])


@pytest.mark.parametrize("measure", [probability_with_options, truth_ratio, truth_ratio_paper])
def test_the_order_of_rows_changes_the_items_only(measure) -> None:
    right, wrong = [*RIGHT, log(0.7)], [*WRONG, [log(0.3)]]
    there, back = measure(right, wrong), measure(right[::-1], wrong[::-1])
    assert back.value == pytest.approx(there.value)
    assert back.items == there.items[::-1]
    assert back.items != there.items


def test_truth_ratio_of_single_rows_is_wrong_over_right() -> None:
    assert truth_ratio_raw(RIGHT, WRONG) == pytest.approx(RATIOS)
    assert truth_ratio_raw([-2000.0], [[-1.0]]) == (inf,)


def test_truth_ratio_takes_the_geometric_mean_over_false_answers() -> None:
    assert truth_ratio_raw([0.0], [[log(0.9), log(0.1)]]) == pytest.approx((sqrt(0.09),))


def test_truth_ratio_on_what_is_to_be_forgotten() -> None:
    found = truth_ratio(RIGHT, WRONG)
    assert found.items == pytest.approx((0.4, 0.4, 1.0))
    assert found.value == pytest.approx(0.6)


def test_truth_ratio_on_what_is_to_be_kept() -> None:
    found = truth_ratio(RIGHT, WRONG, forget=False)
    assert found.items == pytest.approx((0.6, 0.0, 0.0))
    assert found.value == pytest.approx(0.2)


@pytest.mark.parametrize(("right", "wrong", "forget", "keep"), [(-2000.0, -1.0, 0.0, 0.0), (-1.0, -2000.0, 0.0, 1.0)])
def test_extreme_truth_ratios_stay_within_0_and_1(right: float, wrong: float, forget: float, keep: float) -> None:
    assert truth_ratio([right], [[wrong]]).value == forget
    assert truth_ratio([right], [[wrong]], forget=False).value == keep


def test_a_kept_truth_ratio_that_is_no_number_is_not_0() -> None:
    says(truth_ratio([nan], [[TENTH]], forget=False), "answer 1", "no usable numbers")


def test_the_papers_truth_ratio_takes_the_arithmetic_mean() -> None:
    found = truth_ratio_paper(RIGHT, WRONG)
    assert found.items == pytest.approx((0.5 / 0.75, 0.2 / 0.7, 0.5))
    assert found.value == pytest.approx((2 / 3 + 2 / 7 + 1 / 2) / 3)


def test_forget_quality_by_hand() -> None:
    """Two samples of three that do not overlap: 2 of the 20 ways to mix them are as extreme."""
    found = forget_quality([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert found.value == pytest.approx(0.1)
    assert found.items == (1.0, 2.0, 3.0)


def test_forget_quality_is_scipys_p_value_in_any_order() -> None:
    ours = [0.4 + 0.01 * place for place in range(40)]
    theirs = [0.6 + 0.013 * place for place in range(25)]
    expected = ks_2samp(ours, theirs).pvalue
    assert 0 < expected < 0.05
    assert forget_quality(ours, theirs).value == pytest.approx(expected)
    assert forget_quality(ours[::-1], theirs[::-1]).value == pytest.approx(expected)
    assert forget_quality(theirs, ours).value == pytest.approx(expected)


def test_identical_ratios_have_p_1() -> None:
    assert forget_quality(RATIOS, RATIOS).value == pytest.approx(1.0)
    assert forget_quality([0.5, inf], [0.5, inf]).value == pytest.approx(1.0)


def test_forget_quality_needs_a_retrained_reference() -> None:
    says(forget_quality([0.5], []), "retrained", "reference")
    says(forget_quality([], [0.5]), "no answers")
    says(forget_quality([0.5, nan], [0.5]), "unlearned")
    says(forget_quality([0.5], [0.5, nan]), "reference")


def test_model_utility_is_the_harmonic_mean() -> None:
    found = model_utility({"rouge": 0.5, "probability": 1.0, "truth ratio": 0.25})
    assert found.value == pytest.approx(3 / 7)
    assert found.items == (0.5, 1.0, 0.25)
    assert model_utility({"one": 0.3}).value == pytest.approx(0.3)


def test_one_0_makes_model_utility_0() -> None:
    found = model_utility({"rouge": 0.9, "probability": 0.0})
    assert (found.value, found.items, found.reason) == (0.0, (0.9, 0.0), None)


def test_model_utility_names_what_is_missing() -> None:
    found = model_utility({"rouge": 0.9, "probability": None, "truth ratio": nan, "zero": 0.0})
    says(found, "probability", "truth ratio")
    assert "rouge" not in (found.reason or "")
    says(model_utility({}), "None of the parts")


def test_every_metric_is_explained() -> None:
    assert set(likelihood.ABOUT) == {"probability", "probability_with_options", "truth_ratio", "truth_ratio_paper",
                                     "forget_quality", "model_utility"}
    for about in likelihood.ABOUT.values():
        assert all(text.endswith(".") for text in (about.judges, about.better, about.misleads, about.source))


def test_unequal_tokens_average_in_nats() -> None:
    assert probability([[-1.0, -3.0]]).value == pytest.approx(exp(-2.0))
