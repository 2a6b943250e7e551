"""`accord quickstart`: the whole loop on a fresh machine. What it runs is in `pipeline/quickstart.py`."""

import sys
from typing import Annotated

import typer

from accord.cli.run import SetOption, finish, finish_loop, resume_loop
from accord.cli.runs import JsonOption, WorkspaceOption, open_workspace


def quickstart(
    is_fast: Annotated[
        bool, typer.Option("--fast", help="A tiny model and a few steps: shows that everything runs.")
    ] = False,
    is_single: Annotated[
        bool, typer.Option("--single", help="One pass with more labels and steps, instead of two rounds.")
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
    """Take SmolLM2-135M through two rounds of judgments, with gates that decide on each release.

    Fine-tunes on demonstrations; then each round the policy answers, a panel of SIMULATED annotators judges
    at a real server (experts, a careless one, one who tires, one who leans left, a spammer), the quality
    engine weighs and pauses them, a reward model learns, the policy is optimized, and gates decide on a
    release. The report holds everything against the panel's true taste.

    Examples:

      accord quickstart

      accord quickstart --fast

      accord quickstart --seed 1 --set rounds=3

      accord quickstart --single --set policy.optimization.steps=40
    """
    from accord.cli.narrator import TerminalNarrator
    from accord.pipeline.configuration import apply_to
    from accord.pipeline.quickstart import quickstart_config, single_pass_config
    from accord.pipeline.rounds.reading import is_loop
    from accord.pipeline.rounds.releasing import STAGES
    from accord.pipeline.rounds.running import start_loop
    from accord.pipeline.running import resume_run, start_run

    space = open_workspace(workspace)
    if resume is not None:
        if is_loop(space.run(resume)):
            resume_loop(resume, "", workspace, as_json=as_json, is_opened=is_opened)
            return
        finish(resume_run(space, resume, narrator=TerminalNarrator()), as_json=as_json, is_opened=is_opened)
        return
    if is_single:
        config = apply_to(single_pass_config(seed=seed, is_fast=is_fast), overrides or [])
        narrator = TerminalNarrator()
        outcome = start_run(space, config, kind="quickstart", command=sys.argv, narrator=narrator)
        finish(outcome, as_json=as_json, is_opened=is_opened)
        return
    loop = apply_to(quickstart_config(seed=seed, is_fast=is_fast), overrides or [])
    stages = 1 + len(STAGES) * loop.rounds
    ended = start_loop(
        space, loop, kind="quickstart", command=sys.argv, narrator=TerminalNarrator(total=stages)
    )
    finish_loop(ended, as_json=as_json, is_opened=is_opened)
