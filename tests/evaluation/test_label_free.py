"""The estimate hits the true accuracy under covariate drift, alarms at its rate, and misses changed taste."""

import math

import numpy as np
import pytest
from scipy.special import expit

from accord.domain.errors import EvaluationError
from accord.evaluation.label_free import estimate_accuracy, fit_label_free


def batch(generator, spread, n, *, heat=2.0):
    """True log-odds of the given spread; the model reports them `heat` times too surely."""
    odds = spread * generator.normal(size=n)
    return heat * odds, (generator.random(n) < expit(odds)).astype(float), expit(np.abs(odds)).mean()


def test_accuracy_of_easier_and_harder_batches_is_found_without_labels():
    generator = np.random.default_rng(0)
    reference = fit_label_free(*batch(generator, 1.0, 5000)[:2])
    assert reference.temperature == pytest.approx(2.0, rel=0.1)
    assert reference.bias_interval.low < 0.0 < reference.bias_interval.high
    for spread in (0.3, 1.0, 3.0):
        margins, labels, best = batch(generator, spread, 5000)
        found = estimate_accuracy(margins, reference)
        assert found.accuracy.value == pytest.approx(best, abs=0.012)
        assert found.accuracy.value == pytest.approx(np.mean((margins > 0) == labels), abs=0.03)
        assert found.is_out is (spread != 1.0)


def test_intervals_know_that_the_temperature_was_fitted():
    # 200 labeled pairs, 200 new ones: with sampling of the new prompts alone .80 hold the truth
    held, bias, n_runs = 0, 0, 400
    truth = batch(np.random.default_rng(1), 2.0, 1_000_000)[2]
    for seed in range(n_runs):
        generator = np.random.default_rng(seed)
        reference = fit_label_free(*batch(generator, 2.0, 200)[:2], seed=seed)
        found = estimate_accuracy(batch(generator, 2.0, 200)[0], reference, seed=seed).accuracy
        held += found.low <= truth <= found.high
        bias += reference.bias_interval.low <= 0 <= reference.bias_interval.high
    # three binomial standard errors of 400 runs are .033
    assert (held / n_runs, bias / n_runs) == pytest.approx((0.95, 0.95), abs=0.033)


def test_limits_are_left_as_rarely_as_three_sigmas_say():
    out = 0
    for seed in range(150):
        generator = np.random.default_rng(seed)
        reference = fit_label_free(*batch(generator, 1.0, 200)[:2])
        out += estimate_accuracy(batch(generator, 1.0, 100)[0], reference).is_out
    # 0.27 % of 150 is 0.4; 4 and more has a chance under one in a thousand
    assert out < 4


def test_pairs_that_share_a_prompt_widen_the_limits():
    generator = np.random.default_rng(0)
    margins = np.repeat(batch(generator, 1.0, 100)[0], 4)
    labels = np.tile([1.0, 0.0], 200)
    ids = [i // 4 for i in range(400)]
    clustered = fit_label_free(margins, labels, ids)
    alone = fit_label_free(margins, labels)
    assert clustered.spread == pytest.approx(alone.spread, rel=0.01)
    assert clustered.n_prompts == 100
    wide = estimate_accuracy(margins, clustered, ids)
    narrow = estimate_accuracy(margins, alone)
    # as many pairs on a quarter of the prompts: twice the width
    assert wide.high_limit - wide.center == pytest.approx(2 * (narrow.high_limit - narrow.center), rel=0.01)


def test_change_of_taste_is_not_seen():
    """Stated blindness: labels turned around, confidence and estimate the same."""
    generator = np.random.default_rng(0)
    reference = fit_label_free(*batch(generator, 1.0, 2000)[:2])
    margins, labels, _ = batch(generator, 1.0, 2000)
    found = estimate_accuracy(margins, reference)
    assert not found.is_out
    assert np.mean((margins > 0) == (1 - labels)) < 0.4 < found.accuracy.value


def test_one_prompt_gives_an_accuracy_without_an_interval():
    generator = np.random.default_rng(0)
    reference = fit_label_free(*batch(generator, 1.0, 100)[:2])
    found = estimate_accuracy([1.0, 2.0], reference, ["a", "a"]).accuracy
    assert not found.has_interval
    assert 0.5 < found.value < 1.0


def test_too_little_is_refused():
    with pytest.raises(EvaluationError, match="50 or more"):
        fit_label_free([1.0] * 49, [1.0] * 49)
    reference = fit_label_free([1.0, -2.0] * 40, [1.0, 1.0] * 40)
    with pytest.raises(EvaluationError, match="n = 0"):
        estimate_accuracy([], reference)
    with pytest.raises(EvaluationError, match="not finite"):
        estimate_accuracy([math.nan], reference)
