"""Each knob of the simulated crowd leaves the trace it names; tolerances are 4.5 standard errors."""

import dataclasses
import math

import numpy as np
import pytest

from accord.quality import tabulate_labels
from accord.quality.simulation import Cause, CrowdConfig, Role, simulate_labels

SURE = {"skill_alpha": 8e5, "skill_beta": 2e5}  # everyone right with probability 0.8


def arrays(crowd):
    columns = crowd.columns
    return columns.items, columns.annotators, columns.values


def is_right(crowd):
    items, _, values = arrays(crowd)
    return values == crowd.truth_index[items]


def assert_share(hits, wanted):
    """The share of True agrees with a probability, one number or one a draw, up to 4.5 standard errors."""
    probability = np.broadcast_to(wanted, hits.shape)
    error = math.sqrt((probability * (1 - probability)).sum()) / hits.size
    assert abs(hits.mean() - probability.mean()) < 4.5 * error, (hits.mean(), probability.mean(), error)


def assert_counts(observed, expected):
    """Pearson's statistic of independent cells stays within 4.5 standard deviations of its degrees."""
    usable = expected > 0
    assert not observed[~usable].any()
    statistic = ((observed - expected)[usable] ** 2 / expected[usable]).sum()
    degrees = usable.sum() - (expected.sum(axis=-1) > 0).sum()
    assert abs(statistic - degrees) < 4.5 * math.sqrt(2 * degrees)


def test_equal_seed_gives_equal_labels_and_another_seed_others():
    config = CrowdConfig(n_items=50)
    first, again, other = simulate_labels(config, 1), simulate_labels(config, 1), simulate_labels(config, 2)
    for one, two in zip(arrays(first), arrays(again), strict=True):
        assert np.array_equal(one, two)
    assert not np.array_equal(first.columns.values, other.columns.values)


@pytest.mark.parametrize("n_annotators", [7, 200])  # keys for all annotators; redrawing
def test_every_item_has_its_number_of_distinct_annotators(n_annotators):
    config = CrowdConfig(n_items=400, n_annotators=n_annotators, labels_per_item=(2, 6), activity_spread=1.0)
    crowd = simulate_labels(config, 3)
    table = tabulate_labels(crowd.columns)  # raises on a repeated pair
    sizes = np.bincount(table.labels_per_item, minlength=7)
    assert sizes.sum() == 400
    assert not sizes[:2].any()
    assert_counts(sizes[None, 2:], np.full((1, 5), 80.0))


def test_a_fixed_number_is_met_exactly():
    table = tabulate_labels(simulate_labels(CrowdConfig(n_items=90, labels_per_item=4), 0).columns)
    assert set(table.labels_per_item.tolist()) == {4}
    assert table.n_items == 90


def test_activity_makes_a_few_do_most():
    even = simulate_labels(CrowdConfig(n_items=2000, n_annotators=100), 0)
    uneven = simulate_labels(CrowdConfig(n_items=2000, n_annotators=100, activity_spread=1.5), 0)
    for crowd, low, high in ((even, 100 / 1000, 150 / 1000), (uneven, 350 / 1000, 1.0)):
        loads = np.sort(np.bincount(crowd.columns.annotators, minlength=100))[::-1]
        assert low < loads[:10].sum() / loads.sum() < high


def test_classes_have_their_shares():
    shares = (0.7, 0.2, 0.1)
    crowd = simulate_labels(CrowdConfig(n_items=20_000, n_classes=3, class_shares=shares), 0)
    observed = np.bincount(crowd.truth_index, minlength=3)[None]
    assert_counts(observed, 20_000 * np.array([shares]))
    assert crowd.truth[5] == crowd.truth_index[5]


def test_skill_is_beta_and_is_the_share_of_right_answers():
    config = CrowdConfig(n_items=8000, n_annotators=400, n_classes=3, skill_alpha=6, skill_beta=2)
    crowd = simulate_labels(config, 0)
    skill = crowd.annotators.skill
    # Beta(6, 2): mean 3/4, variance 6 * 2 / (8^2 * 9)
    assert abs(skill.mean() - 0.75) < 4.5 * math.sqrt(12 / 576 / 400)
    assert abs(skill.var() / (12 / 576) - 1) < 4.5 * math.sqrt(2 / 400)
    assert_share(is_right(crowd), skill[crowd.columns.annotators])


@pytest.mark.parametrize("errors", ["even", "neighbor", "shared", "personal"])
def test_answers_follow_the_known_confusion(errors):
    config = CrowdConfig(
        n_items=20_000,
        n_annotators=12,
        n_classes=4,
        errors=errors,
        error_concentration=0.5,
        class_spread=0.8,
        position_pull=0.1,
        group_shares=(0.5, 0.5),
        group_skill_shifts=(0.0, -1.0),
        group_pulls=(0.0, 0.2),
        constant_share=1 / 12,
        random_share=1 / 12,
    )
    crowd = simulate_labels(config, 4)
    items, annotators, values = arrays(crowd)
    observed = np.zeros((12, 4, 4))
    np.add.at(observed, (annotators, crowd.truth_index[items], values), 1)
    confusion = crowd.annotators.confusion
    assert np.allclose(confusion.sum(axis=2), 1)
    assert_counts(observed, observed.sum(axis=2, keepdims=True) * confusion)


def test_neighbor_errors_fall_off_with_distance():
    # from class 0 of 4 at exp(-2 distance): e^-2, e^-4, e^-6 over their sum
    crowd = simulate_labels(CrowdConfig(n_items=4000, n_classes=4, errors="neighbor", **SURE), 0)
    items, _, values = arrays(crowd)
    wrong = values[(crowd.truth_index[items] == 0) & (values != 0)]
    weights = np.exp([-2, -4, -6])
    assert_share(wrong == 1, weights[0] / weights.sum())


def test_personal_patterns_differ_and_a_shared_one_does_not():
    shapes = {}
    for errors in ("personal", "shared"):
        crowd = simulate_labels(CrowdConfig(n_items=10, n_classes=4, errors=errors), 0)
        shapes[errors] = crowd.annotators.error_shares
    assert shapes["shared"].shape == (1, 4, 4)
    assert shapes["personal"].shape == (50, 4, 4)
    assert not np.allclose(shapes["personal"][0], shapes["personal"][1])


@pytest.mark.parametrize("spread", [0.0, 1.5])
def test_difficulty_makes_errors_on_one_item_go_together(spread):
    # errors of two annotators on one item covary as the variance of p over items
    config = CrowdConfig(n_items=20_000, labels_per_item=2, difficulty_spread=spread, **SURE)
    crowd = simulate_labels(config, 1)
    table = tabulate_labels(crowd.columns)
    wrong = (table.class_index != crowd.truth_index[table.item_index]).reshape(-1, 2).astype(float)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    error = 1 / (1 + np.exp(math.log(4) - spread * nodes))
    weights = weights / weights.sum()
    mean = weights @ error
    covariance = weights @ error**2 - mean**2
    products = (wrong[:, 0] - mean) * (wrong[:, 1] - mean)
    assert abs(products.mean() - covariance) < 4.5 * products.std() / math.sqrt(len(products))
    assert (covariance > 0.02) == (spread > 0)
    assert abs(np.std(crowd.difficulty) - spread) <= 4.5 * spread / math.sqrt(2 * 20_000)


def test_traps_draw_everyone_to_the_same_wrong_answer():
    config = CrowdConfig(n_items=6000, n_classes=3, trap_share=0.3, trap_pull=0.6, **SURE)
    crowd = simulate_labels(config, 0)
    items, _, values = arrays(crowd)
    has_trap = crowd.trap_class >= 0
    assert_share(has_trap, 0.3)
    assert not (crowd.trap_class == crowd.truth_index).any()
    tempted = values[has_trap[items]] == crowd.trap_class[items][has_trap[items]]
    # pulled, or read and wrong with 0.2, of which half goes to this class
    assert_share(tempted, 0.6 + 0.4 * 0.1)
    assert_share(is_right(crowd)[~has_trap[items]], 0.8)
    assert (crowd.causes == Cause.TRAP).sum() == (crowd.causes[has_trap[items]] == Cause.TRAP).sum()


def test_position_pull_favors_what_stands_first():
    config = CrowdConfig(n_items=10_000, n_annotators=40, n_classes=2, position_pull=0.2, **SURE)
    crowd = simulate_labels(config, 0)
    _, annotators, values = arrays(crowd)
    pull = crowd.annotators.position_pull
    assert abs(pull.mean() - 0.2) < 4.5 * 0.2 / math.sqrt(40)
    # an unpulled annotator picks the first option half the time, for its place says nothing of the truth
    assert_share(values == crowd.first_shown, pull[annotators] + (1 - pull[annotators]) / 2)


def logistic_slope(x, y, base):
    """Slope of logit P(y) = base + slope * x with known base, and its standard error, by Newton's method."""
    slope = 0.0
    for _ in range(30):
        p = 1 / (1 + np.exp(-(base + slope * x)))
        information = (x * x * p * (1 - p)).sum()
        slope += (x * (y - p)).sum() / information
    return slope, 1 / math.sqrt(information)


def test_fatigue_is_a_slope_within_a_sitting():
    config = CrowdConfig(
        n_items=12_000, session_labels=300, seconds_per_label=30, fatigue_per_hour=0.6, **SURE
    )
    crowd = simulate_labels(config, 0)
    columns = crowd.columns
    began = np.full(columns.sessions.max() + 1, np.inf)
    np.minimum.at(began, columns.sessions, columns.timestamps_ms - columns.durations_ms)
    hours = (columns.timestamps_ms - columns.durations_ms - began[columns.sessions]) / 3.6e6
    assert hours.max() > 2
    slope, error = logistic_slope(hours, is_right(crowd), math.log(4))
    assert abs(slope + 0.6) < 4.5 * error
    assert slope < -8 * error


def test_drift_is_a_fall_at_the_stated_place():
    config = CrowdConfig(n_items=8000, drifting_share=0.4, drift_at=0.7, drift_drop=1.5, **SURE)
    crowd = simulate_labels(config, 0)
    right, drifting = is_right(crowd), crowd.annotators.is_drifting
    assert drifting.sum() == 20
    assert_share(right[~crowd.changed], 0.8)
    assert_share(right[crowd.changed], 1 / (1 + math.exp(1.5 - math.log(4))))
    for one in np.flatnonzero(drifting)[:5]:
        mine = crowd.changed[crowd.columns.annotators == one]  # rows stand in the order of time
        assert abs(np.argmax(mine) - 0.7 * len(mine)) <= 1
        assert mine[np.argmax(mine) :].all()


def test_spammers_answer_without_looking_and_fast():
    config = CrowdConfig(
        n_items=4000, n_classes=3, constant_share=0.1, random_share=0.2, spam_pace=0.2, **SURE
    )
    crowd = simulate_labels(config, 0)
    _, annotators, values = arrays(crowd)
    role = crowd.annotators.role
    assert np.bincount(role, minlength=4).tolist() == [35, 5, 10, 0]
    assert [Role(kind).is_spam for kind in range(4)] == [False, True, True, False]
    constant = role[annotators] == Role.CONSTANT
    assert (values[constant] == crowd.annotators.constant_class[annotators[constant]]).all()
    at_random = role[annotators] == Role.RANDOM
    assert_counts(np.bincount(values[at_random])[None], np.full((1, 3), at_random.sum() / 3))
    assert_share(is_right(crowd)[role[annotators] == Role.HONEST], 0.8)
    assert (crowd.causes == Cause.SPAM).sum() == constant.sum() + at_random.sum()
    logs = np.log(crowd.columns.durations_ms / 20_000)
    for is_spam, median in ((constant | at_random, math.log(0.2)), (~(constant | at_random), 0.0)):
        assert abs(logs[is_spam].mean() - median) < 4.5 * 0.5 / math.sqrt(is_spam.sum())


def test_rings_share_their_leaders_answers():
    config = CrowdConfig(
        n_items=3000, n_annotators=10, labels_per_item=8, n_classes=4, ring_share=0.5, ring_size=2, **SURE
    )
    crowd = simulate_labels(config, 0)
    ring = crowd.annotators.ring
    assert np.bincount(ring[ring >= 0]).tolist() == [2, 3]  # the one left over joins the last ring
    answers = np.full((10, 3000), -1)
    items, annotators, values = arrays(crowd)
    answers[annotators, items] = values
    alone = 0.8**2 + 3 * (0.2 / 3) ** 2
    members = np.flatnonzero(ring == 0)
    both = (answers[members] >= 0).all(axis=0)
    same = answers[members[0], both] == answers[members[1], both]
    assert_share(same, 0.9 + 0.1 * alone)
    outside = np.flatnonzero(ring < 0)[:2]
    both = (answers[outside] >= 0).all(axis=0)
    assert_share(answers[outside[0], both] == answers[outside[1], both], alone)
    followers = ring[annotators] >= 0
    followers &= ~np.isin(annotators, crowd.annotators.ring_leaders)
    assert_share(crowd.causes[followers] == Cause.COPY, 0.9)


def test_camps_answer_by_a_truth_of_their_own():
    config = CrowdConfig(n_items=5000, n_classes=3, camp_shares=(0.6, 0.4), contested_share=0.25, **SURE)
    crowd = simulate_labels(config, 0)
    items, annotators, values = arrays(crowd)
    camp = crowd.annotators.camp
    assert np.bincount(camp).tolist() == [30, 20]
    assert np.array_equal(crowd.camp_truth[0], crowd.truth_index)
    assert_share(crowd.camp_truth[1] != crowd.truth_index, 0.25)
    assert_share(values == crowd.camp_truth[camp[annotators], items], 0.8)
    other = camp[annotators] == 1
    # on a contested item an error lands on the first camp's truth half the time
    assert_share(is_right(crowd)[other], 0.75 * 0.8 + 0.25 * 0.1)


def test_groups_lean_and_differ_in_skill():
    config = CrowdConfig(
        n_items=8000,
        class_shares=(0.8, 0.2),
        group_shares=(0.5, 0.3, 0.2),
        group_skill_shifts=(0.0, -1.0, 0.0),
        group_pulls=(0.0, 0.0, 0.3),
        **SURE,
    )
    crowd = simulate_labels(config, 0)
    group = np.asarray(crowd.columns.groups["group"])
    assert np.array_equal(group, crowd.annotators.group[crowd.columns.annotators])
    assert np.bincount(crowd.annotators.group).tolist() == [25, 15, 10]
    right = is_right(crowd)
    assert_share(right[group == 0], 0.8)
    assert_share(right[group == 1], 1 / (1 + math.e / 4))
    rate = 0.8 * 0.2 + 0.2 * 0.8
    assert_share(crowd.columns.values[group == 2] == 1, 0.3 + 0.7 * rate)


@pytest.mark.parametrize("memory", [0.0, 0.5])
def test_repeats_come_later_and_agree_as_memory_says(memory):
    config = CrowdConfig(n_items=6000, repeat_share=0.2, repeat_memory=memory, **SURE)
    crowd = simulate_labels(config, 0)
    items, annotators, values = arrays(crowd)
    n_first = (~crowd.is_repeat).sum()
    assert n_first == 30_000
    assert abs(crowd.is_repeat.sum() - 6000) < 4.5 * math.sqrt(30_000 * 0.2 * 0.8)
    first_values = {}
    same = []
    for item, annotator, value, again in zip(items, annotators, values, crowd.is_repeat, strict=True):
        if again:
            same.append(first_values[item, annotator] == value)  # known: the first asking stands earlier
        else:
            assert (item, annotator) not in first_values
            first_values[item, annotator] = value
    assert_share(np.array(same), memory + (1 - memory) * (0.8**2 + 0.2**2))


def test_times_rise_and_sittings_are_kept():
    crowd = simulate_labels(CrowdConfig(n_items=1000, session_labels=40, **SURE), 0)
    columns = crowd.columns
    assert (np.diff(columns.timestamps_ms) >= 0).all()
    assert np.bincount(columns.sessions).max() == 40
    for one in range(5):
        mine = columns.annotators == one
        ends, durations = columns.timestamps_ms[mine], columns.durations_ms[mine]
        assert (ends[1:] - durations[1:] >= ends[:-1] - 1).all()  # one thing at a time, to the millisecond
        assert (np.diff(columns.sessions[mine]) >= 0).all()
    owners = np.unique(np.stack([columns.sessions, columns.annotators]), axis=1)
    assert len(np.unique(owners[0])) == owners.shape[1]


def test_a_knob_leaves_what_the_others_drew_in_place():
    plain = CrowdConfig(n_items=300)
    crowd = simulate_labels(plain, 5)
    knobs = {"fatigue_per_hour": 2.0, "position_pull": 0.3, "trap_share": 0.3, "random_share": 0.2}
    for name, value in knobs.items():
        other = simulate_labels(dataclasses.replace(plain, **{name: value}), 5)
        assert np.array_equal(other.truth_index, crowd.truth_index)
        pairs = [set(zip(*arrays(each)[:2], strict=True)) for each in (crowd, other)]
        assert pairs[0] == pairs[1]
        assert not np.array_equal(other.columns.values, crowd.columns.values)


def test_one_item_one_annotator():
    crowd = simulate_labels(CrowdConfig(n_items=1, n_annotators=1, labels_per_item=1), 0)
    assert len(crowd.columns) == 1
    assert crowd.columns.timestamps_ms[0] > 1.7e12
