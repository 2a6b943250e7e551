"""`accord gate`: hold measured numbers against a plan and say whether to release."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accord.cli.quality_options import JsonOption
from accord.cli.render import print_json, print_table, print_text

if TYPE_CHECKING:
    from accord.evaluation.gates.verdict import Release

HistoryOption = Annotated[
    Path | None,
    typer.Option(
        "--history",
        help="Add this release to a file of releases, and show them in the report.",
        show_default=False,
    ),
]
ReleaseOption = Annotated[
    str,
    typer.Option("--release", metavar="NAME", help="Names the release in --history.", show_default=False),
]


def gate(
    plan: Annotated[str, typer.Argument(help="TOML, YAML or JSON file of gates, or `default`.")],
    results: Annotated[list[Path], typer.Argument(help="JSON files of measurements, as --json prints them.")],
    junit: Annotated[Path | None, typer.Option("--junit", help="Also write JUnit XML to this file.")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write the report, one HTML page, to this file.")
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence",
            help="JSON of further parts of the report: curves, calibration, safety, bias, drift, votes.",
        ),
    ] = None,
    history: HistoryOption = None,
    release_name: ReleaseOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say of each gate, and of the release: pass, fail, undecided or not measured.

    Exit codes: 0 pass, 1 fail (or an error), 2 undecided or not measured.

    \b
    Examples:
      accord gate default results.json --report release.html
      accord gate plan.toml winrate.json suites.json --junit gates.xml --json
      accord gate default results.json --history releases.jsonl --release 1.2 --report release.html
    """
    from accord.domain.clock import SystemClock
    from accord.domain.files import write_text_atomic
    from accord.evaluation.gates.junit import to_junit
    from accord.evaluation.gates.plan import read_plan
    from accord.evaluation.gates.results_file import read_results
    from accord.evaluation.gates.verdict import judge_release

    if (history is None) != (not release_name.strip()):
        raise typer.BadParameter("--history and --release go together: a file, and the release's name in it")
    gates = read_plan(plan)
    found = [read_results(path) for path in results]
    measured = [one for part in found for one in part.measurements]
    reasons = {name: reason for part in found for name, reason in part.not_measured.items()}
    today = SystemClock().now().date()
    release = judge_release(gates, measured, today=today, reasons=reasons)
    records, worn = [], []
    if history is not None:
        from accord.evaluation.gates.history import add_release, heldout_uses, record_release, worn_words

        records = add_release(history, record_release(release_name, release, measured, day=today))
        worn = worn_words(heldout_uses(history))
    if junit is not None:
        write_text_atomic(junit, to_junit(release))
    if report is not None:
        from accord.evaluation.report.comparison import (
            comparison_to_html,
            evidence_of,
            history_evidence,
            join_evidence,
            read_evidence,
            report_release,
        )

        given = [] if evidence is None else [read_evidence(evidence)]
        given += [history_evidence(records)] if records else []
        made = report_release(
            release,
            measured,
            evidence=join_evidence([*given, evidence_of(found)]),
            not_measured=reasons,
            notes=worn,
        )
        write_text_atomic(report, comparison_to_html(made))
    _show(release, worn, as_json=as_json)
    raise typer.Exit(release.exit_code)


def _show(release: "Release", worn: list[str], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "id": one.gate.id,
                "metric": one.gate.metric,
                "slice": one.gate.slice,
                "verdict": one.verdict.value,
                "severity": one.gate.severity,
                "reason": one.reason,
                "more_needed": one.more_needed,
                "waived_by": None if one.waiver is None else one.waiver.name,
            }
            for one in release.results
        ]
        facts = {"plan": release.plan_name, "plan_hash": release.plan_hash, "verdict": release.verdict.value}
        print_json({**facts, "gates": rows, "careful": worn})
    else:
        cells = [
            (one.gate.id, one.verdict.value, one.gate.severity, one.reason, one.more_needed)
            for one in release.results
        ]
        print_table(("gate", "verdict", "severity", "because", "rows more"), cells)
        for one in worn:
            print_text(f"careful: {one}")
        print_text(f"release: {release.verdict.value} (plan {release.plan_name}, {release.plan_hash})")
