"""`accord quality agreement`: how far annotators agree."""

from typing import Annotated

import typer

from accord.cli.quality_options import (
    ColumnOption,
    FormatOption,
    JsonOption,
    LabelFiles,
    RepeatsOption,
    SeedOption,
    checked_choice,
    note_input,
    read_options,
)
from accord.cli.render import print_json, print_table


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
