"""Exclusion by group against hand-made tables."""

import numpy as np
import pytest
from scipy.stats import hypergeom

from accord.domain import ConfigError, DataError
from accord.quality.bias import ExclusionConfig, ExclusionVerdict, compare_exclusion


def people(**counts):
    """Groups and exclusions from group=(excluded, kept)."""
    groups = [name for name, (out, kept) in counts.items() for _ in range(out + kept)]
    return groups, [i < out for out, kept in counts.values() for i in range(out + kept)]


def test_four_fifths_and_exact_test_by_hand():
    # kept: 48 / 60 and 12 / 30: ratio .4 / .8 = 1/2. Fisher: the sum of all tables with these margins
    # (30 excluded of 90, 60 in a) that are no likelier than the one seen
    first, second = compare_exclusion(*people(a=(12, 48), b=(18, 12)))
    assert (first.rate, second.rate) == (0.2, 0.6)
    assert (first.kept_ratio, second.kept_ratio) == (1.0, pytest.approx(0.5))
    law = hypergeom(90, 30, 60).pmf(np.arange(31))
    expected = law[law <= law[12] * (1 + 1e-9)].sum()
    assert second.p_value == pytest.approx(expected)
    assert second.p_adjusted == pytest.approx(2 * expected)
    assert first.verdict is ExclusionVerdict.EVEN
    assert second.verdict is ExclusionVerdict.ADVERSE
    assert second.verdict.is_alarm


def test_low_ratio_within_chance_is_watched():
    # kept 9 / 10 and 7 / 10: ratio .78, p = .58
    _, second = compare_exclusion(*people(a=(1, 9), b=(3, 7)))
    assert second.kept_ratio == pytest.approx(7 / 9)
    # four excluded of twenty, ten in each group: all four in one has p = 2 * C(10, 4) / C(20, 4) = .087, so
    # that no table with these margins could have told
    assert second.verdict is ExclusionVerdict.TOO_FEW
    _, second = compare_exclusion(*people(a=(5, 45), b=(12, 38)))
    assert second.kept_ratio == pytest.approx(38 / 45)
    assert second.verdict is ExclusionVerdict.EVEN
    _, second = compare_exclusion(*people(a=(4, 16), b=(8, 12)))
    assert second.kept_ratio == pytest.approx(0.75)
    assert second.verdict is ExclusionVerdict.WATCH


def test_a_small_difference_of_many_is_even():
    # kept 95 % and 90 % of 5000 each: far beyond chance, far above four fifths
    _, second = compare_exclusion(*people(a=(250, 4750), b=(500, 4500)))
    assert second.p_adjusted < 1e-6
    assert second.verdict is ExclusionVerdict.EVEN


def test_interval_by_hand():
    # none of 10: 0, and the .975 quantile of Beta(.5, 10.5); all of 10: the mirror image
    first, second = compare_exclusion(*people(a=(0, 10), b=(10, 0)))
    assert (first.low, first.high) == (0.0, pytest.approx(0.2171963))
    assert (second.low, second.high) == (pytest.approx(0.7828037), 1.0)
    assert second.kept_ratio == 0.0
    # 1 of 2: symmetric around one half, Beta(1.5, 1.5)
    (half,) = compare_exclusion(*people(a=(1, 1)))
    assert half.low + half.high == pytest.approx(1.0)


def test_nobody_kept_and_single_group_have_no_ratio_to_fear():
    first, second = compare_exclusion(*people(a=(3, 0), b=(2, 0)))
    assert (first.kept_ratio, second.kept_ratio) == (None, None)
    assert first.verdict is ExclusionVerdict.EVEN
    (only,) = compare_exclusion(*people(a=(3, 2)))
    assert (only.rate, only.p_value, only.verdict) == (0.6, None, ExclusionVerdict.EVEN)


def test_order_of_the_annotators_does_not_matter():
    groups, excluded = people(a=(2, 8), b=(6, 4), c=(1, 3))
    order = np.random.default_rng(0).permutation(len(groups))
    assert compare_exclusion([groups[i] for i in order], [excluded[i] for i in order]) == compare_exclusion(
        groups, excluded
    )


def test_even_exclusion_rarely_raises_an_alarm():
    # 3 groups of unequal size, everybody excluded with .2: the family-wise rate is at most .05, and an
    # exact test stays below; three binomial standard errors of 400 runs are .033
    rng = np.random.default_rng(0)
    groups = ["a"] * 120 + ["b"] * 40 + ["c"] * 15
    alarms = [
        any(one.verdict.is_alarm for one in compare_exclusion(groups, rng.random(175) < 0.2))
        for _ in range(400)
    ]
    assert np.mean(alarms) <= 0.05 + 0.033


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="1 groups for 2 exclusions"):
        compare_exclusion(["a"], [True, False])
    with pytest.raises(DataError, match="no annotators"):
        compare_exclusion([], [])
    with pytest.raises(ConfigError, match="kept_ratio is 80"):
        ExclusionConfig(kept_ratio=80)
