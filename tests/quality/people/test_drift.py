import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from accord.domain import DataError
from accord.quality.people import (
    DriftConfig,
    assess_decline,
    average_run_length,
    cautious_normal,
    choose_threshold,
    cusum,
    drift_e_value,
    drift_steps,
    watch_drift,
)


def run_lengths(draw, threshold, runs, *, normal=0.85, declined=0.65):
    """Judgments to the first alarm of many streams, by the plain recursion."""
    scores, alive = np.zeros(runs), np.arange(runs)
    lengths = np.zeros(runs)
    step = 0
    while len(alive):
        step += 1
        scores = np.maximum(0.0, scores + drift_steps(draw(len(alive)), normal=normal, declined=declined))
        over = scores >= threshold
        lengths[alive[over]] = step
        scores, alive = scores[~over], alive[~over]
    return lengths


def test_cusum_by_hand():
    # wrong adds ln(.35/.15) = .8473, right ln(.65/.85) = -.2683
    path = cusum(drift_steps([1, 0, 1, 1, 1, 1, 0], normal=0.85, declined=0.65))
    up, down = np.log(35 / 15), np.log(65 / 85)
    assert path.tolist() == pytest.approx([0, up, up + down, up + 2 * down, up + 3 * down, 0, up])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_cusum_equals_the_recursion(correctness):
    steps = drift_steps(correctness, normal=0.8, declined=0.6)
    score, expected = 0.0, []
    for step in steps:
        score = max(0.0, score + step)
        expected.append(score)
    assert cusum(steps).tolist() == pytest.approx(expected, abs=1e-9)


# The reference simulated (293, 21), (783, 28), (2178, 36); its own noise is some per cent. Enumerating the
# reachable values of S, merged at 1e-7, gives 271.9, 769.5 and 2269.0.
@pytest.mark.parametrize(
    ("threshold", "simulated", "exact", "delay"),
    [(3, 293, 271.9, 21), (4, 783, 769.5, 28), (5, 2178, 2269.0, 36)],
)
def test_run_lengths_match_the_reference(threshold, simulated, exact, delay):
    length = average_run_length(threshold)
    assert length == pytest.approx(exact, rel=0.005)
    assert length == pytest.approx(simulated, rel=0.08)
    assert average_run_length(threshold, accuracy=0.65) == pytest.approx(delay, abs=1.0)


def test_run_lengths_match_a_simulation():
    rng = np.random.default_rng(4)
    lengths = run_lengths(lambda count: (rng.random(count) < 0.85).astype(float), 4.0, 4000)
    assert lengths.mean() == pytest.approx(average_run_length(4.0), abs=4 * lengths.std() / np.sqrt(4000))


@pytest.mark.parametrize("wanted", [0.5, 2.0, 5.0])
def test_the_threshold_keeps_the_promised_rate_over_all_annotators(wanted):
    threshold = choose_threshold(false_alarms_per_1000=wanted)
    rng = np.random.default_rng(5)
    # 40 annotators, 4000 judgments each: alarms restart, and their number is what was promised or less
    alarms = 0
    for _ in range(40):
        stream = (rng.random(4000) < 0.85).astype(float)
        alarms += len(watch_drift(stream, threshold=threshold).alarms)
    # between alarms run lengths are near exponential, so that the count is near Poisson
    assert stats.poisson.ppf(0.0005, 160 * wanted * 0.9) <= alarms <= stats.poisson.ppf(0.9995, 160 * wanted)


def test_the_soft_update_alarms_no_sooner_than_the_hard_one():
    rng = np.random.default_rng(6)
    # mean .85, spread as of posteriors
    soft = run_lengths(lambda count: rng.beta(1.7, 0.3, size=count), 2.0, 500)
    assert soft.mean() > average_run_length(2.0) - 4 * soft.std() / np.sqrt(500)


def test_a_cautious_baseline_keeps_the_rate_when_accuracies_are_estimated():
    rng = np.random.default_rng(7)
    alarms = judged = 0
    thresholds = {}
    for _ in range(150):
        accuracy = rng.beta(17, 3)
        first = int((rng.random(50) < accuracy).sum())
        normal = np.floor(100 * cautious_normal(first, 50)) / 100
        if normal not in thresholds:
            declined = float(DriftConfig().declined(normal))
            thresholds[normal] = choose_threshold(normal=normal, declined=declined, false_alarms_per_1000=2.0)
        stream = (rng.random(500) < accuracy).astype(float)
        alarms += len(watch_drift(stream, normal=normal, threshold=thresholds[normal]).alarms)
        judged += 500
    assert alarms <= stats.poisson.ppf(0.9995, 2.0 * judged / 1000)


def test_a_decline_is_found_and_its_begin_is_held():
    rng = np.random.default_rng(8)
    held = found = 0
    for _ in range(300):
        stream = np.concatenate([rng.random(200) < 0.85, rng.random(200) < 0.5]).astype(float)
        alarms = [one for one in watch_drift(stream, threshold=5.0).alarms if one.at >= 200]
        found += bool(alarms)
        held += bool(alarms) and alarms[0].since_low <= 200 <= alarms[0].since_high
    assert found == 300
    assert held >= 0.85 * found


def test_the_e_value_has_mean_at_most_one_without_a_change():
    rng = np.random.default_rng(9)
    steps = drift_steps((rng.random((5000, 60)) < 0.85).astype(float), normal=0.85, declined=0.65)
    values = np.array([drift_e_value(row) for row in steps])
    assert values.mean() <= 1 + 4 * values.std() / np.sqrt(len(values))
    # by Markov's inequality a value of 20 is seen in at most one stream of 20
    assert (values >= 20).mean() <= 0.05
    assert drift_e_value([]) == 1.0


def test_an_empty_stream_and_a_single_judgment_are_quiet():
    watch = watch_drift([], threshold=4.0)
    assert (watch.alarms, watch.score, watch.n, watch.e_value) == ((), 0.0, 0, 1.0)
    assert watch_drift([0.0], threshold=4.0).score == pytest.approx(np.log(35 / 15), rel=1e-3)
    assert assess_decline([1.0] * 50) is None
    assert assess_decline([1.0, 0.0]) is None


def test_the_retrospective_test_keeps_its_level_for_any_accuracy():
    rng = np.random.default_rng(10)
    runs, hits = 600, 0
    for number in range(runs):
        stream = rng.beta(2, 1, size=80) if number % 2 else (rng.random(80) < rng.beta(4, 2)).astype(float)
        test = assess_decline(stream, max_draws=199, seed=number)
        hits += test is not None and test.p_value <= 0.05
    assert hits <= stats.binom.ppf(0.9995, runs, 0.05)


def test_the_retrospective_test_finds_a_fall_and_not_a_rise():
    rng = np.random.default_rng(11)
    stream = np.concatenate([rng.random(150) < 0.9, rng.random(100) < 0.55]).astype(float)
    fall = assess_decline(stream)
    assert fall is not None
    assert fall.p_value < 0.01
    assert abs(fall.since - 150) < 25
    rise = assess_decline(stream[::-1])
    assert rise is not None
    assert rise.p_value > 0.05


@settings(max_examples=20)
@given(st.floats(0.6, 0.95), st.floats(1.0, 5.0))
def test_run_lengths_grow_with_the_threshold(normal, threshold):
    declined = float(DriftConfig().declined(normal))
    low = average_run_length(threshold, normal=normal, declined=declined, n_states=300)
    high = average_run_length(threshold + 0.5, normal=normal, declined=declined, n_states=300)
    assert high >= low
    # the e-detector's bound holds for every distribution
    assert high >= np.exp(threshold)


def test_a_correctness_above_one_raises():
    with pytest.raises(DataError, match="outside"):
        watch_drift([1.2], threshold=3.0)
