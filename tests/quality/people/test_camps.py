import numpy as np
import pytest

from accord.domain import ConfigError, EvaluationError, LabelColumns
from accord.quality import tabulate_labels
from accord.quality.people import CampConfig, find_camps, self_agreement


def test_one_school_is_one_camp_in_spite_of_hard_items_leniency_and_spam(make_crowd):
    numbers = [
        find_camps(make_crowd(seed, n_items=120, per_item=10, spammers=2).table, seed=seed).n_camps
        for seed in range(6)
    ]
    assert sum(number > 1 for number in numbers) <= 1


def test_a_consistent_minority_is_a_camp_and_nobody_in_it_is_bad(make_crowd):
    found = purity = 0.0
    for seed in range(3):
        crowd = make_crowd(seed, n_items=200, n_annotators=30, per_item=14, minority=9)
        camps = find_camps(crowd.table, seed=seed)
        camp = np.array([member.camp for member in camps.members])
        found += camps.n_camps == 2
        purity += ((camp[:9] == 1).sum() + (camp[9:] == 0).sum()) / 30 / 3
        assert not any(member.is_bad for member in camps.members)
        assert camps.sizes[0] > camps.sizes[-1]
    assert found >= 2
    assert purity > 0.85


def test_views_of_the_camps_differ_where_the_schools_do(make_crowd):
    crowd = make_crowd(1, n_items=200, n_annotators=30, per_item=14, minority=10, leniency=0.2)
    camps = find_camps(crowd.table, seed=1)
    assert camps.n_camps == 2
    differ = camps.shares[0].argmax(axis=1) != camps.shares[1].argmax(axis=1)
    assert 0.2 < differ.mean() < 0.55


def spam_repeats(rng, number, n_repeats, *, share):
    first = rng.integers(0, 2, n_repeats)
    second = np.where(rng.random(n_repeats) < share, first, 1 - first)
    return np.full(n_repeats, number), first, second


def test_bad_needs_both_no_camp_and_no_consistency(make_crowd):
    crowd = make_crowd(2, n_annotators=12, per_item=8, spammers=2)
    rng = np.random.default_rng(0)
    parts = [spam_repeats(rng, 10, 60, share=0.5), spam_repeats(rng, 11, 60, share=0.95)]
    repeats = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    members = find_camps(crowd.table, repeats=repeats).members
    # both are predicted by nobody; 11 has a view of his own and stays
    assert members[10].is_badly_predicted
    assert members[11].is_badly_predicted
    assert (members[10].is_bad, members[11].is_bad) == (True, False)
    assert not any(member.is_badly_predicted for member in members[:10])
    assert not any(member.is_bad for member in find_camps(crowd.table).members)


def test_a_panel_of_careful_people_with_no_agreement_is_kept_whole():
    # everybody has a stable view of his own: alpha near zero, repeats nearly perfect
    rng = np.random.default_rng(3)
    views = rng.integers(0, 2, (8, 400))
    item, who = np.meshgrid(np.arange(400), np.arange(8), indexing="ij")
    table = tabulate_labels(LabelColumns(items=item.ravel(), annotators=who.ravel(), values=views.T.ravel()))
    people = np.repeat(np.arange(8), 30)
    first = views[:, :30].ravel()
    second = np.where(rng.random(240) < 0.95, first, 1 - first)
    members = find_camps(table, repeats=(people, first, second)).members
    assert not any(member.is_bad for member in members)
    assert sum(member.is_badly_predicted for member in members) >= 3


def test_self_agreement_by_hand():
    # classes .5, .5: chance .5; 3 of 4 alike, Jeffreys' mean 3.5 / 5 = .7 -> (.7 - .5) / .5 = .4
    table = tabulate_labels(LabelColumns(items=[0, 1, 2, 3], annotators=["a"] * 4, values=[0, 1, 0, 1]))
    (one,) = self_agreement(table, ([0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 0, 0]))
    assert (one.value, one.n) == (pytest.approx(0.4), 4)
    (none,) = self_agreement(table, None)
    assert (none.value, none.reason) == (None, "no repeats")
    same = tabulate_labels(LabelColumns(items=[0, 1], annotators=["a"] * 2, values=[0, 0]))
    assert "always the same answer" in self_agreement(same, ([0], [0], [0]))[0].reason
    with pytest.raises(EvaluationError, match="differ in length"):
        self_agreement(table, ([0], [0, 1], [0]))


def test_the_camps_do_not_depend_on_the_order_of_the_rows(make_crowd):
    crowd = make_crowd(1, n_items=100, n_annotators=20, per_item=12, minority=7)
    shuffled = np.random.default_rng(0).permutation(len(crowd.columns))
    again = tabulate_labels(
        LabelColumns(
            items=np.asarray(crowd.columns.items)[shuffled],
            annotators=np.asarray(crowd.columns.annotators)[shuffled],
            values=np.asarray(crowd.columns.values)[shuffled],
        )
    )
    one, other = find_camps(crowd.table), find_camps(again)
    assert one.heldout == other.heldout
    assert one.members == other.members


def test_the_number_of_camps_may_be_chosen_on_some_of_the_items(make_crowd):
    crowd = make_crowd(1, n_items=400, n_annotators=30, per_item=14, minority=10)
    whole = find_camps(crowd.table, seed=1)
    some = find_camps(crowd.table, config=CampConfig(max_labels=2800), seed=1)
    assert (some.n_camps, whole.n_camps) == (2, 2)
    assert some.heldout != whole.heldout
    # the fit itself uses all labels
    assert some.members == whole.members
    with pytest.raises(ConfigError, match="max_labels"):
        CampConfig(max_labels=0)


def test_one_annotator_is_one_camp():
    table = tabulate_labels(LabelColumns(items=[0, 1, 2], annotators=["a"] * 3, values=[0, 1, 0]))
    camps = find_camps(table)
    assert (camps.n_camps, camps.heldout) == (1, ())
    with pytest.raises(ConfigError, match="strength is 0"):
        CampConfig(strength=0)


@pytest.mark.data
def test_on_ducks_a_smaller_camp_is_right(read_crowd):
    crowd = read_crowd("crowd_ducks")
    camps = find_camps(crowd.table)
    truth = np.array([crowd.gold[item] for item in crowd.table.items])
    right = [(view.argmax(axis=1) == truth).mean() for view in camps.shares]
    assert camps.n_camps >= 2
    assert right[0] < 0.65
    assert max(right[1:]) > 0.9


@pytest.mark.data
def test_rte_has_one_camp(read_crowd):
    assert find_camps(read_crowd("crowd_rte").table).n_camps == 1
