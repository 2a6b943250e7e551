"""Intervals about groups hold the truth, and false findings over all groups are as rare as promised."""

import numpy as np
import pytest
from scipy import stats

from accord.domain import LabelColumns
from accord.quality.agreement import BootstrapConfig
from accord.quality.bias import (
    PermutationConfig,
    compare_exclusion,
    compare_groups,
    measure_group_means,
)
from accord.quality.labels import tabulate_labels

ONCE = PermutationConfig(permutations=1)


def assert_nominal(hits):
    """94 to 96 % of the runs, but for what lies outside by chance once in 500 on each side."""
    runs = len(hits)
    assert stats.binom.ppf(0.002, runs, 0.94) <= np.sum(hits) <= stats.binom.ppf(0.998, runs, 0.96)


def draw_votes(seed, *, n_items, skills, groups, taste, classes=3):
    """Every annotator labels every item: by his group's taste at times, else by the item's class."""
    rng = np.random.default_rng(seed)
    item_class = rng.integers(0, classes, (n_items, 1))
    n_groups = max(groups) + 1
    group_class = np.where(
        rng.random((n_items, n_groups)) < taste, rng.integers(0, classes, (n_items, n_groups)), item_class
    )
    own = group_class[:, list(groups)]
    label = np.where(rng.random(own.shape) < skills, own, rng.integers(0, classes, own.shape))
    items, annotators = np.indices(label.shape)
    columns = LabelColumns(items=items.ravel(), annotators=annotators.ravel(), values=label.ravel())
    return tabulate_labels(columns, classes=range(classes))


@pytest.mark.slow
@pytest.mark.parametrize("level", ["nominal", "interval"])
def test_agreement_within_and_across_groups_is_covered(level):
    # the same annotators, items drawn anew: what intervals over items speak of
    groups = (0, 1, 0, 1, 0, 1, 0, 1, 0)
    crowd = {"skills": np.linspace(0.5, 0.9, 9), "groups": groups, "taste": 0.3}
    names = {j: "ab"[group] for j, group in enumerate(groups)}

    def measure(seed, n_items, replicates):
        config = BootstrapConfig(replicates=replicates, seed=seed)
        table = draw_votes(seed, n_items=n_items, **crowd)
        return compare_groups(table, names, level=level, config=config, permutation=ONCE)[0]

    whole = measure(10_000, 40_000, 0)
    hits = {"in_group": [], "cross_group": [], "ratio": []}
    for run in range(250):
        found = measure(run, 100, 600)
        for name, held in hits.items():
            one, truth = getattr(found, name), getattr(whole, name).value
            held.append(one.low is not None and one.low <= truth <= one.high)
    for held in hits.values():
        assert_nominal(held)


@pytest.mark.slow
def test_groups_without_a_view_of_their_own_are_rarely_found():
    # Benjamini-Hochberg where nothing is to be found: the chance of ANY group is at most the rate
    n_runs, found = 250, 0
    groups = (0,) * 5 + (1,) * 5 + (2,) * 5
    for run in range(n_runs):
        rng = np.random.default_rng(run)
        table = draw_votes(run, n_items=40, skills=rng.uniform(0.3, 0.9, 15), groups=groups, taste=0.0)
        rows = compare_groups(
            table,
            {j: "abc"[group] for j, group in enumerate(groups)},
            config=BootstrapConfig(replicates=0),
            permutation=PermutationConfig(permutations=199, seed=run),
        )
        found += min(row.p_adjusted for row in rows) <= 0.05
    assert found <= stats.binom.ppf(0.998, n_runs, 0.05)


def draw_ratings(seed, *, sizes, n_items, item=1.0, annotator=0.5):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    cells = item * rng.normal(size=(n_items, 1)) + annotator * rng.normal(size=len(group))
    cells = cells + rng.normal(size=cells.shape)
    items, annotators = np.nonzero(rng.random(cells.shape) < 0.6)
    table = tabulate_labels(LabelColumns(items=items, annotators=annotators, values=cells[items, annotators]))
    return table, dict(enumerate("abcd"[at] for at in group))


@pytest.mark.slow
def test_means_of_groups_are_covered_and_few_are_found_to_differ():
    # four groups that are alike; raters of a group differ, which is what the intervals must allow for
    n_runs, found = 200, 0
    hits = {"mean": [], "difference": []}
    for run in range(n_runs):
        table, groups = draw_ratings(run, sizes=(4, 5, 6, 5), n_items=60, item=0.5)
        rows = measure_group_means(table, groups).groups
        found += min(row.p_adjusted for row in rows) < 0.05
        hits["mean"].append(rows[0].low <= 0 <= rows[0].high)
        hits["difference"].append(rows[0].difference_low <= 0 <= rows[0].difference_high)
    for held in hits.values():
        assert_nominal(held)
    assert found <= stats.binom.ppf(0.998, n_runs, 0.05)


@pytest.mark.parametrize("size", [8, 40, 300])
def test_interval_of_an_exclusion_rate_covers_at_its_promise_on_average(size):
    counts = np.arange(size + 1)
    ends = []
    for count in counts.tolist():
        (row,) = compare_exclusion(["a"] * size, [True] * count + [False] * (size - count))
        ends.append((row.low, row.high))
    low, high = np.array(ends).T
    rates = np.linspace(0.05, 0.95, 499)
    inside = (low <= rates[:, None]) & (rates[:, None] <= high)
    coverage = (stats.binom.pmf(counts, size, rates[:, None]) * inside).sum(axis=1)
    # no simulation: the sum over all outcomes. It swings with the rate, as that of any count does
    assert 0.94 <= coverage.mean() <= 0.96
    assert coverage.min() >= 0.85
