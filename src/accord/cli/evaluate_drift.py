"""`accord evaluate drift`: has anything moved, what was it, and what to do about it?"""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.measurements import JsonOption, SeedOption, show_measurements
from accord.cli.render import print_table


def drift(
    reference: Annotated[
        Path,
        typer.Argument(
            metavar="REFERENCE",
            help="Rows of then: prompt_id and prompt, answer, features, votes_left and votes_right, hit, "
            "judge_hit, prompt_nll.",
        ),
    ],
    current: Annotated[Path, typer.Argument(metavar="CURRENT", help="Rows of now, of the same fields.")],
    anchors: Annotated[
        Path | None,
        typer.Option(
            "--anchors",
            help="Pairs labeled then and now: pair, old_left, old_right, new_left, new_right.",
            show_default=False,
        ),
    ] = None,
    reference_model: Annotated[
        str | None,
        typer.Option(
            "--reference-model",
            metavar="DIR",
            help="Also measure how unlikely this model finds the prompts: folder, name or hub id.",
            show_default=False,
        ),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Name what drifted, prompts, preferences or the policy's answers, and the action each asks for.

    Tests on features of a model where the rows have them (`features`, `prompt_features`), else on plain
    features of the texts. Agreement of annotators, of the reward model and of the judge with people are
    watched row by row (Page-Hinkley, ADWIN). The chance of any false name is 1 of 100. `--json` is what
    `accord gate` reads, with the control charts for its report.

    \b
    Examples:
      accord evaluate drift may.jsonl june.jsonl
      accord evaluate drift sft-answers.jsonl policy-answers.jsonl --anchors anchors.csv --json
      accord evaluate drift may.jsonl june.jsonl --reference-model smollm2
    """
    from accord.evaluation.drift.measurements import measure_drift
    from accord.evaluation.drift.rows import read_anchors, read_drift_rows
    from accord.evaluation.report.comparison import Evidence

    old, new = read_drift_rows(reference), read_drift_rows(current)
    if reference_model is not None:
        from accord.models import load_model
        from accord.pipeline.prompt_surprise import add_prompt_nll

        loaded = load_model(reference_model)
        old, new = add_prompt_nll(loaded, old), add_prompt_nll(loaded, new)
    found = measure_drift(old, new, None if anchors is None else read_anchors(anchors), seed=seed)
    facts = {
        "reference_sha256": old.facts["sha256"],
        "current_sha256": new.facts["sha256"],
        "rows": f"{old.facts['rows']} and {new.facts['rows']}",
        "seed": seed,
    }
    show_measurements(
        found.measurements,
        facts,
        as_json=as_json,
        not_measured=found.not_measured,
        evidence=Evidence(drift=found.charts),
    )
    if not as_json:
        print_table(
            ("kind of drift", "found", "p (Holm)", "evidence", "do"),
            [
                (one.kind.value, one.is_found, one.adjusted_p, one.evidence, one.action)
                for one in found.findings
            ],
        )
