"""`accord evaluate suite`: any suite scored on a file of answers or predictions."""

from typing import Annotated

import typer

from accord.cli.measurements import JsonOption, SeedOption, show_measurements


def suite(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="bbq, bold, crows_pairs, harmful_prompts, ifeval, jailbreak, model_written, truthfulqa, "
            "winogender, winogenerated or xstest.",
        ),
    ],
    data: Annotated[
        str,
        typer.Option("--data", metavar="FILE", help="The public file: JSONL, JSON, CSV or TSV (also .gz)."),
    ],
    responses: Annotated[
        str | None,
        typer.Option("--responses", metavar="FILE", help="One labeled answer an item.", show_default=False),
    ] = None,
    predictions: Annotated[
        str | None,
        typer.Option(
            "--predictions",
            metavar="FILE",
            help="One prediction or its log-probabilities an item.",
            show_default=False,
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            "--column",
            help="Column of the answers, for bbq, bold, harmful_prompts and xstest.",
            show_default=False,
        ),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Score one suite from files: every number with its interval, and the digests of what was read.

    \b
    Examples:
      accord evaluate suite xstest --data prompts.csv --responses labeled.csv --column final_label
      accord evaluate suite bbq --data questions.jsonl.gz --predictions answers.csv --column prediction
      accord evaluate suite jailbreak --data outcomes.csv.gz --json
    """
    from accord.evaluation.suites.catalog import find_suite

    if responses is not None and predictions is not None:
        raise typer.BadParameter("give either --responses or --predictions, both name the file of answers")
    scorer = find_suite(name, column=column)
    run = scorer.load(data, responses if responses is not None else predictions)
    show_measurements(scorer.score(run, seed=seed), run.facts, as_json=as_json)
