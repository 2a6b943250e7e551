"""What the commands that print measurements share: their options, the table and the JSON."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accord.cli.render import print_json, print_table, print_text

if TYPE_CHECKING:
    from accord.evaluation.measurement import Measurement

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the bootstrap.")]


def show_measurements(measured: "Sequence[Measurement]", facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one row a measurement, then where the numbers come from; or all of it as JSON."""
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
        print_json({"facts": facts, "measurements": rows})
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
    print_text("\n".join(f"{name}: {value}" for name, value in facts.items()))
