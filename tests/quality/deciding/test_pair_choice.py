import math

import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.special import expit
from scipy.stats import kendalltau, norm

from accord.domain import ConfigError, DataError
from accord.quality.deciding.pair_choice import (
    PairChoiceConfig,
    Reliabilities,
    ScorePosterior,
    best_information,
    choose_pairs,
    crowd_score_posterior,
    pair_information,
    score_posterior,
)
from accord.quality.preferences.scored_pairs import tabulate_pairs


def entropy(share):
    return sum(-p * math.log(p) for p in (share, 1 - share) if p > 0)


def normal_mean(function, mean=0.0, spread=1.0):
    ends = (mean - 9 * spread, mean + 9 * spread)
    return quad(lambda x: function(x) * norm.pdf(x, mean, spread), *ends, limit=400, epsabs=1e-11)[0]


def independent(mean, variances):
    return ScorePosterior(
        tuple(range(len(mean))), np.array(mean, dtype=float), np.diag(np.array(variances, dtype=float))
    )


def test_a_known_margin_tells_nothing():
    told, of_annotator = pair_information(np.array([0.0, 2.0]), np.zeros(2))
    assert told == pytest.approx(np.zeros(2), abs=1e-12)
    assert of_annotator.tolist() == [0, 0]


def test_a_nearly_known_margin_tells_half_its_variance_times_the_fisher_information():
    # I(y; d) = var(d) / 2 * p (1 - p) + smaller terms: at d = 0 and a spread of .05, .0025 / 8
    told, _ = pair_information(np.zeros(1), np.array([0.05]))
    assert told[0] == pytest.approx(0.0025 / 8, rel=2e-3)


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 0.5), (1.0, 2.0), (-3.0, 1.0), (0.5, 6.0)])
def test_information_is_the_integral(mean, spread):
    expected = entropy(normal_mean(expit, mean, spread)) - normal_mean(
        lambda x: entropy(expit(x)), mean, spread
    )
    told, _ = pair_information(np.array([mean]), np.array([spread]))
    assert told[0] == pytest.approx(expected, abs=1e-5)


def test_information_with_an_uncertain_annotator_is_the_double_integral():
    mean, spread, log_odds, doubt = 0.7, 1.5, 0.8, 1.2

    def p_first(d, e):
        return expit(e) * expit(d) + expit(-e) * expit(-d)

    def joint_mean(function):
        def weighed(d, e):
            return function(p_first(d, e)) * norm.pdf(d, mean, spread) * norm.pdf(e, log_odds, doubt)

        reach = (log_odds - 6 * doubt, log_odds + 6 * doubt, mean - 6 * spread, mean + 6 * spread)
        return dblquad(weighed, *reach, epsabs=1e-5, epsrel=1e-5)[0]

    told, of_annotator = pair_information(
        np.array([mean]), np.array([spread]), log_odds=log_odds, doubt=doubt
    )
    expected = entropy(joint_mean(lambda p: p)) - joint_mean(entropy)
    assert told[0] + of_annotator[0] == pytest.approx(expected, abs=2e-4)


def test_who_answers_at_random_tells_nothing_of_scores_and_who_answers_the_opposite_as_much():
    mean, spread = np.array([0.3]), np.array([1.0])
    assert pair_information(mean, spread, log_odds=0.0)[0][0] == pytest.approx(0, abs=1e-12)
    follows, opposes = (pair_information(mean, spread, log_odds=e)[0][0] for e in (2.0, -2.0))
    assert follows == pytest.approx(opposes)
    assert pair_information(mean, spread)[0][0] > follows


def test_the_best_of_two_is_the_sign_of_their_margin():
    # Margin N(0, 2): P(y = first | first is best) = 2 E[sigma(d); d > 0]
    generator = np.random.default_rng(0)
    posterior = independent([0, 0], [1, 1])
    normals = generator.standard_normal((100_000, 2))
    told = best_information(posterior, np.array([0]), np.array([1]), normals)
    given_best = 2 * quad(lambda d: expit(d) * norm.pdf(d, 0, math.sqrt(2)), 0, 20)[0]
    assert told[0] == pytest.approx(math.log(2) - entropy(given_best), abs=2e-3)


def test_items_that_cannot_be_best_are_not_compared_for_the_best():
    posterior = independent([3.0, 3.0, -3.0, -3.0], [1, 1, 4, 4])
    best = choose_pairs(posterior, PairChoiceConfig(goal="best"))[0]
    assert {best.first, best.second} == {0, 1}
    scores = choose_pairs(posterior, PairChoiceConfig(goal="scores"))[0]
    assert {scores.first, scores.second} == {2, 3}


def test_a_batch_spreads_over_items():
    # Item 0 is the least known, so each pair with it tells most alone; after the first, 2 and 3 tell more
    posterior = independent([0, 0, 0, 0], [1.1, 1, 1, 1])
    batch = choose_pairs(posterior, n=2)
    assert {batch[0].first, batch[0].second, batch[1].first, batch[1].second} == {0, 1, 2, 3}
    alone = choose_pairs(posterior, PairChoiceConfig(diversity=False), n=2)
    assert all(0 in (each.first, each.second) for each in alone)


def test_the_better_annotator_is_asked_and_the_lesser_known_one_when_learning_counts():
    posterior = independent([0, 0], [1, 1])
    crew = Reliabilities(("good", "weak", "new"), np.array([2.5, 0.5, 2.0]), np.array([0.1, 0.1, 2.0]))
    none = choose_pairs(posterior, PairChoiceConfig(learning_weight=0), reliabilities=crew)
    assert none[0].annotator == "good"
    keen = choose_pairs(posterior, PairChoiceConfig(learning_weight=5), reliabilities=crew)
    assert keen[0].annotator == "new"


def test_no_question_is_put_twice_or_where_it_is_barred():
    posterior = independent([0, 0, 0], [1, 1, 1])
    crew = Reliabilities(("u", "v"), np.array([2.0, 2.0]), np.array([0.5, 0.5]))
    allowed = np.array([[True, False], [False, True], [True, True]])
    put = choose_pairs(posterior, n=9, reliabilities=crew, is_allowed=allowed)
    pairs = [(0, 1), (0, 2), (1, 2)]
    found = {(pairs.index((each.first, each.second)), each.annotator) for each in put}
    assert len(put) == len(found) == 4
    assert found == {(0, "u"), (1, "v"), (2, "u"), (2, "v")}
    assert choose_pairs(posterior, n=0) == []
    only = choose_pairs(posterior, n=5, candidates=np.array([[2, 0]]))
    assert [(each.first, each.second) for each in only] == [(2, 0)]


def test_a_seed_settles_equals():
    posterior = independent(np.zeros(6), np.ones(6))
    first = [choose_pairs(posterior, seed=seed)[0] for seed in range(20)]
    assert first == [choose_pairs(posterior, seed=seed)[0] for seed in range(20)]
    assert len({(each.first, each.second) for each in first}) > 5


@pytest.mark.parametrize("goal", ["scores", "best"])
def test_names_change_nothing(goal):
    posterior = independent([0.3, 0.1, -0.2, 0.9], [1.0, 2.0, 1.5, 0.7])
    named = ScorePosterior(("a", "b", "c", "d"), posterior.mean, posterior.covariance)
    config = PairChoiceConfig(goal=goal)
    plain = choose_pairs(posterior, config, n=3, seed=4)
    other = choose_pairs(named, config, n=3, seed=4)
    assert [("abcd"[each.first], "abcd"[each.second], each.gain) for each in plain] == [
        (each.first, each.second, each.gain) for each in other
    ]


def test_the_order_of_items_changes_nothing():
    left, right, outcome = [0, 1, 2, 0, 3], [1, 2, 3, 2, 1], ["left", "right", "left", "left", "left"]
    pairs = tabulate_pairs(left, right, outcome)
    plain = score_posterior([0, 1, 2, 3, 4], pairs)
    turn = [3, 0, 4, 2, 1]
    turned = score_posterior(turn, pairs)
    assert turned.mean == pytest.approx(plain.mean[turn])
    assert turned.covariance == pytest.approx(plain.covariance[np.ix_(turn, turn)])


def test_the_posterior_of_two_items_by_hand():
    # k wins and k losses at a ridge of 1/4: scores 0, curvature of the margin direction 2 * 2k/4 + 1/4;
    # the sum keeps its prior. k = 3: var(margin) = 2 / (3 + 1/4), half of 4 * 2 for the sum
    pairs = tabulate_pairs([0] * 6, [1] * 6, ["left"] * 3 + ["right"] * 3)
    posterior = score_posterior([0, 1], pairs)
    mean, spread = posterior.margins(np.array([0]), np.array([1]))
    assert mean[0] == pytest.approx(0)
    assert spread[0] ** 2 == pytest.approx(2 / 3.25)
    assert posterior.covariance.sum() == pytest.approx(8)


def test_items_and_annotators_without_comparisons_keep_their_prior():
    pairs = tabulate_pairs(["p", "p"], ["q", "q"], ["left", "left"], ["u", "u"])
    posterior = score_posterior(["p", "q", "new"], pairs)
    assert posterior.mean[2] == 0
    assert posterior.covariance[2].tolist() == pytest.approx([0, 0, 4])
    crowd, crew = crowd_score_posterior(["p", "q", "new"], ["u", "v"], pairs)
    assert crowd.covariance[2].tolist() == pytest.approx([0, 0, 4])
    assert crowd.mean[0] > 0 > crowd.mean[1]
    assert (crew.mean[1], crew.spread[1]) == (2.0, 1.5)
    assert crew.spread[0] < 1.5
    nothing, all_new = crowd_score_posterior(["p", "q"], ["u"])
    assert nothing.covariance == pytest.approx(4 * np.eye(2))
    assert all_new.spread.tolist() == [1.5]


def rank(choose, seed, spread, budget, n_items=20, batch=10, goal="scores"):
    """Kendall's tau of estimated with true scores, and whether the best was found, after `budget` answers."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(0, spread, n_items)
    config = PairChoiceConfig(goal=goal)
    left, right, outcome, items = [], [], [], list(range(n_items))
    posterior = score_posterior(items)
    while len(left) < budget:
        for one, other in choose(posterior, config, batch, generator):
            p_one = expit(truth[one] - truth[other])
            left.append(one)
            right.append(other)
            outcome.append("left" if generator.random() < p_one else "right")
        posterior = score_posterior(items, tabulate_pairs(left, right, outcome), config)
    return kendalltau(posterior.mean, truth).statistic, posterior.mean.argmax() == truth.argmax()


def by_chance(posterior, config, batch, generator):
    return [generator.choice(len(posterior.items), 2, replace=False).tolist() for _ in range(batch)]


def by_gain(posterior, config, batch, generator):
    questions = choose_pairs(posterior, config, n=batch, seed=int(generator.integers(1 << 31)))
    return [(each.first, each.second) for each in questions]


def mean_rank(choose, spread, budget, n_runs=8, **options):
    return np.mean([rank(choose, seed, spread, budget, **options) for seed in range(n_runs)], axis=0)


def test_where_scores_lie_far_apart_half_the_comparisons_rank_as_well():
    assert mean_rank(by_gain, 4.0, 80)[0] > mean_rank(by_chance, 4.0, 160)[0]


def test_where_scores_lie_close_choice_of_pairs_brings_little():
    gap = mean_rank(by_gain, 1.0, 100)[0] - mean_rank(by_chance, 1.0, 100)[0]
    assert abs(gap) < 0.05


def test_the_best_item_is_found_sooner_and_the_others_are_ranked_worse():
    best, scores = mean_rank(by_gain, 3.0, 40, goal="best"), mean_rank(by_gain, 3.0, 40)
    assert best[1] > mean_rank(by_chance, 3.0, 40)[1] + 0.2
    assert best[0] < scores[0]


def rank_by_crowd(is_joint, seed, n_known, budget=60, n_items=15):
    """Of ten annotators five guess; each first answers `n_known` comparisons of a good with a bad item."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(0, 2, n_items)
    follows = np.repeat([0.97, 0.5], 5)
    items, crew = list(range(n_items + 2)), list(range(10))
    candidates = np.column_stack(np.triu_indices(n_items, 1))
    known = [
        (n_items, n_items + 1, "left" if generator.random() < follows[w] else "right", w)
        for w in crew
        for _ in range(n_known)
    ]
    rows = list(known)
    while len(rows) < len(known) + budget:
        posterior, reliabilities = crowd_score_posterior(
            items, crew, tabulate_pairs(*zip(*rows, strict=True)) if rows else None
        )
        if is_joint:
            asked = {(one, other, w) for one, other, _, w in rows}
            allowed = np.array([[(one, other, w) not in asked for w in crew] for one, other in candidates])
            questions = choose_pairs(
                posterior, n=10, reliabilities=reliabilities, candidates=candidates, is_allowed=allowed
            )
            asks = [(each.first, each.second, each.annotator) for each in questions]
        else:
            asks = [
                (*generator.choice(n_items, 2, replace=False).tolist(), int(generator.integers(10)))
                for _ in range(10)
            ]
        for one, other, w in asks:
            p_one = expit((2 * (generator.random() < follows[w]) - 1) * (truth[one] - truth[other]))
            rows.append((one, other, "left" if generator.random() < p_one else "right", w))
    posterior, _ = crowd_score_posterior(items, crew, tabulate_pairs(*zip(*rows, strict=True)))
    return kendalltau(posterior.mean[:n_items], truth).statistic


def test_with_known_comparisons_annotator_and_pair_are_well_chosen_together():
    chosen = np.mean([rank_by_crowd(True, seed, 8) for seed in range(4)])
    assert chosen > np.mean([rank_by_crowd(False, seed, 8) for seed in range(4)]) + 0.1


def test_bad_settings_and_input_are_refused():
    with pytest.raises(ConfigError) as caught:
        PairChoiceConfig(goal="all", score_spread=0, learning_weight=-1, n_draws=1)
    assert len(caught.value.problems) == 4
    with pytest.raises(DataError, match="two or more, each once"):
        score_posterior(["p", "p"])
    pairs = tabulate_pairs(["p"], ["q"], ["left"], ["u"])
    with pytest.raises(DataError, match="'q' is compared"):
        score_posterior(["p", "r"], pairs)
    with pytest.raises(DataError, match="annotator 'u'"):
        crowd_score_posterior(["p", "q"], ["v"], pairs)
    posterior = independent([0, 0], [1, 1])
    with pytest.raises(DataError, match="shape"):
        choose_pairs(posterior, is_allowed=np.ones((2, 1), dtype=bool))
    with pytest.raises(DataError, match="itself"):
        choose_pairs(posterior, candidates=np.array([[1, 1]]))
