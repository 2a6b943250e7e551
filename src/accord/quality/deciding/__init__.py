"""Deciding what to ask next: when to stop, whom to ask, which pair, and how much is needed."""

from accord.quality.deciding.information import (
    information_gain,
    joint_error_bound,
    largest_horizon,
    value_of_asking,
)
from accord.quality.deciding.replay import (
    CostQualityCurve,
    CurvePoint,
    Figure,
    ReplayConfig,
    pooled_posterior,
    replay_curve,
)
from accord.quality.deciding.stop_calibration import (
    StopCalibrationConfig,
    StopCalibrator,
    fit_stop_calibrator,
)
from accord.quality.deciding.stopping import Action, Decision, StoppingConfig, decide, is_settled, net_gain

__all__ = [
    "Action",
    "CostQualityCurve",
    "CurvePoint",
    "Decision",
    "Figure",
    "ReplayConfig",
    "StopCalibrationConfig",
    "StopCalibrator",
    "StoppingConfig",
    "decide",
    "fit_stop_calibrator",
    "information_gain",
    "is_settled",
    "joint_error_bound",
    "largest_horizon",
    "net_gain",
    "pooled_posterior",
    "replay_curve",
    "value_of_asking",
]
