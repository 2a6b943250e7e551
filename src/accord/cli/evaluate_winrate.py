"""`accord evaluate lc-winrate`: win rates at equal length, from files of annotations."""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.quality_options import JsonOption, SeedOption
from accord.cli.render import print_json, print_table, print_text


def lc_winrate(
    annotations: Annotated[
        Path, typer.Argument(help="Annotations against one baseline: CSV, CSV.gz, JSON or JSON lines.")
    ],
    instructions: Annotated[
        Path | None,
        typer.Option("--instructions", help="CSV with len_baseline, difficulty and len_gamed_* of each."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only this model of the file.")] = None,
    resamples: Annotated[
        int, typer.Option("--resamples", help="Of prompts, for the interval; 0 leaves it out.", min=0)
    ] = 1000,
    constant: Annotated[
        str | None,
        typer.Option(
            "--constant",
            metavar="MODEL|FILE",
            help="A run that always gives the same answer; a model whose answers are all of one length else.",
        ),
    ] = None,
    has_penalty: Annotated[
        bool, typer.Option("--penalty", help="Also under an L1 penalty chosen by cross-validation.")
    ] = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say how often a model wins, raw and as if its answers were as long as the baseline's.

    \b
    Examples:
      accord evaluate lc-winrate annotations.json --instructions instructions.csv
      accord evaluate lc-winrate annotations.csv.gz --instructions instructions.csv --model vicuna-7b --json
    """
    from accord.pipeline.win_rates import win_rates

    found = win_rates(
        annotations,
        instructions,
        model=model,
        resamples=resamples,
        seed=seed,
        constant=constant,
        has_penalty=has_penalty,
    )
    if as_json:
        print_json({"annotations": str(annotations), "seed": seed, "models": found})
        return
    rows = [
        (
            one["model"],
            f"{one['win_rate']:.2f} ± {one['standard_error']:.2f}",
            f"{one['length_controlled_winrate']:.2f}",
            "" if one["low"] is None else f"[{one['low']:.2f}, {one['high']:.2f}]",
            *([f"{one['penalized_winrate']:.2f}"] if has_penalty else []),
            one["n"],
            "; ".join(one["flags"]),
        )
        for one in found
    ]
    columns = ["model", "raw win rate", "at equal length", "95 % interval", "prompts", "careful"]
    if has_penalty:
        columns.insert(4, "penalized")
    print_table(columns, rows, title="Win rates in percent")
    floor = found[0]["constant_output"] if found else None
    told = "not measured; give a run of it by --constant"
    if floor is not None:
        told = f"{floor['win_rate']:.2f} raw, {floor['length_controlled_winrate']:.2f} at equal length"
    print_text(f"a constant output wins: {told}")
