import numpy as np
import pytest
from scipy import stats

from accord.quality.people import (
    benjamini_hochberg,
    combine_channels,
    permutation_p_value,
    reject_e_values,
)


def test_benjamini_hochberg_by_hand():
    # sorted .01 .02 .03 .5, m = 4: 4*.01/1 = .04, 4*.02/2 = .04, 4*.03/3 = .04, .5
    assert benjamini_hochberg([0.5, 0.01, 0.03, 0.02]).tolist() == pytest.approx([0.5, 0.04, 0.04, 0.04])


def test_a_missing_p_value_stays_missing_and_does_not_count():
    adjusted = benjamini_hochberg([0.02, np.nan, 0.5])
    assert np.isnan(adjusted[1])
    assert adjusted[[0, 2]].tolist() == pytest.approx([0.04, 0.5])
    assert benjamini_hochberg([]).tolist() == []


def test_false_discoveries_stay_under_the_rate():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(2000):
        p_values = rng.random(50)
        p_values[:10] = rng.beta(0.05, 5, size=10)
        found = benjamini_hochberg(p_values) <= 0.1
        shares.append(found[10:].sum() / max(found.sum(), 1))
    # the rate is exactly 0.1 * 40 / 50 = 0.08 for independent p-values
    assert np.mean(shares) == pytest.approx(0.08, abs=4 * np.std(shares) / np.sqrt(2000))


def test_e_values_by_hand():
    # m = 4, rate .1: thresholds 40, 20, 13.3, 10 for ranks 1..4
    assert reject_e_values([25.0, 1.0, 22.0, 0.0], rate=0.1).tolist() == [True, False, True, False]
    assert not reject_e_values([25.0, 1.0, 1.0, 0.0], rate=0.1).any()


def test_joined_channels_alarm_at_the_level_when_independent_and_below_it_when_equal():
    rng = np.random.default_rng(1)
    draws, level = 20_000, 0.05
    independent = combine_channels(rng.random((draws, 4))) <= level
    # exact rate 1 - (1 - .05/4)^4 = .0491
    expected = 1 - (1 - level / 4) ** 4
    assert abs(independent.mean() - expected) < 4 * np.sqrt(expected / draws)
    equal = combine_channels(np.tile(rng.random((draws, 1)), 4)) <= level
    assert equal.sum() <= stats.binom.ppf(0.9999, draws, level / 4)


def test_silent_channels_do_not_dilute_the_others():
    joined = combine_channels([[0.01, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    assert joined[0] == pytest.approx(0.01)
    assert np.isnan(joined[1])


def test_the_permutation_p_value_is_valid_at_every_level():
    rng = np.random.default_rng(2)
    p_values = np.array(
        [permutation_p_value(float(rng.random()), rng.random, max_draws=199) for _ in range(3000)]
    )
    for level in (0.01, 0.05, 0.2, 0.5):
        assert (p_values <= level).sum() <= stats.binom.ppf(0.9999, 3000, level)
        assert (p_values <= level).sum() >= stats.binom.ppf(0.0001, 3000, 0.8 * level)


def test_the_permutation_test_stops_early_where_nothing_is_to_be_found():
    drawn = []

    def draw(count):
        drawn.append(count)
        return np.ones(count)

    assert permutation_p_value(0.0, draw, exceedances=20, block=50) == 1.0
    assert sum(drawn) == 50
