"""`accord runs` and `accord show`: what has been run, and what came of it. Changes nothing."""

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accord.cli.render import format_cell, print_json, print_table, print_text

if TYPE_CHECKING:
    from accord.pipeline.runs import Run, RunRecord
    from accord.pipeline.workspace import Workspace

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        help="Folder of runs and artifacts; else ACCORD_WORKSPACE, else accord-workspace here.",
        show_default=False,
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def list_runs(
    workspace: WorkspaceOption = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="Only runs of this kind: sft, reward, rloo, quickstart, ...")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs of the workspace, the latest first."""
    space = open_workspace(workspace)
    records = [run.record for run in space.runs()]
    if kind is not None:
        records = [record for record in records if record.kind == kind]
    now = space.clock.now()
    if as_json:
        print_json([run_row(record, now) for record in records])
    elif not records:
        print_text(f"no runs in {space.root}" + ("" if kind is None else f" of kind {kind}"))
    else:
        rows = [
            (record.id, record.kind, record.status, record.started, record.duration(now), record.headline)
            for record in records
        ]
        print_table(("run", "kind", "status", "started", "duration", "result"), rows, is_folded=False)


def show_run(
    run: Annotated[str, typer.Argument(help="Id of the run, the beginning of it, or `latest`.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: status, result, metrics, artifacts, config and where it came from."""
    space = open_workspace(workspace)
    found = space.run(run)
    if as_json:
        print_json(run_details(found, space.clock.now()))
        return
    record = found.record
    print_table(("run", record.id), summary_rows(found, record, space.clock.now()))
    print_metrics(found)
    if record.artifacts:
        print_text("")
        print_table(("artifact", "place"), list(record.artifacts.items()))
    print_text("\nconfig", style="bold")
    print_text(read_config(found).rstrip())
    print_text("")
    print_table(("provenance", ""), provenance_rows(record))


def open_workspace(option: Path | None) -> "Workspace":
    """The workspace that the option, the environment or the default names."""
    from accord.pipeline.workspace import Workspace, workspace_root

    return Workspace(workspace_root(option, os.environ))


def run_row(record: "RunRecord", now: datetime) -> dict[str, Any]:
    """One run as `accord runs --json` prints it."""
    return {
        "id": record.id,
        "kind": record.kind,
        "status": record.status,
        "started": record.started,
        "finished": record.finished,
        "seconds": record.duration(now),
        "headline": record.headline,
        "message": record.message,
    }


def run_details(run: "Run", now: datetime) -> dict[str, Any]:
    """One run as `accord show --json` prints it."""
    from accord.pipeline.summary import summarize_metrics

    record = run.record
    return {
        **run_row(record, now),
        "folder": run.folder,
        "report": run.report_path if run.report_path.exists() else None,
        "command": record.command,
        "seed": record.seed,
        "metrics": summarize_metrics(run.metrics()),
        "artifacts": record.artifacts,
        "config": read_config(run),
        "provenance": record.provenance,
    }


def summary_rows(run: "Run", record: "RunRecord", now: datetime) -> list[tuple[str, str]]:
    """The head of `accord show`, without the lines that have nothing to say."""
    lines = {
        "kind": record.kind,
        "status": f"{record.status}: {record.message}" if record.message else record.status,
        "result": record.headline,
        "started": record.started,
        "duration": record.duration(now),
        "report": run.report_path if run.report_path.exists() else None,
        "folder": run.folder,
        "command": " ".join(record.command),
    }
    return [(name, format_cell(value)) for name, value in lines.items() if value]


def print_metrics(run: "Run") -> None:
    """One table of metrics for each stage; nothing where none were logged."""
    from accord.pipeline.summary import summarize_metrics

    summaries = summarize_metrics(run.metrics())
    for stage in dict.fromkeys(summary.stage for summary in summaries):
        print_text("")
        rows = [
            (summary.name, summary.kind, summary.first, summary.last, summary.count)
            for summary in summaries
            if summary.stage == stage
        ]
        heading = f"metrics of {stage}" if stage else "metrics"
        print_table((heading, "", "first", "last", "rows"), rows)


def provenance_rows(record: "RunRecord") -> list[tuple[str, str]]:
    """Code, packages, machine, seed and data, a line each."""
    origin = record.provenance
    machine = origin.machine
    memory = "" if machine.memory_gb is None else f", {machine.memory_gb} GB"
    rows = [
        ("accord", str(origin.code)),
        ("python", origin.python),
        ("packages", ", ".join(f"{name} {version}" for name, version in origin.packages.items())),
        ("machine", f"{machine.system}, {machine.cores} cores{memory}, {machine.cpu}"),
        ("cpu features", ", ".join(machine.cpu_features) or "-"),
        ("seed", str(record.seed)),
    ]
    return rows + [(f"data {path}", f"sha256 {digest[:16]}") for path, digest in origin.data.items()]


def read_config(run: "Run") -> str:
    """The config of a run as it was written; empty when the run died before writing it."""
    return run.config_path.read_text(encoding="utf-8") if run.config_path.exists() else ""
