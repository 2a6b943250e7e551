import numpy as np
import pytest
from scipy import stats

from accord.domain import EvaluationError
from accord.quality.people import detect_gold_leaks


def showings(seed, *, n_items=12, n_showings=50, leaked=0, since=28):
    rng = np.random.default_rng(seed)
    items = np.repeat(np.arange(n_items), n_showings)
    when = np.tile(np.arange(n_showings), n_items)
    people = rng.integers(0, 25, len(items))
    leaks = (items < leaked) & (when >= since)
    pace, skill = rng.normal(0, 0.5, 25), rng.uniform(0.6, 0.9, 25)
    spent = np.exp(rng.normal(9, 0.5, len(items)) + pace[people] - 0.7 * leaks)
    right = rng.random(len(items)) < np.where(leaks, 0.98, skill[people])
    return items, people, when, spent, right


def test_sound_gold_is_retired_at_most_at_the_promised_rate():
    # without a leak the false discovery rate is the chance of any alarm
    alarms = sum(
        any(one.has_leaked for one in detect_gold_leaks(*showings(seed), seed=seed)) for seed in range(60)
    )
    assert alarms <= stats.binom.ppf(0.9995, 60, 0.05)


def test_leaked_gold_is_found_with_the_time_it_leaked():
    found = detect_gold_leaks(*showings(0, leaked=2))
    assert [one.has_leaked for one in found[:2]] == [True, True]
    assert sum(one.has_leaked for one in found[2:]) <= 1
    assert all(abs(one.since - 28) <= 12 for one in found[:2])
    assert found[0].time_ratio < 0.75
    assert found[0].accuracy_change > 0


def test_becoming_slower_is_no_leak():
    items, people, when, spent, right = showings(1)
    slower = np.where((items == 0) & (when >= 25), spent * 3, spent)
    assert not detect_gold_leaks(items, people, when, slower, right)[0].has_leaked


def test_too_few_showings_have_a_reason():
    (one,) = detect_gold_leaks(["g"] * 3, ["a", "b", "c"], [1, 2, 3], [100.0] * 3, [True] * 3)
    assert (one.p_value, one.has_leaked) == (None, False)
    assert "3 showings" in one.reason
    assert detect_gold_leaks([], [], [], [], []) == []


def test_a_duration_of_zero_raises():
    with pytest.raises(EvaluationError, match="0 ms"):
        detect_gold_leaks(["g"], ["a"], [1], [0.0], [True])
