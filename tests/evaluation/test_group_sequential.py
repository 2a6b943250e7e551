"""Boundaries equal published ones, error and power are what was planned, and intervals hold together."""

import numpy as np
import pytest
from scipy.special import ndtri

from accord.domain.errors import ConfigError, EvaluationError
from accord.evaluation.group_sequential import plan_looks

FIFTHS = (0.2, 0.4, 0.6, 0.8, 1.0)


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        # gsDesign, five equal looks, two-sided .05: Lan and DeMets' forms of both
        ("obrien_fleming", (4.8769, 3.3569, 2.6803, 2.2898, 2.0310)),
        ("pocock", (2.4380, 2.4268, 2.4101, 2.3966, 2.3859)),
    ],
)
def test_bounds_are_the_published_ones(spending, published):
    assert plan_looks(FIFTHS, spending=spending).bounds == pytest.approx(published, abs=2e-3)


def test_one_look_is_the_usual_test():
    plan = plan_looks([1.0], alpha=0.1)
    assert plan.bounds == pytest.approx([ndtri(0.95)])
    assert plan.power(0.0) == pytest.approx(0.1)
    assert plan.inflation(0.8) == pytest.approx(1.0, abs=1e-3)


def walk(rng, shares, drift, runs):
    """z at each look [run, look]."""
    steps = np.diff([0.0, *shares])
    scores = np.cumsum(drift * steps + np.sqrt(steps) * rng.normal(size=(runs, len(steps))), axis=1)
    return scores / np.sqrt(shares)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("shares", [FIFTHS, (0.1, 0.15, 0.7, 0.71, 1.0)])
def test_error_and_power_are_those_planned(spending, shares):
    plan = plan_looks(shares, spending=spending)
    runs, rng = 40_000, np.random.default_rng(0)
    assert plan.spent[-1] == pytest.approx(0.05)
    assert plan.power(0.0) == pytest.approx(0.05, abs=1e-6)
    for drift in (0.0, plan.drift_for(0.8)):
        crossed = (np.abs(walk(rng, shares, drift, runs)) >= plan.bounds).any(axis=1).mean()
        # three binomial standard errors
        assert crossed == pytest.approx(plan.power(drift), abs=3 * np.sqrt(0.16 / runs))
    assert plan.power(plan.drift_for(0.8)) == pytest.approx(0.8, abs=1e-6)


def test_looking_without_a_plan_errs_far_more_often():
    z = walk(np.random.default_rng(1), FIFTHS, 0.0, 20_000)
    assert (np.abs(z) >= 1.96).any(axis=1).mean() > 0.12
    plan = plan_looks(FIFTHS)
    assert np.mean([plan.has_crossed(row) for row in z[:4000].tolist()]) < 0.06


def test_intervals_of_all_looks_hold_together():
    plan = plan_looks(FIFTHS, spending="pocock")
    drift, runs = 1.7, 20_000
    shares = np.array(FIFTHS)
    estimate = walk(np.random.default_rng(2), FIFTHS, drift, runs) / np.sqrt(shares)
    held = np.ones(runs, dtype=bool)
    for look, share in enumerate(FIFTHS):
        low, high = plan.interval(look, estimate[:, look], 1 / np.sqrt(share))
        held &= (low <= drift) & (drift <= high)
    assert held.mean() == pytest.approx(0.95, abs=3 * np.sqrt(0.0475 / runs))


def test_early_looks_cost_few_rows_by_obrien_and_fleming():
    careful, eager = plan_looks(FIFTHS), plan_looks(FIFTHS, spending="pocock")
    assert 1.0 < careful.inflation(0.9) < 1.05
    assert 1.1 < eager.inflation(0.9) < 1.3


def test_a_look_that_may_spend_nothing_stops_for_nothing():
    plan = plan_looks((0.001, 1.0))
    assert plan.bounds[0] == 8.0
    assert plan.bounds[1] == pytest.approx(1.96, abs=1e-3)


def test_wrong_plans_are_named():
    for shares in ([], [0.0, 1.0], [0.5, 1.2], [float("nan")]):
        with pytest.raises(ConfigError, match="above 0 and at most 1"):
            plan_looks(shares)
    with pytest.raises(ConfigError, match="each above the one before"):
        plan_looks([0.5, 0.5])
    with pytest.raises(ConfigError, match="alpha is 1"):
        plan_looks([1.0], alpha=1)
    with pytest.raises(EvaluationError, match="3 scores for 2 looks"):
        plan_looks([0.5, 1.0]).has_crossed([0, 0, 0])
    with pytest.raises(EvaluationError, match=r"power is 0\.01"):
        plan_looks([1.0]).drift_for(0.01)
