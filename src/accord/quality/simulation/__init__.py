"""Annotators whose taste, skill and faults are known, for demonstrations, power analysis and tests."""

from accord.quality.simulation.comparisons import (
    ComparisonConfig,
    SimulatedComparisons,
    simulate_comparisons,
)
from accord.quality.simulation.crowd import Cause, SimulatedCrowd, simulate_labels
from accord.quality.simulation.crowd_config import CrowdConfig, ErrorShape
from accord.quality.simulation.panel import (
    AnswerView,
    ChoiceProbabilities,
    Panel,
    SimulatedAnnotator,
    support_panel,
)
from accord.quality.simulation.roster import KnownAnnotators, Role

__all__ = [
    "AnswerView",
    "Cause",
    "ChoiceProbabilities",
    "ComparisonConfig",
    "CrowdConfig",
    "ErrorShape",
    "KnownAnnotators",
    "Panel",
    "Role",
    "SimulatedAnnotator",
    "SimulatedComparisons",
    "SimulatedCrowd",
    "simulate_comparisons",
    "simulate_labels",
    "support_panel",
]
