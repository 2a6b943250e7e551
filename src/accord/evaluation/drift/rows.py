"""Rows of two times from files: what people asked, what was answered, how they voted, whether the model was
right.

    {"prompt_id": "7", "prompt": "...", "answer": "...", "batch": "May", "domain": "billing",
     "votes_left": 3, "votes_right": 1, "hit": 1, "judge_hit": 0.75, "prompt_nll": 3.1,
     "features": [...], "prompt_features": [...]}

`hit` is whether the reward model sided with people, `judge_hit` the share of people the judge sided with,
`prompt_nll` the prompt's mean -log p a token under the reference, nats. Every field but `prompt_id` may be
left out; a field counts where every row of both files has it. Leaves out the tests.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from accord.domain.errors import DataError
from accord.evaluation.clusters import FloatArray
from accord.evaluation.drift.diagnosis import AnchorVotes
from accord.evaluation.imports.log_file import LogFile, read_log

COUNTS = ("old_left", "old_right", "new_left", "new_right")


@dataclass(frozen=True, kw_only=True)
class DriftRows:
    """One time's rows, column by column; a column is None unless every row has it."""

    prompt_ids: tuple[str, ...]
    batches: tuple[str, ...] | None = None
    prompts: tuple[str, ...] | None = None
    answers: tuple[str, ...] | None = None
    prompt_features: FloatArray | None = None
    """[row, feature]"""
    features: FloatArray | None = None
    domains: tuple[str, ...] | None = None
    votes: tuple[tuple[int, int], ...] | None = None
    hits: tuple[float, ...] | None = None
    judge_hits: tuple[float, ...] | None = None
    prompt_nll: tuple[float, ...] | None = None
    """Nats a token."""
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_drift_rows(path: Path) -> DriftRows:
    """Rows from JSON lines, a JSON list or CSV (also .gz); numbers that are none raise `DataError`."""
    log = read_log(path)
    rows = log.records()
    if not rows or "prompt_id" not in rows[0][1]:
        raise log.refuse("expected rows with prompt_id and prompt, answer, features, votes or hit")

    def texts(name: str) -> tuple[str, ...] | None:
        values = [row.get(name) for _, row in rows]
        return tuple(str(one) for one in values) if all(one not in (None, "") for one in values) else None

    ids = texts("prompt_id")
    if ids is None:
        raise log.refuse("a row has no prompt_id")
    votes = [_counts(log, line, row, ("votes_left", "votes_right")) for line, row in rows]

    def numbers(name: str, high: float) -> tuple[float, ...] | None:
        values = [_number(log, line, row, name, low=0, high=high) for line, row in rows]
        return None if None in values else tuple(one for one in values if one is not None)

    return DriftRows(
        prompt_ids=ids,
        batches=texts("batch"),
        prompts=texts("prompt"),
        answers=texts("answer"),
        prompt_features=_table(log, rows, "prompt_features"),
        features=_table(log, rows, "features"),
        domains=texts("domain"),
        votes=tuple((one[0], one[1]) for one in votes if one) if all(votes) else None,
        hits=numbers("hit", 1),
        judge_hits=numbers("judge_hit", 1),
        prompt_nll=numbers("prompt_nll", 1e6),
        facts={"file": path.name, "sha256": log.digest, "rows": len(rows)},
    )


def read_anchors(path: Path) -> list[AnchorVotes]:
    """Anchor pairs labeled then and now: pair, old_left, old_right, new_left, new_right."""
    log = read_log(path)
    rows = log.records()
    if not rows or not {"pair", *COUNTS} <= set(rows[0][1]):
        raise log.refuse(f"expected rows with pair, {', '.join(COUNTS)}")
    found = []
    for line, row in rows:
        counts = _counts(log, line, row, COUNTS)
        if counts is None or row.get("pair") in (None, ""):
            raise log.refuse("a row lacks its pair or a count", line)
        found.append(
            AnchorVotes(
                pair=str(row["pair"]),
                old_left=counts[0],
                old_right=counts[1],
                new_left=counts[2],
                new_right=counts[3],
            )
        )
    return found


def _number(
    log: LogFile, line: int, row: Mapping[str, Any], name: str, *, low: float, high: float
) -> float | None:
    value = row.get(name)
    if value in (None, ""):
        return None
    try:
        found = float(value if not isinstance(value, str) else value.strip())
    except (TypeError, ValueError):
        found = math.nan
    if not low <= found <= high:
        raise log.refuse(f"{name} is {value!r}; expected a number from {low:g} to {high:g}", line)
    return found


def _counts(log: LogFile, line: int, row: Mapping[str, Any], names: Sequence[str]) -> list[int] | None:
    found = [_number(log, line, row, name, low=0, high=1e9) for name in names]
    if None in found:
        return None
    if any(one != int(one) for one in found if one is not None):
        raise log.refuse(f"{', '.join(names)} must be whole numbers", line)
    return [int(one) for one in found if one is not None]


def _table(log: LogFile, rows: Sequence[tuple[int, Mapping[str, Any]]], name: str) -> FloatArray | None:
    if any(row.get(name) in (None, "") for _, row in rows):
        return None
    table: list[tuple[float, ...]] = []
    for line, row in rows:
        table.append(log.numbers(line, row, name))
        if not table[-1]:
            raise log.refuse(f"{name} is empty; expected a list of finite numbers", line)
        if len(table[-1]) != len(table[0]):
            raise log.refuse(f"{name} has {len(table[-1])} numbers, the first row {len(table[0])}", line)
    return np.array(table)


def require_same_width(reference: FloatArray, current: FloatArray, name: str) -> None:
    """Both files must speak of the same features."""
    if reference.shape[1] != current.shape[1]:
        raise DataError(
            f"{name} has {reference.shape[1]} numbers in the reference and {current.shape[1]} in the current "
            "file; take both from one model"
        )
