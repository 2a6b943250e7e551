"""`accord evaluate judged`: win rate of pairs judged in both orders."""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.measurements import JsonOption, SeedOption, show_measurements
from accord.cli.render import print_text


def judged(
    judgments: Annotated[
        Path,
        typer.Argument(metavar="JUDGMENTS", help="Rows with prompt_id, first, second, winner (or share)."),
    ],
    candidate: Annotated[
        str | None, typer.Option("--candidate", metavar="MODEL", help="The first row's first model else.")
    ] = None,
    single_orders: Annotated[
        str, typer.Option("--single-orders", help="Pairs judged in one order only: drop or keep.")
    ] = "drop",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say how often the candidate wins, whether the judge sticks to its verdict when answers change places.

    Each pair counts as the mean of its two orders, ties half; intervals are clustered by prompt. The slice
    `anytime` has bounds that hold at every look, pairs in the file's order taken as independent: one may
    add votes and stop as soon as a gate on it is decided.

    \b
    Examples:
      accord evaluate judged judgments.jsonl --candidate new
      accord evaluate judged judgments.csv --single-orders keep --json
    """
    from accord.evaluation.judged_pair_file import read_judged_pairs
    from accord.evaluation.judged_pairs import (
        SingleOrders,
        measure_judged_pairs,
        to_measurements,
        vote_shares,
    )
    from accord.evaluation.measurement import Measurement
    from accord.evaluation.report.comparison import Evidence, vote_chart
    from accord.evaluation.sequential import running_estimate

    (name, incumbent), pairs = read_judged_pairs(judgments, candidate)
    chosen: SingleOrders = single_orders  # type: ignore[assignment]  # checked where it is used
    found = measure_judged_pairs(pairs, single_orders=chosen, seed=seed)
    facts = {
        "candidate": name,
        "incumbent": incumbent,
        "pairs": found.pairs,
        "wins": found.wins,
        "ties": found.ties,
        "losses": found.losses,
        "single_orders": found.single_orders,
        "empty": found.empty,
        "seed": seed,
    }
    measured = to_measurements(found)
    shares = vote_shares(pairs, single_orders=chosen)
    evidence = None
    if shares:
        measured.append(
            Measurement(metric="win_rate", slice="anytime", estimate=running_estimate(shares), facts={})
        )
        evidence = Evidence(votes=vote_chart(shares, f"Votes for {name} against {incumbent}, as they came"))
    show_measurements(
        measured,
        {**facts, "flags": found.flags} if as_json else facts,
        as_json=as_json,
        evidence=evidence,
    )
    if not as_json:
        for flag in found.flags:
            print_text(f"careful: {flag}")
