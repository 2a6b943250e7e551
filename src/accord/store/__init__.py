"""The people wing's memory: files of records and artifacts."""

from accord.store.artifacts import ArtifactRef, ArtifactStore, hash_file, hash_folder
from accord.store.conversion import convert_records, prompt_of, prompts_of
from accord.store.exchange.format import Format, Record
from accord.store.exchange.registry import FORMATS
from accord.store.inspection import Inspection, inspect_file, inspect_records
from accord.store.label_columns import ColumnMapping
from accord.store.labels import read_gold, read_labels
from accord.store.leakage import Leakage, find_leakage
from accord.store.partition import split_records
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
    "ArtifactRef",
    "ArtifactStore",
    "BadRow",
    "ColumnMapping",
    "Format",
    "Inspection",
    "Leakage",
    "Record",
    "RecordFile",
    "convert_records",
    "find_leakage",
    "hash_file",
    "hash_folder",
    "inspect_file",
    "inspect_records",
    "judgments_from_ranking",
    "preferences_from_judgments",
    "preferences_of",
    "prompt_of",
    "prompts_of",
    "read_demonstrations",
    "read_gold",
    "read_judgments",
    "read_labels",
    "read_preferences",
    "read_prompts",
    "read_rankings",
    "read_ratings",
    "read_records",
    "read_verdicts",
    "split_records",
    "write_records",
]
