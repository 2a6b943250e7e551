"""Judgments of pairs from files, joined into preferences for training, and how each annotator judges."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accord.pipeline.quality_contents import UNCALIBRATED
from accord.quality import RepeatPolicy, tabulate_judgments
from accord.quality.preferences import (
    AnnotatorAwareFit,
    ConsensusResult,
    fit_annotator_aware,
    pairs_from_judgments,
    preferences_from_judgments,
)
from accord.quality.preferences.consensus import Method, Weighting
from accord.store import read_judgments, write_records


@dataclass(frozen=True, eq=False)
class PreferenceOutcome:
    """Everything `accord quality preferences` says."""

    n_judgments: int
    result: ConsensusResult
    habits: AnnotatorAwareFit

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        preferences = self.result.preferences
        return {
            "method": self.result.method,
            "calibrated": self.result.is_calibrated,
            "note": "" if self.result.is_calibrated else UNCALIBRATED,
            "n_judgments": self.n_judgments,
            "n_pairs": len(preferences),
            "n_ties": sum(one.is_tie for one in preferences),
            "n_annotators": len(self.habits.annotators),
            "position_effect": asdict(self.habits.position_effect),
            "tie_threshold": asdict(self.habits.tie_threshold),
            "spreads": dict(self.habits.spreads),
            "annotators": [asdict(one) for one in self.habits.annotators],
        }

    def write(self, path: Path) -> None:
        """The preferences with their provenance, in the type the suffix names."""
        write_records(path, self.result.preferences)


def preferences_of(
    paths: Sequence[str],
    *,
    method: Method = "annotator_aware",
    weighting: Weighting = "one",
    repeats: RepeatPolicy = "first",
    format: str | None = None,
) -> PreferenceOutcome:
    """Read judgments and join them; habits are those of the annotator-aware model whatever the method."""
    judgments = [one for path in paths for one in read_judgments(path, format=format)]
    result = preferences_from_judgments(judgments, method=method, weighting=weighting, repeats=repeats)
    habits = fit_annotator_aware(pairs_from_judgments(tabulate_judgments(judgments, repeats=repeats)))
    return PreferenceOutcome(len(judgments), result, habits)
