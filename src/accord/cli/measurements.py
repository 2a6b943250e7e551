"""What the commands that print measurements share: their options, the table and the JSON."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accord.cli.render import print_json, print_table, print_text

if TYPE_CHECKING:
    from accord.evaluation.measurement import Measurement
    from accord.evaluation.report.comparison import Evidence

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the bootstrap.")]


def show_measurements(
    measured: "Sequence[Measurement]",
    facts: Mapping[str, Any],
    *,
    as_json: bool,
    not_measured: Mapping[str, str] | None = None,
    evidence: "Evidence | None" = None,
) -> None:
    """Print one row a measurement, then where the numbers come from; or all of it as JSON.

    `not_measured` names what has no number and why; `evidence` goes into the JSON, for the report.
    """
    if as_json:
        shared = set(facts)
        rows = [
            {
                "metric": item.metric,
                "slice": item.slice,
                "versus": item.versus,
                "estimate": item.estimate,
                "deviation": item.deviation,
                "facts": {name: value for name, value in item.facts.items() if name not in shared},
            }
            for item in measured
        ]
        whole: dict[str, Any] = {"facts": facts, "measurements": rows}
        if not_measured:
            whole["not_measured"] = dict(not_measured)
        if evidence is not None:
            from accord.evaluation.report.encoding import encode

            whole["evidence"] = {name: part for name, part in encode(evidence).items() if part}
        print_json(whole)
        return
    print_table(
        ("metric", "slice", "value", "low", "high", "n"),
        [
            (
                item.metric,
                item.slice if item.versus == "nothing" else f"{item.slice}, minus the incumbent",
                item.estimate.value,
                item.estimate.low if item.estimate.has_interval else None,
                item.estimate.high if item.estimate.has_interval else None,
                item.estimate.n,
            )
            for item in measured
        ],
    )
    for metric, reason in (not_measured or {}).items():
        print_text(f"not measured: {metric}: {reason}")
    print_text("\n".join(f"{name}: {value}" for name, value in facts.items()))
