"""`accord evaluate ifeval`: verifiable instructions followed, strict and loose."""

from typing import Annotated

import typer

from accord.cli.measurements import JsonOption, SeedOption, show_measurements


def ifeval(
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="PROMPTS",
            help="JSONL: key, prompt, instruction_id_list, kwargs (also .gz, or hub:OWNER/NAME/PATH).",
        ),
    ],
    responses: Annotated[
        str,
        typer.Option(
            "--responses", metavar="FILE", help="JSONL: response, and key, id or prompt (also .gz)."
        ),
    ],
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Score answers to IFEval prompts: by prompt and by instruction, strict and loose, with intervals.

    Every prompt needs exactly one answer. Strict takes the answer as it stands; loose also
    without its first line, its last line and asterisks.

    \b
    Examples:
      accord evaluate ifeval --data prompts.jsonl --responses answers.jsonl
      accord evaluate ifeval --data prompts.jsonl.gz --responses answers.jsonl --json
    """
    from accord.evaluation.suites.ifeval import IFEval
    from accord.pipeline.hub_files import find_data_file

    scorer = IFEval()
    run = scorer.load(find_data_file(data), responses)
    show_measurements(scorer.score(run, seed=seed), run.facts, as_json=as_json)
