"""Has anything moved, what was it, and what to do about it?"""

from accord.evaluation.drift.classifier import ClassifierTest, FeatureShift, classify_samples
from accord.evaluation.drift.diagnosis import (
    AnchorVotes,
    AnnotatorDrift,
    DriftKind,
    Finding,
    PreferenceDrift,
    diagnose_drift,
    measure_answer_shift,
    measure_preference_drift,
    measure_prompt_shift,
)
from accord.evaluation.drift.mahalanobis import (
    OutlierReport,
    Shrinkage,
    ledoit_wolf,
    mahalanobis_distances,
    measure_outliers,
)
from accord.evaluation.drift.stability import (
    Shift,
    Stability,
    measure_category_stability,
    measure_stability,
)
from accord.evaluation.drift.streams import Adwin, Alarm, PageHinkley, page_hinkley_threshold
from accord.evaluation.drift.two_sample import (
    TwoSampleTest,
    compare_samples,
    energy_distance,
    mmd_unbiased,
)

__all__ = [
    "Adwin",
    "Alarm",
    "AnchorVotes",
    "AnnotatorDrift",
    "ClassifierTest",
    "DriftKind",
    "FeatureShift",
    "Finding",
    "OutlierReport",
    "PageHinkley",
    "PreferenceDrift",
    "Shift",
    "Shrinkage",
    "Stability",
    "TwoSampleTest",
    "classify_samples",
    "compare_samples",
    "diagnose_drift",
    "energy_distance",
    "ledoit_wolf",
    "mahalanobis_distances",
    "measure_answer_shift",
    "measure_category_stability",
    "measure_outliers",
    "measure_preference_drift",
    "measure_prompt_shift",
    "measure_stability",
    "mmd_unbiased",
    "page_hinkley_threshold",
]
