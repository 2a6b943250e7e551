"""Statistics by loops over pairs; false alarms at their level, with and without prompts that repeat."""

import math

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.drift.two_sample import compare_samples, energy_distance, mmd_unbiased, permuter


def gap(first, second):
    return math.dist(np.atleast_1d(first), np.atleast_1d(second))


def test_statistics_by_loops():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(5, 3)), generator.normal(size=(4, 3)) + 1

    def kernel(a, b):
        return math.exp(-(gap(a, b) ** 2) / (2 * 1.7**2))

    inner = sum(kernel(x[i], x[j]) for i in range(5) for j in range(5) if i != j) / 20
    outer = sum(kernel(y[i], y[j]) for i in range(4) for j in range(4) if i != j) / 12
    cross = np.mean([kernel(a, b) for a in x for b in y])
    assert mmd_unbiased(x, y, bandwidth=1.7) == pytest.approx(inner + outer - 2 * cross, rel=1e-10)
    energy = 2 * np.mean([gap(a, b) for a in x for b in y])
    energy -= np.mean([gap(a, b) for a in x for b in x]) + np.mean([gap(a, b) for a in y for b in y])
    assert energy_distance(x, y) == pytest.approx(energy, rel=1e-10)
    assert energy_distance(x, x) == pytest.approx(0.0, abs=1e-12)


def test_energy_of_two_points_by_hand():
    # sides {0, 2} and {1, 3}: 2 * (1 + 3 + 1 + 1)/4 - (0 + 2 + 2 + 0)/4 - the same
    assert energy_distance([0.0, 2.0], [1.0, 3.0]) == pytest.approx(3.0 - 1.0 - 1.0)


def test_scale_is_the_median_of_the_pooled_distances():
    # 0, 1 | 3, 7: distances 1, 3, 7, 2, 6, 4 -> median 3.5
    assert compare_samples([0.0, 1.0], [3.0, 7.0], permutations=9).scale == 3.5


@pytest.mark.parametrize("statistic", ["mmd", "energy"])
def test_false_alarms_come_at_the_level(statistic):
    p_values = []
    for seed in range(300):
        generator = np.random.default_rng(seed)
        x, y = generator.exponential(size=(20, 3)), generator.exponential(size=(35, 3))
        p_values.append(compare_samples(x, y, statistic=statistic, permutations=99, seed=seed).p_value)
    # exact level: 5 % and 20 % of 300 within three standard errors, 3.8 and 6.9 points
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.038)
    assert np.mean(np.array(p_values) <= 0.20) == pytest.approx(0.20, abs=0.069)


def answers(generator, prompts, each):
    """Answers that mostly are what the prompt asks for."""
    return np.repeat(generator.normal(size=(prompts, 2)), each, axis=0) + 0.2 * generator.normal(
        size=(prompts * each, 2)
    )


@pytest.mark.parametrize("is_paired", [False, True])
def test_false_alarms_with_prompts_that_repeat(is_paired):
    """Prompts of one side each, or answered on both sides; permuting rows would alarm far too often or
    never."""
    level, careless = [], []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        both = answers(generator, 24, 4)
        ids = [str(i // 4) for i in range(96)]
        pick = np.arange(96) % 4 < 2 if is_paired else np.arange(96) < 48
        sides = (both[pick], both[~pick])
        own = tuple(
            [label for label, is_in in zip(ids, mask, strict=True) if is_in] for mask in (pick, ~pick)
        )
        found = compare_samples(*sides, reference_ids=own[0], current_ids=own[1], permutations=99, seed=seed)
        assert found.unit == ("sides within prompts" if is_paired else "prompts")
        level.append(found.p_value <= 0.1)
        careless.append(compare_samples(*sides, permutations=99, seed=seed).p_value <= 0.1)
    assert np.mean(level) == pytest.approx(0.1, abs=0.064)
    assert np.mean(careless) < 0.02 if is_paired else np.mean(careless) > 0.3


def test_drift_is_found_in_mean_and_in_shape():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(120, 4))
    assert compare_samples(x, generator.normal(size=(120, 4)) + 0.5).p_value == 0.001
    assert compare_samples(x, 2.0 * generator.normal(size=(120, 4)), statistic="energy").p_value == 0.001


def test_order_of_rows_changes_no_statistic():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(20, 2)), generator.normal(size=(20, 2))
    assert compare_samples(x[::-1], y).statistic == pytest.approx(compare_samples(x, y).statistic)


def test_equal_rows_are_no_drift():
    assert compare_samples(np.ones((9, 2)), np.ones((9, 2)), permutations=99).p_value == 1.0


def test_relabelings_keep_prompts_whole():
    relabel = permuter(["a", "a", "b", "c"], ["c", "d", "d"], rows=(4, 3))
    draws = relabel.draw(np.random.default_rng(0), 200)
    assert (draws[:, 0] == draws[:, 1]).all()
    assert (draws[:, 5] == draws[:, 6]).all()
    # c lies on both sides and swaps; of a, b and d exactly one is current
    assert (draws[:, 3] != draws[:, 4]).all()
    assert (draws[:, [0, 2, 5]].sum(axis=1) == 1).all()
    assert len(np.unique(draws, axis=0)) == 6


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        ([1.0], [1.0, 2.0], {}, "two rows a side"),
        (np.zeros((5, 2)), np.zeros((5, 3)), {}, "expected|features"),
        ([1.0, math.nan], [1.0, 2.0], {}, "not finite"),
        ([1.0, 2.0], [1.0, 2.0], {"reference_ids": ["a", "b"]}, "both sides or of neither"),
        ([1.0, 2.0], [1.0, 2.0], {"reference_ids": ["a", "a"], "current_ids": ["b", "b"]}, "permuted"),
        (np.zeros(3000), np.zeros(3000), {}, "at most 4000"),
    ],
)
def test_bad_samples_are_refused(x, y, options, message):
    with pytest.raises(EvaluationError, match=message):
        compare_samples(x, y, **options)
