"""The people wing's memory: files of records and artifacts."""

from accord.store.conversion import convert_records, prompts_of
from accord.store.exchange.format import Format, Record
from accord.store.exchange.registry import FORMATS
from accord.store.reading import (
    RecordFile,
    preferences_of,
    read_demonstrations,
    read_judgments,
    read_preferences,
    read_prompts,
    read_rankings,
    read_ratings,
    read_records,
    read_verdicts,
)
from accord.store.rows import BadRow
from accord.store.votes import judgments_from_ranking, preferences_from_judgments
from accord.store.writing import write_records

__all__ = [
    "FORMATS",
    "BadRow",
    "Format",
    "Record",
    "RecordFile",
    "convert_records",
    "judgments_from_ranking",
    "preferences_from_judgments",
    "preferences_of",
    "prompts_of",
    "read_demonstrations",
    "read_judgments",
    "read_preferences",
    "read_prompts",
    "read_rankings",
    "read_ratings",
    "read_records",
    "read_verdicts",
    "write_records",
]
