import math

import numpy as np
import pytest

from accord.domain import ConfigError, DataError
from accord.quality.deciding.stopping import Action, StoppingConfig, decide, is_settled, net_gain


def symmetric(accuracy):
    return np.array([[accuracy, 1 - accuracy], [1 - accuracy, accuracy]])


def ask(top, n_labels, config=None, **options):
    return decide(np.array([top, 1 - top]), n_labels, config, is_calibrated=True, **options)


def test_the_myopic_form_accepts_at_one_minus_epsilon():
    config = StoppingConfig(epsilon=0.1)
    assert ask(0.89, 3, config).action is Action.ASK
    accepted = ask(0.91, 3, config)
    assert (accepted.action, accepted.label_index, accepted.confidence) == (Action.ACCEPT, 0, 0.91)
    assert accepted.action.is_final


def test_the_myopic_form_is_the_value_of_a_perfect_annotator():
    config = StoppingConfig(epsilon=0.07, lookahead=1)
    for top in (0.5, 0.7, 0.92, 0.94, 0.99):
        belief = np.array([top, 1 - top])
        perfect = net_gain(belief, config, next_confusion=np.eye(2))
        assert perfect == pytest.approx(net_gain(belief, config))


def test_too_few_labels_are_never_enough():
    decision = ask(0.999, 1)
    assert decision.action is Action.ASK
    assert decision.reason == "1 of at least 2 labels"


def test_a_weak_annotator_is_not_asked_where_a_good_one_is():
    config = StoppingConfig(epsilon=0.02)
    assert ask(0.9, 4, config, next_confusion=symmetric(0.9)).action is Action.ASK
    spared = ask(0.9, 4, config, next_confusion=symmetric(0.55))
    assert spared.action is Action.ACCEPT
    assert spared.gain <= 0
    assert "cost more than they bring" in spared.reason


def test_labels_that_turn_a_decision_only_together_are_seen():
    # p = .8, accuracy .75. One label turns nothing. A first 0 ends the asking; after a first 1 (P = .35) and
    # a second (P = .1625) a third is asked, and 111 turns (.2 * 27 - .8) / 64 = .071875;
    # the labels cost .01 * (1 + .35 + .1625)
    near, far = StoppingConfig(epsilon=0.01, lookahead=1), StoppingConfig(epsilon=0.01, lookahead=3)
    assert ask(0.8, 4, near, next_confusion=symmetric(0.75)).action is Action.ACCEPT
    decision = ask(0.8, 4, far, next_confusion=symmetric(0.75))
    assert decision.action is Action.ASK
    assert decision.gain == pytest.approx(0.071875 - 0.015125)


def test_a_flat_item_with_good_annotators_goes_to_adjudication():
    good, weak = np.array([symmetric(0.85)] * 10), np.array([symmetric(0.6)] * 10)
    hard = ask(0.6, 10, past_confusions=good)
    assert hard.action is Action.ADJUDICATE
    assert "hard, disputed or badly asked" in hard.reason
    noise = ask(0.6, 10, past_confusions=weak)
    assert noise.action is Action.ASK_BETTER
    assert "weak" in noise.reason
    unknown = ask(0.6, 10)
    assert unknown.action is Action.ADJUDICATE
    assert "not known" in unknown.reason


def test_a_settled_item_at_the_most_labels_is_accepted():
    assert ask(0.97, 10).action is Action.ACCEPT
    assert ask(0.97, 14).action is Action.ACCEPT


def test_an_even_posterior_has_no_label():
    assert ask(0.5, 10).label_index is None


def test_an_uncalibrated_posterior_is_said_to_be_so():
    decision = decide(np.array([0.99, 0.01]), 3, is_calibrated=False)
    assert decision.action is Action.ACCEPT
    assert "uncalibrated" in decision.reason
    assert not decision.is_calibrated


def test_many_items_at_once_agree_with_one_by_one():
    generator = np.random.default_rng(0)
    posteriors = generator.dirichlet([0.2, 0.2, 0.2], 200)
    n_labels = generator.integers(0, 9, 200)
    config = StoppingConfig(epsilon=0.1)
    one_by_one = [
        decide(row, int(n), config, is_calibrated=True).action is Action.ACCEPT
        for row, n in zip(posteriors, n_labels, strict=True)
    ]
    assert is_settled(posteriors, n_labels, config).tolist() == one_by_one
    assert 20 < sum(one_by_one) < 180


def policy_value(should_ask, accuracy, cost, most):
    """Expected value of a policy on the lead of one class over the other, by backward induction."""
    log_odds = math.log(accuracy / (1 - accuracy))
    values = {}
    for n in range(most, -1, -1):
        for lead in range(-n, n + 1, 2):
            top = 1 / (1 + math.exp(-abs(lead) * log_odds))
            first = 1 / (1 + math.exp(-lead * log_odds))
            stop = top
            if n == most:
                values[n, lead] = stop
                continue
            up = first * accuracy + (1 - first) * (1 - accuracy)
            go = up * values[n + 1, lead + 1] + (1 - up) * values[n + 1, lead - 1] - cost
            choice = should_ask(first, n)
            values[n, lead] = max(stop, go) if choice is None else go if choice else stop
    return values[0, 0]


@pytest.mark.parametrize(("accuracy", "cost"), [(0.6, 0.01), (0.75, 0.01), (0.75, 0.003), (0.9, 0.02)])
@pytest.mark.parametrize(("lookahead", "regret"), [(12, 1e-12), (5, 0.02)])
def test_no_policy_earns_more(accuracy, cost, lookahead, regret):
    # The optimum over all sequential policies comes from dynamic programming on the lead of one class.
    # Looking less far ahead may lose a little: at most 2 % of what asking earns here.
    most = 12
    config = StoppingConfig(epsilon=cost, min_labels=1, max_labels=most, lookahead=lookahead)

    def rule(first, n):
        return (
            net_gain(
                np.array([first, 1 - first]), config, next_confusion=symmetric(accuracy), n_left=most - n
            )
            > 0
        )

    optimum = policy_value(lambda first, n: None, accuracy, cost, most)
    value = policy_value(rule, accuracy, cost, most)
    assert value <= optimum + 1e-12
    assert optimum - value <= regret * (optimum - 0.5)


def test_bad_settings_and_input_are_refused():
    with pytest.raises(ConfigError) as caught:
        StoppingConfig(epsilon=0.0, min_labels=5, max_labels=3, lookahead=0)
    assert len(caught.value.problems) == 3
    with pytest.raises(DataError, match="shape"):
        decide(np.eye(2), 3, is_calibrated=True)
