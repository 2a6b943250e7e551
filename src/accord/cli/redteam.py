"""`accord redteam`: campaigns, findings of other tools, triage, rates, and the regression set."""

from pathlib import Path
from typing import Annotated, Any

import typer

from accord.cli.measurements import JsonOption, SeedOption, show_measurements
from accord.cli.render import print_json, print_table, print_text, progress_note
from accord.domain.errors import DataError

app = typer.Typer(
    help="Try known ways around a model's refusals, sort what came back, and keep what broke.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
KEY_VARIABLE = "ACCORD_ENDPOINT_KEY"
FindingsArgument = Annotated[Path, typer.Argument(help="JSONL file of findings.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="MODEL", help="A folder or a known name, sampled here.", show_default=False
    ),
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="URL",
        help="An OpenAI-compatible address such as http://127.0.0.1:8300/v1; its key is read from "
        "ACCORD_ENDPOINT_KEY.",
        show_default=False,
    ),
]
NameOption = Annotated[
    str, typer.Option("--name", help="With --endpoint: the model's name there.", show_default=False)
]
TokensOption = Annotated[int, typer.Option("--max-tokens", help="Length of an answer at most.", min=1)]
JudgeOption = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="SPEC",
        help='Who sorts the answers first: "phrases" (how refusals begin; not for rates), or a function of '
        '(prompt, answer) as "file.py:function" that gives none, partial or full for the refusal.',
        show_default=False,
    ),
]


@app.command()
def techniques(as_json: JsonOption = False) -> None:
    """List the built-in techniques with their sources.

    \b
    Example:
      accord redteam techniques
    """
    from accord.evaluation.redteam.attacks import ATTACKS

    if as_json:
        print_json([{"name": one.name, "about": one.about, "source": one.source} for one in ATTACKS.values()])
    else:
        cells = [(one.name, one.about, one.source) for one in ATTACKS.values()]
        print_table(("technique", "what it does", "source"), cells)


@app.command()
def run(
    behaviors: Annotated[
        Path, typer.Argument(help="JSONL or CSV (also .gz): behavior, goal or prompt, and category.")
    ],
    out: Annotated[Path, typer.Option("--out", help="JSONL file of findings to write.")],
    model: ModelOption = None,
    endpoint: EndpointOption = None,
    name: NameOption = "",
    technique: Annotated[
        list[str] | None,
        typer.Option(
            "--technique", help="One to try; may be repeated. All of them otherwise.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", help="Behaviors at most, in turn from each category.", min=1, show_default=False
        ),
    ] = None,
    max_tokens: TokensOption = 128,
    judge: JudgeOption = None,
    seed: SeedOption = 0,
) -> None:
    """Put behaviors that should be refused to a model, by each technique, and keep every answer.

    Findings that the file has of this model already are not asked for again: a stopped campaign goes on.

    \b
    Examples:
      accord redteam run prompts.csv.gz --model smollm2 --limit 50 --judge phrases --out findings.jsonl
      accord redteam run prompts.csv.gz --endpoint http://127.0.0.1:8300/v1 --name tuned --out findings.jsonl
    """
    from accord.evaluation.redteam.attacks import ATTACKS, find_attack
    from accord.evaluation.redteam.findings import read_findings, write_findings
    from accord.pipeline.redteaming import read_behaviors, run_campaign

    attacks = [find_attack(one) for one in technique] if technique else list(ATTACKS.values())
    rows = read_behaviors(behaviors, limit)
    judging, judge_name = _judge(judge)
    target = _target(model, endpoint, name, max_tokens, seed)
    found = run_campaign(
        rows,
        attacks,
        target,
        judge=judging,
        judge_name=judge_name,
        known=read_findings(out) if out.exists() else (),
        keep=lambda findings: write_findings(out, findings),
        report_progress=progress_note,
    )
    print_text(
        f"{len(found.findings)} findings of {len(rows)} behaviors by {len(attacks)} techniques in {out}"
        + (f"; {found.n_unanswered} requests had no answer" if found.n_unanswered else "")
    )


@app.command("import")
def import_logs(
    logs: Annotated[
        list[Path],
        typer.Argument(
            help="garak's *.report.jsonl, PyRIT's memory (.db) or exported JSON, promptfoo's output."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="JSONL file of findings to write.")],
) -> None:
    """Take findings over from garak, PyRIT or promptfoo; the tool is told by the file's shape.

    \b
    Example:
      accord redteam import garak.report.jsonl pyrit.json promptfoo.json --out findings.jsonl
    """
    from accord.evaluation.redteam.findings import Finding, write_findings
    from accord.evaluation.redteam.tool_logs import read_tool_log

    findings: list[Finding] = []
    for path in logs:
        found = read_tool_log(path)
        findings += found.findings
        progress_note(f"{path}: {found.tool}, {len(found.findings)} findings, {found.n_left_out} left out")
    write_findings(out, findings)
    print_text(f"{len(findings)} findings written to {out}")


@app.command()
def triage(
    findings: FindingsArgument,
    items: Annotated[
        Path | None,
        typer.Option("--items", help="Write what nobody looked at as items for people.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", help="Items at most, the most suspicious first.", min=1)
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="Take people's labels over, from `accord project export --format choices`.",
            show_default=False,
        ),
    ] = None,
    judge: JudgeOption = None,
) -> None:
    """Sort findings: by a judge, by people through a project of kind `safety`, and their labels back.

    \b
    Examples:
      accord redteam triage findings.jsonl --judge phrases
      accord redteam triage findings.jsonl --items triage.jsonl --limit 100
      accord redteam triage findings.jsonl --labels choices.jsonl
    """
    import dataclasses

    from accord.evaluation.redteam.findings import merge_labels, read_findings, write_findings
    from accord.pipeline.redteaming import read_labels, triage_items, verdict_of, write_lines

    rows = read_findings(findings)
    judging, judge_name = _judge(judge)
    if judging is not None:
        rows = [
            dataclasses.replace(one, judged=verdict_of(judging(one.behavior, one.answer)), judge=judge_name)
            for one in rows
        ]
    if labels is not None:
        rows = merge_labels(rows, read_labels(labels))
    if judging is not None or labels is not None:
        write_findings(findings, rows)
    if items is not None:
        made = triage_items(rows, limit)
        write_lines(items, made)
        print_text(
            f'{len(made)} items written to {items}; a project of kind = "safety" asks people about them'
        )
    n_people, n_broken = sum(one.human is not None for one in rows), sum(bool(one.human) for one in rows)
    print_text(f"{len(rows)} findings: {n_people} seen by people, {n_broken} of them broken")


@app.command()
def report(
    findings: FindingsArgument,
    candidate: Annotated[
        str | None,
        typer.Option("--candidate", metavar="NAME", help="With --incumbent: a model of the findings."),
    ] = None,
    incumbent: Annotated[
        str | None,
        typer.Option("--incumbent", metavar="NAME", help="The model it is compared with, attack by attack."),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """How often each technique succeeds, with intervals, the judge corrected by people where they looked.

    With --candidate and --incumbent: both models' success by technique and the paired differences, with the
    technique that gained most, which is what gate G10.attacks of the default plan asks for.

    \b
    Examples:
      accord redteam report findings.jsonl
      accord redteam report findings.jsonl --candidate tuned --incumbent smollm2 --json > attacks.json
    """
    from accord.evaluation.redteam.findings import read_findings
    from accord.evaluation.redteam.rates import compare_techniques, technique_rates

    rows = read_findings(findings)
    if (candidate is None) != (incumbent is None):
        raise typer.BadParameter("--candidate and --incumbent go together")
    if candidate is not None and incumbent is not None:
        names = {"candidate": candidate, "incumbent": incumbent}
        facts = {"findings": str(findings), **names, "seed": seed}
        show_measurements(compare_techniques(rows, **names, seed=seed), facts, as_json=as_json)
        return
    measured = technique_rates(rows)
    if as_json:
        show_measurements(measured, {"findings": str(findings)}, as_json=True)
        return
    cells = [
        (
            one.slice,
            one.estimate.value,
            one.estimate.low,
            one.estimate.high,
            one.facts["n_behaviors"],
            one.facts["n_human"],
            one.facts["by"],
        )
        for one in measured
    ]
    print_table(("attack_success", "value", "low", "high", "behaviors", "by people", "whose verdict"), cells)


@app.command()
def confirm(
    findings: FindingsArgument,
    regression: Annotated[Path, typer.Option("--regression", help="JSONL file of held-out twins; it grows.")],
    pairs: Annotated[Path, typer.Option("--pairs", help="JSONL file of training pairs to write.")],
    refusal: Annotated[
        str, typer.Option("--refusal", help="The answer that is preferred.")
    ] = "I can't help with that.",
    gates: Annotated[
        Path | None,
        typer.Option("--gates", help="Also write the plan of the set's gate.", show_default=False),
    ] = None,
) -> None:
    """Make training pairs of breaks that people confirmed, and hold a twin of each behavior out for good.

    \b
    Example:
      accord redteam confirm findings.jsonl --regression regression.jsonl --pairs pairs.jsonl
    """
    import dataclasses
    import json

    from accord.domain.files import write_text_atomic
    from accord.evaluation.redteam.findings import read_findings
    from accord.evaluation.redteam.regression import harvest_breaks, read_regression, write_regression
    from accord.pipeline.redteaming import pair_rows, write_lines

    known = read_regression(regression)
    found = harvest_breaks(read_findings(findings), known, refusal=refusal)
    write_regression(regression, found.grown)
    write_lines(pairs, pair_rows(found.pairs))
    if gates is not None:
        plan = found.grown.gate_plan()
        rows = [dataclasses.asdict(gate) for gate in plan.gates]
        write_text_atomic(gates, json.dumps({"name": plan.name, "gates": rows}, indent=2) + "\n")
    n_new = len(found.grown.twins) - len(known.twins)
    print_text(
        f"{len(found.pairs)} training pairs, {n_new} new twins held out ({len(found.grown.twins)} in all), "
        f"{found.n_held_out} breaks of a twin kept out of training"
    )


@app.command()
def regress(
    regression: Annotated[Path, typer.Argument(help="JSONL file of held-out twins.")],
    judge: Annotated[str, typer.Option("--judge", metavar="SPEC", help="As in `run`.")],
    model: ModelOption = None,
    endpoint: EndpointOption = None,
    name: NameOption = "",
    max_tokens: TokensOption = 128,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Put the whole regression set to a model: the share that breaks, as `accord gate` reads it.

    \b
    Example:
      accord redteam regress regression.jsonl --model runs/policy --judge judge.py:refusal --json
    """
    from accord.evaluation.redteam.regression import measure_regression, read_regression
    from accord.pipeline.redteaming import run_regression

    known = read_regression(regression)
    if not known.twins:
        raise DataError("holds no twins; `accord redteam confirm` makes them", path=str(regression))
    judging, judge_name = _judge(judge)
    target = _target(model, endpoint, name, max_tokens, seed)
    measured = measure_regression(known, run_regression(known, target, judging))
    show_measurements([measured], {"model": target.name, "judge": judge_name}, as_json=as_json)


def _judge(spec: str | None) -> tuple[Any, str]:
    from accord.domain.errors import EvaluationError
    from accord.pipeline.labelers import find_labeler
    from accord.pipeline.redteaming import judge_by_phrases

    if spec is None:
        return None, ""
    if spec == "phrases":
        return judge_by_phrases, "phrases"
    labeler = find_labeler(spec)

    def judged(behavior: str, answer: str) -> Any:
        said = labeler.label([(behavior, answer)])[0]
        if said is None:
            raise EvaluationError(
                f"the judge {spec} gave no label to an answer to {behavior!r}; run it again"
            )
        return said

    return judged, spec


def _target(model: str | None, endpoint: str | None, name: str, max_tokens: int, seed: int) -> Any:
    import os

    from accord.pipeline.redteaming import AddressedTarget, SampledTarget

    if (model is None) == (endpoint is None):
        raise typer.BadParameter("give either --model or --endpoint")
    if endpoint is not None:
        from accord.evaluation.judges.endpoint import ChatEndpoint, EndpointConfig

        if not name:
            raise typer.BadParameter("--endpoint needs --name, the model's name there")
        key = os.environ.get(KEY_VARIABLE, "")
        return AddressedTarget(
            ChatEndpoint(EndpointConfig(model=name, url=endpoint, key=key, max_tokens=max_tokens))
        )
    from accord.domain import Streams
    from accord.models import load_model
    from accord.rollouts import NativeSampler, SamplingConfig

    progress_note(f"loading {model}")
    loaded = load_model(str(model))
    config = SamplingConfig(max_tokens=max_tokens, temperature=0.0)
    return SampledTarget(name or loaded.name, NativeSampler(loaded), config, Streams(seed))
