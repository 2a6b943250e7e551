"""`accord run`: one pass (`pipeline/spine.py`) or a loop of rounds (`pipeline/rounds`) from a config file."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accord.cli.render import print_json, print_table, print_text
from accord.cli.runs import JsonOption, WorkspaceOption, open_workspace

if TYPE_CHECKING:
    from accord.pipeline.rounds.running import LoopOutcome
    from accord.pipeline.running import RunOutcome
    from accord.pipeline.runs import Run

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
    until: Annotated[
        str,
        typer.Option("--until", help="Of a loop: stop after this stage, such as `judge` or `r2-agree`."),
    ] = "",
    is_opened: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tune, learn a reward, optimize, evaluate and report, once or round after round, as a config file says.

    A file that says `type = "loop"` is a loop of rounds: where people judge, the run ends and waits, and
    `--resume` takes it up when they are done.

    Examples:

      accord run examples/human_preferences.toml --set task.root=../shared/data

      accord run examples/loop.toml --dry-run

      accord run --resume latest
    """
    from accord.cli.narrator import TerminalNarrator
    from accord.pipeline.configuration import dump_config, load_config, read_toml
    from accord.pipeline.plan import SpineConfig
    from accord.pipeline.rounds.reading import is_loop
    from accord.pipeline.running import resume_run, start_run

    if resume is None and config is None:
        raise typer.BadParameter("give a config file, or --resume RUN")
    if resume is None and config is not None and read_toml(config).get("type") == "loop":
        run_loop(
            config,
            overrides or [],
            name,
            until,
            workspace,
            is_dry=is_dry,
            as_json=as_json,
            is_opened=is_opened,
        )
        return
    if resume is not None and is_loop(open_workspace(workspace).run(resume)):
        resume_loop(resume, until, workspace, as_json=as_json, is_opened=is_opened)
        return
    if resume is None:
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


def run_loop(
    config: Path,
    overrides: list[str],
    name: str,
    until: str,
    workspace: Path | None,
    *,
    is_dry: bool,
    as_json: bool,
    is_opened: bool,
) -> None:
    """Start a loop of rounds, or print its plan."""
    from accord.cli.narrator import TerminalNarrator
    from accord.pipeline.configuration import dump_config, load_config
    from accord.pipeline.rounds.plan import LoopConfig
    from accord.pipeline.rounds.planning import check_until, plan_rows, plan_total
    from accord.pipeline.rounds.reading import stage_seconds
    from accord.pipeline.rounds.running import start_loop

    settings = load_config(LoopConfig, config, overrides).beside(config)
    if is_dry:
        check_until(settings, until)
        rows = plan_rows(settings, stage_seconds(open_workspace(workspace).runs(), settings.name))
        total = plan_total(rows)
        if as_json:
            print_json({"plan": rows, "total": total, "config": dump_config(settings)})
            return
        currency = settings.card.currency
        columns = ["stage", "what", "how much", "people's hours", f"pay, {currency}", "seconds last time"]
        if "tokens" in total:
            columns += ["endpoint's tokens", f"price, {currency}"]
            for row in (*rows, total):
                row["price"] = "not known" if row["tokens"] and row["price"] is None else row["price"]
        print_table(columns, [*(tuple(row.values()) for row in rows), ("in all", "", "", *total.values())])
        return
    outcome = start_loop(
        open_workspace(workspace),
        settings,
        name=name,
        command=sys.argv,
        narrator=TerminalNarrator(total=None),
        until=until,
    )
    finish_loop(outcome, as_json=as_json, is_opened=is_opened)


def resume_loop(
    key: str,
    until: str,
    workspace: Path | None,
    *,
    as_json: bool,
    is_opened: bool,
    prepare: "Callable[[Run], None]" = lambda run: None,
) -> None:
    """Go on with a loop that stopped or waited."""
    from accord.cli.narrator import TerminalNarrator
    from accord.pipeline.rounds.running import resume_loop as resume

    space, narrator = open_workspace(workspace), TerminalNarrator(total=None)
    outcome = resume(space, key, narrator=narrator, until=until, prepare=prepare)
    finish_loop(outcome, as_json=as_json, is_opened=is_opened)


def finish_loop(outcome: "LoopOutcome", *, as_json: bool, is_opened: bool) -> None:
    """Say what each round bought, and where the report is."""
    if as_json:
        print_json(
            {
                "run": outcome.run.id,
                "report": str(outcome.run.report_path),
                "model": str(outcome.run.model_folder) if outcome.run.model_folder.exists() else None,
                "reason": outcome.reason,
                "rounds": list(outcome.rounds),
            }
        )
    else:
        names = ("win_rate", "win_rate [judge=gold]", "reward_accuracy", "kl_from_tuned")
        rows = [
            (
                one.number,
                "released" if one.is_released else one.verdict,
                one.judgments,
                *(_shown(one.numbers.get(name)) for name in names),
            )
            for one in outcome.rounds
        ]
        print_table(
            ("round", "verdict", "judgments", "win rate", "by taste", "reward model", "KL, nats"), rows
        )
        model = outcome.run.model_folder if outcome.run.model_folder.exists() else "none was released"
        print_text(f"ended: {outcome.reason}\nreport  {outcome.run.report_path}\nmodel   {model}")
    if is_opened:
        typer.launch(str(outcome.run.report_path))


def _shown(row: Mapping[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "-"
    bounds = "" if row["low"] is None else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return f"{row['value']:.2f}{bounds}"


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
