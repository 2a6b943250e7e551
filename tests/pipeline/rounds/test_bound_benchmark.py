"""The benchmark of bounds: choosers that know more reach more, and those that know all about labels most."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "loop_bound.py"


@pytest.fixture
def bound(monkeypatch):
    """The benchmark as a module; it reads its neighbors."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("loop_bound_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_variance_falls_most_by_the_pair_that_reaches_farthest_and_then_by_another_direction(bound):
    # at no taste every pair weighs 1/4, the pool varies by 18.01 / 4 and 6.26 / 4 along its axes. First the
    # axes gain 1/4 * 9 * 4.5 / (1 + 9/4) = 3.1 and 1/4 * 6.25 * 1.57 / (1 + 6.25/4) = .96; once the first was
    # asked (variance 1 / 3.25) it gains 1/4 * 9 / 3.25^2 * 4.5 / (1 + 9/4 / 3.25) = .57 more
    features = np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 2.5], [0.1, 0.1]])
    order = bound.by_taste(features, np.zeros(2), np.arange(4), 4)
    assert order.tolist() == [0, 2, 1, 3]


def test_votes_are_taken_that_lower_the_loss_that_is_looked_at(bound):
    draws = np.random.default_rng(1)
    taste = np.array([2.0, -1.0, 0.5])
    features = draws.normal(size=(300, 3))
    truth = (features @ taste > 0).astype(float)
    answer = np.where(draws.random(300) < 0.35, 1 - truth, truth)
    pool, held_out = np.arange(200), np.arange(200, 300)
    chosen = bound.by_votes(features, answer, (held_out, truth[held_out]), pool, 64, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 64
    assert set(chosen.tolist()) <= set(pool.tolist())
    # a third of the votes is wrong: those taken are right far oftener
    assert (answer[chosen] == truth[chosen]).mean() > (answer[pool] == truth[pool]).mean() + 0.15
