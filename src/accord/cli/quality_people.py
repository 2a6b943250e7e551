"""`accord quality annotators` and `preferences`: who judges how, and what judgments of pairs become."""

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


def annotators(
    labels: LabelFiles,
    gold: GoldOption = None,
    columns: ColumnOption = None,
    repeats: RepeatsOption = "first",
    format: FormatOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say of every annotator how much his labels are worth, and what stands out, with the evidence.

    Nobody is to be removed for disagreeing with the crowd alone. With times, drift and fatigue are looked
    for; with repeats, whether he agrees with himself; with gold, gold that the crowd contradicts is named.

    \b
    Examples:
      accord quality annotators labels.jsonl
      accord quality annotators labels.jsonl --gold gold.jsonl --json
    """
    from accord.pipeline.quality_annotators import annotators_json, assess_labels
    from accord.pipeline.quality_labels import load_labels

    found = load_labels(labels, gold_path=gold, **read_options(columns, repeats, format))
    if not as_json:
        note_input(found.facts)
    assessment, method = assess_labels(found, seed=seed)
    if as_json:
        print_json(annotators_json(found, assessment, method))
        return
    rows = [
        (
            str(row.annotator),
            row.n_labels,
            row.agreement.value,
            row.agreement.low,
            row.agreement.high,
            row.value.value.value,
            None if row.gold is None else row.gold.accuracy.value,
            str(row.verdict),
        )
        for row in sorted(assessment.rows, key=lambda one: one.value.value.value or 0.0)
    ]
    print_table(
        ("annotator", "labels", "right", "low", "high", "worth", "on gold", "verdict"),
        rows,
        title=f"Least worth first; right by {method} consensus without his own label, uncalibrated",
    )
    for row in assessment.rows:
        if row.reasons:
            print_text(f"{row.annotator} ({row.verdict}): {' '.join(row.reasons)}")
    for doubt in assessment.gold_doubts:
        if doubt.is_flagged:
            print_text(f"gold in doubt: {doubt.item}")
    for warning in assessment.warnings:
        print_text(warning, style="bold")


def preferences(
    judgments: Annotated[
        list[str],
        typer.Argument(metavar="JUDGMENTS...", help="Comparisons by annotators."),
    ],
    method: Annotated[
        str,
        typer.Option("--method", help="annotator_aware, dawid_skene, vote_share or majority."),
    ] = "annotator_aware",
    weighting: Annotated[
        str, typer.Option("--weighting", help="Weight of a pair: one, or information (1 less its entropy).")
    ] = "one",
    out: Annotated[
        Path | None, typer.Option("--out", help="Write preferences for training: .jsonl, .csv or .parquet.")
    ] = None,
    repeats: RepeatsOption = "first",
    format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Join judgments of pairs into preferences with probabilities, and say how each annotator judges.

    \b
    Examples:
      accord quality preferences judgments.jsonl --out preferences.jsonl
      accord quality preferences votes.jsonl.gz --method dawid_skene --json
    """
    from accord.pipeline.quality_preferences import preferences_of
    from accord.quality.labels import REPEAT_POLICIES
    from accord.quality.preferences.consensus import METHODS, WEIGHTINGS

    outcome = preferences_of(
        judgments,
        method=checked_choice("--method", method, METHODS),
        weighting=checked_choice("--weighting", weighting, WEIGHTINGS),
        repeats=checked_choice("--repeats", repeats, REPEAT_POLICIES),
        format=format,
    )
    if out is not None:
        outcome.write(out)
    facts = outcome.to_json()
    if as_json:
        print_json(facts)
        return
    print_text(
        f"{facts['n_judgments']:,} judgments of {facts['n_pairs']:,} pairs by {facts['n_annotators']:,} "
        f"annotators; {facts['n_ties']:,} pairs undecided. {facts['note']}"
    )
    position = facts["position_effect"]
    print_text(
        f"pull to the left side, all together: {position['value']:+.3f} logits "
        f"[{position['low']:+.3f}, {position['high']:+.3f}]"
        if position["low"] is not None
        else "pull to the left side: too little to say"
    )
    print_table(
        ("annotator", "judgments", "gain", "low", "high", "tie threshold", "left habit", "low", "high"),
        [
            (
                str(row["annotator"]),
                row["judgments"],
                *(row["gain"][key] for key in ("value", "low", "high")),
                row["tie_threshold"]["value"],
                *(row["left_habit"][key] for key in ("value", "low", "high")),
            )
            for row in facts["annotators"]
        ],
        title="Gain 0 is noise, 1 the usual sharpness, below 0 reversed; thresholds and habits in logits",
    )
    if out is not None:
        progress_note(f"written: {out}")
