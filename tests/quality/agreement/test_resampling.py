"""Draws have the weights they must have, and intervals cover what they say."""

import numpy as np
import pytest
from scipy.stats import norm, t

from accord.domain import ConfigError
from accord.quality.agreement import BootstrapConfig
from accord.quality.agreement.alpha import alpha_of_rows
from accord.quality.agreement.coincidence import count_rows
from accord.quality.agreement.resampling import (
    CHUNK_CELLS,
    Link,
    Units,
    abc_interval,
    bootstrap,
    number_clusters,
    quantile_levels,
    replicate_weights,
)


def all_weights(units, **config):
    return np.concatenate(list(replicate_weights(units, BootstrapConfig(**config))))


@pytest.mark.parametrize(
    "units",
    [Units(np.array([5, 1, 14])), Units(np.ones(20, dtype=int))],
    ids=["like items together", "one by one"],
)
def test_every_replicate_draws_as_many_items_as_there_are(units):
    weights = all_weights(units, replicates=3000)
    assert (weights.sum(axis=1) == 20).all()
    # multinomial: mean m, variance m (1 - m / 20); a variance of 3000 draws errs by 2.6 %
    share = units.multiplicity / 20
    assert weights.mean(axis=0) == pytest.approx(units.multiplicity, rel=0.08)
    assert weights.var(axis=0) == pytest.approx(20 * share * (1 - share), rel=0.15)


def test_rows_of_a_cluster_are_drawn_together():
    units = Units(np.array([1, 1, 2, 1]), np.array([0, 1, 0, 2]))
    weights = all_weights(units, replicates=50)
    assert units.n_units == 3
    assert (weights[:, 2] == 2 * weights[:, 0]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_chunks_hold_a_bounded_number_of_weights():
    units = Units(np.ones(CHUNK_CELLS // 3, dtype=int))
    sizes = [weights.size for weights in replicate_weights(units, BootstrapConfig(replicates=5))]
    assert len(sizes) == 2
    assert max(sizes) <= CHUNK_CELLS


def test_interval_of_a_mean_is_that_of_student():
    # the mean of a symmetric sample: point -+ t * s / sqrt(n), up to 1 % of the noise of 20000 replicates
    sample = norm.ppf((np.arange(12) + 0.5) / 12)

    def mean(weights):
        return (weights @ sample / weights.sum(axis=1))[:, None]

    units = Units(np.ones(12, dtype=int))
    found = bootstrap(mean, units, config=BootstrapConfig(replicates=20000), undefined="")
    expected = 2.200985 * sample.std(ddof=1) / np.sqrt(12)
    assert found.values[0] == pytest.approx(0, abs=1e-12)
    assert found.highs[0] == pytest.approx(expected, rel=0.04)
    assert found.lows[0] == pytest.approx(-expected, rel=0.04)


def test_levels_are_nominal_for_many_units_and_wider_for_few():
    assert quantile_levels(10**7, 0.95) == pytest.approx((0.025, 0.975), abs=1e-6)
    # t of 9 degrees is 2.262157, times sqrt(10 / 9) is 2.384525
    assert quantile_levels(10, 0.95) == pytest.approx((norm.cdf(-2.384525), norm.cdf(2.384525)), abs=1e-6)


def test_bias_and_acceleration_move_the_levels_as_efron_says():
    # Efron 1987, eq. 2.3, with z0 = .1, a = .05: Phi(.1 + (.1 - 1.96) / (1 + .05 * 1.86))
    low, high = quantile_levels(10**8, 0.95, bias=0.1, acceleration=0.05)
    assert low == pytest.approx(norm.cdf(0.1 - 1.859964 / 1.0929982), abs=1e-6)
    assert high == pytest.approx(norm.cdf(0.1 + 2.059964 / (1 - 0.1029982)), abs=1e-6)


def test_a_wild_acceleration_keeps_the_levels_in_order():
    low, high = quantile_levels(3, 0.95, bias=1.0, acceleration=0.5)
    assert 0 <= low < high <= 1


def test_most_replicates_without_a_value_give_no_interval():
    def rarely(weights):
        return np.where(weights[:, :1] > 1, np.nan, 1.0) + weights[:, 1:2]

    units = Units(np.ones(6, dtype=int))
    found = bootstrap(rarely, units, config=BootstrapConfig(replicates=100), undefined="")
    assert found.lows == (None,)
    assert "of 100 resamples have no value" in found.reasons[0]


def test_zero_replicates_give_no_interval():
    units = Units(np.ones(6, dtype=int))
    found = bootstrap(
        lambda weights: weights[:, :1], units, config=BootstrapConfig(replicates=0), undefined=""
    )
    assert (found.values, found.lows) == ((1.0,), (None,))
    assert "0 replicates" in found.reasons[0]


def test_wrong_settings_are_named_together():
    with pytest.raises(ConfigError, match=r"(?s)replicates is -1.*confidence is 2"):
        BootstrapConfig(replicates=-1, confidence=2)


def test_clusters_are_numbered_without_gaps():
    assert number_clusters(["x", "b", "x"], n_items=3).tolist() == [0, 1, 0]


SCENES = [
    (100, 2, 2, 0.9, "nominal"),
    (40, 2, 3, 0.7, "nominal"),
    (200, 4, 5, 0.5, "nominal"),
    (100, 4, 3, 0.6, "interval"),
    (100, 4, 3, 0.6, "ordinal"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("n_items", "n_classes", "n_labels", "skill", "level"), SCENES)
def test_alpha_interval_covers_its_level(n_items, n_classes, n_labels, skill, level):
    # a label is the item's class with probability `skill`, else any: pairs agree beyond chance with
    # skill^2, which is alpha on each of the levels, for all classes are alike common
    n_runs, truth, hits = 800, skill**2, 0
    for run in range(n_runs):
        rng = np.random.default_rng([run, n_items])
        item_class = rng.integers(0, n_classes, n_items)
        item_index = np.repeat(np.arange(n_items), n_labels)
        random = rng.integers(0, n_classes, len(item_index))
        labels = np.where(rng.random(len(item_index)) < skill, item_class[item_index], random)
        found = alpha_of_rows(
            count_rows(item_index, labels, n_items=n_items, n_classes=n_classes),
            np.arange(n_classes, dtype=float),
            level=level,
            config=BootstrapConfig(replicates=400, seed=run),
        )
        hits += found.low is not None and found.low <= truth <= found.high
    # three binomial standard errors of 800 runs are .023; the interval is a bootstrap's, so .01 is its own
    assert hits / n_runs == pytest.approx(0.95, abs=0.033)


def mean_of(sample):
    return lambda weights: (weights @ sample / weights.sum(axis=1))[:, None]


@pytest.mark.parametrize(
    ("n_units", "error"), [(12, 1e-6), (2100, 0.1)], ids=["by leaving out", "by the spread of resamples"]
)
def test_far_from_its_bounds_a_symmetric_mean_has_students_interval(n_units, error):
    # between -1e4 and 1e4 log-odds are straight: mean -+ t s / sqrt(n); 2100 units are too dear to leave out
    sample = norm.ppf((np.arange(n_units) + 0.5) / n_units)
    found = abc_interval(
        mean_of(sample),
        Units(np.ones(n_units, dtype=int)),
        links=[Link(-1e4, 1e4)],
        config=BootstrapConfig(replicates=1000),
        undefined="",
    )
    reach = t.ppf(0.975, n_units - 1) * sample.std(ddof=1) / np.sqrt(n_units)
    assert found.values[0] == pytest.approx(0, abs=1e-9)
    assert found.highs[0] == pytest.approx(reach, rel=error)
    assert found.lows[0] == pytest.approx(-reach, rel=error)


def test_near_a_bound_the_interval_stays_within_and_like_items_count_each():
    # 38 of 40 by the definition, unit by unit: the log-odds with each left out, counted twice, and with all
    # weights moved half a standard error along their influences
    def log_odds(weights):
        hits = weights[:38].sum()
        return np.log(hits / (weights.sum() - hits))

    one = np.ones(40)
    less = np.array([log_odds(one - unit) for unit in np.eye(40)])
    more = np.array([log_odds(one + unit) for unit in np.eye(40)])
    influences = (more - less) / 2 * (1 - 1 / 1600)
    influences -= influences.mean()
    root = np.sqrt((influences**2).sum())
    acceleration = (influences**3).sum() / (6 * root**3)
    center = log_odds(one)
    bias = (more + less - 2 * center).sum() / 2
    bent = sum(log_odds(one + side * influences / root) for side in (-0.5, 0.5)) - 2 * center
    curvature = bent / (2 * root * 0.25)
    ends = []
    for quantile in t.ppf([0.025, 0.975], 39):
        moved = acceleration - bias / root + curvature + quantile
        step = moved / (1 - acceleration * moved) ** 2
        bent_step = (np.exp(2 * curvature * step) - 1) / (2 * curvature)
        ends.append(center + root * np.sqrt(40 / 39) * bent_step)
    found = abc_interval(
        mean_of(np.array([1.0, 0.0])),
        Units(np.array([38, 2])),
        links=[Link(0.0, 1.0)],
        config=BootstrapConfig(),
        undefined="",
    )
    assert (found.lows[0], found.highs[0]) == pytest.approx(1 / (1 + np.exp(-np.array(ends))))
    # beside Wilson's interval of 38 of 40, .835 to .986
    assert (found.lows[0], found.highs[0]) == pytest.approx((0.858, 0.990), abs=0.002)
    # whole clusters of one row are the same as units
    clustered = abc_interval(
        mean_of(np.array([1.0] * 38 + [0.0] * 2)),
        Units(np.ones(40, dtype=int), np.arange(40)),
        links=[Link(0.0, 1.0)],
        config=BootstrapConfig(),
        undefined="",
    )
    assert (clustered.lows[0], clustered.highs[0]) == pytest.approx((found.lows[0], found.highs[0]))


def test_a_skewed_mean_is_missed_on_both_sides():
    # exponential: of 30 units Student's interval lies above the truth in under 1 % and below it in over 6 %
    rng, n_runs, n_units = np.random.default_rng(0), 1500, 30
    missed, plain = np.zeros(2), np.zeros(2)
    for _ in range(n_runs):
        sample = rng.exponential(size=n_units)
        found = abc_interval(
            mean_of(sample),
            Units(np.ones(n_units, dtype=int)),
            links=[Link(-1e4, 1e4)],
            config=BootstrapConfig(),
            undefined="",
        )
        missed += [found.lows[0] > 1, found.highs[0] < 1]
        reach = t.ppf(0.975, n_units - 1) * sample.std(ddof=1) / np.sqrt(n_units)
        plain += [sample.mean() - reach > 1, sample.mean() + reach < 1]
    assert plain[1] / n_runs > 0.055 > 5 * plain[0] / n_runs
    # .025 each, give or take .012 by chance and what a third order leaves
    assert missed / n_runs == pytest.approx(0.025, abs=0.022)


def test_an_interval_does_not_turn_back_where_the_statistic_bends():
    # minus the square of a mean near 0: half its second derivative is ten standard errors
    sample = np.linspace(-1, 1, 9) + 0.05
    found = abc_interval(
        lambda weights: -((weights @ sample / weights.sum(axis=1))[:, None] ** 2),
        Units(np.ones(9, dtype=int)),
        links=[Link(-1e4, 1e4)],
        config=BootstrapConfig(),
        undefined="",
    )
    assert found.lows[0] < found.values[0] < found.highs[0]
    assert found.highs[0] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("sample", "multiplicity", "replicates", "reason"),
    [
        ([0.5], [1], 10, "1 of the items that are drawn, needs 2"),
        ([0.5, 0.5], [1, 1], 10, "gives the same value"),
        ([1.0, 0.0], [3, 1], 10, "without some of the items the value is at its bound"),
        ([1.0, 0.0], [1] * 2, 10, "without some of the items the value is at its bound"),
        ([1.0] * 2100, [1] * 2100, 50, "without some of the items the value is at its bound"),
        # 2100 units are too dear to leave out, and a third of all resamples miss the only 0
        ([1.0] * 2099 + [0.0], [1] * 2100, 50, "without some of the items the value is at its bound"),
        ([0.5, 0.2], [1, 1], 0, "no interval was asked for"),
    ],
)
def test_what_has_no_abc_interval_has_a_reason(sample, multiplicity, replicates, reason):
    found = abc_interval(
        mean_of(np.array(sample)),
        Units(np.array(multiplicity)),
        links=[Link(0.0, 1.0)],
        config=BootstrapConfig(replicates=replicates),
        undefined="",
    )
    assert (found.lows[0], found.highs[0]) == (None, None)
    assert reason in found.reasons[0]
