"""`accord evaluate reward`: can the reward model be trusted?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accord.cli.measurements import JsonOption, SeedOption, show_measurements
from accord.cli.render import progress_note

if TYPE_CHECKING:
    from accord.evaluation.scored_pairs import ScoredPairs

PairsArgument = Annotated[
    Path,
    typer.Argument(
        metavar="PAIRS",
        help="Scored pairs (prompt_id, chosen_reward, rejected_reward, votes or p_chosen); with --model any "
        "file of preferences; with --bench a file of RewardBench; with --rankings rankings (prompt_id, "
        "rewards, ranks), or with --model any file of rankings.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="DIR", help="Reward model folder, or `module:function`, that scores PAIRS first."
    ),
]
MemberOption = Annotated[
    list[str] | None,
    typer.Option(
        "--member", metavar="DIR", help="With --model: a further member of an ensemble, repeatable."
    ),
]
IncumbentOption = Annotated[
    str | None,
    typer.Option(
        "--incumbent",
        help="Scored pairs of the reward model before; with --model its folder.",
        show_default=False,
    ),
]
BenchOption = Annotated[
    str | None,
    typer.Option("--bench", help="Score PAIRS as rewardbench or rewardbench2.", show_default=False),
]


def reward(
    pairs: PairsArgument,
    model: ModelOption = None,
    member: MemberOption = None,
    incumbent: IncumbentOption = None,
    bench: BenchOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", help="With --model: pairs at most.", min=1, show_default=False)
    ] = None,
    has_changes: Annotated[
        bool,
        typer.Option("--changes/--no-changes", help="With --model: also score harmlessly changed answers."),
    ] = True,
    has_rankings: Annotated[
        bool,
        typer.Option("--rankings", help="PAIRS holds rankings: best-of-k accuracy and Kendall's tau."),
    ] = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say how right, how honest and how easily fooled a reward model is, on pairs that people judged.

    Accuracy beside the human ceiling, by margin, agreement, length, domain and annotator group; calibration
    after a temperature fitted on other prompts; length within prompts; changes that should not matter; what
    an ensemble's disagreement is worth; and what the margins promise on pairs without labels. `--json` is
    what `accord gate` reads, with the reliability diagram for its report.

    \b
    Examples:
      accord evaluate reward scored.jsonl
      accord evaluate reward heldout.jsonl --model runs/reward --incumbent runs/reward-before --json
      accord evaluate reward heldout.jsonl --model runs/rm-1 --member runs/rm-2 --member runs/rm-3
      accord evaluate reward rewardbench.jsonl --bench rewardbench --model runs/reward
      accord evaluate reward rankings.jsonl --rankings --model runs/reward
    """
    if has_rankings and (bench is not None or member or incumbent is not None):
        raise typer.BadParameter("--rankings goes with --model and --limit alone")
    if has_rankings:
        _show_rankings(pairs, model, limit, seed=seed, as_json=as_json)
        return
    if bench is not None:
        _show_bench(pairs, bench, model, as_json=as_json)
        return
    if model is None and (member or limit is not None):
        raise typer.BadParameter("--member and --limit go with --model")
    from accord.evaluation.report.comparison import Evidence
    from accord.evaluation.reward_measurements import measure_reward_model

    found = _scored(pairs, model, member or [], limit, has_changes=has_changes)
    before = None
    if incumbent is not None and model is not None:
        before = _scored(pairs, incumbent, [], limit, has_changes=False)
    elif incumbent is not None:
        before = _scored(Path(incumbent), None, [], None, has_changes=False)
    measured = measure_reward_model(found, before, seed=seed)
    show_measurements(
        measured.measurements,
        {**found.facts, "pairs": len(found.labeled), "seed": seed},
        as_json=as_json,
        not_measured=measured.not_measured,
        evidence=Evidence(calibration=measured.calibration, calibration_before=measured.calibration_before),
    )


def _scored(
    path: Path, model: str | None, members: list[str], limit: int | None, *, has_changes: bool
) -> "ScoredPairs":
    """Pairs as they are scored, or scored now; the scoring needs torch only where a folder is named."""
    if model is None:
        from accord.evaluation.scored_pairs import read_scored_pairs

        return read_scored_pairs(path)
    from accord.pipeline.scoring_pairs import ScoringConfig, score_preferences

    config = ScoringConfig(model=model, members=tuple(members), has_changes=has_changes, limit=limit)
    return score_preferences(path, config, progress_note)


def _show_rankings(path: Path, model: str | None, limit: int | None, *, seed: int, as_json: bool) -> None:
    from accord.evaluation.reward_ranking import measure_rankings, read_ranked_answers

    if model is None:
        if limit is not None:
            raise typer.BadParameter("--limit goes with --model")
        lists = read_ranked_answers(path)
    else:
        from accord.pipeline.scoring_pairs import ScoringConfig, score_rankings

        lists = score_rankings(path, ScoringConfig(model=model, limit=limit), progress_note)
    measured, missing = measure_rankings(lists, seed=seed)
    facts = {**lists.facts, "lists": len(lists.rows), "seed": seed}
    show_measurements(measured, facts, as_json=as_json, not_measured=missing)


def _show_bench(path: Path, bench: str, model: str | None, *, as_json: bool) -> None:
    from accord.evaluation.rewardbench_file import bench_measurements, require_bench, score_bench_file

    scorer = None
    if model is not None:
        from accord.pipeline.scoring_pairs import score_texts

        scorer = score_texts(model)
    name = require_bench(bench)
    score, facts = score_bench_file(path, name, scorer)
    missing = {f"{name} overall": f"no examples of {', '.join(score.missing)}"} if score.missing else None
    show_measurements(bench_measurements(score, name, facts), facts, as_json=as_json, not_measured=missing)
