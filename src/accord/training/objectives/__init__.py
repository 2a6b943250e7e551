"""Pure functions of tensors: no model, no logging, no device moves."""

from accord.training.objectives.advantages import group_normalized, rloo, whiten
from accord.training.objectives.direct import PairLogprobs, expected_losses, weighted_mean
from accord.training.objectives.kl import exact_kl, k1, k2, k3, sequence_kl
from accord.training.objectives.masked import completion_nll, masked_mean, masked_sum
from accord.training.objectives.policy import (
    Aggregation,
    Normalizers,
    PolicyLoss,
    aggregate,
    sequence_policy_loss,
    token_policy_loss,
)
from accord.training.objectives.preference import preference_loss

__all__ = [
    "Aggregation",
    "Normalizers",
    "PairLogprobs",
    "PolicyLoss",
    "aggregate",
    "completion_nll",
    "exact_kl",
    "expected_losses",
    "group_normalized",
    "k1",
    "k2",
    "k3",
    "masked_mean",
    "masked_sum",
    "preference_loss",
    "rloo",
    "sequence_kl",
    "sequence_policy_loss",
    "token_policy_loss",
    "weighted_mean",
    "whiten",
]
