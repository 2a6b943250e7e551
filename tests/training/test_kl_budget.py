"""The KL budget: whole steps count, half ones do not."""

import pytest

from accord.training import StopRun
from accord.training.kl_budget import KlBudget


def test_the_shares_of_a_whole_step_are_summed_and_held_against_the_limit():
    budget = KlBudget(1.0)
    budget.check()
    budget.open(2)
    budget.add(0.7)
    budget.add(0.5)
    assert budget.measured == pytest.approx(1.2)
    with pytest.raises(StopRun, match=r"KL of 1.200 nats a completion is over max_kl = 1"):
        budget.check()


def test_a_step_that_failed_half_way_is_not_in_it():
    budget = KlBudget(1.0, measured=0.3)
    budget.open(2)
    budget.add(5.0)
    assert budget.measured == 0.3
    budget.check()


def test_without_a_limit_nothing_stops():
    KlBudget(None, measured=1e9).check()
