"""Published detectable effects, and that the planned power is the power."""

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.planning import detectable_effect, rows_needed


@pytest.mark.parametrize(("n", "points"), [(200, 9.9), (805, 4.9), (1600, 3.5)])
def test_win_rates(n, points):
    assert 100 * detectable_effect(0.5, n) == pytest.approx(points, abs=0.05)


def test_paired_accuracy_and_the_way_back():
    assert 100 * detectable_effect(0.1**0.5, 500) == pytest.approx(4.0, abs=0.05)
    assert rows_needed(0.5, detectable_effect(0.5, 805)) == 805


def test_planned_power_is_the_power():
    n = rows_needed(1.0, 0.2)
    draws = np.random.default_rng(0).normal(0.2, 1, (4000, n))
    z = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / np.sqrt(n))
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.02)


def test_nonsense_is_refused():
    with pytest.raises(EvaluationError, match="n is 0"):
        detectable_effect(0.5, 0)
    with pytest.raises(EvaluationError, match="effect is 0"):
        rows_needed(0.5, 0)
    with pytest.raises(EvaluationError, match="deviation"):
        rows_needed(-1, 0.1)
