"""The hall: frozen records, enums, errors. Standard library only; everyone may import it."""

from accord.domain.errors import (
    AccordError,
    ConfigError,
    DataError,
    EvaluationError,
    Interrupted,
    MissingExtra,
    ModelError,
    RewardError,
    TrainingError,
    WorkspaceError,
)
from accord.domain.judgments import Choice, Comparison, Judgment, Ranking, Rating, Source, StepLabels, Verdict
from accord.domain.labels import LabelColumns, Value
from accord.domain.messages import Completion, Demonstration, FinishReason, Message, Prompt, content_hash
from accord.domain.preferences import Preference, Provenance
from accord.domain.splits import Split, hash_fraction, split_by_prompt
from accord.domain.streams import Streams

__all__ = [
    "AccordError",
    "Choice",
    "Comparison",
    "Completion",
    "ConfigError",
    "DataError",
    "Demonstration",
    "EvaluationError",
    "FinishReason",
    "Interrupted",
    "Judgment",
    "LabelColumns",
    "Message",
    "MissingExtra",
    "ModelError",
    "Preference",
    "Prompt",
    "Provenance",
    "Ranking",
    "Rating",
    "RewardError",
    "Source",
    "Split",
    "StepLabels",
    "Streams",
    "TrainingError",
    "Value",
    "Verdict",
    "WorkspaceError",
    "content_hash",
    "hash_fraction",
    "split_by_prompt",
]
