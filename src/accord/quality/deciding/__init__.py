"""Deciding what to ask next: when to stop, whom to ask, which pair, and how much is needed."""

from accord.quality.deciding.designs import (
    AccuracyDesign,
    AlphaDesign,
    Design,
    Precision,
    WinRateDesign,
    majority_accuracy,
)
from accord.quality.deciding.information import (
    information_gain,
    joint_error_bound,
    largest_horizon,
    value_of_asking,
)
from accord.quality.deciding.pair_choice import (
    PairChoiceConfig,
    PairQuestion,
    Reliabilities,
    ScorePosterior,
    choose_pairs,
    crowd_score_posterior,
    score_posterior,
)
from accord.quality.deciding.power import PowerPlan, plan_power, tabulate_power
from accord.quality.deciding.replay import (
    CostQualityCurve,
    CurvePoint,
    Figure,
    ReplayConfig,
    pooled_posterior,
    replay_curve,
)
from accord.quality.deciding.routing import (
    Assignment,
    OpenItem,
    RoutingConfig,
    Staff,
    assign_labels,
    is_eligible,
    learning_gain,
    rank_annotators,
)
from accord.quality.deciding.stop_calibration import (
    StopCalibrationConfig,
    StopCalibrator,
    fit_stop_calibrator,
)
from accord.quality.deciding.stopping import Action, Decision, StoppingConfig, decide, is_settled, net_gain

__all__ = [
    "AccuracyDesign",
    "Action",
    "AlphaDesign",
    "Assignment",
    "CostQualityCurve",
    "CurvePoint",
    "Decision",
    "Design",
    "Figure",
    "OpenItem",
    "PairChoiceConfig",
    "PairQuestion",
    "PowerPlan",
    "Precision",
    "Reliabilities",
    "ReplayConfig",
    "RoutingConfig",
    "ScorePosterior",
    "Staff",
    "StopCalibrationConfig",
    "StopCalibrator",
    "StoppingConfig",
    "WinRateDesign",
    "assign_labels",
    "choose_pairs",
    "crowd_score_posterior",
    "decide",
    "fit_stop_calibrator",
    "information_gain",
    "is_eligible",
    "is_settled",
    "joint_error_bound",
    "largest_horizon",
    "learning_gain",
    "majority_accuracy",
    "net_gain",
    "plan_power",
    "pooled_posterior",
    "rank_annotators",
    "replay_curve",
    "score_posterior",
    "tabulate_power",
    "value_of_asking",
]
