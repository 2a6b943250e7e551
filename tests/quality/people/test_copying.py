import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accord.domain import EvaluationError, LabelColumns
from accord.quality import tabulate_labels
from accord.quality.people import find_copies, poisson_binomial_tail


@given(st.integers(0, 12), st.integers(0, 13), st.floats(0.05, 0.95))
def test_equal_chances_give_the_binomial_tail(total, at_least, chance):
    tail = poisson_binomial_tail([chance] * total, at_least)
    assert tail == pytest.approx(stats.binom.sf(at_least - 1, total, chance), abs=1e-12)


def test_unequal_chances_by_hand():
    # P(X >= 2) of .5 and .2 is .1; P(X >= 1) is 1 - .5 * .8
    assert poisson_binomial_tail([0.5, 0.2], 2) == pytest.approx(0.1)
    assert poisson_binomial_tail([0.5, 0.2], 1) == pytest.approx(0.6)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_independent_annotators_are_seldom_taken_for_copies(make_crowd, consensus, n_classes):
    # hard items and lenient annotators make honest errors meet; any pair found is a false alarm
    runs, alarms = 60, 0
    for seed in range(runs):
        crowd = make_crowd(seed, hard=1.5, leniency=0.7, n_classes=n_classes)
        alarms += bool(find_copies(crowd.table, consensus.vote(crowd.table)).pairs)
    assert alarms <= stats.binom.ppf(0.9995, runs, 0.05)


def test_planted_copies_are_found(make_crowd, consensus):
    planted, found, false = 0, 0, 0
    for seed in range(6):
        crowd = make_crowd(seed, copies=2, n_items=500, per_item=12, hard=1.5, n_classes=3)
        report = find_copies(crowd.table, consensus.vote(crowd.table))
        pairs = {(pair.first, pair.second) for pair in report.pairs}
        planted += 2
        found += len(pairs & {(0, 1), (2, 3)})
        false += len(pairs - {(0, 1), (2, 3)})
        for pair in report.pairs:
            assert pair.shared_errors > pair.expected
            assert pair.copy_rate.low >= 0.2
    assert found >= 0.8 * planted
    assert false <= 1


def test_a_ring_of_copies_is_one_group(make_crowd, consensus):
    crowd = make_crowd(0, n_items=600, per_item=12, hard=1.5, n_classes=3)
    values = np.asarray(crowd.columns.values).copy()
    for follower in (1, 2):
        both = (crowd.place[:, 0] >= 0) & (crowd.place[:, follower] >= 0)
        values[crowd.place[both, follower]] = values[crowd.place[both, 0]]
    columns = LabelColumns(items=crowd.columns.items, annotators=crowd.columns.annotators, values=values)
    table = tabulate_labels(columns)
    assert find_copies(table, consensus.vote(table)).groups == ((0, 1, 2),)


def test_nothing_to_share_gives_an_empty_report(make_crowd, consensus):
    crowd = make_crowd(0, n_annotators=1, per_item=1)
    assert find_copies(crowd.table, consensus.vote(crowd.table)).n_tested == 0
    single = make_crowd(0, n_classes=1)
    assert find_copies(single.table, np.ones((200, 1))).pairs == ()
    with pytest.raises(EvaluationError, match="expected"):
        find_copies(crowd.table, np.ones((1, 2)))


@pytest.mark.data
@pytest.mark.parametrize("name", ["crowd_rte", "crowd_bluebirds"])
def test_no_copies_in_real_independent_crowds(read_crowd, consensus, name):
    crowd = read_crowd(name)
    assert find_copies(crowd.table, consensus.dawid_skene(crowd.table)).pairs == ()
