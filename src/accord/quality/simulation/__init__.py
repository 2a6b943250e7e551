"""Annotators whose taste, skill and faults are known, for demonstrations, power analysis and tests."""

from accord.quality.simulation.panel import (
    AnswerView,
    ChoiceProbabilities,
    Panel,
    SimulatedAnnotator,
    support_panel,
)

__all__ = ["AnswerView", "ChoiceProbabilities", "Panel", "SimulatedAnnotator", "support_panel"]
