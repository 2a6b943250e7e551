"""Intervals that hold together: the known value of independent ones, and coverage by simulation."""

import numpy as np
import pytest
from scipy.special import ndtr, stdtrit

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters
from accord.evaluation.simultaneous import bootstrap_matrix, max_t_critical, simultaneous_intervals


def test_independent_estimates_have_the_value_of_sidak_and_equal_ones_that_of_one():
    generator = np.random.default_rng(0)
    apart = generator.standard_normal((20_000, 4))
    # Phi^-1((1 + .95^(1/4)) / 2) = 2.4909
    assert max_t_critical(apart, np.zeros(4), np.ones(4)) == pytest.approx(2.491, abs=0.03)
    same = np.repeat(apart[:, :1], 4, axis=1)
    assert max_t_critical(same, np.zeros(4), np.ones(4)) == pytest.approx(1.96, abs=0.03)


def test_few_clusters_widen_the_value_as_students_quantile():
    draws = np.random.default_rng(1).standard_normal((5_000, 1))
    plain = max_t_critical(draws, [0.0], [1.0])
    widened = max_t_critical(draws, [0.0], [1.0], clusters=10)
    assert widened == pytest.approx((10 / 9) ** 0.5 * stdtrit(9, ndtr(plain)))


def test_a_value_that_never_moves_has_no_interval_and_the_order_is_kept():
    draws = np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 1.0]])
    found = simultaneous_intervals([1.0, 2.0], draws, sizes=[5, 7], clusters=3)
    assert not found.intervals[0].has_interval
    assert (found.intervals[1].value, found.intervals[1].n) == (2.0, 7)


def test_shapes_and_single_clusters_are_refused():
    with pytest.raises(EvaluationError, match="one column"):
        simultaneous_intervals([1.0, 2.0], np.zeros((3, 1)), sizes=[1, 1], clusters=3)
    with pytest.raises(EvaluationError, match="two or more"):
        simultaneous_intervals([1.0], np.zeros((3, 1)), sizes=[1], clusters=1)


def test_skewed_means_of_shared_rows_are_covered_together():
    """Four means over the same 60 clusters of 1 to 3 rows; nominal 95 %, 250 runs: sem .014."""
    truth = np.array([1.0, 1.0, 2.0, 0.5])
    held = 0
    for run in range(250):
        generator = np.random.default_rng(run)
        labels = np.repeat(np.arange(60), generator.integers(1, 4, 60))
        shared = generator.normal(0, 0.5, 60)[labels]
        table = generator.gamma(2.0, truth[:, None] / 2, (4, len(labels))) + shared

        def means(weights, table=table):
            return table @ weights / weights.sum()

        clusters = Clusters.of(labels.tolist(), rows=len(labels))
        values, draws = bootstrap_matrix(means, clusters, resamples=250, seed=run)
        found = simultaneous_intervals(values, draws, sizes=[len(labels)] * 4, clusters=60)
        held += all(one.low <= t <= one.high for one, t in zip(found.intervals, truth, strict=True))
    assert held / 250 == pytest.approx(0.95, abs=0.045)
