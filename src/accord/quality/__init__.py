"""The people wing's judgment: from raw judgments to consensus."""

from accord.quality.consensus import (
    METHODS,
    AnnotatorEstimate,
    ConsensusResult,
    majority,
    preferences_from_judgments,
    vote_share,
)
from accord.quality.dawid_skene import DawidSkeneConfig, DawidSkeneFit, fit_dawid_skene
from accord.quality.panel import (
    AnswerView,
    ChoiceProbabilities,
    Panel,
    SimulatedAnnotator,
    support_panel,
)
from accord.quality.table import JudgmentTable, Pair, tabulate_judgments

__all__ = [
    "METHODS",
    "AnnotatorEstimate",
    "AnswerView",
    "ChoiceProbabilities",
    "ConsensusResult",
    "DawidSkeneConfig",
    "DawidSkeneFit",
    "JudgmentTable",
    "Pair",
    "Panel",
    "SimulatedAnnotator",
    "fit_dawid_skene",
    "majority",
    "preferences_from_judgments",
    "support_panel",
    "tabulate_judgments",
    "vote_share",
]
