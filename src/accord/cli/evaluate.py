"""`accord evaluate`: suites scored on files of answers."""

import typer

from accord.cli.evaluate_ifeval import ifeval
from accord.cli.evaluate_suite import suite

app = typer.Typer(
    help="Evaluate models: suites of instruction following, bias, truthfulness and safety.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for command in (ifeval, suite):
    app.command()(command)
