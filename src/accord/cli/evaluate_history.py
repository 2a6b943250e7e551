"""`accord evaluate history`: what became of each gate, release after release."""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.measurements import JsonOption
from accord.cli.render import print_json, print_table, print_text


def history(
    file: Annotated[
        Path, typer.Argument(metavar="HISTORY", help="Releases, as `accord gate --history` wrote them.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show each gate's number through the releases, and whether the last one is better or worse.

    A change counts where its interval leaves 0. Intervals are those of independent samples, and rather too
    wide where releases answer the same prompts: `accord evaluate compare` pairs them.

    \b
    Examples:
      accord evaluate history releases.jsonl
      accord evaluate history releases.jsonl --json
    """
    from accord.evaluation.gates.history import heldout_uses, history_series, read_history, worn_words

    records = read_history(file)
    uses = heldout_uses(file)
    series = history_series(records)
    if as_json:
        rows = [{**vars(one), "change": one.change, "trend": one.trend} for one in series]
        releases = [
            {
                "release": one.release,
                "day": one.day.isoformat(),
                "plan": one.plan,
                "plan_hash": one.plan_hash,
                "verdict": one.verdict,
            }
            for one in records
        ]
        print_json({"releases": releases, "gates": rows, "heldout": [vars(one) for one in uses]})
        return
    names = [one.release for one in records]
    cells = []
    for one in series:
        numbers = [
            "-" if value is None else f"{value.value:.4g} {verdict}"
            for value, verdict in zip(one.values, one.verdicts, strict=True)
        ]
        kind = one.metric if one.slice == "all" else f"{one.metric}, {one.slice}"
        kind += "" if one.is_level else ", against the incumbent"
        change = None if one.change is None else one.change.value
        cells.append((one.id, kind, *numbers, change, one.trend))
    print_table(("gate", "metric", *names, "change", "trend"), cells)
    print_text("releases: " + ", ".join(f"{one.release} {one.verdict} ({one.day})" for one in records))
    for use in uses:
        print_text(f"judged on {use.name}: {use.uses} times, {len(use.releases)} releases")
    for said in worn_words(uses):
        print_text(f"careful: {said}")
    if len({one.plan_hash for one in records}) > 1:
        print_text("careful: the plan of gates changed between these releases")
