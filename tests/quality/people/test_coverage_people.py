"""Intervals about annotators hold the truth, and alarms over all annotators are as rare as promised."""

import numpy as np
import pytest
from scipy import stats

from accord.domain import LabelColumns
from accord.quality.labels import tabulate_labels
from accord.quality.people import (
    CampConfig,
    ChannelConfig,
    DriftConfig,
    LabelEvidence,
    assess_annotators,
    check_repeats,
    choose_threshold,
    find_camps,
    find_copies,
    fit_fatigue,
    self_agreement,
    watch_drift,
)


def assert_nominal(hits):
    """94 to 96 % of the runs, but for what lies outside by chance once in 500 on each side."""
    runs = len(hits)
    assert stats.binom.ppf(0.002, runs, 0.94) <= np.sum(hits) <= stats.binom.ppf(0.998, runs, 0.96)


def holds(estimate, truth):
    return estimate.low is not None and estimate.low <= truth <= estimate.high


def test_agreement_with_oneself_is_covered_on_average_over_its_prior():
    # shares of equal answers drawn from Jeffreys' prior, whose posterior the interval is
    rng = np.random.default_rng(0)
    n_annotators, n_repeats, n_labels = 800, 20, 100
    labels = np.tile(np.arange(n_labels) % 10 < 3, n_annotators).astype(int)
    who = np.repeat(np.arange(n_annotators), n_labels)
    table = tabulate_labels(LabelColumns(items=np.arange(len(who)), annotators=who, values=labels))
    shares, chance = rng.beta(0.5, 0.5, n_annotators), 0.3**2 + 0.7**2
    is_equal = rng.random((n_annotators, n_repeats)) < shares[:, None]
    repeats = (np.repeat(np.arange(n_annotators), n_repeats), np.zeros(is_equal.size), ~is_equal.ravel())
    found = self_agreement(table, repeats)
    truth = (shares - chance) / (1 - chance)
    assert_nominal([holds(one, own) for one, own in zip(found, truth, strict=True)])


def test_slopes_of_single_annotators_are_covered():
    hits = []
    for run in range(150):
        rng = np.random.default_rng(run)
        session = np.repeat(np.arange(24), 15)
        person, minutes = session // 6, np.tile(np.arange(15) * 4.0, 24)
        slopes = rng.normal(0, 0.5, 4)
        level = rng.normal(0, 1, 24)[session]
        outcome = level + slopes[person] * minutes / 60 + rng.normal(0, 1, len(session))
        found = fit_fatigue(outcome, minutes, annotators=person, sessions=session).per_annotator
        hits += [holds(one, slope) for one, slope in zip(found, slopes, strict=True)]
    assert_nominal(hits)


@pytest.mark.parametrize("after", [0.65, 0.5])
def test_the_begin_of_a_decline_is_within_its_bounds_at_least_as_often_as_they_say(after):
    # changes anywhere, as the flat prior has it; that an alarm was raised speaks for clear ones
    hits = []
    for run in range(400):
        rng = np.random.default_rng(run)
        begin = int(rng.integers(20, 400))
        stream = np.concatenate([rng.random(begin) < 0.85, rng.random(250) < after]).astype(float)
        alarms = watch_drift(stream, threshold=5.0).alarms
        if alarms and alarms[0].at >= begin:
            hits.append(alarms[0].since_low <= begin <= alarms[0].since_high)
    assert len(hits) > 330
    assert sum(hits) >= stats.binom.ppf(0.002, len(hits), 0.95)


@pytest.mark.slow
def test_the_share_that_is_copied_is_covered_at_least_as_often_as_it_says(make_crowd, consensus):
    # what each erring of the two says of the other is counted by half, which is on the safe side
    hits = []
    for run in range(120):
        crowd = make_crowd(run, copies=1, n_items=500, per_item=12, hard=1.5, n_classes=3, copy_rate=0.7)
        pairs = find_copies(crowd.table, consensus.vote(crowd.table)).pairs
        hits += [holds(pair.copy_rate, 0.7) for pair in pairs if (pair.first, pair.second) == (0, 1)]
    assert len(hits) > 60
    assert sum(hits) >= stats.binom.ppf(0.002, len(hits), 0.95)


def draw_views(seed, *, clear, reliabilities, per_item=12, n_items=150):
    """Labels from a view of each item that is sharp where `clear`, else from habit, which is even."""
    rng = np.random.default_rng(seed)
    shares = rng.integers(0, 2, n_items) if clear else rng.beta(0.5, 0.5, n_items)
    who = np.argsort(rng.random((n_items, len(reliabilities))), axis=1)[:, :per_item].ravel()
    item = np.repeat(np.arange(n_items), per_item)
    is_view = rng.random(len(item)) < reliabilities[who]
    label = rng.random(len(item)) < np.where(is_view, shares[item], 0.5)
    return tabulate_labels(LabelColumns(items=item, annotators=who, values=label.astype(int)))


def test_reliability_in_a_camp_that_is_sure_of_itself_is_covered():
    # where the others hardly err, their shares are the view, and reliability is what it says
    hits = []
    for run in range(25):
        reliabilities = np.concatenate([np.random.default_rng(run).uniform(0, 1, 6), np.full(24, 0.98)])
        table = draw_views(run, clear=True, reliabilities=reliabilities)
        members = find_camps(table, config=CampConfig(max_camps=1, strength=0.2)).members[:6]
        hits += [
            holds(one.reliabilities[0], own) for one, own in zip(members, reliabilities[:6], strict=True)
        ]
    assert_nominal(hits)


@pytest.mark.parametrize("clear", [True, False])
def test_nobody_of_sufficient_reliability_is_said_to_be_badly_predicted(clear):
    # ten of thirty are just above the limit of .3; a bound of a 95 % interval may miss one in forty
    flagged = tested = 0
    for run in range(15):
        reliabilities = np.where(np.arange(30) < 10, 0.32, 0.75)
        members = find_camps(
            draw_views(run, clear=clear, reliabilities=reliabilities), config=CampConfig(max_camps=1)
        ).members
        flagged += sum(one.is_badly_predicted for one in members)
        tested += len(members)
    assert flagged <= stats.binom.ppf(0.998, tested, 0.025)


@pytest.mark.parametrize("n_repeats", [5, 10, 40])
def test_disagreement_with_oneself_alarms_at_most_at_the_level(n_repeats):
    # exact: mass of the counts that alarm, for somebody as consistent as the least that is acceptable
    config = ChannelConfig()
    counts = np.arange(n_repeats + 1)
    p_values = np.array([check_repeats(int(count), n_repeats, config=config).p_value for count in counts])
    mass = stats.binom.pmf(counts, n_repeats, config.min_self_agreement)
    for level in (0.01, 0.05, 0.2):
        assert mass[p_values <= level].sum() <= level + 1e-12


def test_drift_alarms_of_unlike_annotators_together_keep_the_promised_rate():
    # busy and idle annotators of different known accuracies: the promise is of all judgments together
    rng = np.random.default_rng(0)
    config = DriftConfig(false_alarms_per_1000=2.0)
    alarms = judged = 0
    for normal in (0.7, 0.8, 0.9, 0.95):
        declined = float(config.declined(normal))
        threshold = choose_threshold(normal=normal, declined=declined, false_alarms_per_1000=2.0)
        for size in rng.integers(50, 3000, 12):
            stream = (rng.random(size) < normal).astype(float)
            watch = watch_drift(stream, normal=normal, threshold=threshold)
            alarms, judged = alarms + len(watch.alarms), judged + int(size)
    assert alarms <= stats.poisson.ppf(0.998, 2.0 * judged / 1000)


@pytest.mark.slow
def test_an_honest_crowd_rarely_has_anybody_with_an_alarm(make_crowd, consensus):
    # false discoveries of each kind are held at .05: where nothing is wrong, that is the chance of ANY
    runs = 40
    alarms = {"decline": 0, "channels": 0, "copies": 0}
    for seed in range(runs):
        crowd = make_crowd(seed, leniency=0.3, n_items=160, n_annotators=20)
        rng = np.random.default_rng(seed)
        size = crowd.table.n_labels
        evidence = LabelEvidence(
            timestamps_ms=rng.permutation(size) * 60_000.0, durations_ms=rng.lognormal(9.5, 0.5, size)
        )
        rows = assess_annotators(
            crowd.table, consensus.dawid_skene(crowd.table), evidence=evidence, seed=seed
        ).rows
        said = [reason for row in rows for reason in row.reasons]
        fell = [reason for reason in said if "Expected correctness fell" in reason]
        alarms["decline"] += bool(fell)
        alarms["copies"] += any("Shares more errors" in reason for reason in said)
        alarms["channels"] += any("(q = " in reason and reason not in fell for reason in said)
    assert max(alarms.values()) <= stats.binom.ppf(0.998, runs, 0.05)
