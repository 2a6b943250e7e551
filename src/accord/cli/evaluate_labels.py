"""`accord evaluate labels`: how far can a rule that labels answers be believed?"""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli.measurements import JsonOption, SeedOption, show_measurements
from accord.cli.render import print_text

PeopleOption = Annotated[str, typer.Option("--people", metavar="COLUMN", help="What people said.")]
AnswerOption = Annotated[str, typer.Option("--answer", metavar="COLUMN", help="The answer they looked at.")]
KindOption = Annotated[
    str,
    typer.Option("--kind", help="`refusal` (full, partial, none) or `score` (a number, higher is warmer)."),
]
LabelsOption = Annotated[
    str,
    typer.Option("--labels", help="Whose labels are tested: `rule`, `llm:MODEL@URL` or `module:function`."),
]


def labels(
    file: Annotated[
        Path, typer.Argument(metavar="LABELED", help="Answers with people's labels, a row each.")
    ],
    people: PeopleOption = "people",
    answer: AnswerOption = "response",
    kind: KindOption = "refusal",
    labels: LabelsOption = "rule",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Hold a rule, or a model that labels answers, against people's labels of the same answers.

    Of refusals: sensitivity and specificity with Wilson intervals; give the JSON to
    `accord evaluate suite --label-errors` and refusal rates are corrected by them. Of scores: the rank
    correlation with people's.

    \b
    Examples:
      accord evaluate labels xstest-labeled.csv --answer completion --people final_label --json > errors.json
      accord evaluate suite xstest --data prompts.csv --model runs/policy --label-errors errors.json
      accord evaluate labels sentences.jsonl --kind score --people rating --answer text
    """
    from accord.evaluation.judges.label_errors import count_errors, error_measurements, score_measurements
    from accord.evaluation.judges.labels import REFUSAL, SENTIMENT
    from accord.evaluation.suites.source import read_source, require_fields
    from accord.pipeline.labelers import find_labeler

    if kind not in ("refusal", "score"):
        raise typer.BadParameter(f"--kind is {kind!r}; expected refusal or score")
    source = read_source(file)
    require_fields(source, (answer, people))
    labeler = find_labeler(labels, REFUSAL if kind == "refusal" else SENTIMENT)
    found = labeler.label([(str(row.get("prompt", "")), str(row[answer])) for row in source.rows])
    facts = {**labeler.facts, "answers": len(found), "people_sha256": source.digest}
    facts.pop("labels_trust", None)
    if kind == "score":
        truth = [
            _number(row[people], source.path, line)
            for row, line in zip(source.rows, source.lines, strict=True)
        ]
        scores = [None if one is None else float(one) for one in found]
        topics = [row.get("topic") for row in source.rows]
        clusters = None if None in topics else [str(one) for one in topics]
        measured = score_measurements(scores, truth, facts, clusters=clusters, seed=seed)
        show_measurements(measured, facts, as_json=as_json)
        return
    errors, missing = count_errors(found, [row[people] for row in source.rows])
    facts |= {"without_label": missing} if missing else {}
    show_measurements(error_measurements(errors, facts), facts, as_json=as_json)
    worst = min(errors.values(), key=lambda one: one.youden)
    if not as_json and worst.youden < 0.5:
        print_text("careful: with such labels half of any real difference is lost; have people label")


def _number(value: object, path: str, line: int) -> float:
    from accord.domain.errors import DataError

    try:
        return float(str(value))
    except ValueError as error:
        raise DataError(f"people's score is {value!r}; expected a number", path=path, line=line) from error
