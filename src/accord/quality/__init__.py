"""The people wing's judgment: from raw judgments to consensus, and a word on everybody who judged.

The names that most uses need; everything else is in the packages below.
"""

from accord.quality.agreement import measure_agreement
from accord.quality.consensus import fit_consensus, fit_gold_stack
from accord.quality.deciding import plan_power, replay_curve
from accord.quality.judgments import JudgmentTable, Pair, tabulate_judgments
from accord.quality.labels import LabelTable, RepeatPolicy, tabulate_labels
from accord.quality.people import assess_annotators
from accord.quality.preferences.annotator_aware import fit_annotator_aware
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
    "assess_annotators",
    "fit_annotator_aware",
    "fit_consensus",
    "fit_dawid_skene",
    "fit_gold_stack",
    "majority",
    "measure_agreement",
    "plan_power",
    "preferences_from_judgments",
    "replay_curve",
    "support_panel",
    "tabulate_judgments",
    "tabulate_labels",
    "vote_share",
]
