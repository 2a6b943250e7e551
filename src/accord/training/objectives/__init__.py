"""Pure functions of tensors: no model, no logging, no device moves."""

from accord.training.objectives.masked import completion_nll, masked_mean, masked_sum
from accord.training.objectives.preference import preference_loss

__all__ = ["completion_nll", "masked_mean", "masked_sum", "preference_loss"]
