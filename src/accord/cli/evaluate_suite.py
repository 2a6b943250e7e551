"""`accord evaluate suite`: any suite, on a model or on a file of answers or predictions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accord.cli.measurements import JsonOption, SeedOption, show_measurements
from accord.cli.render import print_text, progress_note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accord.evaluation.measurement import Measurement

ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="DIR", help="Run it on this model: folder, name or hub id."),
]
IncumbentOption = Annotated[
    str | None,
    typer.Option(
        "--incumbent",
        metavar="DIR",
        help="With --model: also on this one, with paired differences.",
        show_default=False,
    ),
]
ResponsesOption = Annotated[
    str | None,
    typer.Option("--responses", metavar="FILE", help="One labeled answer an item.", show_default=False),
]
PredictionsOption = Annotated[
    str | None,
    typer.Option(
        "--predictions",
        metavar="FILE",
        help="One prediction or its log-probabilities an item.",
        show_default=False,
    ),
]
ColumnOption = Annotated[
    str | None,
    typer.Option(
        "--column",
        help="Column of the answers, for bbq, bold, harmful_prompts and xstest.",
        show_default=False,
    ),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", help="With --model: items at most, drawn by the seed.", min=1)
]
TokensOption = Annotated[int, typer.Option("--max-tokens", help="With --model: of a sampled answer.", min=1)]
LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--labels",
        help="With --model: who labels refusals (scores for bold): `rule`, the default, by phrases; "
        "`llm:MODEL@URL`; or `module:function` of (prompt, answer); `none` to label them yourself.",
        show_default="rule",
    ),
]
ErrorsOption = Annotated[
    Path | None,
    typer.Option(
        "--label-errors",
        metavar="FILE",
        help="What `accord evaluate labels --json` printed of these labels: corrects refusal rates by it.",
        show_default=False,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="With --model: write the model's answers to this file.", show_default=False),
]


def suite(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="bbq, bold, crows_pairs, harmful_prompts, ifeval, jailbreak, model_written, sycophancy, "
            "truthfulqa, winogender, winogenerated or xstest.",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="FILE",
            help="The public file: JSONL, JSON, CSV or TSV (also .gz), or hub:OWNER/NAME/PATH[@REVISION].",
        ),
    ],
    model: ModelOption = None,
    incumbent: IncumbentOption = None,
    responses: ResponsesOption = None,
    predictions: PredictionsOption = None,
    column: ColumnOption = None,
    limit: LimitOption = None,
    max_tokens: TokensOption = 256,
    labels: LabelsOption = None,
    label_errors: ErrorsOption = None,
    out: OutOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Score one suite: every number with its interval, and where model, data and answers come from.

    With --model the items are put to a model, by likelihood or by sampling as the suite wants it;
    else a file of answers or predictions is scored.

    \b
    Examples:
      accord evaluate suite crows_pairs --data crows_pairs.csv.gz --model smollm2 --limit 200
      accord evaluate suite ifeval --data prompts.jsonl.gz --model runs/policy --incumbent smollm2 --json
      accord evaluate suite xstest --data prompts.csv --model runs/policy --incumbent smollm2 --json
      accord evaluate suite xstest --data prompts.csv --model runs/policy --label-errors errors.json
      accord evaluate suite xstest --data prompts.csv --responses labeled.csv --column final_label
      accord evaluate suite bbq --data questions.jsonl.gz --predictions answers.csv --column prediction
      accord evaluate suite jailbreak --data outcomes.csv.gz --json
    """
    from accord.evaluation.suites.catalog import find_suite
    from accord.pipeline.hub_files import find_data_file

    data = find_data_file(data)
    if responses is not None and predictions is not None:
        raise typer.BadParameter("give either --responses or --predictions, both name the file of answers")
    if model is not None:
        if responses is not None or predictions is not None:
            raise typer.BadParameter("give either --model or a file of answers")
        settings = {"name": name, "data": Path(data), "limit": limit, "max_tokens": max_tokens, "seed": seed}
        settings["column"] = column
        _run(
            model,
            settings,
            incumbent=incumbent,
            labels=labels,
            label_errors=label_errors,
            out=out,
            as_json=as_json,
        )
        return
    if incumbent is not None:
        raise typer.BadParameter("--incumbent goes with --model")
    scorer = find_suite(name, column=column)
    run = scorer.load(data, responses if responses is not None else predictions)
    measured, facts = _corrected(scorer.score(run, seed=seed), run.facts, label_errors)
    show_measurements(measured, facts, as_json=as_json)


def _corrected(
    measured: "Sequence[Measurement]", facts: "Mapping[str, Any]", path: Path | None
) -> "tuple[Sequence[Measurement], dict[str, Any]]":
    """Refusal rates corrected by errors that a file holds; all as it is without a file."""
    if path is None:
        return measured, dict(facts)
    from accord.domain.errors import DataError
    from accord.evaluation.judges.label_errors import correct_refusals, read_label_errors

    errors, labels = read_label_errors(path)
    own = facts.get("labels")
    if own is not None and own != labels:
        raise DataError(f"holds the errors of {labels!r}; these labels are of {own!r}", path=str(path))
    known = errors["refusal"]
    source = f"{known.really_positive + known.really_negative} answers that people labeled"
    made = correct_refusals(measured, errors, source=source)
    trust = f"corrected by Rogan-Gladen with {source}"
    return made, {**facts, "labels": labels, "labels_trust": trust, "label_errors_file": str(path)}


def _run(
    model: str,
    settings: dict[str, Any],
    *,
    incumbent: str | None,
    labels: str | None,
    label_errors: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Put the suite to a model, or to two; exit code 2 where answers are there and numbers are not."""
    from accord.evaluation.judges.labels import REFUSAL, SENTIMENT
    from accord.evaluation.suites.asking import SAMPLED
    from accord.evaluation.suites.catalog import find_suite
    from accord.evaluation.suites.pairing import pair_suites
    from accord.models import load_model
    from accord.pipeline.labelers import find_labeler
    from accord.pipeline.suite_running import SuiteRequest, common_items, run_suite

    request = SuiteRequest(**settings)
    wanted = request.column or SAMPLED.get(request.name, "response")
    cache = None if out is None else out.parent / "labels"
    is_labeled = wanted in (REFUSAL, SENTIMENT) and labels != "none"
    labeler = find_labeler(labels or "rule", wanted, cache=cache) if is_labeled else None
    progress_note(f"loading {model}")
    found = run_suite(request, load_model(model), labeler=labeler, report_progress=progress_note)
    if out is not None:
        found.write_answers(out)
    facts = dict(found.run.facts)
    measured: Sequence[Measurement] = found.measurements
    if found.not_measured:
        facts["not_measured"] = found.not_measured
    elif incumbent is not None:
        progress_note(f"loading {incumbent}")
        other = run_suite(request, load_model(incumbent), labeler=labeler, report_progress=progress_note)
        suite = find_suite(request.name, column=request.column)
        if other.not_measured:
            facts["not_paired"] = other.not_measured
            measured, facts = _corrected(measured, facts, label_errors)
            show_measurements(measured, facts, as_json=as_json)
            raise typer.Exit(2)
        paired = pair_suites(suite, *common_items(found.run, other.run), seed=request.seed)
        measured = paired.measurements
        facts |= {"incumbent": other.run.facts["model"], "incumbent_weights": other.run.facts["weights"]}
        facts["not_paired"] = ", ".join(paired.not_paired) or "none"
    measured, facts = _corrected(measured, facts, label_errors)
    show_measurements(measured, facts, as_json=as_json)
    if "labels_trust" in facts and not as_json:
        print_text(f"careful: labels are {facts['labels_trust']}")
    if found.not_measured:
        if not as_json:
            print_text(f"not measured: {found.not_measured}")
        raise typer.Exit(2)
