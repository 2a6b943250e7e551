import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from accord.domain import ConfigError, DataError
from accord.quality.preferences import bradley_terry
from accord.quality.preferences.bradley_terry import BradleyTerryConfig, count_wins, fit_bradley_terry
from accord.quality.preferences.scored_pairs import tabulate_pairs

RIDGE = BradleyTerryConfig(ridge=0.5)
# choix 0.4.1, in an environment of its own, with [(winner, loser)] * times for each of these:
#   choix.ilsr_pairwise(4, wins, max_iter=10000, tol=1e-14)
#   choix.opt_pairwise(4, wins, alpha=0.3, tol=1e-13)
WINS = {
    (0, 1): 7, (1, 0): 3, (1, 2): 6, (2, 1): 4, (2, 3): 5,
    (3, 2): 5, (3, 0): 2, (0, 3): 8, (0, 2): 3, (2, 0): 1,
}  # fmt: skip
CHOIX = [0.855417148757, 0.004124770681, -0.404833969334, -0.454707950104]
CHOIX_RIDGE = [0.773780563309, -0.00914212107, -0.360134487593, -0.404503954646]


def from_wins(wins):
    winner, loser = zip(*[pair for pair, times in wins.items() for _ in range(times)], strict=True)
    return tabulate_pairs(winner, loser, ["left"] * len(winner))


def draw(generator, scores, n_rows, *, annotators=1, pull=0.0):
    """Random pairs; each annotator has a taste of his own of standard deviation `pull`."""
    sides = np.array([generator.permutation(len(scores))[:2] for _ in range(n_rows)])
    judge = generator.integers(0, annotators, n_rows)
    own = scores + pull * generator.normal(size=(annotators, len(scores)))
    margin = own[judge, sides[:, 0]] - own[judge, sides[:, 1]]
    outcome = (generator.random(n_rows) >= expit(margin)).astype(int)
    return tabulate_pairs(sides[:, 0], sides[:, 1], outcome, judge)


def test_two_items_by_hand():
    # a wins 3 of 4: s_a - s_b = ln 3, each half of it from 0
    pairs = tabulate_pairs(["a", "a", "b", "a"], ["b", "b", "a", "b"], ["left", "left", "right", "right"])
    fit = fit_bradley_terry(pairs)
    assert fit.scores == pytest.approx([math.log(3) / 2, -math.log(3) / 2], rel=1e-12)
    assert fit.log_likelihood == pytest.approx(3 * math.log(3 / 4) + math.log(1 / 4))
    assert fit.probability("a", "b") == pytest.approx(3 / 4)
    # sandwich: sum of squared surprises 3/16 + 9/16 = 3/4 times 4/3, over the squared curvature (3/4)^2:
    # standard error 4/3 of the difference, 2/3 of a score; Student's t of 3 degrees is 3.182446
    assert fit.high - fit.scores == pytest.approx([3.182446 * 2 / 3] * 2, rel=1e-6)
    curved = fit_bradley_terry(pairs, BradleyTerryConfig(intervals="information"))
    assert curved.high - curved.scores == pytest.approx([1.959964 * math.sqrt(4 / 3) / 2] * 2, rel=1e-6)


def test_a_chain_by_hand():
    # a beats b 2 of 3, b beats c 3 of 4; no third comparison: each difference is its own log-odds
    fit = fit_bradley_terry(from_wins({("a", "b"): 2, ("b", "a"): 1, ("b", "c"): 3, ("c", "b"): 1}))
    assert fit.scores[0] - fit.scores[1] == pytest.approx(math.log(2), rel=1e-12)
    assert fit.scores[1] - fit.scores[2] == pytest.approx(math.log(3), rel=1e-12)
    assert fit.scores.sum() == pytest.approx(0.0, abs=1e-12)


def test_maximum_likelihood_equals_choix():
    assert fit_bradley_terry(from_wins(WINS)).scores == pytest.approx(CHOIX, abs=1e-10)


def test_the_ridge_equals_choix():
    # choix adds alpha * |s|^2, here it is ridge / 2 * |s|^2
    fit = fit_bradley_terry(from_wins(WINS), BradleyTerryConfig(ridge=0.6))
    assert fit.scores == pytest.approx(CHOIX_RIDGE, abs=1e-6)


def test_the_gradient_vanishes_at_the_scores():
    # at the maximum each item wins as often as expected
    pairs = draw(np.random.default_rng(0), np.linspace(-1, 1, 8), 300)
    fit = fit_bradley_terry(pairs)
    surprise = pairs.left_share - expit(fit.scores[pairs.left] - fit.scores[pairs.right])
    total = np.bincount(pairs.left, surprise, 8) - np.bincount(pairs.right, surprise, 8)
    assert total == pytest.approx(np.zeros(8), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.permutations(range(5)), st.integers(0, 2)), min_size=1, max_size=25), st.randoms()
)
def test_neither_row_order_nor_side_nor_names_matter_and_the_objective_never_rises(rows, shuffler):
    sides, outcome = [row[0][:2] for row in rows], [row[1] for row in rows]
    pairs = tabulate_pairs([s[0] for s in sides], [s[1] for s in sides], outcome)
    fit = fit_bradley_terry(pairs, RIDGE)
    mirrored = fit_bradley_terry(pairs.mirrored(), RIDGE)
    order = shuffler.sample(range(len(rows)), len(rows))
    shuffled = fit_bradley_terry(pairs.select(np.array(order)), RIDGE)
    name = {item: f"item {9 - item}" for item in pairs.items}
    renamed = fit_bradley_terry(
        tabulate_pairs([name[s[0]] for s in sides], [name[s[1]] for s in sides], outcome), RIDGE
    )
    assert mirrored.scores == pytest.approx(fit.scores, abs=1e-9)
    assert shuffled.scores == pytest.approx(fit.scores, abs=1e-9)
    assert renamed.scores == pytest.approx(fit.scores[::-1], abs=1e-9)
    assert (np.diff(fit.objectives) < 0).all()
    assert fit.is_converged
    assert np.isfinite(fit.low).all()


def test_a_tie_counts_half_for_each_side():
    with_ties = tabulate_pairs(["a"] * 3, ["b"] * 3, ["left", "tie", "tie"])
    # 2 of 3 wins for a
    assert fit_bradley_terry(with_ties).scores[0] == pytest.approx(math.log(2) / 2)
    all_ties = fit_bradley_terry(tabulate_pairs(["a", "b"], ["b", "c"], ["tie", "tie"]))
    assert all_ties.scores == pytest.approx(np.zeros(3), abs=1e-12)
    # no surprise in any row: the sandwich has nothing to spread, and says so by an interval of no width
    assert all_ties.high == pytest.approx(all_ties.low, abs=1e-12)


def test_groups_that_never_meet_are_each_centered_and_not_compared():
    wins = {("a", "b"): 2, ("b", "a"): 1, ("c", "d"): 3, ("d", "c"): 1}
    fit = fit_bradley_terry(from_wins(wins))
    assert fit.n_groups == 2
    assert fit.group.tolist() == [0, 0, 1, 1]
    half = [math.log(2) / 2, math.log(3) / 2]
    assert fit.scores == pytest.approx([half[0], -half[0], half[1], -half[1]])
    assert fit.probability("a", "c") is None
    assert fit.probability("c", "d") == pytest.approx(3 / 4)
    assert np.isfinite(fit.low).all()


@pytest.mark.parametrize(
    ("wins", "words"),
    [
        ({("a", "b"): 3}, "never won: 'b'; never lost: 'a'"),
        ({("a", "b"): 1, ("b", "a"): 1, ("a", "c"): 2}, "never won: 'c'"),
        (
            {("a", "b"): 1, ("b", "a"): 1, ("c", "d"): 1, ("d", "c"): 1, ("a", "c"): 1},
            "some items never beat, even through others",
        ),
    ],
)
def test_without_a_maximum_there_is_a_reason_and_a_ridge_gives_numbers(wins, words):
    fit = fit_bradley_terry(from_wins(wins))
    assert fit.scores is None
    assert fit.low is None
    assert words in fit.reason
    assert "set a ridge" in fit.reason
    ridged = fit_bradley_terry(from_wins(wins), BradleyTerryConfig(ridge=0.1))
    assert np.isfinite(ridged.scores).all()
    assert ridged.reason is None


def test_conjugate_gradients_give_the_same_scores_as_the_factor(monkeypatch):
    pairs = draw(np.random.default_rng(1), np.random.default_rng(2).normal(size=40), 1500)
    config = BradleyTerryConfig(ridge=0.1, intervals="none")
    exact = fit_bradley_terry(pairs, config)
    monkeypatch.setattr(bradley_terry, "DENSE_LIMIT", 10)
    iterative = fit_bradley_terry(pairs, config)
    assert iterative.scores == pytest.approx(exact.scores, abs=1e-6)
    assert exact.reason == "intervals were not asked for"


def test_counts_forget_the_side():
    counts = count_wins(tabulate_pairs(["b", "a", "a"], ["a", "b", "b"], ["left", "left", "tie"]))
    assert (counts.first_wins.tolist(), counts.second_wins.tolist()) == ([1.5], [1.5])
    assert counts.games.tolist() == [3.0]


def test_sandwich_intervals_cover_at_their_nominal_rate():
    truth = np.array([1.0, 0.5, 0.2, -0.2, -0.5, -1.0])
    covered = []
    for seed in range(400):
        fit = fit_bradley_terry(draw(np.random.default_rng(seed), truth, 300))
        covered.append((fit.low <= truth) & (truth <= fit.high))
    # 2400 intervals, five of six free in each set: standard error 0.005
    assert 0.935 <= np.mean(covered) <= 0.965


def test_intervals_by_annotator_cover_where_annotators_have_tastes():
    truth = np.zeros(4)
    covered = {True: [], False: []}
    for seed in range(200):
        pairs = draw(np.random.default_rng(seed), truth, 1000, annotators=50, pull=1.0)
        for clustered, hits in covered.items():
            fit = fit_bradley_terry(pairs, BradleyTerryConfig(cluster_by_annotator=clustered))
            hits.append((fit.low <= truth) & (truth <= fit.high))
    assert 0.92 <= np.mean(covered[True]) <= 0.97
    assert np.mean(covered[False]) < 0.8


@pytest.mark.slow
def test_bootstrap_intervals_cover_at_their_nominal_rate():
    truth = np.array([0.8, 0.3, -0.3, -0.8])
    covered = []
    for seed in range(150):
        pairs = draw(np.random.default_rng(seed), truth, 300)
        fit = fit_bradley_terry(pairs, BradleyTerryConfig(intervals="bootstrap", replicates=120, seed=seed))
        covered.append((fit.low <= truth) & (truth <= fit.high))
    # 600 intervals, three of four free in each set: standard error 0.01
    assert 0.92 <= np.mean(covered) <= 0.98


def test_one_annotator_has_no_interval_over_annotators():
    pairs = from_wins(WINS)
    for method in ("bootstrap", "sandwich"):
        alone = BradleyTerryConfig(intervals=method, cluster_by_annotator=True, replicates=40)
        fit = fit_bradley_terry(pairs, alone)
        assert fit.scores is not None
        assert fit.low is None
        assert "one annotator says nothing about others" in fit.reason


def test_the_bootstrap_is_deterministic_and_says_when_samples_have_no_maximum():
    config = BradleyTerryConfig(intervals="bootstrap", replicates=60)
    pairs = from_wins(WINS)
    first, second = fit_bradley_terry(pairs, config), fit_bradley_terry(pairs, config)
    assert first.low.tolist() == second.low.tolist()
    assert (first.low < first.scores).all()
    rare = fit_bradley_terry(from_wins({("a", "b"): 5, ("b", "a"): 1}), config)
    # (5/6)^6 = 0.33 of the samples lack the one win of b
    assert rare.low is None
    assert 5 < rare.failed_replicates < 40
    assert "bootstrap samples have no maximum likelihood; set a ridge" in rare.reason


def test_bad_configs_and_no_rows_are_refused():
    with pytest.raises(ConfigError, match=r"(?s)ridge is nan.*intervals is 'wald'.*replicates is 3"):
        BradleyTerryConfig(ridge=math.nan, intervals="wald", replicates=3)
    with pytest.raises(DataError, match="no comparisons to fit; expected at least one"):
        fit_bradley_terry(from_wins(WINS).select(np.zeros(0, dtype=int)))
