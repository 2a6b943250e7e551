import numpy as np
import pytest

from accord.domain import EvaluationError
from accord.quality.people import (
    ValueConfig,
    expected_confusions,
    probabilities_without_own,
    value_annotators,
)

MANY = 1e7


def confusion(*rows):
    return MANY * np.array([rows], dtype=float)


def test_bias_is_correctable_and_error_is_not():
    liar = value_annotators(confusion([0, 1], [1, 0]), [0.5, 0.5])[0]
    coin = value_annotators(confusion([0.5, 0.5], [0.5, 0.5]), [0.5, 0.5])[0]
    assert liar.value.value == pytest.approx(1, abs=1e-4)
    assert (liar.face_cost, liar.correctable_cost) == (pytest.approx(1, abs=1e-4), pytest.approx(1, abs=1e-4))
    assert coin.value.value == pytest.approx(0, abs=1e-4)
    assert coin.correctable_cost == pytest.approx(0, abs=1e-4)


def test_one_answer_throughout_is_worth_nothing():
    # right in 90 % of cases, and yet it says nothing
    lazy = value_annotators(confusion([1, 0], [1, 0]), [0.9, 0.1])[0]
    assert lazy.value.value == pytest.approx(0, abs=1e-4)
    assert lazy.face_cost == pytest.approx(0.1, abs=1e-4)


def test_value_by_hand():
    # accuracy .8, even classes: soft labels .8/.2, cost 2 * .8 * .2 = .32; the prior costs 2 * .5 * .5 = .5
    good = value_annotators(confusion([0.8, 0.2], [0.2, 0.8]), [0.5, 0.5])[0]
    assert good.soft_cost == pytest.approx(0.32, abs=1e-4)
    assert good.value.value == pytest.approx(1 - 0.32 / 0.5, abs=1e-4)
    assert good.decision_cost == pytest.approx(0.2, abs=1e-4)


def test_dear_mistakes_change_the_decision():
    # deciding 1 for a true 0 costs 10: on a label 1 (.2 * 10 > .8 * 1) the decision stays 0
    costs = [[0, 10], [1, 0]]
    one = value_annotators(confusion([0.8, 0.2], [0.2, 0.8]), [0.5, 0.5], costs=costs)[0]
    assert one.decision_cost == pytest.approx(0.5, abs=1e-3)


def test_the_interval_covers_values_drawn_from_its_prior():
    rng = np.random.default_rng(0)
    covered, runs = 0, 1000
    config = ValueConfig(n_draws=300)
    for number in range(runs):
        rows = rng.dirichlet([0.5, 0.5], size=2)
        counts = np.stack([rng.multinomial(15, row) for row in rows])
        true = value_annotators(MANY * rows[None], [0.5, 0.5], config=ValueConfig(n_draws=2))[0].value.value
        found = value_annotators(counts[None], [0.5, 0.5], config=config, seed=number)[0].value
        covered += found.low <= true <= found.high
    assert 0.93 <= covered / runs <= 0.97


def test_nothing_to_decide_has_a_reason():
    one = value_annotators(confusion([1, 0], [0, 1]), [1.0, 0.0])[0]
    assert one.value.value is None
    assert "nothing to decide" in one.value.reason
    unseen = value_annotators(np.zeros((1, 2, 2)), [0.5, 0.5])[0]
    assert unseen.value.reason == "no judgment: the prior alone"


def test_taking_the_own_label_out_undoes_bayes(make_crowd):
    # a Dawid-Skene posterior is prior * product of confusion entries; dividing by one leaves the rest
    crowd = make_crowd(0, per_item=1)
    posterior = np.tile([0.7, 0.3], (crowd.table.n_items, 1))
    without = probabilities_without_own(crowd.table, posterior)
    counts = expected_confusions(crowd.table, posterior, leave_own_out=False) + 0.5
    rows = counts / counts.sum(axis=2, keepdims=True)
    own = rows[crowd.table.annotator_index, :, crowd.table.class_index]
    again = without * own
    assert again / again.sum(axis=1, keepdims=True) == pytest.approx(posterior[crowd.table.item_index])


def test_expected_confusions_count_every_label_once(make_crowd, consensus):
    crowd = make_crowd(0)
    counts = expected_confusions(crowd.table, consensus.vote(crowd.table))
    assert counts.sum(axis=(1, 2)) == pytest.approx(np.bincount(crowd.table.annotator_index))


def test_nobody_agrees_with_himself(make_crowd, consensus):
    # alone on every item, a spammer looks perfect unless his own label is taken out
    crowd = make_crowd(0, n_annotators=2, per_item=2, spammers=2)
    posterior = consensus.dawid_skene(crowd.table)
    flattered = expected_confusions(crowd.table, posterior, leave_own_out=False)
    honest = expected_confusions(crowd.table, posterior)
    share = [np.trace(one[0]) / one[0].sum() for one in (flattered, honest)]
    assert share[1] < share[0]


def test_a_posterior_of_another_shape_raises(make_crowd):
    with pytest.raises(EvaluationError, match=r"expected \[item, class\]"):
        expected_confusions(make_crowd(0).table, np.ones((1, 2)))
