"""`accord evaluate power`: what a number of rows can show."""

from typing import Annotated

import typer

from accord.cli.quality_options import JsonOption
from accord.cli.render import print_json, print_table
from accord.domain.errors import ConfigError


def power(
    deviation: Annotated[
        float,
        typer.Option("--sd", help="Of one row: 0.5 for a win rate, root of the discordant share if paired."),
    ] = 0.5,
    n: Annotated[int | None, typer.Option("--n", help="Rows there are.", min=1)] = None,
    effect: Annotated[float | None, typer.Option("--effect", help="Difference that should be found.")] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Level, two-sided.")] = 0.05,
    wanted: Annotated[float, typer.Option("--power", help="Probability of finding it.")] = 0.8,
    as_json: JsonOption = False,
) -> None:
    """Say which difference a number of rows can show, or how many rows a difference needs.

    \b
    Examples:
      accord evaluate power --n 805
      accord evaluate power --sd 0.316 --effect 0.02 --json
    """
    from accord.evaluation.planning import detectable_effect, rows_needed

    if (n is None) == (effect is None):
        raise ConfigError("accord evaluate power", ["give either --n or --effect"])
    facts: dict[str, float | int] = {"sd": deviation, "alpha": alpha, "power": wanted}
    if n is not None:
        found = detectable_effect(deviation, n, alpha=alpha, power=wanted)
        facts |= {"n": n, "detectable_effect": found}
    if effect is not None:
        facts |= {"effect": effect, "rows_needed": rows_needed(deviation, effect, alpha=alpha, power=wanted)}
    if as_json:
        print_json(facts)
    else:
        print_table(("", "value"), list(facts.items()))
