"""The people wing's judgment: from raw judgments to consensus."""

from accord.quality.judgments import JudgmentTable, Pair, tabulate_judgments
from accord.quality.labels import LabelTable, RepeatPolicy, tabulate_labels
from accord.quality.preferences.consensus import (
    METHODS,
    AnnotatorEstimate,
    ConsensusResult,
    majority,
    preferences_from_judgments,
    vote_share,
)
from accord.quality.preferences.screen_dawid_skene import DawidSkeneConfig, DawidSkeneFit, fit_dawid_skene
from accord.quality.simulation.panel import (
    AnswerView,
    ChoiceProbabilities,
    Panel,
    SimulatedAnnotator,
    support_panel,
)

__all__ = [
    "METHODS",
    "AnnotatorEstimate",
    "AnswerView",
    "ChoiceProbabilities",
    "ConsensusResult",
    "DawidSkeneConfig",
    "DawidSkeneFit",
    "JudgmentTable",
    "LabelTable",
    "Pair",
    "Panel",
    "RepeatPolicy",
    "SimulatedAnnotator",
    "fit_dawid_skene",
    "majority",
    "preferences_from_judgments",
    "support_panel",
    "tabulate_judgments",
    "tabulate_labels",
    "vote_share",
]
