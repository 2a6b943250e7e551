import numpy as np
import pytest
from scipy import stats

from accord.domain import EvaluationError
from accord.quality.people import fit_fatigue, minutes_in_session, split_sessions


def simulate(seed, *, slope=-0.2, n_annotators=12, sessions=3, per_session=20, spread=0.1):
    rng = np.random.default_rng(seed)
    sizes = n_annotators * sessions
    session = np.repeat(np.arange(sizes), per_session)
    person = session // sessions
    minutes = np.tile(np.arange(per_session) * 3.0, sizes)
    level = rng.normal(0, 1, n_annotators)[person] + rng.normal(0, 0.5, sizes)[session]
    own = slope + rng.normal(0, spread, n_annotators)[person]
    return person, session, minutes, level + own * minutes / 60 + rng.normal(0, 1, len(session))


def test_the_slope_by_hand():
    # one session: outcome falls by .1 a half hour, i.e. .2 an hour, whatever its level
    found = fit_fatigue([1.0, 0.9, 0.8], [0, 30, 60], annotators=["a"] * 3, sessions=[7] * 3)
    assert found.per_hour.value == pytest.approx(-0.2)
    assert (found.per_hour.low, found.per_hour.reason) == (None, "one cluster: no interval")


def test_the_level_of_a_session_does_not_count():
    found = fit_fatigue(
        [1.0, 0.9, 5.0, 4.9], [0, 60, 0, 60], annotators=["a", "a", "b", "b"], sessions=[1, 1, 2, 2]
    )
    assert found.per_hour.value == pytest.approx(-0.1)
    assert found.n_sessions == 2


@pytest.mark.parametrize("n_annotators", [6, 14])
def test_the_interval_covers(n_annotators):
    runs, covered = 600, 0
    for seed in range(runs):
        person, session, minutes, outcome = simulate(seed, n_annotators=n_annotators)
        found = fit_fatigue(outcome, minutes, annotators=person, sessions=session).per_hour
        covered += found.low <= -0.2 <= found.high
    # 94 to 96 % up to the noise of the runs
    assert stats.binom.ppf(0.001, runs, 0.94) <= covered <= stats.binom.ppf(0.999, runs, 0.96)


def test_hard_items_that_come_late_are_taken_out():
    rng = np.random.default_rng(0)
    person, session, minutes, _ = simulate(0, n_annotators=10)
    # items differ, and the harder half is mostly shown late
    item = np.where(minutes > 28, rng.integers(10, 30, len(minutes)), rng.integers(0, 20, len(minutes)))
    hardness = np.linspace(0, 2, 30)
    outcome = -hardness[item] + rng.normal(0, 0.3, len(minutes))
    naive = fit_fatigue(outcome, minutes, annotators=person, sessions=session).per_hour
    fair = fit_fatigue(outcome, minutes, annotators=person, sessions=session, items=item).per_hour
    assert naive.high < 0
    assert fair.low <= 0 <= fair.high


def test_each_annotator_has_his_own_slope():
    person, session, minutes, outcome = simulate(3, n_annotators=4, sessions=6, slope=0, spread=0)
    outcome = outcome - 3.0 * (person == 2) * minutes / 60
    found = fit_fatigue(outcome, minutes, annotators=person, sessions=session)
    assert found.annotators == (0, 1, 2, 3)
    assert found.per_annotator[2].high < -1
    assert all(one.low <= 0 <= one.high for one in (found.per_annotator[k] for k in (0, 1)))


def test_sessions_are_split_at_pauses_and_between_people():
    minute = 60_000
    sessions = split_sessions(["a", "b", "a", "a"], [0, 0, 10 * minute, 50 * minute], gap_minutes=30)
    assert sessions.tolist() == [0, 2, 0, 1]
    assert minutes_in_session(sessions, [0, 0, 10 * minute, 50 * minute]).tolist() == [0, 0, 10, 0]
    with pytest.raises(EvaluationError, match="timestamp is missing"):
        split_sessions(["a"], [np.nan])


def test_no_time_passing_gives_a_reason():
    found = fit_fatigue([1.0, 0.0], [0, 0], annotators=["a", "b"], sessions=[1, 2])
    assert found.per_hour.value is None
    assert "different times" in found.per_hour.reason


@pytest.mark.data
@pytest.mark.parametrize("name", ["ende", "zhen"])
def test_professional_raters_do_not_drift_within_a_session(read_ratings, name):
    # What is found in the real timestamps: no slope of the error score, and marking any error at all falls by
    # about two points an hour in both language pairs, short of significance (p = .066 and .062)
    rows = read_ratings(f"ratings_wmt_mqm/{name}.jsonl.gz")
    people = np.array([row["rater"] for row in rows])
    times = np.array([row["ts"] for row in rows], dtype=float)
    score = np.array([row["mqm"] for row in rows], dtype=float)
    items = np.array([f"{row['system']} {row['doc']} {row['seg']}" for row in rows])
    sessions = split_sessions(people, times)
    minutes = minutes_in_session(sessions, times)
    found = fit_fatigue(score, minutes, annotators=people, sessions=sessions, items=items)
    assert found.per_hour.low < 0 < found.per_hour.high
    assert found.n_judgments == len(rows)
    marked = fit_fatigue(score > 0, minutes, annotators=people, sessions=sessions, items=items)
    assert marked.per_hour.value == pytest.approx(-0.018, abs=0.002)
    assert 0.05 < marked.p_value < 0.07
