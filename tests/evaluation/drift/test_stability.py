"""The index by hand, its level by simulation, and what it is for."""

import math

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.drift.stability import Shift, measure_category_stability, measure_stability


def test_index_by_hand():
    # 3 and 1 against 1 and 3, half a row added to each: shares 3.5/5 and 1.5/5, swapped
    found = measure_category_stability(["a", "a", "a", "b"], ["a", "b", "b", "b"])
    assert found.index == pytest.approx(2 * (0.7 - 0.3) * math.log(0.7 / 0.3))
    assert found.expected == pytest.approx(1 * (1 / 4 + 1 / 4))
    assert found.shift is Shift.LARGE
    assert [(row.label, row.reference_share) for row in found.bins] == [("a", 0.75), ("b", 0.25)]


def test_equal_samples_have_index_zero():
    values = np.arange(100.0)
    assert measure_stability(values, values).index == 0.0
    assert measure_stability(values, values).shift is Shift.SMALL


@pytest.mark.parametrize("sizes", [(200, 200), (100, 1000)])
def test_false_alarms_come_at_the_level(sizes):
    p_values, index = [], []
    for seed in range(400):
        generator = np.random.default_rng(seed)
        found = measure_stability(*(generator.lognormal(size=size) for size in sizes))
        p_values.append(found.p_value)
        index.append(found.index / found.expected)
    # three standard errors of 400 runs are 3.3 points
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.033)
    assert np.mean(index) == pytest.approx(1.0, abs=0.1)


def test_customary_reading_calls_small_samples_drifted_and_the_p_value_does_not():
    runs = [measure_stability(*np.random.default_rng(seed).normal(size=(2, 60))) for seed in range(100)]
    assert np.mean([found.shift is not Shift.SMALL for found in runs]) > 0.9
    assert np.mean([found.p_value <= 0.05 for found in runs]) < 0.12


def test_drift_is_found_and_its_bins_read():
    generator = np.random.default_rng(0)
    found = measure_stability(generator.normal(size=400), generator.normal(size=400) + 1)
    assert found.shift is Shift.LARGE
    assert found.p_value < 1e-6
    assert found.bins[0].current_share < found.bins[0].reference_share
    assert found.bins[0].label.startswith("min to")


def test_whole_numbers_share_bins():
    found = measure_stability([1, 1, 1, 2], [1, 2, 2, 2])
    assert len(found.bins) == 2


@pytest.mark.parametrize(("old", "new", "message"), [([], [1.0], "both sides"), ([1.0], [1.0], "one bin")])
def test_nothing_to_compare_is_refused(old, new, message):
    with pytest.raises(EvaluationError, match=message):
        measure_stability(old, new)
    with pytest.raises(EvaluationError, match="two categories"):
        measure_category_stability(old, new)
