import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.domain import ConfigError, DataError, Prompt, Ranking
from accord.quality.preferences.bradley_terry import fit_bradley_terry
from accord.quality.preferences.plackett_luce import (
    PlackettLuceConfig,
    fit_plackett_luce,
    plackett_luce_loss,
    rankings_from_records,
    tabulate_rankings,
)
from accord.quality.preferences.scored_pairs import tabulate_pairs
from accord.quality.preferences.ties import TiesConfig, fit_ties

RIDGE = PlackettLuceConfig(ridge=0.5)
FULL = [(0, 1, 2, 3), (1, 0, 3, 2), (2, 0, 1, 3), (0, 3, 1, 2), (3, 2, 1, 0), (0, 2, 3, 1), (1, 2, 0, 3)]


def in_order(orders):
    return tabulate_rankings(orders, [list(range(1, len(order) + 1)) for order in orders])


def draw_ranking(generator, scores, tie_weight):
    """One ranking of all items, stage by stage, as the model says; ties of two at most."""
    left, ranks, rank = list(range(len(scores))), np.zeros(len(scores), dtype=int), 1
    while left:
        groups = [(k,) for k in left] + list(itertools.combinations(left, 2))
        strength = np.array([math.exp(np.mean([scores[k] for k in group])) for group in groups])
        strength[len(left) :] *= tie_weight
        chosen = groups[generator.choice(len(groups), p=strength / strength.sum())]
        ranks[list(chosen)] = rank
        rank += len(chosen)
        left = [k for k in left if k not in chosen]
    return ranks.tolist()


def test_one_stage_with_a_tie_by_hand():
    # a and b tied before c, scores ln 4, 0, 0 and nu = 3:
    # f(a) = 4, f(b) = f(c) = 1, f(ab) = f(ac) = 3 * 2 = 6, f(bc) = 3 -> P(ab) = 6 / 21; then c alone is sure
    rankings = tabulate_rankings([["a", "b", "c"]], [[1, 1, 3]])
    value, _ = plackett_luce_loss(rankings, np.array([math.log(4), 0.0, 0.0, math.log(3)]))
    assert value == pytest.approx(math.log(21 / 6), rel=1e-12)


def test_items_shown_but_not_ranked_stay_among_those_left():
    # only a is ranked: P = 4 / (4 + 1 + 1)
    rankings = tabulate_rankings([["a", "b", "c"]], [[1, 0, 0]])
    value, _ = plackett_luce_loss(rankings, np.array([math.log(4), 0.0, 0.0]))
    assert value == pytest.approx(math.log(6 / 4), rel=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    generator = np.random.default_rng(0)
    lists = [list(generator.permutation(6)[:size]) for size in (2, 3, 4, 5, 6, 6)]
    ranks = [[1, 1], [2, 1, 1], [0, 1, 2, 0], [1, 1, 1, 2, 3], [1, 2, 3, 4, 5, 6], [3, 1, 1, 0, 3, 2]]
    rankings = tabulate_rankings(lists, ranks)
    point = generator.normal(size=6 + 2)
    _, gradient = plackett_luce_loss(rankings, point)
    for k in range(len(point)):
        step = np.zeros(len(point))
        step[k] = 1e-6
        ahead, behind = (plackett_luce_loss(rankings, point + sign * step)[0] for sign in (1, -1))
        assert gradient[k] == pytest.approx((ahead - behind) / 2e-6, rel=1e-6, abs=1e-8)


def test_full_rankings_equal_choix():
    # choix 0.4.1, in an environment of its own: choix.ilsr_rankings(4, FULL, max_iter=10000, tol=1e-14)
    expected = [0.495901192516, 0.109990178962, -0.097299398622, -0.508591972856]
    fit = fit_plackett_luce(in_order(FULL))
    assert fit.scores == pytest.approx(expected, abs=1e-6)
    assert fit.is_converged


def test_choices_of_the_best_equal_choix():
    # choix.ilsr_top1(4, [(0,(1,2,3)), (1,(0,3)), (2,(0,1,3)), (3,(2,1)), (0,(3,2)), (1,(2,0,3)), (3,(0,1))])
    expected = [0.1807566008, 0.1807566008, -0.35404339594, -0.00746980566]
    shown = [(0, 1, 2, 3), (1, 0, 3), (2, 0, 1, 3), (3, 2, 1), (0, 3, 2), (1, 2, 0, 3), (3, 0, 1)]
    rankings = tabulate_rankings(shown, [[1] + [0] * (len(row) - 1) for row in shown])
    assert fit_plackett_luce(rankings).scores == pytest.approx(expected, abs=1e-6)


def test_lists_of_two_are_bradley_terry_and_with_ties_davidson():
    generator = np.random.default_rng(1)
    sides = [generator.permutation(4)[:2].tolist() for _ in range(80)]
    ranks = [[(1, 2), (2, 1), (1, 1)][generator.integers(3)] for _ in sides]
    left, right = zip(*sides, strict=True)
    outcome = [{(1, 2): "left", (2, 1): "right", (1, 1): "tie"}[row] for row in ranks]
    ours = fit_plackett_luce(tabulate_rankings(sides, ranks))
    theirs = fit_ties(tabulate_pairs(left, right, outcome), TiesConfig(form="davidson"))
    assert ours.scores == pytest.approx(theirs.scores.scores, abs=1e-5)
    assert ours.tie_weights == pytest.approx([theirs.tie_parameter], rel=1e-5)
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, rel=1e-9)
    decided = [k for k, row in enumerate(ranks) if row != (1, 1)]
    ours = fit_plackett_luce(tabulate_rankings([sides[k] for k in decided], [ranks[k] for k in decided]))
    kept = [[column[k] for k in decided] for column in (left, right, outcome)]
    theirs = fit_bradley_terry(tabulate_pairs(*kept))
    assert ours.scores == pytest.approx(theirs.scores, abs=1e-6)


def test_known_scores_and_tie_weight_are_recovered_and_intervals_cover():
    truth, tie_weight = np.array([1.0, 0.4, 0.0, -0.4, -1.0]), 0.5
    covered, weights = [], []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        ranks = [draw_ranking(generator, truth, tie_weight) for _ in range(60)]
        fit = fit_plackett_luce(tabulate_rankings([range(5)] * len(ranks), ranks))
        covered.append((fit.low <= truth) & (truth <= fit.high))
        weights.append(fit.tie_weights[0])
    # 150 nominal 95 % intervals: 142 expected, three standard errors are 8
    assert np.mean(covered) >= 0.89
    assert np.exp(np.mean(np.log(weights))) == pytest.approx(tie_weight, rel=0.05)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.permutations(range(4)), st.lists(st.integers(0, 3), min_size=4, max_size=4)), max_size=6
    ),
    st.randoms(),
)
def test_neither_order_of_rankings_nor_of_items_nor_names_matter(rows, shuffler):
    rows = [*rows, ((0, 1, 2, 3), [1, 2, 0, 0])]
    before = fit_plackett_luce(tabulate_rankings(*zip(*rows, strict=True)), RIDGE)
    shuffler.shuffle(rows)
    renamed = []
    for items, ranks in rows:
        order = shuffler.sample(range(4), 4)
        renamed.append(([f"item {9 - items[k]}" for k in order], [ranks[k] for k in order]))
    after = fit_plackett_luce(tabulate_rankings(*zip(*renamed, strict=True)), RIDGE)
    assert before.scores == pytest.approx(after.scores[::-1], abs=1e-5)
    assert before.tie_weights == pytest.approx(after.tie_weights, rel=1e-4)
    assert np.isfinite(before.low).all()


def test_equal_shares_of_every_order_give_equal_scores():
    fit = fit_plackett_luce(in_order(list(itertools.permutations(range(3)))))
    assert fit.scores == pytest.approx(np.zeros(3), abs=1e-8)
    # each of the 6 rankings has probability 1/6
    assert fit.log_likelihood == pytest.approx(-6 * math.log(6))


@pytest.mark.parametrize(
    ("lists", "ranks", "reason"),
    [
        ([["a", "b"]], [[1, 2]], "never won: 'b'; never lost: 'a'"),
        ([["a", "b"]], [[0, 0]], "no item is ranked above another"),
        ([["a", "b"], ["b", "a"], ["c", "d"], ["d", "c"]], [[1, 2]] * 4, "2 groups that never meet"),
        ([["a", "b"]], [[1, 1]], "no item is ever alone"),
    ],
)
def test_where_the_maximum_does_not_exist_there_is_a_reason_and_a_ridge_gives_numbers(lists, ranks, reason):
    fit = fit_plackett_luce(tabulate_rankings(lists, ranks))
    assert fit.scores is None
    assert reason in fit.reason
    ridged = fit_plackett_luce(tabulate_rankings(lists, ranks), RIDGE)
    assert np.isfinite(ridged.scores).all()
    assert np.isfinite(ridged.high).all()
    assert ridged.scores.sum() == pytest.approx(0.0, abs=1e-9)


def test_huge_differences_stay_finite():
    value, gradient = plackett_luce_loss(in_order([("b", "a")]), np.array([900.0, -900.0]))
    assert value == pytest.approx(1800.0)
    assert np.isfinite(gradient).all()


def test_records_are_read_as_answers_of_their_prompt():
    prompt = Prompt.from_text("which")
    records = [
        Ranking(prompt=prompt, completions=("x", "y"), ranks=(1, 2)),
        Ranking(prompt=prompt, completions=("y", "x"), ranks=(1, 2)),
    ]
    fit = fit_plackett_luce(rankings_from_records(records))
    assert fit.items == ((prompt.id, "x"), (prompt.id, "y"))
    assert fit.scores == pytest.approx([0.0, 0.0], abs=1e-9)


@pytest.mark.parametrize(
    ("lists", "ranks", "message"),
    [
        ([], [], "no rankings; expected at least one"),
        ([["a", "b"]], [], "1 lists have 0 rows of ranks"),
        ([["a"]], [[1]], "ranking 0 has 1 items and 1 ranks, expected two or more"),
        ([["a", "b"]], [[1]], "2 items and 1 ranks"),
        ([["a", "b", "a"]], [[1, 2, 3]], "ranking 0 holds an item twice; remove one"),
        ([["a", "b"]], [[1, -1]], "rank -1, expected 1"),
        ([list("abcde")], [[1] * 5], "5 items share rank 1, expected at most 4; give items of unknown order"),
    ],
)
def test_bad_rankings_are_refused_in_one_sentence(lists, ranks, message):
    with pytest.raises(DataError, match=message):
        tabulate_rankings(lists, ranks)


def test_a_negative_ridge_is_refused():
    with pytest.raises(ConfigError, match="ridge is -1, expected 0 or a positive number"):
        PlackettLuceConfig(ridge=-1)
