"""`accord evaluate`: is it better, and are we sure?"""

import typer

from accord.cli.evaluate_compare import compare
from accord.cli.evaluate_drift import drift
from accord.cli.evaluate_history import history
from accord.cli.evaluate_hygiene import hygiene
from accord.cli.evaluate_ifeval import ifeval
from accord.cli.evaluate_import import import_command
from accord.cli.evaluate_judge import judge
from accord.cli.evaluate_judged import judged
from accord.cli.evaluate_labels import labels
from accord.cli.evaluate_leaderboard import leaderboard
from accord.cli.evaluate_optimization import optimization
from accord.cli.evaluate_overlap import overlap
from accord.cli.evaluate_paired import paired
from accord.cli.evaluate_power import power
from accord.cli.evaluate_reward import reward
from accord.cli.evaluate_suite import suite
from accord.cli.evaluate_winrate import lc_winrate

app = typer.Typer(
    help="Evaluate models: win rates at equal length, suites for instructions, bias, safety.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("lc-winrate")(lc_winrate)
app.command("import")(import_command)
for command in (
    compare,
    reward,
    optimization,
    drift,
    overlap,
    hygiene,
    paired,
    judged,
    judge,
    labels,
    leaderboard,
    ifeval,
    suite,
    history,
    power,
):
    app.command()(command)
