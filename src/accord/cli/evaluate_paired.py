"""`accord evaluate paired`: two runs compared item by item."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accord.cli.measurements import JsonOption, SeedOption
from accord.cli.render import print_json, print_table, print_text

if TYPE_CHECKING:
    from accord.evaluation.imports.comparison import MetricDifference


def paired(
    candidate: Annotated[
        Path,
        typer.Argument(
            metavar="CANDIDATE", help="Run of `accord evaluate import --out`, or a log (also one as .gz)."
        ),
    ],
    incumbent: Annotated[
        Path, typer.Argument(metavar="INCUMBENT", help="The same, of what it is held against.")
    ],
    format: Annotated[
        str | None, typer.Option("--format", help="Of both logs; recognized where it is left out.")
    ] = None,
    candidate_run: Annotated[
        str | None, typer.Option("--candidate-run", metavar="NAME", help="Where the file holds several runs.")
    ] = None,
    incumbent_run: Annotated[
        str | None, typer.Option("--incumbent-run", metavar="NAME", help="Where the file holds several runs.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Only this metric; may be given again.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="FIELD", help="Items with one value of it are resampled together."),
    ] = None,
    mismatched: Annotated[
        str, typer.Option("--mismatched", help="Items shown with different prompts: error, drop or keep.")
    ] = "error",
    alpha: Annotated[float, typer.Option("--alpha", help="Level of intervals and tests, two-sided.")] = 0.05,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say in which metrics one run is better than another, on the items both have.

    McNemar's test for right and wrong, sign flips by cluster else, Holm over all rows; beside each
    difference stands the smallest one that so many items would show. The JSON is what `accord gate` reads.

    \b
    Examples:
      accord evaluate paired new.jsonl old.jsonl
      accord evaluate paired new.eval old.eval --cluster source --metric match --json
    """
    from accord.evaluation.imports.comparison import compare_runs, to_measurements
    from accord.evaluation.imports.formats import read_runs
    from accord.evaluation.imports.matching import Mismatched, match_runs, pick_run

    chosen: Mismatched = mismatched  # type: ignore[assignment]  # checked where it is used
    runs = [
        pick_run(read_runs(path, format, cluster_field=cluster), name, source=str(path))
        for path, name in ((candidate, candidate_run), (incumbent, incumbent_run))
    ]
    matched = match_runs(runs[0], runs[1], mismatched=chosen)
    rows = compare_runs(matched, metrics=metric or (), alpha=alpha, seed=seed)
    counts = {
        "pairs": len(matched.pairs),
        "only_candidate": matched.only_candidate,
        "only_incumbent": matched.only_incumbent,
        "mismatched": matched.mismatched,
        "unchecked": matched.unchecked,
    }
    if as_json:
        facts = {"candidate": runs[0].name, "incumbent": runs[1].name, "alpha": alpha, "seed": seed}
        print_json(
            {
                "facts": {**facts, **counts},
                "notes": matched.notes,
                "differences": rows,
                "measurements": to_measurements(rows, matched, seed=seed),
            }
        )
        return
    show_differences(rows)
    print_text(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items()))
    for note in matched.notes:
        print_text(note)


def show_differences(rows: "Sequence[MetricDifference]") -> None:
    """Print one row a metric and slice."""
    cells = []
    for row in rows:
        gain = row.difference
        is_there = row.verdict != "not measured"
        cells.append(
            (
                row.metric,
                row.slice,
                row.candidate.value if is_there else None,
                row.incumbent.value if is_there else None,
                f"{gain.value:+.4f}" if is_there else None,
                f"[{gain.low:+.4f}, {gain.high:+.4f}]" if gain.has_interval else None,
                f"{row.adjusted_p:.3g}" if is_there else None,
                row.detectable,
                gain.n,
                row.missing,
                row.verdict,
            )
        )
    columns = ("metric", "slice", "candidate", "incumbent", "difference", "interval", "Holm p", "detectable")
    print_table((*columns, "pairs", "missing", "candidate is"), cells)
