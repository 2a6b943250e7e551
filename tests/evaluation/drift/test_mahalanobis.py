"""The shrunk covariance by its definition, and a band that new rows of the old kind leave as said."""

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.drift.mahalanobis import ledoit_wolf, mahalanobis_distances, measure_outliers


def test_intensity_by_loops_over_the_definition():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(15, 4)) @ np.diag([3.0, 1.0, 1.0, 0.5])
    centered = rows - rows.mean(axis=0)
    sample = sum(np.outer(row, row) for row in centered) / 15
    target = np.trace(sample) / 4 * np.eye(4)
    d2 = ((sample - target) ** 2).sum()
    b2 = sum(((np.outer(row, row) - sample) ** 2).sum() for row in centered) / 15**2
    found = ledoit_wolf(rows)
    assert 0 < b2 / d2 < 1
    assert found.intensity == pytest.approx(b2 / d2, rel=1e-12)
    assert found.covariance == pytest.approx((1 - b2 / d2) * sample + b2 / d2 * target)


def test_shrinking_beats_the_sample_where_rows_are_few():
    truth = np.diag(np.linspace(0.5, 1.5, 30))
    errors = []
    for seed in range(20):
        rows = np.random.default_rng(seed).normal(size=(40, 30)) @ np.sqrt(truth)
        sample = np.cov(rows.T, bias=True)
        errors.append([((m - truth) ** 2).sum() for m in (sample, ledoit_wolf(rows).covariance)])
    plain, shrunk = np.mean(errors, axis=0)
    assert shrunk < 0.25 * plain


def test_much_data_is_hardly_shrunk_and_distances_are_chi():
    rows = np.random.default_rng(0).normal(size=(20_000, 3)) * [1.0, 2.0, 3.0]
    fit = ledoit_wolf(rows)
    assert fit.intensity < 0.01
    # the squared distance of 3 features has mean 3
    assert (mahalanobis_distances(rows, fit) ** 2).mean() == pytest.approx(3.0, rel=0.02)


def test_band_holds_for_rows_of_the_old_kind_though_features_are_many():
    """60 features from 150 rows: a band from in-sample distances would be left several times too often."""
    outside, naive = [], []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        scale = np.geomspace(0.05, 5.0, 60)
        old, new = generator.normal(size=(150, 60)) * scale, generator.normal(size=(400, 60)) * scale
        found = measure_outliers(old, new, band=0.95)
        outside.append(found.outside.value)
        inner = np.quantile(mahalanobis_distances(old, ledoit_wolf(old)), 0.95)
        naive.append((found.distances > inner).mean())
    assert np.mean(outside) == pytest.approx(0.05, abs=0.025)
    assert np.mean(naive) > 0.1


def test_shifted_rows_leave_the_band():
    generator = np.random.default_rng(1)
    found = measure_outliers(generator.normal(size=(500, 8)), generator.normal(size=(200, 8)) + 1.5)
    assert found.outside.low > 0.3
    assert found.expected_outside == pytest.approx(0.01)
    assert found.mean_distance.low > found.reference_distance


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (np.zeros((10, 2)), np.zeros((5, 2)), "20 reference rows"),
        (np.zeros((30, 2)), np.zeros((5, 2)), "no spread"),
        (np.ones((30, 2)), np.ones((5, 3)), "expected"),
        (np.full((30, 2), np.nan), np.ones((5, 2)), "not finite"),
    ],
)
def test_bad_features_are_refused(old, new, message):
    with pytest.raises(EvaluationError, match=message):
        measure_outliers(old, new)


def test_one_prompt_cannot_be_held_out():
    with pytest.raises(EvaluationError, match="held out"):
        measure_outliers(
            np.random.default_rng(0).normal(size=(30, 2)), np.ones((3, 2)), reference_ids=["a"] * 30
        )
