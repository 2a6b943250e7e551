"""`accord evaluate compare`: is the candidate better than the incumbent, and may it be released?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accord.cli.measurements import JsonOption
from accord.cli.render import print_json, print_table, print_text, progress_note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accord.evaluation.comparison import Comparison
    from accord.evaluation.gates.plan import GatePlan
    from accord.evaluation.gates.results_file import Results
    from accord.evaluation.gates.verdict import Release
    from accord.evaluation.report.comparison import Evidence
    from accord.pipeline.comparing_models import CompareConfig

PromptsOption = Annotated[
    Path | None,
    typer.Option("--prompts", help="Any file that has prompts; default: the support task's held-out ones."),
]
JudgeOption = Annotated[
    str | None,
    typer.Option(
        "--judge",
        help="Reward model folder, `module:function` or `file.py:function` of a score, `pair:...` of a "
        "preference for the left answer, `llm:MODEL@URL`, `people:FILE` of exported judgments; default: the "
        "support task's known taste.",
        show_default=False,
    ),
]
GoldOption = Annotated[
    str | None,
    typer.Option(
        "--gold",
        help="A second judge, named the same way, that stands for what is really wanted: gives the "
        "over-optimization gap of the first.",
        show_default=False,
    ),
]
GatesOption = Annotated[str, typer.Option("--gates", help="TOML, YAML or JSON plan of gates, or `default`.")]
LimitOption = Annotated[int, typer.Option("--limit", help="Prompts at most.", min=1)]
TokensOption = Annotated[int, typer.Option("--max-tokens", help="Of an answer.", min=1)]
TemperatureOption = Annotated[
    float, typer.Option("--temperature", help="Of the samples; 0 is greedy and has no KL.", min=0)
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder for answers (kept for the next time), measurements and the report.",
        show_default=False,
    ),
]
EvidenceOption = Annotated[
    Path | None,
    typer.Option(
        "--evidence",
        help="JSON of further parts of the report: curves, calibration, safety, bias, drift, votes.",
        show_default=False,
    ),
]
ResultsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--results",
        help="JSON that another measuring command printed, repeatable: its numbers enter gates and report.",
        show_default=False,
    ),
]
RateOption = Annotated[
    float,
    typer.Option("--judge-rate", help="Requests a minute to a judge behind an endpoint; 0 is all.", min=0),
]
PriceOption = Annotated[
    tuple[float, float],
    typer.Option("--judge-price", help="Of a million tokens asked, and answered, to show the cost."),
]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and could be shown.")]


def compare(
    candidate: Annotated[str, typer.Argument(help="Model folder or name, or a JSONL file of answers.")],
    incumbent: Annotated[str, typer.Argument(help="What it is held against: another of the same.")],
    prompts: PromptsOption = None,
    judge: JudgeOption = None,
    gold: GoldOption = None,
    gates: GatesOption = "default",
    limit: LimitOption = 100,
    max_tokens: TokensOption = 48,
    temperature: TemperatureOption = 0.7,
    seed: Annotated[int, typer.Option("--seed", help="Of the samples and every bootstrap.")] = 0,
    out: OutOption = None,
    results: ResultsOption = None,
    evidence: EvidenceOption = None,
    judge_rate: RateOption = 0.0,
    judge_price: PriceOption = (0.0, 0.0),
    is_dry: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare two models on the same prompts and say of each gate whether the candidate passes.

    Both answer the same prompts with the same draws; a judge compares the answers; every number comes
    with its interval, its paired test and the difference that so many prompts could have shown.
    Exit codes: 0 pass, 1 fail (or an error), 2 undecided or not measured.

    \b
    Examples:
      accord evaluate compare runs/policy smollm2 --out comparison
      accord evaluate compare new.jsonl old.jsonl --judge reward-model --gates plan.toml --json
      accord evaluate compare runs/policy runs/sft --judge reward-model --gold taste
      accord evaluate compare new old --results reward.json --results xstest.json --out release
      accord evaluate compare runs/policy runs/sft --prompts prompts.jsonl --dry-run
    """
    from accord.domain.clock import SystemClock
    from accord.evaluation.gates.plan import read_plan
    from accord.evaluation.gates.results_file import read_results
    from accord.evaluation.gates.verdict import judge_release
    from accord.evaluation.report.comparison import evidence_of, join_evidence, read_evidence
    from accord.pipeline.comparing_models import CompareConfig, compare_models

    config = CompareConfig(
        candidate=candidate,
        incumbent=incumbent,
        prompts=prompts,
        judge=judge,
        gold=gold,
        limit=limit,
        max_tokens=max_tokens,
        temperature=temperature,
        seed=seed,
        judge_rate=judge_rate,
        out=out,
    )
    plan = read_plan(gates)
    if is_dry:
        _show_plan(config, plan, as_json=as_json)
        return
    others = [read_results(path) for path in results or []]
    given = [] if evidence is None else [read_evidence(evidence)]
    joined = join_evidence([*given, evidence_of(others)])
    found = compare_models(config, report_progress=progress_note)
    now = SystemClock().now()
    more = [one for part in others for one in part.measurements]
    reasons = {name: reason for part in others for name, reason in part.not_measured.items()}
    known = {**reasons, **found.not_measured}
    release = judge_release(plan, [*found.measurements, *more], today=now.date(), reasons=known)
    if out is not None:
        _write(out, found, release, joined, others)
    _show_spent(found.facts, judge_price)
    _show(found, release, as_json=as_json)
    raise typer.Exit(release.exit_code)


def _show_spent(facts: "Mapping[str, Any]", price: tuple[float, float]) -> None:
    """What a judge behind an endpoint was asked and what that cost; on stderr, beside any JSON."""
    spent = facts.get("judge_spent")
    if not spent:
        return
    tokens = spent["prompt_tokens"], spent["completion_tokens"]
    words = f"judge: {spent['questions']} questions, {spent['remembered']} remembered, "
    words += f"{tokens[0]:,} tokens asked and {tokens[1]:,} answered"
    if any(price):
        words += f", cost {(tokens[0] * price[0] + tokens[1] * price[1]) / 1e6:.4g}"
    progress_note(words)
    for reason, count in spent["reasons"].items():
        progress_note(f"judge: no verdict {count} times: {reason}")


def _write(
    out: Path,
    found: "Comparison",
    release: "Release",
    evidence: "Evidence",
    others: "Sequence[Results]",
) -> None:
    """Measurements for `accord gate`, and the report as a page and as JSON."""
    import json
    import sys

    from accord.cli.render import json_ready
    from accord.domain.files import write_text_atomic
    from accord.evaluation.report.comparison import report_comparison, write_comparison
    from accord.pipeline.comparing_models import as_measurement_file, lineage_of

    lineage = lineage_of(found, ["accord", *sys.argv[1:]])
    made = report_comparison(
        found,
        release,
        lineage=lineage,
        evidence=evidence,
        others=[one for part in others for one in part.measurements],
        not_measured={name: reason for part in others for name, reason in part.not_measured.items()},
    )
    page = write_comparison(made, out)
    progress_note(f"report: {page}")
    rows = json_ready(as_measurement_file(found))
    write_text_atomic(out / "measurements.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def _show(found: "Comparison", release: "Release", *, as_json: bool) -> None:
    from accord.pipeline.comparing_models import as_measurement_file

    if as_json:
        gates = [
            {
                "id": one.gate.id,
                "metric": one.gate.metric,
                "verdict": one.verdict.value,
                "severity": one.gate.severity,
                "reason": one.reason,
                "more_needed": one.more_needed,
            }
            for one in release.results
        ]
        rest = {"verdict": release.verdict.value, "plan_hash": release.plan_hash, "gates": gates}
        print_json({**as_measurement_file(found), **rest})
        return
    columns = ("metric", "slice", "versus", "value", "low", "high", "n", "p", "could show")
    print_table(columns, [_row(one) for one in found.measurements])
    for metric, reason in found.not_measured.items():
        print_text(f"not measured: {metric}: {reason}")
    decided = [one for one in release.results if one.measurement is not None]
    print_table(
        ("gate", "verdict", "severity", "because", "rows more"),
        [(one.gate.id, one.verdict.value, one.gate.severity, one.reason, one.more_needed) for one in decided],
    )
    others = [one.gate.id for one in release.results if one.measurement is None]
    if others:
        print_text(f"not measured by this command: {', '.join(others)}")
    print_text(f"release: {release.verdict.value} (plan {release.plan_name}, {release.plan_hash})")


def _row(one: Any) -> tuple[Any, ...]:
    estimate = one.estimate
    bounds = (estimate.low, estimate.high) if estimate.has_interval else (None, None)
    p_value = one.facts.get("p_sign_flip", one.facts.get("p_holm"))
    versus = "" if one.versus == "nothing" else one.versus
    shown = one.facts.get("detectable_effect")
    return (one.metric, one.slice, versus, estimate.value, *bounds, estimate.n, p_value, shown)


def _show_plan(config: "CompareConfig", plan: "GatePlan", *, as_json: bool) -> None:
    """What would be asked, and what so many prompts could show."""
    from accord.evaluation.planning import detectable_effect
    from accord.pipeline.comparing_models import (
        choose_judge,
        choose_prompts,
        is_answer_file,
        measured_metrics,
    )

    prompts = choose_prompts(config)
    judge = choose_judge(config, prompts)
    n = len(prompts.prompts)
    asked = [side for side in (config.candidate, config.incumbent) if not is_answer_file(side)]
    known = measured_metrics(
        has_judge=judge is not None, has_models=len(asked) == 2, has_gold=config.gold is not None
    )
    facts = {
        "prompts": n,
        "from": prompts.source,
        "digest": prompts.digest,
        "models asked": ", ".join(asked) or "none, both sides are files",
        "tokens at most": len(asked) * n * config.max_tokens,
        "judge": "none" if judge is None else judge.name,
        "win rate could show": detectable_effect(0.5, n),
    }
    gates = [
        {
            "id": gate.id,
            "metric": gate.metric,
            "is_measured": gate.metric in known,
            "min_n": gate.min_n,
            "has_enough": gate.metric in known and n >= gate.min_n,
        }
        for gate in plan.gates
    ]
    if as_json:
        print_json({**facts, "plan": plan.name, "plan_hash": plan.hash, "gates": gates})
        return
    print_table(("", "value"), list(facts.items()))
    print_table(
        ("gate", "metric", "measured", "asks for", "enough"),
        [tuple(gate.values()) for gate in gates],
    )
