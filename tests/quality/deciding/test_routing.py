import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import ConfigError, DataError
from accord.quality.deciding.routing import (
    OpenItem,
    RoutingConfig,
    Staff,
    assign_labels,
    learning_gain,
    rank_annotators,
)

PLAIN = RoutingConfig(exploration="none")


def known(*accuracies, n=1000.0):
    """Symmetric two-class annotators, each known from n labels a class."""
    return np.array([[[a * n, (1 - a) * n], [(1 - a) * n, a * n]] for a in accuracies])


def staff(*accuracies, **options):
    names = tuple(f"w{place}" for place in range(len(accuracies)))
    return Staff(annotators=names, counts=known(*accuracies), **options)


def even(**options):
    return OpenItem(posterior=np.array([0.5, 0.5]), **options)


def names(assignments):
    return [each.annotator for each in assignments]


def test_information_of_a_label_on_an_even_item_by_hand():
    # A label of accuracy a on an even item tells ln 2 - H(a); a = .9 tells .3681 nats
    ranked = rank_annotators(even(), staff(0.7, 0.9, 0.5), PLAIN)
    assert names(ranked) == ["w1", "w0"]
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert ranked[0].gain == pytest.approx(math.log(2) - entropy)


def test_value_of_a_label_by_hand():
    # .6 against .4 and accuracy .8: the top probability is .6 * .8 + .4 * .8 = .8, a rise of .2;
    # accuracy .55 cannot turn the decision and is worth nothing
    item = OpenItem(posterior=np.array([0.6, 0.4]))
    ranked = rank_annotators(
        item, staff(0.8, 0.55), RoutingConfig(measure="value", exploration="none", min_gain=1e-9)
    )
    assert names(ranked) == ["w0"]
    assert ranked[0].gain == pytest.approx(0.2)


def test_learning_gain_by_hand():
    # Beta(1, 1): H(mean) = ln 2, E H = psi(3) - psi(2) = 1 / 2. Class 0 has 2 / 3
    counts = np.array([[[1.0, 1.0], [1e6, 1e6]]])
    assert learning_gain(np.array([2 / 3, 1 / 3]), counts)[0, 0] == pytest.approx(
        2 / 3 * (math.log(2) - 0.5), abs=1e-6
    )


def test_learning_gain_is_the_mean_over_drawn_rates():
    generator = np.random.default_rng(0)
    counts = np.array([[3.0, 1.0, 0.5], [1.0, 2.0, 1.0], [1.0, 1.0, 8.0]])
    posterior = np.array([0.2, 0.5, 0.3])
    expected = 0.0
    for share, row in zip(posterior, counts, strict=True):
        rates = generator.dirichlet(row, 200_000)
        mean = row / row.sum()
        entropy = -(rates * np.log(np.maximum(rates, 1e-300))).sum(axis=1).mean()
        expected += share * (-(mean * np.log(mean)).sum() - entropy)
    assert learning_gain(posterior, counts[None])[0, 0] == pytest.approx(expected, abs=2e-3)


def test_a_cheap_annotator_is_asked_where_he_tells_more_for_the_money():
    costs = np.array([4.0, 1.0])
    ranked = rank_annotators(even(), staff(0.9, 0.75, costs=costs), PLAIN)
    assert names(ranked) == ["w1", "w0"]
    assert ranked[1].rate == pytest.approx(ranked[1].gain / 4)


def test_nobody_is_asked_twice_beyond_his_limit_or_without_the_tags():
    tags = tuple(frozenset(each) for each in ({"de"}, {"de", "law"}, set(), {"de", "law"}))
    crew = staff(0.9, 0.8, 0.95, 0.7, free=np.array([5, 5, 5, 0]), tags=tags)
    assert names(rank_annotators(even(), crew, PLAIN)) == ["w2", "w0", "w1"]
    assert names(rank_annotators(even(needs=["de"]), crew, PLAIN)) == ["w0", "w1"]
    assert names(rank_annotators(even(needs=["de"], asked=["w0"]), crew, PLAIN)) == ["w1"]
    assert names(rank_annotators(even(needs=["law"], asked=["w1"]), crew, PLAIN)) == []
    assert rank_annotators(even(needs=["de"]), staff(0.9), PLAIN) == []


def test_a_settled_item_and_a_blind_annotator_bring_nothing():
    assert rank_annotators(OpenItem(posterior=np.array([1.0, 0.0])), staff(0.9), PLAIN) == []
    assert rank_annotators(even(), staff(0.5), RoutingConfig(exploration="none", min_gain=1e-9)) == []


def test_an_unknown_annotator_is_tried_before_a_known_one_as_good():
    counts = np.concatenate([known(0.8), known(0.8, n=2)])
    crew = Staff(annotators=("known", "new"), counts=counts)
    assert names(rank_annotators(even(), crew))[0] == "new"


def test_thompson_sampling_tries_each_as_often_as_he_may_be_the_best():
    crew = Staff(annotators=("u", "v"), counts=known(0.7, 0.7, n=10))
    config = RoutingConfig(exploration="thompson")
    first = [names(rank_annotators(even(), crew, config, seed=seed))[0] for seed in range(400)]
    # Both alike: a fair coin, 400 tosses, four standard deviations are 40
    assert abs(first.count("u") - 200) < 40
    assert first == [names(rank_annotators(even(), crew, config, seed=seed))[0] for seed in range(400)]
    sure = Staff(annotators=("u", "v"), counts=known(0.7, 0.9))
    assert {names(rank_annotators(even(), sure, config, seed=seed))[0] for seed in range(50)} == {"v"}


def test_equals_are_taken_at_random_and_by_the_seed():
    crew = staff(0.8, 0.8, 0.8)
    first = [names(rank_annotators(even(), crew, PLAIN, seed=seed))[0] for seed in range(60)]
    assert set(first) == {"w0", "w1", "w2"}


@given(st.integers(0, 10_000))
def test_names_and_the_order_of_annotators_change_nothing(seed):
    generator = np.random.default_rng(seed)
    counts = generator.uniform(0.5, 9, (5, 3, 3))
    item = OpenItem(posterior=generator.dirichlet(np.ones(3)))
    plain = rank_annotators(item, Staff(annotators=tuple("abcde"), counts=counts))
    turn = generator.permutation(5)
    turned = rank_annotators(item, Staff(annotators=tuple(turn.tolist()), counts=counts[turn]))
    assert ["abcde"[each.annotator] for each in turned] == names(plain)
    classes = generator.permutation(3)
    moved = OpenItem(posterior=item.posterior[classes])
    again = rank_annotators(moved, Staff(annotators=tuple("abcde"), counts=counts[:, classes][:, :, classes]))
    assert names(again) == names(plain)


@pytest.mark.parametrize("seed", range(5))
def test_assignment_is_the_best_of_all(seed):
    generator = np.random.default_rng(seed)
    crew = Staff(annotators=(0, 1, 2), counts=generator.uniform(0.5, 9, (3, 2, 2)), free=np.array([1, 2, 1]))
    items = [
        OpenItem(posterior=generator.dirichlet([1, 1]), asked=[int(generator.integers(0, 3))])
        for _ in range(5)
    ]
    found = assign_labels(items, crew, PLAIN, seed=seed)
    assert len({each.item for each in found}) == len(found)
    for annotator in range(3):
        assert names(found).count(annotator) <= crew.free[annotator]
    assert all(each.annotator not in items[each.item].asked for each in found)
    worth = {
        (i, each.annotator): each.rate for i in range(5) for each in rank_annotators(items[i], crew, PLAIN)
    }
    best = 0.0
    for choice in itertools.product([None, 0, 1, 2], repeat=5):
        pairs = [(i, j) for i, j in enumerate(choice) if j is not None]
        counts = [sum(j == k for _, j in pairs) for k in range(3)]
        if all(pair in worth for pair in pairs) and all(np.array(counts) <= crew.free):
            best = max(best, sum(worth[pair] for pair in pairs))
    assert sum(each.rate for each in found) == pytest.approx(best)


def test_without_limits_everybody_best_is_taken_and_no_items_need_nobody():
    items = [even(), even(asked=["w1"])]
    assert names(assign_labels(items, staff(0.8, 0.9), PLAIN)) == ["w1", "w0"]
    assert assign_labels([], staff(0.8)) == []


def collect(choose, seed, n_items=60, budget=4):
    """Truth kept after `budget` labels an item, the annotators' counts learned from the posterior."""
    generator = np.random.default_rng(seed)
    accuracy = np.repeat([0.55, 0.65, 0.95], [6, 3, 3])
    size = len(accuracy)
    counts = np.tile(np.array([[2.0, 1.0], [1.0, 2.0]]), (size, 1, 1))
    truth = generator.integers(0, 2, n_items)
    posteriors, asked = np.full((n_items, 2), 0.5), [[] for _ in range(n_items)]
    for i in range(n_items):
        log_odds = np.zeros(2)
        given_labels = []
        for _ in range(budget):
            crew = Staff(annotators=tuple(range(size)), counts=counts)
            item = OpenItem(posterior=posteriors[i], asked=asked[i])
            worker = choose(item, crew, int(generator.integers(1 << 31)))
            assert worker not in asked[i]
            label = truth[i] if generator.random() < accuracy[worker] else 1 - truth[i]
            asked[i].append(worker)
            given_labels.append((worker, label))
            log_odds += np.log(crew.rates[worker, :, label])
            posteriors[i] = np.exp(log_odds - np.logaddexp(*log_odds))
        for worker, label in given_labels:
            counts[worker, :, label] += posteriors[i]
    return float((posteriors.argmax(axis=1) == truth).mean())


def test_asking_who_tells_most_beats_asking_at_random():
    def by_chance(item, crew, seed):
        left = [each for each in crew.annotators if each not in item.asked]
        return left[np.random.default_rng(seed).integers(len(left))]

    def by_gain(config):
        return lambda item, crew, seed: rank_annotators(item, crew, config, seed=seed)[0].annotator

    seeds = range(6)
    chance = np.mean([collect(by_chance, seed) for seed in seeds])
    for config in (RoutingConfig(), RoutingConfig(exploration="thompson")):
        assert np.mean([collect(by_gain(config), seed) for seed in seeds]) > chance + 0.04


def test_bad_settings_and_input_are_refused():
    with pytest.raises(ConfigError) as caught:
        RoutingConfig(measure="guess", exploration="all", learning_weight=-1, min_gain=float("nan"))
    assert len(caught.value.problems) == 4
    with pytest.raises(DataError, match="shape"):
        Staff(annotators=("u",), counts=np.ones((2, 2, 2)))
    with pytest.raises(DataError, match="add a prior"):
        Staff(annotators=("u",), counts=np.zeros((1, 2, 2)))
    with pytest.raises(DataError, match="costs has 2 entries"):
        staff(0.8, costs=np.ones(2))
    with pytest.raises(DataError, match="above 0"):
        staff(0.8, costs=np.zeros(1))
    with pytest.raises(DataError, match="3 classes"):
        rank_annotators(OpenItem(posterior=np.ones(3) / 3), staff(0.8))
