"""What a file format is: a name, the record it holds, how to recognize it, how to read and write one row.

Knows nothing of files: rows come as dictionaries, from whatever file type held them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.domain import (
    Comparison,
    Completion,
    Demonstration,
    Judgment,
    Preference,
    Prompt,
    Ranking,
    Rating,
    StepLabels,
    Verdict,
)

Record = (
    Prompt
    | Completion
    | Demonstration
    | Comparison
    | Judgment
    | Ranking
    | Rating
    | StepLabels
    | Verdict
    | Preference
)
Cells = Mapping[str, Any]
"""One row: field name to value. Values are JSON-like; in CSV files they are all text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContext:
    """What a row reader may know about the file around its row."""

    path: Path
    """The file itself."""
    name: str
    """Folder and file name, for provenance: the same on every machine."""
    is_text_only: bool = False
    """True in CSV files, where a list can only be the JSON text of one."""
    joined: Any = None
    """What the format's `prepare` read beside the file (answer texts, class names)."""


RowReader = Callable[[Cells, FileContext], Sequence[Record]]
RowWriter = Callable[[Any], dict[str, Any]]


def _always(cells: Cells) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way in which a file holds records."""

    name: str
    """What a user types after --format or --to."""
    kind: type[Record]
    """The record that comes out of it."""
    fields: tuple[str, ...]
    """Fields a row must have to be recognized; `a|b` means either of them."""
    summary: str
    """One line for help texts and errors."""
    read_row: RowReader
    """Turns one row into its records, which may be several; raises DataError where it does not fit."""
    write_row: RowWriter | None = None
    """Turns one record into a row; None where Accord only reads the format."""
    fits: Callable[[Cells], bool] = _always
    """What the values must look like beyond the field names."""
    priority: int = 0
    """Added to the number of fields when several formats fit the same row."""
    prepare: Callable[[Path], Any] | None = None
    """Reads what belongs to the file but stands beside it; the result is `FileContext.joined`."""
    has_texts: bool = True
    """False where the file names tasks or models instead of holding their texts."""
    note: str = ""
    """What a user should know about records read this way."""

    def score(self, cells: Cells) -> int:
        """How well a row fits: 0 not at all, otherwise the number of fields recognized plus `priority`."""
        for alternatives in self.fields:
            if not any(name in cells for name in alternatives.split("|")):
                return 0
        return len(self.fields) + self.priority if self.fits(cells) else 0
