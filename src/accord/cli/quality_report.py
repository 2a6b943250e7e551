"""`accord quality report`: everything about a file of judgments on one page."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from accord.cli.quality_options import (
    ColumnOption,
    FormatOption,
    GoldOption,
    JsonOption,
    LabelFiles,
    RepeatsOption,
    SeedOption,
    note_input,
    read_options,
)
from accord.cli.render import print_json, print_table, print_text, progress_note


def report(
    labels: LabelFiles,
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("quality.html"),
    gold: GoldOption = None,
    gold_fit: Annotated[
        int, typer.Option("--gold-fit", help="Known answers to calibrate on; the rest score.")
    ] = 0,
    groups: Annotated[
        list[str] | None,
        typer.Option("--group", help="Column with an attribute of the annotators.", show_default=False),
    ] = None,
    columns: ColumnOption = None,
    repeats: RepeatsOption = "first",
    format: FormatOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Write one page on agreement, consensus, trust, annotators, drift, cost, biases and groups.

    What the data does not allow is left out and said so. The page needs no network and runs no script.

    \b
    Examples:
      accord quality report labels.jsonl --gold gold.jsonl --gold-fit 30 --out report.html
      accord quality report comparisons.jsonl.gz --group country
    """
    from accord.domain.files import write_text_atomic
    from accord.pipeline.quality_contents import quality_report_to_json
    from accord.pipeline.quality_labels import load_labels
    from accord.pipeline.quality_page import quality_report_to_html
    from accord.pipeline.quality_report import build_quality_report

    names = tuple(groups or ())
    found = load_labels(labels, gold_path=gold, **read_options(columns, repeats, format, groups=names))
    if not as_json:
        note_input(found.facts)
    made = build_quality_report(
        found,
        gold_fit=gold_fit,
        group_columns=names,
        seed=seed,
        command=shlex.join(sys.argv),
        sources=labels if gold is None else [*labels, gold],
    )
    write_text_atomic(out, quality_report_to_html(made))
    if as_json:
        print_json(json.loads(quality_report_to_json(made)))
        return
    print_text(f"method: {made.method}. {made.method_reason}")
    print_table(
        ("", "value", "low", "high"),
        [(card.label, card.estimate.value, card.estimate.low, card.estimate.high) for card in made.cards],
    )
    for note in made.notes:
        print_text(f"- {note}")
    progress_note(f"written: {out}")
