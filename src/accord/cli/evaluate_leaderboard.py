"""`accord evaluate leaderboard`: many models ranked from battles of two."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accord.cli.measurements import JsonOption, SeedOption
from accord.cli.render import print_json, print_table, print_text

if TYPE_CHECKING:
    from accord.evaluation.leaderboard.ranking import Ranking
    from accord.evaluation.leaderboard.standing import Standing


def leaderboard(
    battles: Annotated[
        Path,
        typer.Argument(metavar="BATTLES", help="JSON, JSON lines or CSV (.gz): model_a, model_b, winner."),
    ],
    ties: Annotated[
        str,
        typer.Option("--ties", help="Half a win for each, or fitted: half, davidson, threshold."),
    ] = "half",
    style: Annotated[
        bool, typer.Option("--style", help="Hold length, headers, lists and bold of answers equal.")
    ] = False,
    length: Annotated[str, typer.Option("--length", help="Its form: ratio or log.")] = "ratio",
    intervals: Annotated[str, typer.Option("--intervals", help="sandwich or bootstrap.")] = "sandwich",
    resamples: Annotated[int, typer.Option("--resamples", help="Of the bootstrap.", min=40)] = 400,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="COLUMN", help="Resampled together; else prompt_id."),
    ] = None,
    ridge: Annotated[float, typer.Option("--ridge", help="Where a model only won or lost.")] = 0.0,
    anchor: Annotated[
        str | None,
        typer.Option("--anchor", metavar="MODEL=RATING", help="Fix one; else the mean is 1000."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="Other scores: model, score, bounds."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.svg", help="Also draw ratings and intervals.")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Rank models by Bradley-Terry: ratings, intervals, the ranks each may have, and who is tied with whom.

    Ratings are on the Elo scale: 400 points are odds of ten to one.

    \b
    Examples:
      accord evaluate leaderboard battles.jsonl --ties davidson --style
      accord evaluate leaderboard battles.csv.gz --anchor gpt-4=1250 --against arena.csv --json
    """
    from accord.domain.errors import ConfigError
    from accord.domain.files import write_text_atomic
    from accord.evaluation.leaderboard.battles import read_battles
    from accord.evaluation.leaderboard.plot import leaderboard_plot
    from accord.evaluation.leaderboard.ranking import RankingConfig, rank_models
    from accord.evaluation.leaderboard.ranks import measure_ranks
    from accord.evaluation.leaderboard.standing import anchored

    if length not in ("ratio", "log"):
        raise ConfigError("--length", [f"is {length!r}; expected ratio or log"])
    config: dict[str, Any] = {"ties": ties, "intervals": intervals, "ridge": ridge, "resamples": resamples}
    found = read_battles(
        battles, cluster=cluster, has_style=style, length_form="log" if length == "log" else "ratio"
    )
    ranking = rank_models(found, RankingConfig(**config, seed=seed))
    ranks = measure_ranks(ranking, seed=seed)
    facts = {"battles": found.n, **config, "seed": seed, "clusters": ranking.clusters, "tie": ranking.tie}
    standings = anchored(ranking, ranks, anchor)
    if plot is not None:
        write_text_atomic(plot, leaderboard_plot(standings))
    show_leaderboard(ranking, standings, facts, against=against, as_json=as_json)


def show_leaderboard(
    ranking: "Ranking",
    standings: "tuple[Standing, ...]",
    facts: dict[str, Any],
    *,
    against: Path | None,
    as_json: bool,
) -> None:
    """Print a row a model from the best on, the effects of style and the meta-metrics; or JSON."""
    from accord.evaluation.leaderboard.agreement import measure_agreement, read_leaderboard
    from accord.evaluation.leaderboard.standing import effect_rows, to_measurements
    from accord.evaluation.meta_metrics import separability

    scores = {one.model: one.rating for one in standings}
    told = {**facts, "separability": separability(scores), "log_likelihood": ranking.log_likelihood}
    agreement = None if against is None else measure_agreement(scores, read_leaderboard(against))
    if as_json:
        print_json(
            {
                "facts": told,
                "models": [
                    {
                        "model": one.model,
                        "score": one.rating.value,
                        "low": one.rating.low,
                        "high": one.rating.high,
                        "rank": one.rank,
                        "best_rank": one.best_rank,
                        "worst_rank": one.worst_rank,
                        "group": one.group,
                        "first_probability": one.first_probability,
                        "battles": one.rating.n,
                    }
                    for one in standings
                ],
                "style": effect_rows(ranking),
                "agreement": agreement,
                "measurements": to_measurements(standings, told, agreement),
            }
        )
        return
    rows = [
        (
            one.rank,
            one.model,
            f"{one.rating.value:.1f}",
            f"[{one.rating.low:.1f}, {one.rating.high:.1f}]",
            f"{one.best_rank}-{one.worst_rank}",
            one.group,
            f"{100 * one.first_probability:.1f} %",
        )
        for one in standings
    ]
    print_table(("rank", "model", "rating", "95 % interval", "ranks", "group", "is best"), rows)
    if effects := effect_rows(ranking):
        print_table(
            ("style", "log-odds", "low", "high"),
            [(one["name"], one["effect"], one["low"], one["high"]) for one in effects],
        )
    if agreement is not None:
        print_text(
            f"agreement over {agreement.models} models: Pearson {agreement.pearson:.4f}, Spearman "
            f"{agreement.spearman:.4f}, pairs in one order {agreement.pairwise:.4f}"
        )
    print_text("\n".join(f"{name}: {value}" for name, value in told.items()))
