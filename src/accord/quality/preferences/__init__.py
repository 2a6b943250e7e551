"""Comparisons of answers: joint preferences, scores of items, and a word on every annotator."""

from accord.quality.preferences.annotator_aware import (
    AnnotatorAwareConfig,
    AnnotatorAwareFit,
    AnnotatorHabits,
    Estimate,
    fit_annotator_aware,
)
from accord.quality.preferences.annotator_prediction import (
    outcome_log_loss,
    predict_outcomes,
    preference_probabilities,
)
from accord.quality.preferences.bradley_terry import (
    BradleyTerryConfig,
    BradleyTerryFit,
    fit_bradley_terry,
)
from accord.quality.preferences.consensus import (
    METHODS,
    AnnotatorEstimate,
    ConsensusResult,
    majority,
    preferences_from_judgments,
    vote_share,
)
from accord.quality.preferences.crowd_bt import (
    CrowdBradleyTerryConfig,
    CrowdBradleyTerryFit,
    fit_crowd_bradley_terry,
)
from accord.quality.preferences.fisher_scoring import ScoringConfig
from accord.quality.preferences.item_design import ScoreInterval
from accord.quality.preferences.noisy_bt import (
    NoisyBradleyTerryConfig,
    NoisyBradleyTerryFit,
    fit_noisy_bradley_terry,
)
from accord.quality.preferences.plackett_luce import (
    PlackettLuceConfig,
    PlackettLuceFit,
    RankedLists,
    fit_plackett_luce,
    rankings_from_records,
    tabulate_rankings,
)
from accord.quality.preferences.scored_pairs import ScoredPairs, pairs_from_judgments, tabulate_pairs
from accord.quality.preferences.screen_dawid_skene import DawidSkeneConfig, DawidSkeneFit, fit_dawid_skene
from accord.quality.preferences.soft_labels import PairCalibration, information_weight
from accord.quality.preferences.ties import TiesConfig, TiesFit, fit_ties

__all__ = [
    "METHODS",
    "AnnotatorAwareConfig",
    "AnnotatorAwareFit",
    "AnnotatorEstimate",
    "AnnotatorHabits",
    "BradleyTerryConfig",
    "BradleyTerryFit",
    "ConsensusResult",
    "CrowdBradleyTerryConfig",
    "CrowdBradleyTerryFit",
    "DawidSkeneConfig",
    "DawidSkeneFit",
    "Estimate",
    "NoisyBradleyTerryConfig",
    "NoisyBradleyTerryFit",
    "PairCalibration",
    "PlackettLuceConfig",
    "PlackettLuceFit",
    "RankedLists",
    "ScoreInterval",
    "ScoredPairs",
    "ScoringConfig",
    "TiesConfig",
    "TiesFit",
    "fit_annotator_aware",
    "fit_bradley_terry",
    "fit_crowd_bradley_terry",
    "fit_dawid_skene",
    "fit_noisy_bradley_terry",
    "fit_plackett_luce",
    "fit_ties",
    "information_weight",
    "majority",
    "outcome_log_loss",
    "pairs_from_judgments",
    "predict_outcomes",
    "preference_probabilities",
    "preferences_from_judgments",
    "rankings_from_records",
    "tabulate_pairs",
    "tabulate_rankings",
    "vote_share",
]
