"""Intervals over prompts and annotators at once hold the truth, where those over prompts alone do not."""

import math

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters
from accord.evaluation.crossed import crossed_estimate
from accord.evaluation.intervals import bootstrap_estimate


def draw(seed, *, prompts=30, annotators=12, skew=False):
    """Scores of a random half of the cells; prompts and annotators lean by themselves. Mean 0."""
    rng = np.random.default_rng(seed)
    lean = rng.normal(size=annotators)
    ease = rng.exponential(size=prompts) - 1 if skew else rng.normal(size=prompts)
    first, second = np.nonzero(rng.random((prompts, annotators)) < 0.5)
    scores = 0.5 * ease[first] + 0.5 * lean[second] + rng.normal(size=len(first))
    return scores, first.tolist(), second.tolist()


def mean_of(scores):
    return lambda weights: float(weights @ scores / weights.sum())


def test_value_and_determinism():
    scores, first, second = draw(0)
    one = crossed_estimate(mean_of(scores), first, second, seed=3)
    assert one.value == pytest.approx(scores.mean())
    assert one.low < one.value < one.high
    assert crossed_estimate(mean_of(scores), first, second, seed=3) == one
    assert crossed_estimate(mean_of(scores), second, first, seed=3).low == pytest.approx(one.low, abs=0.05)


def test_the_fewer_count_alone_only_where_the_others_part_is_nothing():
    # prompts whose part is as large as annotators', and prompts that are all alike: the latter's interval is
    # wider beside its standard error, being Student's of the 8 annotators alone
    lean, ease = np.linspace(-1, 1, 8), np.linspace(-2, 2, 40)
    first, second = np.repeat(np.arange(40), 8).tolist(), list(range(8)) * 40
    reach = []
    for part in (ease, np.zeros(40)):
        scores = np.repeat(part, 8) + np.tile(lean, 40)
        found = crossed_estimate(mean_of(scores), first, second, resamples=4000)
        error = math.hypot(part.std(ddof=1) / 40**0.5, lean.std(ddof=1) / 8**0.5)
        reach.append((found.high - found.low) / error)
    assert reach[0] < 0.92 * reach[1]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "skew"), [("percentile", False), ("bca", True)])
def test_means_are_covered_and_prompts_alone_are_too_narrow(method, skew):
    runs, held, naive = 400, 0, 0
    for seed in range(runs):
        scores, first, second = draw(seed, skew=skew)
        one = crossed_estimate(mean_of(scores), first, second, method=method, resamples=300, seed=seed)
        held += one.low <= 0 <= one.high
        if seed < 100:
            units = Clusters.of(first, rows=len(first))
            only = bootstrap_estimate(mean_of(scores), units, method="percentile", resamples=200)
            naive += only.low <= 0 <= only.high
    # 94 to 97 %, for it is mildly conservative by design, and three binomial standard errors of 400 runs
    assert 0.94 - 0.036 <= held / runs <= 0.97 + 0.026
    assert naive / 100 < 0.9


def test_too_few_of_a_kind_give_no_interval():
    scores = np.array([1.0, 2.0, 3.0, 4.0])
    found = crossed_estimate(mean_of(scores), [0, 1, 2, 3], ["a", "a", "b", "b"])
    assert (found.value, found.has_interval) == (2.5, False)
    nothing = crossed_estimate(lambda weights: math.nan, [0, 1, 2], [0, 1, 2])
    assert not nothing.has_interval
    with pytest.raises(EvaluationError, match="3 entries of the first kind and 2"):
        crossed_estimate(mean_of(scores), [0, 1, 2], [0, 1])
