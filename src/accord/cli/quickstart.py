"""`accord quickstart`: the whole loop on a fresh machine. What it runs is in `pipeline/quickstart.py`."""

import sys
from contextlib import ExitStack, suppress
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from accord.cli.render import progress_note
from accord.cli.run import SetOption, finish, finish_loop, resume_loop
from accord.cli.runs import JsonOption, WorkspaceOption, open_workspace

if TYPE_CHECKING:
    from accord.pipeline.runs import Run
    from accord.pipeline.workspace import Workspace


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
    port: Annotated[
        int,
        typer.Option("--port", help="Where the server listens that you can join at; a free one if taken."),
    ] = 8300,
    stays: Annotated[
        bool | None,
        typer.Option(
            "--stay/--no-stay",
            help="Keep the server after the last round until Ctrl-C; by default in a terminal.",
            show_default=False,
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take SmolLM2-135M through two rounds of judgments, with gates that decide on each release.

    Fine-tunes on demonstrations; then each round the policy answers, a panel of SIMULATED annotators judges
    at a real server (experts, a careless one, one who tires, one who leans left, a spammer), the quality
    engine weighs and pauses them, a reward model learns, the policy is optimized, and gates decide on a
    release. The report holds everything against the panel's true taste.

    The server is up from the first line to the last: sign in at the printed address and judge beside the
    panel; what you say counts from the next round on. Nobody has to.

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
            with ExitStack() as stack:
                door = partial(_open, stack, space, port)
                resume_loop(resume, "", workspace, as_json=as_json, is_opened=is_opened, prepare=door)
                _stay(stays)
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
    narrator = TerminalNarrator(total=1 + len(STAGES) * loop.rounds)
    with ExitStack() as stack:
        door = partial(_open, stack, space, port)
        ended = start_loop(space, loop, kind="quickstart", command=sys.argv, narrator=narrator, prepare=door)
        finish_loop(ended, as_json=as_json, is_opened=is_opened)
        _stay(stays)


def _open(stack: ExitStack, space: "Workspace", port: int, run: "Run") -> None:
    """A door to the run, for as long as the stack is open; its address and password are printed."""
    from accord.pipeline.configuration import load_config
    from accord.pipeline.rounds.guests import open_door
    from accord.pipeline.rounds.plan import LoopConfig

    name = load_config(LoopConfig, run.config_path).name
    door = stack.enter_context(open_door(run.folder / "store.db", name, space, port=port))
    progress_note(door.words)


def _stay(stays: bool | None) -> None:
    """Leave the server up until Ctrl-C, where that was asked for or a person sits there."""
    if not (sys.stdin.isatty() and sys.stdout.isatty() if stays is None else stays):
        return
    progress_note("the server stays up for judging and for the rounds' page; Ctrl-C ends it")
    with suppress(KeyboardInterrupt):
        Event().wait()
