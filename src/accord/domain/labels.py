"""Labels as columns: who gave which item which value, as a file or a program holds them.

Columns, not records, because a set of labels has millions of rows. Nothing is checked here
but the lengths; `accord.quality.tabulate_labels` makes a table of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accord.domain.errors import DataError

Value = str | int | float
"""A class name, an ordinal or a number."""


@dataclass(frozen=True, kw_only=True)
class LabelColumns:
    """One entry a row in each column; optional columns are None or empty where the source has none."""

    items: Sequence[Any]
    annotators: Sequence[Any]
    values: Sequence[Any]
    timestamps_ms: Sequence[float] | None = None
    """When the judgment was made, in milliseconds since the epoch."""
    durations_ms: Sequence[float] | None = None
    """How long it took."""
    sessions: Sequence[Any] | None = None
    """Sitting in which it was made."""
    groups: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Attributes of the annotator, such as age band, one column each."""
    source: str = "labels"
    """Names the origin in errors: a file, or what the program calls it."""
    lines: Sequence[int] | None = None
    """Line of each row in the source, for errors."""

    def __post_init__(self) -> None:
        columns = {"annotators": self.annotators, "values": self.values, **self.groups}
        optional = {
            "timestamps_ms": self.timestamps_ms,
            "durations_ms": self.durations_ms,
            "sessions": self.sessions,
            "lines": self.lines,
        }
        columns |= {name: column for name, column in optional.items() if column is not None}
        for name, column in columns.items():
            if len(column) != len(self.items):
                raise DataError(
                    f"{self.source}: column {name} has {len(column)} rows and items has {len(self.items)}; "
                    f"expected one entry a row in each column"
                )

    def __len__(self) -> int:
        return len(self.items)

    def place(self, row: int) -> str:
        """Where a row stands, for an error: the source with its line, else with its row from 1."""
        if self.lines is not None:
            return f"{self.source}, line {self.lines[row]}"
        return f"{self.source}, row {row + 1}"
