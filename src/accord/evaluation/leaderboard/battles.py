"""Battles of two models, from a file as the Chatbot Arena keeps them: who met whom and who won.

Leaves out ranking (`ranking.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accord.domain.errors import DataError
from accord.evaluation.clusters import Clusters, FloatArray, IntArray, finite_array
from accord.evaluation.imports.log_file import LogFile, read_log
from accord.evaluation.leaderboard.style import (
    STYLE_NAMES,
    LengthForm,
    Style,
    measure_style,
    standardized,
    style_difference,
)
from accord.quality.judgments import LEFT, RIGHT, TIE

SIDES = (("model_a", "model_b"), ("left", "right"))
WINNERS = ("winner", "outcome")
WORDS = {
    **dict.fromkeys(("model_a", "left", "a"), LEFT),
    **dict.fromkeys(("model_b", "right", "b"), RIGHT),
    **dict.fromkeys(("tie", "tie (bothbad)", "bothbad", "both_bad"), TIE),
}
CLUSTERS = ("prompt_id", "question_id", "cluster")
TEXTS = ("answer", "response", "output", "conversation")


@dataclass(frozen=True, eq=False, kw_only=True)
class Battles:
    """Rows of two models each."""

    models: tuple[str, ...]
    """Sorted by name."""
    left: IntArray
    """[row] Number of the model."""
    right: IntArray
    outcome: IntArray
    """[row] 0 left won, 1 right won, 2 a tie."""
    weight: FloatArray
    """[row] How many such battles the row stands for."""
    clusters: Clusters
    """Rows of one prompt (or annotator) are resampled together."""
    covariates: FloatArray
    """[row, covariate] Left minus right; of no column where style is not held equal."""
    covariate_names: tuple[str, ...]

    @property
    def n(self) -> float:
        """Battles, by weight."""
        return float(self.weight.sum())


def make_battles(
    left: Sequence[str],
    right: Sequence[str],
    outcome: Sequence[int],
    *,
    weight: Sequence[float] | None = None,
    clusters: Sequence[object] | None = None,
    covariates: FloatArray | None = None,
    covariate_names: tuple[str, ...] = (),
) -> Battles:
    """Columns of equal length; a model against itself or a weight that is not positive raises."""
    models = tuple(sorted({*left, *right}))
    number = {name: place for place, name in enumerate(models)}
    sides = [np.array([number[name] for name in side], dtype=np.int64) for side in (left, right)]
    if not len(left) or len(models) < 2:
        raise DataError("a leaderboard needs battles of two models or more")
    if (sides[0] == sides[1]).any():
        row = int(np.argmax(sides[0] == sides[1]))
        raise DataError(f"battle {row}: {left[row]!r} meets itself; remove it")
    weights = np.ones(len(left)) if weight is None else finite_array(weight, name="weight", length=len(left))
    if (weights <= 0).any():
        raise DataError(f"battle {int(np.argmax(weights <= 0))}: weight is not above 0; remove it")
    shape = (len(left), 0)
    differences = np.zeros(shape) if covariates is None else np.asarray(covariates, dtype=np.float64)
    scaled, names = standardized(differences, covariate_names)
    return Battles(
        models=models,
        left=sides[0],
        right=sides[1],
        outcome=np.asarray(outcome, dtype=np.int64),
        weight=weights,
        clusters=Clusters.of(None if clusters is None else [str(one) for one in clusters], rows=len(left)),
        covariates=scaled,
        covariate_names=names,
    )


def read_battles(
    path: Path, *, cluster: str | None = None, has_style: bool = False, length_form: LengthForm = "ratio"
) -> Battles:
    """Battles of a JSON list, JSON lines or CSV (also .gz): model_a, model_b, winner.

    The winner is model_a, model_b, tie, tie (bothbad) or a model's name. `weight` says how many battles a
    row stands for. `cluster` names the column of what is resampled together; without it prompt_id or
    question_id is, where there is one. With `has_style` each row needs both answers (answer_a,
    response_a or conversation_a, and the same with b) or the Arena's conv_metadata.
    """
    log = read_log(path)
    rows = _rows(log)
    sides = next((pair for pair in SIDES if set(pair) <= set(rows[0][1])), None)
    winner = next((name for name in WINNERS if name in rows[0][1]), None)
    if sides is None or winner is None:
        raise log.refuse(f"expected model_a, model_b and winner; there are {', '.join(rows[0][1])}")
    cluster = cluster or next((name for name in CLUSTERS if name in rows[0][1]), None)
    columns: tuple[list[str], list[str], list[int]] = ([], [], [])
    weights, labels, differences = [], [], []
    for line, row in rows:
        names = [row.get(side) for side in sides]
        if not all(isinstance(name, str) and name for name in names) or names[0] == names[1]:
            raise log.refuse(f"the models are {names[0]!r} and {names[1]!r}; expected two names", line)
        columns[0].append(str(names[0]))
        columns[1].append(str(names[1]))
        columns[2].append(_outcome(log, line, row.get(winner), names))
        weights.append(_weight(log, line, row.get("weight", 1)))
        if cluster is not None:
            if row.get(cluster) in (None, ""):
                raise log.refuse(f"there is no {cluster!r} to cluster by", line)
            labels.append(row[cluster])
        if has_style:
            answers = [_style(log, line, row, side) for side in "ab"]
            differences.append(style_difference(answers[0], answers[1], length_form))
    return make_battles(
        *columns,
        weight=weights,
        clusters=labels or None,
        covariates=np.array(differences) if has_style else None,
        covariate_names=STYLE_NAMES if has_style else (),
    )


def _rows(log: LogFile) -> list[tuple[int, Mapping[str, Any]]]:
    rows = log.records()
    if not rows:
        raise log.refuse("holds no battles; expected rows with model_a, model_b and winner")
    return rows


def _outcome(log: LogFile, line: int, value: Any, names: Sequence[Any]) -> int:
    if value in names:
        return LEFT if value == names[0] else RIGHT
    if not isinstance(value, str) or value.lower() not in WORDS:
        raise log.refuse(f"winner is {value!r}; expected model_a, model_b, tie or a model's name", line)
    return WORDS[value.lower()]


def _weight(log: LogFile, line: int, value: Any) -> float:
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise log.refuse(f"weight is {value!r}; expected a number above 0", line)
    return weight


def _style(log: LogFile, line: int, row: Mapping[str, Any], side: str) -> Style:
    told = row.get("conv_metadata")
    if isinstance(told, Mapping):
        counts = [_total(told.get(f"{name}_{side}")) for name in ("header_count", "list_count", "bold_count")]
        length = _total(told.get(f"sum_assistant_{side}_tokens"))
        return Style(length=length, headers=counts[0], lists=counts[1], bold=counts[2])
    for name in TEXTS:
        text = row.get(f"{name}_{side}")
        if isinstance(text, list):
            turns = [turn for turn in text if isinstance(turn, Mapping) and turn.get("role") == "assistant"]
            text = "\n".join(str(turn.get("content", "")) for turn in turns)
        if isinstance(text, str):
            return measure_style(text)
    raise log.refuse(f"there is no answer of side {side} to measure the style of: answer_{side}", line)


def _total(value: Any) -> float:
    parts = value.values() if isinstance(value, Mapping) else (value,)
    return float(sum(part for part in parts if isinstance(part, int | float)))
