"""`accord evaluate import`: other tools' logs as runs of scored items."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accord.cli.measurements import JsonOption, SeedOption
from accord.cli.render import print_json, print_table, print_text, progress_note

if TYPE_CHECKING:
    from accord.evaluation.imports.record import ImportedRun
    from accord.evaluation.measurement import Measurement


def import_command(
    format: Annotated[
        str,
        typer.Argument(metavar="FORMAT", help="lm-eval, inspect, garak, promptfoo or alpaca-eval."),
    ],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Its logs: samples_*.jsonl and results_*.json, .eval or .json, *.report.jsonl, output "
            "as JSON, annotations.json (text also as .gz).",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RUN.jsonl", help="Write the runs, one line an item."),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="NAME", help="Only this run, where there are several.")
    ] = None,
    rename: Annotated[
        str | None, typer.Option("--name", help="Call the run so; the log's own name else.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="FIELD", help="Items with one value of it are resampled together."),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Read another tool's logs: what was measured, with intervals, and what is missing.

    The file of --out is what `accord evaluate paired` compares; the JSON is what `accord gate` reads.

    \b
    Examples:
      accord evaluate import lm-eval out/gpt2/samples_boolq_*.jsonl out/gpt2/results_*.json --out gpt2.jsonl
      accord evaluate import inspect logs/run.eval --json
    """
    from dataclasses import replace

    from accord.evaluation.imports.formats import import_logs
    from accord.evaluation.imports.levels import run_levels
    from accord.evaluation.imports.matching import pick_run
    from accord.evaluation.imports.run_file import write_run_file

    runs = import_logs(format, files, cluster_field=cluster)
    if run is not None or rename is not None:
        runs = [pick_run(runs, run, source=str(files[0]))]
    if rename is not None:
        runs = [replace(runs[0], name=rename)]
    if out is not None:
        write_run_file(out, runs)
        progress_note(f"{sum(len(one.items) for one in runs):,} items of {len(runs)} runs in {out}")
    show_runs(runs, [level for one in runs for level in run_levels(one, seed=seed)], as_json=as_json)


def show_runs(runs: "list[ImportedRun]", measured: "list[Measurement]", *, as_json: bool) -> None:
    """Print what was measured, a row a metric, and what to be careful about; or all of it as JSON."""
    if as_json:
        told = [
            {
                "run": one.name,
                "tool": one.tool,
                "tasks": one.tasks,
                "items": len(one.items),
                "settings": one.settings,
                "notes": one.notes,
                "sources": one.sources,
            }
            for one in runs
        ]
        print_json({"runs": told, "measurements": measured})
        return
    print_table(
        ("run", "metric", "slice", "value", "low", "high", "n", "missing"),
        [
            (
                one.facts["run"],
                one.metric,
                one.slice,
                one.estimate.value if one.estimate.n else None,
                one.estimate.low if one.estimate.has_interval else None,
                one.estimate.high if one.estimate.has_interval else None,
                one.estimate.n,
                one.facts["missing"],
            )
            for one in measured
        ],
    )
    for one in runs:
        for note in one.notes:
            print_text(f"{one.name}: {note}")
