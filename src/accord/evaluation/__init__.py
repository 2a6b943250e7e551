"""Is it better, and are we sure?"""

from accord.evaluation.calibration import Calibration, fit_temperature, measure_calibration
from accord.evaluation.ceiling import HumanCeiling, VoteCounts, count_votes, measure_ceiling
from accord.evaluation.degeneracy import Degeneracy, measure_degeneracy
from accord.evaluation.divergence import Divergence, measure_divergence, measure_token_divergence
from accord.evaluation.intervals import (
    Estimate,
    bootstrap_estimate,
    mean_estimate,
    share_estimate,
    wilson,
)
from accord.evaluation.overoptimization import (
    Checkpoint,
    FrontierPoint,
    Gaming,
    Overoptimization,
    measure_overoptimization,
    within_prompt_correlation,
)
from accord.evaluation.report import (
    AnnotatorRow,
    Answer,
    Card,
    Curve,
    Lineage,
    Mark,
    NamedWinRate,
    Report,
    RewardHealth,
    Sample,
    StageRow,
    report_from_json,
    report_to_json,
)
from accord.evaluation.reward_accuracy import RewardAccuracy, length_baseline, measure_reward_accuracy
from accord.evaluation.winrate import (
    WinRate,
    compare_completions,
    compare_judgments,
    compare_scores,
    sign_test,
)

__all__ = [
    "AnnotatorRow",
    "Answer",
    "Calibration",
    "Card",
    "Checkpoint",
    "Curve",
    "Degeneracy",
    "Divergence",
    "Estimate",
    "FrontierPoint",
    "Gaming",
    "HumanCeiling",
    "Lineage",
    "Mark",
    "NamedWinRate",
    "Overoptimization",
    "Report",
    "RewardAccuracy",
    "RewardHealth",
    "Sample",
    "StageRow",
    "VoteCounts",
    "WinRate",
    "bootstrap_estimate",
    "compare_completions",
    "compare_judgments",
    "compare_scores",
    "count_votes",
    "fit_temperature",
    "length_baseline",
    "mean_estimate",
    "measure_calibration",
    "measure_ceiling",
    "measure_degeneracy",
    "measure_divergence",
    "measure_overoptimization",
    "measure_reward_accuracy",
    "measure_token_divergence",
    "report_from_json",
    "report_to_json",
    "share_estimate",
    "sign_test",
    "wilson",
    "within_prompt_correlation",
]
