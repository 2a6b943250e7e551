"""Deciding what to ask next: when to stop, whom to ask, which pair, and how much is needed."""

from accord.quality.deciding.information import (
    information_gain,
    joint_error_bound,
    largest_horizon,
    value_of_asking,
)
from accord.quality.deciding.stopping import Action, Decision, StoppingConfig, decide, is_settled, net_gain

__all__ = [
    "Action",
    "Decision",
    "StoppingConfig",
    "decide",
    "information_gain",
    "is_settled",
    "joint_error_bound",
    "largest_horizon",
    "net_gain",
    "value_of_asking",
]
