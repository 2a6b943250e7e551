"""Detectors on streams: the stated false-alarm rate, and the delay at which a planted drop is found."""

import math

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.drift.streams import Adwin, PageHinkley, page_hinkley_threshold


def first_alarm(detector, values):
    return next((alarm for alarm in map(detector.update, values) if alarm is not None), None)


def test_page_hinkley_by_hand():
    # level 1, tolerance 0: sums 0, 1, 2, 3 > 2.5 at the fourth value; the drop began after one
    alarm = first_alarm(PageHinkley(1.0, threshold=2.5, tolerance=0.0), [1.0, 0.0, 0.0, 0.0])
    assert (alarm.position, alarm.change_at, alarm.after) == (4, 1, 0.0)


def test_page_hinkley_starts_over_after_an_alarm_and_after_good_values():
    detector = PageHinkley(1.0, threshold=1.5, tolerance=0.0)
    found = [detector.update(value) is not None for value in (0.0, 0.0, 0.0, 2.0, 0.0, 0.0)]
    assert found == [False, True, False, False, False, True]


def test_page_hinkley_false_alarms_and_delay():
    generator = np.random.default_rng(0)
    horizon, runs, alarms, delays = 500, 300, 0, []
    for run in range(runs):
        reference = (generator.random(300) < 0.75).astype(float)
        threshold = page_hinkley_threshold(reference, horizon=horizon, runs=400, seed=run)
        level = reference.mean()
        calm = PageHinkley(level, threshold=threshold)
        alarms += first_alarm(calm, generator.random(horizon) < 0.75) is not None
        if run < 60:
            alarm = first_alarm(PageHinkley(level, threshold=threshold), generator.random(horizon) < 0.55)
            delays.append(alarm.position if alarm else horizon)
    # asked for 5 %; three standard errors of 300 runs are 3.8 points
    assert alarms / runs == pytest.approx(0.05, abs=0.038)
    # a drop of 20 points
    assert np.median(delays) < 250


def test_adwin_false_alarms():
    """Published rate: share of calm streams of 1,000 values with any alarm, at the default delta."""
    generator = np.random.default_rng(0)
    alarms = sum(first_alarm(Adwin(), generator.random(1000) < 0.7) is not None for _ in range(100))
    assert alarms <= 5


def test_adwin_finds_a_drop_and_keeps_what_came_after():
    generator = np.random.default_rng(1)
    values = np.concatenate([generator.random(400) < 0.85, generator.random(300) < 0.5]).astype(float)
    detector = Adwin()
    alarm = first_alarm(detector, values)
    assert 400 < alarm.position < 520
    assert abs(alarm.change_at - 400) < 40
    assert alarm.before > 0.8 > 0.65 > alarm.after
    assert len(detector.window) == alarm.position - alarm.change_at


def test_adwin_limit_by_hand():
    # 20 ones then 20 zeros, first looked at 40: m = 10, variance 1/4, ln(2 * 40 / 0.1) = 6.685
    # limit sqrt(2/10 * 1/4 * 6.685) + 2/30 * 6.685 = 0.578 + 0.446 = 1.024 > 1: no alarm yet
    # 40 and 40: m = 20, ln 1600 = 7.378: 0.429 + 0.246 = 0.675 < 1: alarm, cut in the middle
    stream = [1.0] * 20 + [0.0] * 20
    assert first_alarm(Adwin(delta=0.1, every=40), stream) is None
    alarm = first_alarm(Adwin(delta=0.1, every=80), [1.0] * 40 + [0.0] * 40)
    assert (alarm.position, alarm.change_at, alarm.before, alarm.after) == (80, 40, 1.0, 0.0)


def test_adwin_window_is_bounded():
    detector = Adwin(max_window=50)
    for _ in range(200):
        detector.update(0.5)
    assert len(detector.window) == 50


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_numbers_are_refused(value):
    for detector in (Adwin(), PageHinkley(0.7, threshold=5.0)):
        with pytest.raises(EvaluationError, match="leave it out"):
            detector.update(value)


def test_bad_settings_are_refused():
    with pytest.raises(EvaluationError, match="in \\[0, 1\\]"):
        Adwin().update(1.5)
    with pytest.raises(EvaluationError, match="delta"):
        Adwin(delta=0.0)
    with pytest.raises(EvaluationError, match="threshold"):
        PageHinkley(0.5, threshold=0.0)
    with pytest.raises(EvaluationError, match="20 reference values"):
        page_hinkley_threshold(np.ones(5), horizon=10)
