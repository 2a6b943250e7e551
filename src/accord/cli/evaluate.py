"""`accord evaluate`: is it better, and are we sure?"""

import typer

from accord.cli.evaluate_winrate import lc_winrate

app = typer.Typer(
    help="Evaluate models: win rates at equal length, suites of instruction following, bias and safety.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def root() -> None:
    """Evaluate models: win rates at equal length, suites of instruction following, bias and safety."""


app.command("lc-winrate")(lc_winrate)
