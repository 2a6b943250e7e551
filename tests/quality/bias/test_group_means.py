"""Means of groups: REML against the analysis of variance and a direct likelihood, levels and coverage."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from accord.domain import ConfigError, DataError, LabelColumns
from accord.quality.bias import fit_mixed_model, measure_group_means
from accord.quality.labels import tabulate_labels


def simulate(seed, *, n_items=25, sizes=(6, 6), shift=0.0, annotator=0.5, item=1.0, error=1.0, share=1.0):
    """Columns of ratings; the last group is `shift` higher."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    level = annotator * rng.normal(size=len(group)) + shift * (group == len(sizes) - 1)
    cells = item * rng.normal(size=(n_items, 1)) + level + error * rng.normal(size=(n_items, len(group)))
    items, annotators = np.nonzero(rng.random(cells.shape) < share)
    return items, annotators, 3 + cells[items, annotators], group


def table_of(items, annotators, numbers):
    return tabulate_labels(LabelColumns(items=items, annotators=annotators, values=numbers))


def measure(seed, **settings):
    items, annotators, numbers, group = simulate(seed, **settings)
    return measure_group_means(
        table_of(items, annotators, numbers), dict(enumerate("abc"[at] for at in group))
    )


def test_balanced_variances_are_those_of_the_analysis_of_variance():
    items, annotators, numbers, group = simulate(0)
    fit = fit_mixed_model(numbers, items, annotators, np.eye(2)[group])
    cells = numbers.reshape(25, 12)
    rows, columns = cells.mean(axis=1), cells.mean(axis=0)
    means = np.array([columns[:6].mean(), columns[6:].mean()])
    residual = cells - rows[:, None] - columns + cells.mean()
    error = (residual**2).sum() / (24 * 11)
    between = 25 * ((columns - np.repeat(means, 6)) ** 2).sum() / 10
    item = (12 * rows.var(ddof=1) - error) / 12
    assert fit.means == pytest.approx(means, abs=1e-6)
    assert fit.error_variance == pytest.approx(error, rel=1e-3)
    assert fit.annotator_variance == pytest.approx((between - error) / 25, rel=2e-3)
    assert fit.item_variance == pytest.approx(item, rel=2e-3)
    # a difference of means of six annotators each: 2 / 6 (annotators + error / items)
    contrast = np.array([1, -1])
    assert contrast @ fit.covariance @ contrast == pytest.approx(between / 25 / 3, rel=2e-3)


def test_unbalanced_likelihood_is_at_its_maximum():
    items, annotators, numbers, group = simulate(2, n_items=12, sizes=(4, 5), share=0.5)
    fit = fit_mixed_model(numbers, items, annotators, np.eye(2)[group])
    design = np.eye(2)[group][annotators]
    by_item = np.eye(12)[items]
    by_annotator = np.eye(9)[annotators]

    def restricted(item, annotator, error):
        covariance = item * by_item @ by_item.T + annotator * by_annotator @ by_annotator.T
        covariance += error * np.eye(len(numbers))
        inverse = np.linalg.inv(covariance)
        information = design.T @ inverse @ design
        means = np.linalg.solve(information, design.T @ inverse @ numbers)
        residual = numbers - design @ means
        value = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1]
        return -0.5 * (value + residual @ inverse @ residual), means, np.linalg.inv(information)

    best = (fit.item_variance, fit.annotator_variance, fit.error_variance)
    value, means, covariance = restricted(*best)
    assert fit.means == pytest.approx(means, abs=1e-8)
    assert fit.covariance == pytest.approx(covariance, rel=1e-6)
    for at in range(3):
        for factor in (0.8, 1.25):
            other = list(best)
            other[at] *= factor
            assert restricted(*other)[0] < value


def test_no_difference_between_annotators_is_found_as_none():
    fits = [measure(seed, annotator=0.0) for seed in range(20)]
    deviations = [fit.annotator_deviation for fit in fits]
    # error 1 over 25 items is .2 for an annotator's mean; about half of the estimates are at 0
    assert sum(value == 0 for value in deviations) >= 4
    assert max(deviations) < 0.35


def test_units_and_origin_move_with_the_ratings():
    items, annotators, numbers, group = simulate(2, share=0.7)
    groups = dict(enumerate("ab"[at] for at in group))
    plain = measure_group_means(table_of(items, annotators, numbers), groups)
    moved = measure_group_means(table_of(items, annotators, 1000 + 10 * numbers), groups)
    for one, other in zip(plain.groups, moved.groups, strict=True):
        assert other.mean == pytest.approx(1000 + 10 * one.mean, abs=1e-4)
        assert other.difference_low == pytest.approx(10 * one.difference_low, rel=1e-3)
        assert other.p_value == pytest.approx(one.p_value, rel=1e-3)


def test_many_ratings_of_few_annotators_are_a_small_sample():
    found = measure(3, n_items=400, sizes=(3, 3))
    row = found.groups[0]
    # annotators' deviation .5, three a group: the difference has an error near .41 however many the items,
    # and t of 4 degrees is 2.78
    assert row.difference_high - row.difference_low > 2 * 2.78 * 0.15
    assert row.n_annotators == 3
    assert row.n_ratings == 1200


def test_differences_are_from_the_other_groups():
    found = measure(4, sizes=(4, 5, 6), shift=2.0, share=0.6).groups
    means = [one.mean for one in found]
    for i, one in enumerate(found):
        others = [mean for j, mean in enumerate(means) if j != i]
        assert one.difference == pytest.approx(one.mean - np.mean(others))
        assert one.difference_low < one.difference < one.difference_high
        assert one.low < one.mean < one.high
        assert one.p_adjusted >= one.p_value
    assert found[2].p_adjusted < 0.01


def test_edges_have_reasons_and_no_nan():
    constant = measure_group_means(table_of([0, 0, 1, 1], [0, 1, 0, 1], [2.0] * 4), {0: "a", 1: "b"})
    assert constant.groups == ()
    assert "do not vary" in constant.reason
    one_each = measure_group_means(table_of([0, 0, 1, 1], [0, 1, 0, 1], [1.0, 2, 2, 4]), {0: "a", 1: "b"})
    assert [one.mean for one in one_each.groups] == pytest.approx([1.5, 3.0])
    assert one_each.groups[0].low is None
    assert "no interval" in one_each.reason
    single = measure_group_means(table_of([0, 0, 1, 1], [0, 1, 0, 1], [1.0, 2, 2, 4]), {0: "a", 1: "a"})
    assert (single.groups[0].difference, single.groups[0].p_value) == (None, None)
    assert single.groups[0].low < 2.25 < single.groups[0].high
    for found in (constant, one_each, single):
        json.dumps(asdict(found), allow_nan=False)


def test_wrong_input_is_named():
    table = table_of([0, 0], [0, 1], [1.0, 2.0])
    with pytest.raises(DataError, match="no annotator with ratings has a group"):
        measure_group_means(table, {})
    with pytest.raises(ConfigError, match="confidence is 0"):
        measure_group_means(table, {0: "a"}, confidence=0)
    many = np.arange(20_000)
    with pytest.raises(DataError, match=r"20000 annotators.*select the 11585 with the most ratings"):
        fit_mixed_model(many.astype(float), many, many, np.ones((20_000, 1)))
    with pytest.raises(DataError, match="expected numbers"):
        measure_group_means(table_of([0, 0], [0, 1], ["x", "y"]), {0: "a", 1: "b"})


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "share"), [((6, 6), 1.0), ((4, 9), 0.5)])
def test_differences_are_covered_and_the_test_keeps_its_level(sizes, share):
    n_runs, hits, alarms = 300, 0, 0
    for run in range(n_runs):
        one = measure(run, sizes=sizes, share=share, n_items=20).groups[0]
        hits += one.difference_low <= 0 <= one.difference_high
        alarms += one.p_value < 0.05
    # three binomial standard errors of 300 runs
    assert hits / n_runs == pytest.approx(0.95, abs=0.038)
    assert alarms == n_runs - hits
