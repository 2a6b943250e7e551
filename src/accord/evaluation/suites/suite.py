"""What every suite of evaluation is: data loaded by path, answers matched to it, measurements made of them.

Leaves out asking a model for the answers, and the metrics themselves (one file a suite).
"""

import math
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accord.domain.errors import DataError
from accord.evaluation.clusters import FloatArray
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement
from accord.evaluation.suites.source import Row, Source, read_source, require_fields

Statistic = Callable[[FloatArray], float]
SHOWN = 3
"""Ids named in a message about many."""


@dataclass(frozen=True, kw_only=True)
class SuiteRun:
    """Items of a suite and, in the same order, the answers of one model to them."""

    suite: str
    items: tuple[Row, ...]
    answers: tuple[Row, ...]
    facts: dict[str, Any]
    """Digests of both files, canary id and counts, recorded in every measurement."""

    def measure(self, metric: str, estimate: Estimate, *, slice: str = "all", **facts: Any) -> Measurement:
        """One measurement that carries where it comes from."""
        return Measurement(metric=metric, slice=slice, estimate=estimate, facts={**self.facts, **facts})


def read_number(row: Row, field: str, *, low: float = -math.inf, high: float = math.inf) -> float:
    """`row[field]` as a finite number within bounds; anything else raises, NaN too."""
    try:
        value = float(row[field])
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and low <= value <= high):
        bounds = "" if low == -math.inf else f" from {low:g} to {high:g}"
        raise DataError(
            f"{field} is {row[field]!r} in {_short(str(dict(row)))}; expected a finite number{bounds}"
        )
    return value


class Suite(ABC):
    """One suite. Subclasses name their fields and score; reading and matching are the same for all."""

    name: str
    item_fields: tuple[str, ...]
    """Columns the data file must have."""
    answer_fields: tuple[str, ...]
    """Columns the file of answers or predictions must have, beside one that says which item."""
    match_fields: tuple[str, ...]
    """Columns that name an item, tried in order; the first that the answers have is used.

    "a+b" is two columns together; "row", the item's place in the file from 0, is always tried last.
    """
    has_answers: bool = True
    """False where the data file itself holds the outcomes."""

    @property
    def canary(self) -> str:
        """Id by which these data are recognized in a training set, the same on every machine."""
        return f"accord-evaluation-canary-{uuid.uuid5(uuid.NAMESPACE_URL, f'accord:evaluation:{self.name}')}"

    def load(self, data: str | Path, answers: str | Path | None = None) -> SuiteRun:
        """Read both files and give every item its answer; missing, doubled and foreign answers raise."""
        items = self.read_items(data)
        facts = {
            "suite": self.name,
            "canary": self.canary,
            "data_sha256": items.digest,
            "items": len(items.rows),
        }
        if not self.has_answers:
            if answers is not None:
                raise DataError(f"suite {self.name} takes outcomes as its data, and no file of answers")
            return SuiteRun(suite=self.name, items=items.rows, answers=items.rows, facts=facts)
        if answers is None:
            raise DataError(f"suite {self.name} needs a file of answers with {', '.join(self.answer_fields)}")
        given = read_source(answers)
        require_fields(given, self.answer_fields)
        matched = match_answers(items, given, _match_field(items, given, (*self.match_fields, "row")))
        _require_same(items.rows, matched, ("prompt", "key"), given.path)
        facts["answers_sha256"] = given.digest
        return SuiteRun(suite=self.name, items=items.rows, answers=matched, facts=facts)

    def read_items(self, data: str | Path) -> Source:
        """The items of the public file, each with its place as "row"."""
        source = read_source(data)
        require_fields(source, self.item_fields)
        return replace(source, rows=tuple({**row, "row": i} for i, row in enumerate(source.rows)))

    def statistics(self, run: SuiteRun) -> dict[tuple[str, str], Statistic]:
        """(metric, slice) -> the number as a function of weights [item], for numbers that are no means.

        Two models are compared in them by resampling their items together; NaN where weights leave none.
        """
        return {}

    @abstractmethod
    def score(self, run: SuiteRun, *, seed: int = 0) -> list[Measurement]:
        """Every number of the suite; `seed` is that of the bootstrap."""


def match_answers(items: Source, answers: Source, key: str) -> tuple[Row, ...]:
    """The answers in the order of the items, one each, matched on the text of column `key`."""
    wanted = _by_key(items, key)
    found = _by_key(answers, key)
    foreign = [name for name in found if name not in wanted]
    if foreign:
        raise DataError(
            f"{len(foreign)} answers belong to no item of {items.path} (by {key!r}): {_few(foreign)}. "
            "Is it the answer file of another data set?",
            path=answers.path,
        )
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(wanted)} items have no answer (by {key!r}): {_few(missing)}. "
            "Answer every item, or score a data file that holds only the answered ones.",
            path=answers.path,
        )
    return tuple(found[name] for name in wanted)


def _require_same(items: Sequence[Row], answers: Sequence[Row], fields: Sequence[str], path: str) -> None:
    """Where both sides name a field, it must say the same: an id alone may be of another release."""
    for item, answer in zip(items, answers, strict=True):
        for name in fields:
            given, wanted = answer.get(name), item.get(name)
            if given is None or wanted is None or str(given).strip() == str(wanted).strip():
                continue
            raise DataError(
                f"an answer has {name} {_short(str(given))}, its item {_short(str(wanted))}. "
                "Is it the answer file of another release of the data?",
                path=path,
            )


def _match_field(items: Source, answers: Source, candidates: Sequence[str]) -> str:
    for name in candidates:
        columns = name.split("+")
        rows = (*items.rows, *answers.rows)
        if all(row.get(column) is not None for row in rows for column in columns):
            return name
    raise DataError(
        f"names no item: expected one of the columns {', '.join(candidates)} in every row, "
        f"found {', '.join(answers.rows[0])}",
        path=answers.path,
    )


def _by_key(source: Source, key: str) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for row, line in zip(source.rows, source.lines, strict=True):
        name = " ".join(str(row[column]).strip() for column in key.split("+"))
        if name in rows:
            raise DataError(
                f"{key} {_short(name)} stands there twice; keep one row each", path=source.path, line=line
            )
        rows[name] = row
    return rows


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(_short(name) for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown}, ..."


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:57] + "...")
