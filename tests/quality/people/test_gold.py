from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import DataError, LabelColumns
from accord.quality import tabulate_labels
from accord.quality.people import (
    GoldConfig,
    assign_gold_shares,
    beta_variance,
    chance_below,
    draw_gold,
    is_gold_turn,
    score_gold,
)


def small_table():
    rows = [("i1", "ann", "y"), ("i2", "ann", "n"), ("i3", "ann", "y"), ("i1", "bob", "n"), ("i4", "cy", "y")]
    items, annotators, values = zip(*rows, strict=True)
    return tabulate_labels(LabelColumns(items=items, annotators=annotators, values=values))


def test_gold_scores_by_hand():
    ann, bob, cy = score_gold(small_table(), {"i1": "y", "i2": "n", "i3": "n"})
    # ann: 2 of 3 right; Jeffreys' mean 2.5 / 4; of n 1 of 2 right (mean 1.5/3), of y 1 of 1 (1.5/2)
    assert (ann.n_right, ann.accuracy.n, ann.accuracy.value) == (2, 3, pytest.approx(0.625))
    assert [one.value for one in ann.per_class] == pytest.approx([0.5, 0.75])
    assert ann.balanced_accuracy == pytest.approx(0.625)
    assert (bob.n_right, bob.accuracy.value) == (0, pytest.approx(0.25))
    assert (cy.accuracy.exists, cy.balanced_accuracy) == (False, None)
    # Beta(.5, .5) has variance 1/8
    assert cy.variance == pytest.approx(1 / 8)


def test_a_gold_value_that_is_no_class_raises():
    with pytest.raises(DataError, match="gold of item 'i1' is 'maybe'"):
        score_gold(small_table(), {"i1": "maybe"})


def test_one_class_throughout_has_balanced_accuracy_of_chance():
    columns = LabelColumns(items=list(range(100)), annotators=["lazy"] * 100, values=["a", "b"] + ["a"] * 98)
    gold = {number: "a" if number < 90 else "b" for number in range(2, 100)}
    (lazy,) = score_gold(tabulate_labels(columns), gold)
    assert lazy.accuracy.value > 0.85
    assert lazy.balanced_accuracy == pytest.approx(0.5, abs=0.06)


def test_shares_are_proportional_to_variance_above_the_floor():
    shares = assign_gold_shares([0.1, 0.05, 0.0001], config=GoldConfig(mean_share=0.06))
    # the third stays at .03, so the others share .15 as 2 : 1
    assert shares.tolist() == pytest.approx([0.10, 0.05, 0.03])


def test_the_daily_cap_ends_gold_for_the_day_without_raising_the_others():
    free = assign_gold_shares([0.1, 0.1, 0.02])
    capped = assign_gold_shares([0.1, 0.1, 0.02], given_today=[20, 3, 0])
    assert capped[0] == 0
    assert capped[1:].tolist() == free[1:].tolist()


@given(st.lists(st.floats(0, 0.125), min_size=1, max_size=20))
def test_shares_keep_floor_ceiling_order_and_mean(variances):
    config = GoldConfig()
    shares = assign_gold_shares(variances, config=config)
    assert (shares >= config.floor - 1e-12).all()
    assert (shares <= config.ceiling + 1e-12).all()
    order = np.argsort(variances)
    assert (np.diff(shares[order]) >= -1e-12).all()
    if min(variances) > 1e-6:
        assert shares.mean() == pytest.approx(config.mean_share, rel=1e-6)
    assert assign_gold_shares([]).tolist() == []


def test_more_gold_lowers_the_share():
    shares = assign_gold_shares(beta_variance([0, 8, 80], [0, 10, 100]), config=GoldConfig(floor=0.0))
    assert shares[0] > shares[1] > shares[2]


def test_draws_never_repeat_for_an_annotator_and_spread_over_the_pool():
    pool = [f"g{number}" for number in range(30)]
    uses = Counter()
    for annotator in range(40):
        seen = []
        for turn in range(15):
            (item,) = draw_gold(pool, seen=seen, uses=uses, seed=1000 * annotator + turn)
            seen.append(item)
            uses[item] += 1
        assert len(set(seen)) == 15
    # 600 draws over 30 items
    assert max(uses.values()) - min(uses.values()) <= 2


def test_a_spent_pool_gives_fewer_items():
    assert draw_gold(["a", "b"], seen=["a"], n=5) == ["b"]
    assert draw_gold(["a"], seen=["a"]) == []


def test_gold_turns_come_at_the_wanted_share_and_stay_as_they_were():
    turns = [is_gold_turn(0.1, assigned=number, gold_given=0, seed=1) for number in range(4000)]
    assert sum(turns) == pytest.approx(400, abs=4 * np.sqrt(360))
    assert turns[:50] == [is_gold_turn(0.1, assigned=number, gold_given=0, seed=1) for number in range(50)]


def test_chance_below_by_hand():
    # without gold the Jeffreys prior is symmetric
    assert float(chance_below(0, 0, 0.5)) == pytest.approx(0.5)
