"""`accord evaluate optimization`: is the policy still earning what the reward stands for?"""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.measurements import JsonOption, SeedOption, show_measurements
from accord.cli.render import print_table, print_text


def optimization(
    answers: Annotated[
        Path,
        typer.Argument(
            metavar="ANSWERS",
            help="Rows with prompt_id, proxy and gold: with step a run (and kl, or logprob and "
            "reference_logprob; text, length, members), without it a pool of samples.",
        ),
    ],
    sizes: Annotated[
        list[int] | None,
        typer.Option("--n", help="Of a pool: an n of best-of-n, repeatable; 1, 2, 4, ... else.", min=1),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Set gold against proxy over KL: the gap, the fall from the peak, Gao's fits, best-of-n, alarms.

    Alarms ask for human labels and decide nothing: in runs where nothing moved they are raised in at most
    1 of 100. `--json` is what `accord gate` reads, with the curves for its report.

    \b
    Examples:
      accord evaluate optimization run.jsonl
      accord evaluate optimization pool.jsonl --n 1 --n 16 --n 256 --json
    """
    from accord.evaluation.optimization_measurements import measure_pool, measure_run
    from accord.evaluation.report.comparison import Evidence
    from accord.evaluation.scored_answers import ScoredRun, read_scored_answers

    found = read_scored_answers(answers)
    if isinstance(found, ScoredRun):
        if sizes:
            raise typer.BadParameter("--n is for a pool of samples; these rows have steps")
        measured = measure_run(found, seed=seed)
    else:
        measured = measure_pool(found, sizes=sizes, seed=seed)
    show_measurements(
        measured.measurements,
        {**found.facts, "seed": seed},
        as_json=as_json,
        not_measured=measured.not_measured,
        evidence=Evidence(curves=measured.curves),
    )
    if not as_json and measured.alarms:
        print_table(
            ("alarm", "raised", "change", "p", "p (Holm)", "about"),
            [
                (one.name, one.is_raised, one.change, one.p_value, one.adjusted_p, one.about)
                for one in measured.alarms
            ],
        )
        if any(one.is_raised for one in measured.alarms):
            print_text("an alarm is raised: have people label answers of the last step")
