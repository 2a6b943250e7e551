"""`accord quickstart`: the whole loop on a fresh machine. What it runs is in `pipeline/quickstart.py`."""

import sys
from typing import Annotated

import typer

from accord.cli.run import SetOption, finish
from accord.cli.runs import JsonOption, WorkspaceOption, open_workspace


def quickstart(
    is_fast: Annotated[
        bool, typer.Option("--fast", help="A tiny model and a few steps: shows that everything runs.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Every draw of the run comes from it.")] = 0,
    resume: Annotated[
        str | None,
        typer.Option("--resume", help="Go on with a stopped run: its id, or `latest`.", show_default=False),
    ] = None,
    overrides: SetOption = None,
    is_opened: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take SmolLM2-135M from a simulated panel's judgments to a measurably better support co-pilot.

    Fine-tunes on demonstrations, has a panel of SIMULATED annotators compare the model's own
    answers, trains a reward model on their choices, optimizes the policy against it, and
    measures every model on held-out prompts by the panel's true taste.

    Examples:

      accord quickstart

      accord quickstart --fast

      accord quickstart --seed 1 --set policy.optimization.steps=40
    """
    from accord.cli.narrator import TerminalNarrator
    from accord.pipeline.configuration import apply_to
    from accord.pipeline.quickstart import quickstart_config
    from accord.pipeline.running import resume_run, start_run

    space = open_workspace(workspace)
    narrator = TerminalNarrator()
    if resume is not None:
        outcome = resume_run(space, resume, narrator=narrator)
    else:
        config = apply_to(quickstart_config(seed=seed, is_fast=is_fast), overrides or [])
        outcome = start_run(space, config, kind="quickstart", command=sys.argv, narrator=narrator)
    finish(outcome, as_json=as_json, is_opened=is_opened)
