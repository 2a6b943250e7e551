"""What the commands of `accord quality` share: arguments, options, and the checks of their values."""

import difflib
from typing import Annotated, Any, TypeVar

import typer

from accord.cli.render import progress_note
from accord.domain import DataError

Word = TypeVar("Word", bound=str)

LabelFiles = Annotated[
    list[str],
    typer.Argument(
        metavar="LABELS...", help="JSONL, CSV, TSV (also .gz) or Parquet: item, annotator, label."
    ),
]
GoldOption = Annotated[
    str | None, typer.Option("--gold", help="File of known answers: item and gold.", show_default=False)
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="ROLE=NAME",
        help="Name a column that is not recognized: item=doc,seg, annotator=, value=, timestamp=, duration=, "
        "session=, groups=.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", help="File type where the suffix does not say: jsonl, csv, tsv, parquet, ..."),
]
RepeatsOption = Annotated[
    str,
    typer.Option(
        "--repeats", help="Which of several labels of one item by one annotator counts: first, last, error."
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Every random draw comes from it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def read_options(
    columns: list[str] | None, repeats: str, format: str | None, *, groups: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The options that every command hands to the reader; `groups` are further columns to keep."""
    from dataclasses import replace

    from accord.quality.labels import REPEAT_POLICIES
    from accord.store import ColumnMapping

    mapping = ColumnMapping.from_assignments(columns or [])
    mapping = replace(mapping, groups=(*mapping.groups, *groups))
    policy = checked_choice("--repeats", repeats, REPEAT_POLICIES)
    return {"mapping": mapping, "format": format, "repeats": policy}


def checked_choice(option: str, value: str, allowed: tuple[Word, ...]) -> Word:
    """The value, where it is one of the allowed ones; raises otherwise."""
    for word in allowed:
        if word == value:
            return word
    nearest = difflib.get_close_matches(value, allowed, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise DataError(f"{option} is {value!r}; expected one of {', '.join(allowed)}.{hint}")


def note_input(facts: dict[str, Any]) -> None:
    """Say on stderr what was read, and how repeats were settled."""
    progress_note(
        f"{facts['source']}: {facts['n_labels']:,} labels of {facts['n_items']:,} items by "
        f"{facts['n_annotators']:,} annotators"
    )
    if facts["n_repeats"]:
        progress_note(
            f"{facts['n_repeats']:,} rows repeat an item and annotator; the {facts['repeats']} label counts"
        )
