"""Each likelihood against finite differences and against the definition of the expected information."""

import math

import numpy as np
import pytest
from scipy.special import expit

from accord.quality.judgments import LEFT, RIGHT, TIE
from accord.quality.preferences.annotator_aware import aware_likelihood
from accord.quality.preferences.crowd_bt import crowd_bt_likelihood
from accord.quality.preferences.likelihoods import davidson_terms, threshold_terms
from accord.quality.preferences.noisy_bt import noisy_bt_likelihood
from accord.quality.preferences.scored_pairs import LEFT_SHARE

N_POINTS = 40
STEP = 1e-6


def of_outcome(kind, outcome):
    """The likelihood of `kind` as a function of predictors alone."""
    outcome = np.full(N_POINTS, outcome)
    if kind == "threshold":
        return lambda predictors: threshold_terms(predictors[0], predictors[1], outcome)
    if kind == "davidson":
        return lambda predictors: davidson_terms(predictors[0], predictors[1], outcome)
    if kind == "aware":
        return aware_likelihood(outcome)
    makers = {"crowd": crowd_bt_likelihood, "noisy": noisy_bt_likelihood}
    return makers[kind](LEFT_SHARE[outcome])


N_PREDICTORS = {"threshold": 2, "davidson": 2, "aware": 6, "crowd": 2, "noisy": 3}
OUTCOMES = {"threshold": 3, "davidson": 3, "aware": 3, "crowd": 2, "noisy": 2}
every_kind = pytest.mark.parametrize("kind", sorted(N_PREDICTORS))


def points(kind):
    return np.random.default_rng(3).normal(scale=1.2, size=(N_PREDICTORS[kind], N_POINTS))


def moved(predictors, k, by):
    there = predictors.copy()
    there[k] += by
    return there


@every_kind
def test_the_gradient_is_that_of_finite_differences(kind):
    predictors = points(kind)
    for outcome in (LEFT, RIGHT, TIE):
        likelihood = of_outcome(kind, outcome)
        gradient = likelihood(predictors).gradient
        for k in range(len(predictors)):
            ahead, behind = (likelihood(moved(predictors, k, sign * STEP)).log_likelihood for sign in (1, -1))
            assert gradient[k] == pytest.approx((ahead - behind) / (2 * STEP), rel=1e-5, abs=1e-7)


@every_kind
def test_probabilities_of_all_outcomes_sum_to_one(kind):
    total = sum(np.exp(of_outcome(kind, k)(points(kind)).log_likelihood) for k in range(OUTCOMES[kind]))
    assert total == pytest.approx(np.ones(N_POINTS), rel=1e-12)


@every_kind
def test_the_information_is_the_mean_outer_product_and_the_mean_curvature(kind):
    predictors = points(kind)
    n_predictors = len(predictors)
    outer = np.zeros((N_POINTS, n_predictors, n_predictors))
    curvature = np.zeros_like(outer)
    for outcome in range(OUTCOMES[kind]):
        likelihood = of_outcome(kind, outcome)
        terms = likelihood(predictors)
        chance = np.exp(terms.log_likelihood)
        outer += np.einsum("r,ir,jr->rij", chance, terms.gradient, terms.gradient)
        for k in range(n_predictors):
            ahead, behind = (likelihood(moved(predictors, k, sign * STEP)).gradient for sign in (1, -1))
            curvature[:, :, k] -= (chance * (ahead - behind) / (2 * STEP)).T
    root = of_outcome(kind, LEFT)(predictors).root()
    assert np.einsum("kir,kjr->rij", root, root) == pytest.approx(outer, rel=1e-8, abs=1e-12)
    assert outer == pytest.approx(curvature, rel=1e-4, abs=1e-7)


@every_kind
def test_exchanged_sides_exchange_the_answers(kind):
    predictors = points(kind)
    mirrored = predictors.copy()
    # margins, shifts and habits of a side change sign; gains, reliabilities and ties do not
    for k in {"aware": (0, 1, 4), "noisy": (0, 2)}.get(kind, (0,)):
        mirrored[k] *= -1
    for outcome, other in ((LEFT, RIGHT), (RIGHT, LEFT), (TIE, TIE)):
        here = of_outcome(kind, outcome)(predictors).log_likelihood
        assert here == pytest.approx(of_outcome(kind, other)(mirrored).log_likelihood, rel=1e-12)


def test_threshold_by_hand():
    # d = ln 3, t = ln 2: left sigma(ln 1.5) = 3/5, right sigma(-ln 6) = 1/7, tie the rest = 9/35
    margin, log_threshold = np.full(3, math.log(3)), np.full(3, math.log(math.log(2)))
    terms = threshold_terms(margin, log_threshold, np.array([LEFT, RIGHT, TIE]))
    assert np.exp(terms.log_likelihood) == pytest.approx([3 / 5, 1 / 7, 9 / 35])


def test_davidson_by_hand():
    # d = ln 4, nu = 1/2: weights 2, 1/2, 1/2
    terms = davidson_terms(np.full(3, math.log(4)), np.full(3, math.log(0.5)), np.array([LEFT, RIGHT, TIE]))
    assert np.exp(terms.log_likelihood) == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_mixtures_by_hand():
    # sigma(ln 3) = 3/4; crowd: 0.8 * 0.75 + 0.2 * 0.25; noisy: 0.8 * 0.75 + 0.2 * 0.9
    predictors = np.array([[math.log(3)], [math.log(4)], [math.log(9)]])
    crowd = crowd_bt_likelihood(np.array([1.0]))(predictors[:2])
    noisy = noisy_bt_likelihood(np.array([1.0]))(predictors)
    assert np.exp(crowd.log_likelihood) == pytest.approx([0.65])
    assert np.exp(noisy.log_likelihood) == pytest.approx([0.78])


def test_a_threshold_of_zero_is_bradley_terry_and_huge_margins_stay_finite():
    margin = np.array([-2.0, 0.0, 3.0])
    terms = threshold_terms(margin, np.full(3, -40.0), np.full(3, LEFT))
    assert np.exp(terms.log_likelihood) == pytest.approx(expit(margin))
    for outcome in (LEFT, RIGHT, TIE):
        far = threshold_terms(np.array([-600.0, 600.0]), np.array([-30.0, 2.0]), np.full(2, outcome))
        assert np.isfinite(far.log_likelihood).all()
        assert np.isfinite(far.gradient).all()
        assert np.isfinite(far.root()).all()
