"""`accord quality`: from raw judgments to consensus, agreement, and a word on every annotator."""

import typer

from accord.cli.quality_agreement import agreement
from accord.cli.quality_consensus import consensus, curve
from accord.cli.quality_people import annotators, preferences
from accord.cli.quality_power import power
from accord.cli.quality_report import report

app = typer.Typer(
    help="Judge judgments: consensus, agreement, annotators, biases, cost.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for command in (consensus, agreement, preferences, annotators, curve, power, report):
    app.command()(command)
