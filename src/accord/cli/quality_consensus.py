"""`accord quality consensus` and `curve`: what labels say together, and what more of them would buy."""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.quality_options import (
    ColumnOption,
    FormatOption,
    GoldOption,
    JsonOption,
    LabelFiles,
    RepeatsOption,
    SeedOption,
    checked_choice,
    note_input,
    read_options,
)
from accord.cli.render import print_json, print_table, print_text, progress_note


def consensus(
    labels: LabelFiles,
    gold: GoldOption = None,
    gold_fit: Annotated[
        int,
        typer.Option(
            "--gold-fit",
            help="Known answers, drawn by the seed, to calibrate on; the rest score.",
        ),
    ] = 0,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="auto, majority, vote_share, dawid_skene, averaged, hierarchical, one_coin, glad, mace "
            "or kinds.",
        ),
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write one JSON line an item: item, label, probs, n, calibrated."),
    ] = None,
    columns: ColumnOption = None,
    repeats: RepeatsOption = "first",
    format: FormatOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say what the labels of each item mean together, with probabilities.

    `auto` takes the simplest model that predicts held-out labels as well as the best, and says so.
    Probabilities are calibrated on known answers only; without them the output says uncalibrated.

    \b
    Examples:
      accord quality consensus labels.jsonl --out posterior.jsonl
      accord quality consensus labels.csv --gold gold.csv --gold-fit 30
      accord quality consensus labels.jsonl.gz --method dawid_skene --json
    """
    from accord.pipeline.quality_consensus import consensus_of
    from accord.pipeline.quality_labels import load_labels
    from accord.quality.consensus import METHODS

    name = checked_choice("--method", method, METHODS)
    found = load_labels(labels, gold_path=gold, **read_options(columns, repeats, format))
    if not as_json:
        note_input(found.facts)
    outcome = consensus_of(found, method=name, gold_fit=gold_fit, seed=seed)
    if out is not None:
        outcome.write(out)
    facts = outcome.to_json()
    if as_json:
        print_json(facts)
        return
    print_text(f"method: {facts['method']}. {facts['method_reason']}")
    print_text("calibrated on known answers" if facts["calibrated"] else facts["note"])
    for alarm in facts["alarms"]:
        print_text(f"ALARM: {alarm}", style="bold red")
    if outcome.score is not None and outcome.baseline is not None:
        print_table(
            ("on gold no fit has seen", "value", "low", "high", "items"),
            [
                (what, one.value, one.low, one.high, one.n)
                for what, one in (
                    ("accuracy", outcome.score.accuracy),
                    ("log-loss, nats", outcome.score.log_loss),
                    ("smoothed vote: accuracy", outcome.baseline.accuracy),
                    ("smoothed vote: log-loss", outcome.baseline.log_loss),
                )
            ],
        )
    shares = outcome.consensus.probabilities.mean(axis=0).tolist()
    given = [list(outcome.consensus.labels).count(value) for value in outcome.consensus.classes]
    print_table(
        ("class", "items", "expected share"),
        list(zip(map(str, outcome.consensus.classes), given, shares, strict=True)),
        title=f"{facts['n_items']:,} items, {facts['n_ties']:,} of them undecided",
    )
    if out is not None:
        progress_note(f"written: {out}")


def curve(
    labels: LabelFiles,
    gold: Annotated[str, typer.Option("--gold", help="File of known answers: item and gold.")],
    gold_fit: Annotated[
        int, typer.Option("--gold-fit", help="Known answers to calibrate the stopping rule on.")
    ] = 0,
    orders: Annotated[int, typer.Option("--orders", help="Random orders in which labels are replayed.")] = 4,
    min_labels: Annotated[int, typer.Option("--min-labels", help="Labels an item gets at least.")] = 2,
    max_labels: Annotated[
        int | None, typer.Option("--max-labels", help="Labels an item gets at most.", show_default=False)
    ] = None,
    parts: Annotated[
        int, typer.Option("--parts", help="Parts of items left out in turn for the intervals; 0 is faster.")
    ] = 20,
    columns: ColumnOption = None,
    repeats: RepeatsOption = "first",
    format: FormatOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Replay a collection: what stopping early would have cost, in labels and in accuracy.

    \b
    Examples:
      accord quality curve labels.jsonl --gold gold.jsonl
      accord quality curve labels.jsonl --gold gold.jsonl --gold-fit 200 --json
    """
    from accord.pipeline.quality_labels import load_labels
    from accord.quality.deciding import ReplayConfig, replay_curve

    found = load_labels(labels, gold_path=gold, **read_options(columns, repeats, format))
    config = ReplayConfig(
        n_orders=orders, n_fit=gold_fit, min_labels=min_labels, max_labels=max_labels, n_parts=parts
    )
    if not as_json:
        note_input(found.facts)
    result = replay_curve(found.table, found.gold or {}, config, seed=seed)
    note = (
        "the stopping rule is calibrated on known answers"
        if result.is_calibrated
        else "uncalibrated: epsilon is what the model believes, not what will happen. Use --gold-fit 200"
    )
    if as_json:
        facts = {key: getattr(result, key) for key in ("n_items", "n_scored", "n_orders", "is_calibrated")}
        print_json({**found.facts, **facts, "note": note, "points": result.points, "fixed": result.fixed})
        return
    rows = [
        (
            f"stop at {point.epsilon:g}" if point.epsilon is not None else f"{point.n_fixed} each",
            point.labels_per_item.value,
            point.accuracy.value,
            point.accuracy.low,
            point.accuracy.high,
            point.majority_accuracy.value,
            point.error_of_accepted.value if point.epsilon is not None else None,
            point.adjudicated_share.value if point.epsilon is not None else None,
        )
        for point in (*result.fixed, *result.points)
    ]
    print_table(
        ("rule", "labels an item", "accuracy", "low", "high", "majority", "error if closed", "left open"),
        rows,
        title=f"{result.n_scored} items with gold, mean of {result.n_orders} orders; {note}",
    )
