import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from accord.domain import ConfigError, DataError
from accord.quality.preferences.scored_pairs import tabulate_pairs
from accord.quality.preferences.ties import TiesConfig, fit_ties

FORMS = ("threshold", "davidson")
every_form = pytest.mark.parametrize("form", FORMS)


def draw(generator, scores, n_rows, form, parameter, position=0.0):
    """Random pairs answered as the form says; `parameter` is t or nu."""
    sides = np.array([generator.permutation(len(scores))[:2] for _ in range(n_rows)])
    margin = scores[sides[:, 0]] - scores[sides[:, 1]] + position
    if form == "threshold":
        left, right = expit(margin - parameter), expit(-margin - parameter)
    else:
        total = np.exp(margin / 2) + np.exp(-margin / 2) + parameter
        left, right = np.exp(margin / 2) / total, np.exp(-margin / 2) / total
    chance = generator.random(n_rows)
    outcome = np.where(chance < left, 0, np.where(chance < left + right, 1, 2))
    return tabulate_pairs(sides[:, 0], sides[:, 1], outcome)


def test_two_items_by_hand():
    # 6 left, 2 right, 4 ties: both forms reproduce the shares 1/2, 1/6, 1/3 exactly
    pairs = tabulate_pairs(["a"] * 12, ["b"] * 12, ["left"] * 6 + ["right"] * 2 + ["tie"] * 4)
    threshold = fit_ties(pairs)
    # d - t = logit(1/2) = 0, -d - t = logit(1/6) = -ln 5 -> d = t = ln 5 / 2
    assert threshold.tie_parameter == pytest.approx(math.log(5) / 2, rel=1e-5)
    assert np.ptp(threshold.scores.scores) == pytest.approx(math.log(5) / 2, rel=1e-5)
    davidson = fit_ties(pairs, TiesConfig(form="davidson"))
    # exp(d) = 3; nu = share of ties over the root of the product of the others
    assert np.ptp(davidson.scores.scores) == pytest.approx(math.log(3), rel=1e-5)
    assert davidson.tie_parameter == pytest.approx((1 / 3) / math.sqrt(1 / 2 * 1 / 6), rel=1e-5)
    shares = 12 * (math.log(1 / 2) / 2 + math.log(1 / 6) / 6 + math.log(1 / 3) / 3)
    assert threshold.log_likelihood == pytest.approx(shares, rel=1e-8)
    assert davidson.log_likelihood == pytest.approx(shares, rel=1e-8)


@every_form
def test_known_parameters_are_recovered_and_intervals_cover(form):
    truth, parameter = np.array([0.9, 0.3, -0.2, -1.0]), 0.6
    covered, found = [], []
    for seed in range(100):
        pairs = draw(np.random.default_rng(seed), truth, 300, form, parameter)
        fit = fit_ties(pairs, TiesConfig(form=form))
        covered.append((fit.scores.low <= truth) & (truth <= fit.scores.high))
        covered[-1] = [*covered[-1], fit.tie_low <= parameter <= fit.tie_high]
        found.append(fit.tie_parameter)
    assert np.exp(np.mean(np.log(found))) == pytest.approx(parameter, rel=0.04)
    # 500 intervals, four of five free in each set: standard error 0.011
    assert 0.92 <= np.mean(covered) <= 0.98


@every_form
def test_an_advantage_of_the_left_is_recovered(form):
    pairs = draw(np.random.default_rng(0), np.array([0.5, 0.0, -0.5]), 4000, form, 0.5, position=0.4)
    fit = fit_ties(pairs, TiesConfig(form=form, has_position=True))
    assert fit.position == pytest.approx(0.4, abs=0.12)
    assert fit_ties(pairs, TiesConfig(form=form)).log_likelihood < fit.log_likelihood - 10
    assert fit_ties(pairs.mirrored(), TiesConfig(form=form, has_position=True)).position == pytest.approx(
        -fit.position, abs=1e-6
    )


@every_form
@settings(deadline=None, max_examples=20)
@given(
    rows=st.lists(st.tuples(st.permutations(range(4)), st.integers(0, 2)), max_size=20), shuffler=st.randoms()
)
def test_neither_row_order_nor_side_nor_names_matter_and_the_objective_never_rises(form, rows, shuffler):
    rows = [*rows, ((0, 1), 0), ((1, 2), 2)]
    config = TiesConfig(form=form, ridge=0.5)
    fits = []
    for changed in ("nothing", "order", "side", "names"):
        if changed == "order":
            shuffler.shuffle(rows)
        name = (lambda k: 9 - k) if changed == "names" else (lambda k: k)
        pairs = tabulate_pairs(
            [name(row[0][0]) for row in rows], [name(row[0][1]) for row in rows], [row[1] for row in rows]
        )
        fits.append(fit_ties(pairs.mirrored() if changed == "side" else pairs, config))
    for fit in fits:
        assert fit.tie_parameter == pytest.approx(fits[0].tie_parameter, rel=1e-4)
        assert (np.diff(fit.objectives) < 0).all()
    for fit in fits[1:3]:
        assert fit.scores.scores == pytest.approx(fits[0].scores.scores, abs=1e-5)
    assert fits[3].scores.scores == pytest.approx(fits[0].scores.scores[::-1], abs=1e-5)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("a", "b", "tie")], "every comparison is a tie.*collect decided comparisons"),
        ([("a", "b", "left")], "no comparison is a tie.*use fit_bradley_terry"),
        ([("a", "b", "tie"), ("c", "d", "left")], "2 groups that never meet"),
        ([("a", "b", "tie"), ("b", "c", "left")], "never won: 'c'"),
    ],
)
def test_what_has_no_estimate_has_a_reason(rows, reason):
    fit = fit_ties(tabulate_pairs(*zip(*rows, strict=True)))
    assert fit.scores is None
    assert fit.tie_parameter is None
    with pytest.raises(DataError, match=reason):
        raise DataError(fit.reason)


def test_bad_configs_and_no_rows_are_refused():
    with pytest.raises(ConfigError, match=r"(?s)form is 'cut', expected threshold or davidson.*ridge is -1"):
        TiesConfig(form="cut", ridge=-1)
    with pytest.raises(DataError, match="no comparisons to fit"):
        fit_ties(tabulate_pairs(["a"], ["b"], ["tie"]).select(np.zeros(0, dtype=int)))
