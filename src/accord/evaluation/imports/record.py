"""What every imported log becomes: a run of scored items that another run can be matched to.

Leaves out reading (one file a format) and comparing (`comparison.py`).
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from accord.domain.errors import DataError

SHOWN = 3
"""Ids named in a message about many."""

ItemKey = tuple[str, str, int]
"""Task, item and epoch: what makes two scores those of one question."""


@dataclass(frozen=True, kw_only=True)
class ImportedItem:
    """One question to one model, with its scores."""

    task: str
    item: str
    """Name within the task that is the same in every run of it."""
    epoch: int = 1
    """Which repetition of the same question, from 1."""
    prompt_hash: str | None = None
    """Of what the model was shown; None where the log does not tell."""
    cluster: str = ""
    """Items that share it are resampled together; the item itself unless the log says otherwise."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Metric to score; NaN where the tool has none for this item."""

    @property
    def key(self) -> ItemKey:
        """What it is matched by."""
        return self.task, self.item, self.epoch


@dataclass(frozen=True, kw_only=True)
class ImportedRun:
    """Everything one model did in one log. Two items with one key raise `DataError`."""

    name: str
    """The model, or what the log calls it."""
    tool: str
    items: tuple[ImportedItem, ...]
    lower_is_better: frozenset[str] = frozenset()
    """Metrics of which less is better, such as an attack's success."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What should be the same in runs that are compared: shots, thresholds, versions."""
    notes: tuple[str, ...] = ()
    """What was left out or looks wrong, in words with counts."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """File to the SHA-256 of its bytes."""

    def __post_init__(self) -> None:
        twice = [key for key, count in Counter(item.key for item in self.items).items() if count > 1]
        if twice:
            raise DataError(
                f"run {self.name!r}: {len(twice)} items are there twice, the first: {shown_keys(twice)}; "
                "import one file of each task only, and repetitions as epochs",
                path=next(iter(self.sources), None),
            )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of its tasks, sorted."""
        return tuple(sorted({item.task for item in self.items}))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of its metrics, sorted."""
        return tuple(sorted({name for item in self.items for name in item.scores}))


def shown_keys(keys: Iterable[ItemKey]) -> str:
    """The first few keys in words."""
    some = list(keys)
    words = [
        f"{task}/{item}" + (f" (epoch {epoch})" if epoch != 1 else "") for task, item, epoch in some[:SHOWN]
    ]
    return ", ".join(words) + (" ..." if len(some) > SHOWN else "")


def content_hash(value: Any) -> str:
    """SHA-256 of a JSON value, the same for every order of its keys."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def as_score(value: Any) -> float | None:
    """A number as a float, NaN where it is not finite or null; None for what is no number at all."""
    if value is None:
        return math.nan
    if not isinstance(value, bool | int | float):
        return None
    try:
        score = float(value)
    except OverflowError:
        return math.nan
    return score if math.isfinite(score) else math.nan


def score_from_text(value: str) -> float | None:
    """A number that stands in a file as text; None where it is none."""
    try:
        score = float(value)
    except ValueError:
        return None
    return score if math.isfinite(score) else math.nan
