"""`accord run`: one pass of the spine from a config file. What it does is in `pipeline/spine.py`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accord.cli.render import print_json, print_text
from accord.cli.runs import JsonOption, WorkspaceOption, open_workspace

if TYPE_CHECKING:
    from accord.pipeline.running import RunOutcome

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one setting: a.b=c. May be repeated.", show_default=False),
]


def run(
    config: Annotated[
        Path | None, typer.Argument(help="TOML file, see docs/configuration.md.", show_default=False)
    ] = None,
    overrides: SetOption = None,
    name: Annotated[str, typer.Option("--name", help="Id of the run; else kind and time.")] = "",
    resume: Annotated[
        str | None,
        typer.Option("--resume", help="Go on with a stopped run: its id, or `latest`.", show_default=False),
    ] = None,
    is_dry: Annotated[
        bool, typer.Option("--dry-run", help="Check the config and print it; run nothing.")
    ] = False,
    is_opened: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tune, learn a reward, optimize, evaluate and report, as a config file says.

    Examples:

      accord run examples/human_preferences.toml --set task.root=../shared/data

      accord run --resume latest
    """
    from accord.cli.narrator import TerminalNarrator
    from accord.pipeline.configuration import dump_config, load_config
    from accord.pipeline.plan import SpineConfig
    from accord.pipeline.running import resume_run, start_run

    if resume is None:
        if config is None:
            raise typer.BadParameter("give a config file, or --resume RUN")
        settings = load_config(SpineConfig, config, overrides or [])
        if is_dry:
            print_text(dump_config(settings))
            return
        outcome = start_run(
            open_workspace(workspace), settings, name=name, command=sys.argv, narrator=TerminalNarrator()
        )
    else:
        outcome = resume_run(open_workspace(workspace), resume, narrator=TerminalNarrator())
    finish(outcome, as_json=as_json, is_opened=is_opened)


def finish(outcome: "RunOutcome", *, as_json: bool, is_opened: bool) -> None:
    """Say what a pass bought, and where its report is."""
    from accord.evaluation import summary_lines

    if as_json:
        print_json(
            {
                "run": outcome.run.id,
                "report": str(outcome.run.report_path),
                "model": str(outcome.run.model_folder),
                "seconds": outcome.seconds,
                "cards": outcome.report.cards,
            }
        )
    else:
        for line in summary_lines(outcome.report):
            print_text(line)
        print_text(f"\nreport  {outcome.run.report_path}\nmodel   {outcome.run.model_folder}")
    if is_opened:
        typer.launch(str(outcome.run.report_path))
