"""`accord quality`: from raw judgments to consensus, agreement, and a word on every annotator."""

import difflib
from typing import Annotated, Any, TypeVar

import typer

from accord.cli.render import print_json, print_table, progress_note
from accord.domain import DataError

Word = TypeVar("Word", bound=str)

app = typer.Typer(
    help="Judge judgments: consensus, agreement, annotators, biases, cost.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

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


@app.command()
def agreement(
    labels: LabelFiles,
    level: Annotated[
        str, typer.Option("--level", help="What the labels are: nominal, ordinal, interval or ratio.")
    ] = "nominal",
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", help="Column of items that belong together, drawn whole by the bootstrap."),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", help="Leave labels of this value out, such as tie.")
    ] = None,
    columns: ColumnOption = None,
    repeats: RepeatsOption = "first",
    format: FormatOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say how far annotators agree: percent, kappas, alpha, AC1 or AC2, ICC, each with an interval.

    \b
    Examples:
      accord quality agreement labels.jsonl
      accord quality agreement ratings.csv --level interval --cluster document
      accord quality agreement comparisons.jsonl.gz --drop tie --json
    """
    from accord.pipeline.quality_agreement import agreement_json, agreement_of, readable_name
    from accord.pipeline.quality_labels import load_labels
    from accord.quality.agreement import LEVELS

    scale = checked_choice("--level", level, LEVELS)
    options = read_options(columns, repeats, format, groups=() if cluster is None else (cluster,))
    found = load_labels(labels, dropped=drop or (), level=scale, **options)
    report = agreement_of(found, level=scale, cluster=cluster, seed=seed)
    if as_json:
        print_json(agreement_json(found, report, cluster=cluster))
        return
    note_input(found.facts)
    rows = [
        (readable_name(row.method)[0], row.value, row.low, row.high, row.n_items, row.reason or "")
        for row in report.coefficients
    ]
    unit = "items" if cluster is None else f"clusters of {cluster}"
    print_table(
        ("coefficient", "value", "low", "high", "items", ""),
        rows,
        title=f"Agreement, {level} level; 95 % intervals over {unit}",
    )
