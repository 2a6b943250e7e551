"""Comparisons of two answers: joint preferences, scores, and a word on every annotator."""

from accord.quality.preferences.consensus import (
    METHODS,
    AnnotatorEstimate,
    ConsensusResult,
    majority,
    preferences_from_judgments,
    vote_share,
)
from accord.quality.preferences.screen_dawid_skene import DawidSkeneConfig, DawidSkeneFit, fit_dawid_skene

__all__ = [
    "METHODS",
    "AnnotatorEstimate",
    "ConsensusResult",
    "DawidSkeneConfig",
    "DawidSkeneFit",
    "fit_dawid_skene",
    "majority",
    "preferences_from_judgments",
    "vote_share",
]
