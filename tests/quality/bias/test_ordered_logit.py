"""Derivatives equal finite differences, and the maximum is one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.quality.bias.ordered_logit import fit_ordered_logit, log_likelihood
from accord.quality.judgments import LEFT, RIGHT, TIE

ANSWERS = np.array([LEFT, TIE, RIGHT])


@given(predictor=st.floats(-8, 8), threshold=st.floats(0.05, 6))
def test_probabilities_sum_to_one(predictor, threshold):
    found = log_likelihood(ANSWERS, np.full(3, predictor), threshold)
    assert np.exp(found.value).sum() == pytest.approx(1, abs=1e-12)


@given(predictor=st.floats(-6, 6), threshold=st.floats(0.1, 4))
def test_derivatives_equal_finite_differences(predictor, threshold):
    step = 1e-5

    def at(shift, widen):
        return log_likelihood(ANSWERS, np.full(3, predictor + shift), threshold + widen)

    found = at(0, 0)
    right, left, wide, narrow = at(step, 0), at(-step, 0), at(0, step), at(0, -step)
    assert (right.value - left.value) / (2 * step) == pytest.approx(found.by_predictor, abs=1e-6)
    assert (wide.value - narrow.value) / (2 * step) == pytest.approx(found.by_threshold, rel=1e-5, abs=1e-5)
    assert (right.by_predictor - left.by_predictor) / (2 * step) == pytest.approx(found.curvature, abs=1e-6)
    assert (wide.by_predictor - narrow.by_predictor) / (2 * step) == pytest.approx(found.mixed, abs=1e-6)
    assert (wide.by_threshold - narrow.by_threshold) / (2 * step) == pytest.approx(
        found.threshold_curvature, rel=1e-4, abs=1e-5
    )


def test_extreme_predictors_stay_finite():
    for predictor in (-700.0, 700.0):
        found = log_likelihood(ANSWERS, np.full(3, predictor), 1.0)
        assert all(np.isfinite(values).all() for values in vars(found).values())


def test_shares_without_covariates_by_hand():
    # 50 left, 30 tie, 20 right: d - t = logit .5 = 0, -d - t = logit .2 = -ln 4: d = t = ln 2
    answer = np.repeat(ANSWERS, [50, 30, 20])
    fit = fit_ordered_logit(answer, np.ones((100, 1)))
    assert fit.coefficients[0] == pytest.approx(np.log(2), abs=1e-8)
    assert fit.threshold == pytest.approx(np.log(2), abs=1e-8)
    assert fit.scores.sum(axis=0) == pytest.approx([0, 0], abs=1e-6)


def test_no_maximum_is_none():
    sign = np.array([1.0, 1.0, -1.0, -1.0])[:, None]
    assert fit_ordered_logit(np.array([LEFT, LEFT, RIGHT, RIGHT]), sign) is None
    assert fit_ordered_logit(np.full(4, LEFT), np.ones((4, 1))) is None
    assert fit_ordered_logit(np.full(4, TIE), np.ones((4, 1))) is None
    assert fit_ordered_logit(np.array([LEFT, RIGHT]), np.zeros((2, 1))) is None
    assert fit_ordered_logit(np.array([LEFT, RIGHT, LEFT]), np.ones((3, 2))) is None
