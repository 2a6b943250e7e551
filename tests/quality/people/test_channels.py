import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accord.domain import ConfigError, EvaluationError
from accord.quality.people import (
    ChannelConfig,
    check_hurry,
    check_pace,
    check_repeats,
    check_runs,
    check_spells,
    join_channels,
    longest_run,
    run_tail,
    window_entropies,
)

QUICK = ChannelConfig(max_draws=199)


@given(st.integers(1, 9), st.integers(0, 10), st.floats(0.1, 0.9))
def test_the_run_tail_equals_counting_all_sequences(total, run, share):
    mass = 0.0
    for sides in itertools.product((0, 1), repeat=total):
        if longest_run(sides) >= run:
            mass += share ** sides.count(0) * (1 - share) ** sides.count(1)
    assert run_tail(total, run, share) == pytest.approx(mass, abs=1e-9)


def test_the_run_tail_by_power_equals_the_full_chain():
    # P(no run of 12 heads or tails) decays by one rate; both ways of going 5000 steps agree
    full = np.zeros((2, 11))
    full[:, 0] = 0.6, 0.4
    for _ in range(4999):
        ends = full.sum(axis=1)
        full[:, 1:] = full[:, :-1] * [[0.6], [0.4]]
        full[0, 0], full[1, 0] = ends[1] * 0.6, ends[0] * 0.4
    assert run_tail(5000, 12, 0.6) == pytest.approx(1 - full.sum(), rel=1e-6)


def test_longest_run_by_hand():
    assert longest_run([0, 0, 1, 1, 1, 0]) == 3
    assert longest_run([]) == 0
    assert longest_run([1]) == 1


@pytest.mark.parametrize("share", [0.5, 0.65])
def test_runs_alarm_at_most_at_the_level(share):
    rng = np.random.default_rng(0)
    hits = sum(check_runs(rng.random(150) < share).p_value <= 0.05 for _ in range(1500))
    assert hits <= stats.binom.ppf(0.9995, 1500, 0.05)


def test_leaning_on_one_key_is_found():
    sides = np.concatenate([np.random.default_rng(1).integers(0, 2, 100), np.zeros(35, dtype=int)])
    assert check_runs(sides).p_value < 1e-4
    assert "35 times in a row" in check_runs(sides).reason or "36 times" in check_runs(sides).reason
    with pytest.raises(EvaluationError, match="more than two"):
        check_runs([0, 1, 2])


def test_pace_alarms_at_most_at_the_level_and_by_hand():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(1500):
        spent = np.where(rng.random(100) < 0.05, 100.0, 5000.0)
        hits += check_pace(spent).p_value <= 0.05
    assert hits <= stats.binom.ppf(0.9995, 1500, 0.05)
    # 600 characters at 60 a second need 10 s: both are too fast; P(2 of 2) = .05^2
    result = check_pace([9000, 8000], n_characters=[600, 600])
    assert (result.statistic, result.p_value) == (1.0, pytest.approx(0.0025))
    assert check_pace([np.nan]).p_value is None


def test_hurry_keeps_its_level_and_finds_a_rush():
    rng = np.random.default_rng(3)
    hits = 0
    for number in range(500):
        lengths = rng.integers(50, 2000, 60)
        spent = lengths**0.7 * rng.lognormal(3, 0.6, 60)
        hits += check_hurry(spent, n_characters=lengths, config=QUICK, seed=number).p_value <= 0.05
    assert hits <= stats.binom.ppf(0.9995, 500, 0.05)
    rushed = np.where(np.arange(60) >= 40, spent / 4, spent)
    result = check_hurry(rushed, n_characters=lengths)
    assert result.p_value < 0.01
    assert result.statistic < 0.5
    assert check_hurry([1000.0] * 5).p_value is None


def test_window_entropies_by_hand():
    found = window_entropies(np.array([0, 0, 1, 1]), window=2)
    assert found.tolist() == pytest.approx([0, np.log(2), 0])


def test_spells_keep_their_level_whatever_the_habit_and_find_a_spell():
    rng = np.random.default_rng(4)
    hits = 0
    for number in range(400):
        habit = rng.dirichlet([2, 1, 1])
        hits += (
            check_spells(rng.choice(3, size=100, p=habit), config=QUICK, seed=number).p_value or 1
        ) <= 0.05
    assert hits <= stats.binom.ppf(0.9995, 400, 0.05)
    answers = np.concatenate([rng.integers(0, 3, 80), np.ones(30, dtype=int), rng.integers(0, 3, 50)])
    result = check_spells(answers)
    assert result.p_value < 0.01
    assert result.statistic == pytest.approx(0, abs=1e-9)
    assert check_spells(np.ones(90, dtype=int)).reason == "the same answer throughout"
    assert check_spells(np.zeros(10, dtype=int)).p_value is None


def test_repeats_by_hand():
    # P(Bin(3, .6) <= 0) = .4^3
    assert check_repeats(0, 3).p_value == pytest.approx(0.064)
    assert check_repeats(0, 0).reason == "no repeats"
    with pytest.raises(EvaluationError, match="4 of 3"):
        check_repeats(4, 3)


def test_the_joined_alarm_keeps_the_promised_rate_for_honest_annotators():
    rng = np.random.default_rng(5)
    config = ChannelConfig(level=0.05, max_draws=199)
    runs, alarms = 400, 0
    for number in range(runs):
        results = [
            check_pace(rng.lognormal(9, 0.5, 80), config=config),
            check_hurry(rng.lognormal(9, 0.5, 80), config=config, seed=number),
            check_runs(rng.random(80) < 0.55, config=config),
            check_spells(rng.integers(0, 3, 80), config=config, seed=number),
            check_repeats(int(rng.binomial(10, 0.8)), 10, config=config),
        ]
        alarms += join_channels(results, config=config).is_alarm
    assert alarms <= stats.binom.ppf(0.9995, runs, 0.05)


def test_no_channel_gives_no_alarm():
    alarm = join_channels([])
    assert (alarm.p_value, alarm.is_alarm) == (None, False)
    with pytest.raises(ConfigError, match="level is 0"):
        ChannelConfig(level=0)
