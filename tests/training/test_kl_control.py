"""The KL controller by hand, and the budget."""

import math

import pytest

from accord.training import StopRun
from accord.training.kl_control import KlControl


def test_a_rollout_over_the_budget_ends_the_run():
    control = KlControl(coefficient=0.1).after(1.2, target=None, gain=0.1)
    assert control == KlControl(coefficient=0.1, measured=1.2)
    control.check(2.0)
    control.check(None)
    with pytest.raises(StopRun, match=r"KL of 1.200 nats a completion is over max_kl = 1"):
        control.check(1.0)


@pytest.mark.parametrize(
    ("kl", "factor"),
    [
        (6.6, 1.01),  # error 0.1, gain 0.1
        (6.0, 1.0),
        (60.0, 1.02),  # error 9 is cut to 0.2
        (0.0, 0.98),  # error -1 is cut to -0.2
        (-3.0, 0.98),
    ],
)
def test_the_adaptive_coefficient_by_hand(kl, factor):
    control = KlControl(coefficient=0.2).after(kl, target=6.0, gain=0.1)
    assert control.coefficient == pytest.approx(0.2 * factor, rel=1e-12)
    assert control.measured == kl


def test_the_adaptive_coefficient_holds_a_responding_policy_at_its_target():
    # a policy whose KL is 1 / beta is at target 5 where beta = 0.2
    control = KlControl(coefficient=1.0)
    for _ in range(400):
        control = control.after(1.0 / control.coefficient, target=5.0, gain=0.1)
    assert control.coefficient == pytest.approx(0.2, rel=1e-3)


def test_a_kl_that_is_no_number_changes_nothing():
    control = KlControl(coefficient=0.2, measured=1.0)
    assert control.after(math.nan, target=1.0, gain=0.1) == control
    assert control.after(math.inf, target=1.0, gain=0.1) == control
