import numpy as np
import pytest
from scipy.special import expit

from accord.domain import DataError
from accord.quality.preferences.crowd_bt import fit_crowd_bradley_terry
from accord.quality.preferences.scored_pairs import tabulate_pairs

RELIABILITY = np.array([0.95, 0.9, 0.85, 0.8, 0.7, 0.5, 0.1])
SCORES = np.linspace(-2, 2, 12)


def draw(seed, n_rows=2100):
    generator = np.random.default_rng(seed)
    sides = np.array([generator.permutation(len(SCORES))[:2] for _ in range(n_rows)])
    judge = np.arange(n_rows) % len(RELIABILITY)
    better = expit(SCORES[sides[:, 0]] - SCORES[sides[:, 1]])
    left = RELIABILITY[judge] * better + (1 - RELIABILITY[judge]) * (1 - better)
    return tabulate_pairs(sides[:, 0], sides[:, 1], (generator.random(n_rows) >= left).astype(int), judge)


def test_known_reliabilities_are_recovered_and_intervals_cover():
    found, covered = [], []
    for seed in range(40):
        fit = fit_crowd_bradley_terry(draw(seed))
        found.append(fit.reliability)
        covered.append((fit.reliability_low <= RELIABILITY) & (fit.reliability_high >= RELIABILITY))
        assert np.corrcoef(fit.scores.scores, SCORES)[0, 1] > 0.97
    assert np.mean(found, axis=0) == pytest.approx(RELIABILITY, abs=0.05)
    # 280 intervals: standard error 0.013
    assert 0.90 <= np.mean(covered) <= 0.99


def test_an_annotator_who_always_answers_the_opposite_is_found():
    fit = fit_crowd_bradley_terry(draw(1))
    assert fit.reliability_high[6] < 0.3
    assert fit.reliability_low[:4].min() > 0.5


def test_neither_row_order_nor_side_matter_and_the_objective_never_rises():
    pairs = draw(2, n_rows=400)
    fit = fit_crowd_bradley_terry(pairs)
    shuffled = pairs.select(np.random.default_rng(0).permutation(len(pairs)))
    for other in (fit_crowd_bradley_terry(shuffled), fit_crowd_bradley_terry(pairs.mirrored())):
        assert other.scores.scores == pytest.approx(fit.scores.scores, abs=1e-4)
        assert other.reliability == pytest.approx(fit.reliability, abs=1e-4)
    assert (np.diff(fit.objectives) < 0).all()
    assert fit.is_converged
    assert fit.scores.scores.sum() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("outcome", ["left", "tie"])
def test_one_judgment_gives_finite_numbers(outcome):
    fit = fit_crowd_bradley_terry(tabulate_pairs(["a"], ["b"], [outcome]))
    assert np.isfinite([fit.scores.low, fit.scores.high]).all()
    assert np.isfinite([fit.reliability_low, fit.reliability_high]).all()
    assert (fit.scores.scores[0] > fit.scores.scores[1]) == (outcome == "left")


def test_no_rows_are_refused():
    with pytest.raises(DataError, match="no comparisons to fit; expected at least one"):
        fit_crowd_bradley_terry(draw(0).select(np.zeros(0, dtype=int)))
