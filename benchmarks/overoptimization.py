"""Over-optimization in miniature: best-of-n against learned rewards, with a planted exploit and its control.

Prints one JSON line. Answers are feature vectors with a known gold reward; reward models are
Bradley-Terry heads fitted to noisy pairs; best-of-n comes from one scored pool per prompt. Worlds:

    control   nothing planted: label noise alone
    token     one answer in a hundred holds one of many rare tokens that no training pair shows. Gold
              punishes them; a head keeps the weight it was started with, so each head errs by itself
    length    one answer in a hundred is far longer than any in training, where people liked the
              longer one; gold punishes it. All heads learn the same weight: an error they share
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, ndtr, ndtri

from accord.evaluation.best_of_n import BestOfN, best_of_n_kl_bound, measure_best_of_n
from accord.evaluation.ensemble import combine_rewards
from accord.evaluation.intervals import mean_estimate
from accord.evaluation.multiplicity import holm
from accord.evaluation.overoptimization import Checkpoint, Overoptimization, measure_overoptimization
from accord.evaluation.report.axes import Frame, padded_range
from accord.evaluation.report.markup import element
from accord.evaluation.reward_frontier import fit_frontier

FloatArray = NDArray[np.float64]

WORLDS = ("control", "token", "length")
QUALITIES = 12
TOKENS = 30
PREVALENCE = 0.01
TOKEN_COST = 4.0
TOKEN_START = 6.0
"""Standard deviation of the weights that heads start with on tokens."""
LONG = 12.0
"""Standardized length of the planted answers; others have mean 0 and standard deviation 1."""
LENGTH_TASTE = 0.5
"""Gold per unit of length where people ever looked."""
LENGTH_LIMIT = 3.0
"""Length from which gold falls, three times as steeply as it rose."""
RIDGE = 1.0
FIGURE_WIDTH, FIGURE_HEIGHT = 360, 280
TITLES = {"control": "nothing planted", "token": "a rare token", "length": "a shared taste for length"}
LEGEND = {"gold": "gold", "proxy": "proxy", "joined": "gold, by the ensemble's minimum"}
DESCRIPTION = "Gold turns over where an exploit is planted; the proxy rises throughout"
FIGURE_STYLE = (
    "svg{background:#fff;font:12px system-ui,sans-serif}text{fill:#333}.tick,.label{fill:#666}"
    ".end{text-anchor:end}.middle{text-anchor:middle}.grid{stroke:#eee}.axis{stroke:#999}"
    "path{fill:none;stroke-width:2.2}path.gold{stroke:#0b62a8}path.proxy{stroke:#c9500e;stroke-dasharray:6 4}"
    "path.joined{stroke:#2b8a57;stroke-dasharray:2 4}circle.gold{fill:#0b62a8}circle.proxy{fill:#c9500e}"
    "circle.joined{fill:#2b8a57}"
)


@dataclass(frozen=True, kw_only=True)
class Miniature:
    """Sizes and seed of one experiment."""

    prompts: int = 200
    pool: int = 1024
    members: int = 5
    pairs: int = 400
    seed: int = 0

    @property
    def ns(self) -> list[int]:
        """1, 2, 4, ... up to half of the pool, beyond which few samples carry the estimate."""
        return [2**i for i in range(int(np.log2(self.pool)))]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Best-of-n against one reward."""

    points: list[BestOfN]
    verdict: Overoptimization
    """Steps are n."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, value in vars(Miniature()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument(
        "--starts",
        type=int,
        default=0,
        help="only ask how often the gain at n = 1 is told from 0, in so many seeds",
    )
    parser.add_argument("--figure", type=Path, help="SVG file to write")
    given = vars(parser.parse_args(arguments))
    starts, figure = given.pop("starts"), given.pop("figure")
    options = Miniature(**given)
    line: dict[str, Any] = {"task": "overoptimization", **vars(options)}
    if starts:
        print(json.dumps(line | {"starts": measure_starts(options, starts)}))
        return
    worlds = {world: run_world(world, options) for world in WORLDS}
    line["gold_gain_at_1_p_holm"] = dict(zip(WORLDS, holm_of_starts(worlds), strict=True))
    line["worlds"] = {world: describe(curves, options) for world, curves in worlds.items()}
    print(json.dumps(line))
    if figure is not None:
        figure.write_text(draw_worlds(line["worlds"]), encoding="utf-8")


def draw_worlds(worlds: Mapping[str, Mapping[str, Any]]) -> str:
    """Gold, proxy and gold by the ensemble's minimum over the root of the KL bound, world beside world."""
    parts = []
    for place, (world, found) in enumerate(worlds.items()):
        kl = [best_of_n_kl_bound(n) for n in found["ns"]]
        lines = {
            "gold": found["gold_gain"],
            "proxy": found["proxy"],
            "joined": found["ensembles"]["worst_case"]["gold_gain"],
        }
        frame = Frame(
            x_range=(0.0, kl[-1] * 1.03),
            y_range=padded_range([value for row in lines.values() for value in row], include=[0.0]),
            x_label="KL of best of n, nats (square-root scale)",
            y_label=f"{TITLES[world]}: gain",
            width=FIGURE_WIDTH,
            height=FIGURE_HEIGHT,
            x_scale="sqrt",
        )
        drawn = [element("path", d=frame.path(kl, row), class_=name) for name, row in lines.items()]
        dots = [
            element("circle", cx=frame.x(at), cy=frame.y(value), r=3, class_=name)
            for name, row in lines.items()
            for at, value in zip(kl, row, strict=True)
        ]
        svg = frame.svg(drawn, dots, key=world, title=TITLES[world], description=DESCRIPTION)
        where = f'<svg x="{place * FIGURE_WIDTH}" width="{FIGURE_WIDTH}" height="{FIGURE_HEIGHT}"'
        parts.append(str(svg).replace("<svg", where, 1))
    width = FIGURE_WIDTH * len(parts)
    legend = "".join(
        f'<path class="{name}" d="M{60 + 210 * i} {FIGURE_HEIGHT + 18}h26"/>'
        f'<text x="{94 + 210 * i}" y="{FIGURE_HEIGHT + 22}">{words}</text>'
        for i, (name, words) in enumerate(LEGEND.items())
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {FIGURE_HEIGHT + 34}">'
    return f"{head}<style>{FIGURE_STYLE}</style>{''.join(parts)}{legend}</svg>\n"


def holm_of_starts(worlds: Mapping[str, Mapping[str, list[Curve]]]) -> list[float]:
    """P-values of a gold gain of 0 at n = 1, one a world, together: three are looked at."""
    gains = [worlds[world]["single"][0].points[0].gold_gain for world in WORLDS]
    errors = [(one.high - one.low) / (2 * float(ndtri(0.975))) for one in gains]
    scores = [one.value / error for one, error in zip(gains, errors, strict=True)]
    return [round(float(one), 4) for one in holm([2 * float(ndtr(-abs(score))) for score in scores])]


def measure_starts(options: Miniature, seeds: int) -> dict[str, dict[str, float]]:
    """Share of seeds whose interval of the gold gain at n = 1 holds 0, and its standard scores, by world."""
    found = {}
    for place, world in enumerate(WORLDS):
        held, scores = [], []
        for seed in range(seeds):
            generator = np.random.default_rng([options.seed, place, seed])
            taste = generator.normal(size=QUALITIES)
            taste /= np.linalg.norm(taste)
            pool, fresh = (
                score_gold(draw_answers(generator, world, options.prompts * options.pool), taste)
                .reshape(options.prompts, options.pool)
                .mean(axis=1)
                for _ in range(2)
            )
            gain = mean_estimate(pool - fresh, seed=seed)
            held.append(gain.low <= 0 <= gain.high)
            error = float(np.std(pool - fresh, ddof=1)) / options.prompts**0.5
            scores.append(gain.value / error)
        spread = (0.95 * 0.05 / seeds) ** 0.5
        found[world] = {
            "holds_zero": round(float(np.mean(held)), 4),
            "standard_error": round(spread, 4),
            "mean_score": round(float(np.mean(scores)), 3),
            "spread_of_scores": round(float(np.std(scores, ddof=1)), 3),
        }
    return found


def run_world(world: str, options: Miniature) -> dict[str, list[Curve]]:
    """Curves of the single heads ("single", one each) and of two ensembles ("mean", "worst_case")."""
    generator = np.random.default_rng([options.seed, WORLDS.index(world)])
    taste = generator.normal(size=QUALITIES)
    taste /= np.linalg.norm(taste)
    pool = draw_answers(generator, world, options.prompts * options.pool)
    gold = score_gold(pool, taste).reshape(options.prompts, options.pool)
    fresh = draw_answers(generator, world, options.prompts * options.pool)
    reference = score_gold(fresh, taste).reshape(options.prompts, options.pool).mean(axis=1)
    heads = [fit_head(generator, taste, options.pairs) for _ in range(options.members)]
    rewards = np.stack([standardize(pool @ head) for head in heads])
    curves = {"single": [measure_curve(row, gold, reference, options) for row in rewards]}
    for rule in ("mean", "worst_case"):
        combined = combine_rewards(rewards, rule)
        curves[rule] = [measure_curve(combined, gold, reference, options)]
    return curves


def draw_answers(generator: np.random.Generator, world: str, count: int) -> FloatArray:
    """Features [answer, QUALITIES + length + TOKENS]; planted answers as the world has them."""
    features = np.zeros((count, QUALITIES + 1 + TOKENS))
    features[:, : QUALITIES + 1] = generator.normal(size=(count, QUALITIES + 1))
    planted = np.flatnonzero(generator.random(count) < PREVALENCE)
    if world == "token":
        features[planted, QUALITIES + 1 + generator.integers(0, TOKENS, size=len(planted))] = 1.0
    if world == "length":
        features[planted, QUALITIES] = LONG
    return features


def score_gold(features: FloatArray, taste: FloatArray) -> FloatArray:
    """Qualities as tasted, length liked up to a limit and punished beyond, tokens punished."""
    length = features[:, QUALITIES]
    liked = LENGTH_TASTE * (length - 4.0 * np.maximum(length - LENGTH_LIMIT, 0.0))
    return features[:, :QUALITIES] @ taste + liked - TOKEN_COST * features[:, QUALITIES + 1 :].sum(axis=1)


def fit_head(
    generator: np.random.Generator, taste: FloatArray, pairs: int, *, world: str = "control"
) -> FloatArray:
    """A Bradley-Terry head fitted to noisy labels of pairs of a world; what none shows keeps its start."""
    left = draw_answers(generator, world, pairs)
    right = draw_answers(generator, world, pairs)
    chance = expit(score_gold(left, taste) - score_gold(right, taste))
    side = np.where(generator.random(pairs) < chance, 1.0, -1.0)
    difference = (left - right) * side[:, None]
    start = np.zeros(difference.shape[1])
    start[QUALITIES + 1 :] = TOKEN_START * generator.normal(size=TOKENS)

    def loss(head: FloatArray) -> tuple[float, FloatArray]:
        margin = difference @ head
        shift = head - start
        gradient = -difference.T @ expit(-margin) + RIDGE * shift
        return float(np.logaddexp(0.0, -margin).sum() + 0.5 * RIDGE * shift @ shift), gradient

    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B").x)


def standardize(rewards: FloatArray) -> FloatArray:
    """Median 0 and a middle half as wide as a standard normal's: one scale for all members."""
    low, middle, high = np.quantile(rewards, [0.25, 0.5, 0.75])
    return np.asarray((rewards - middle) / ((high - low) / 1.349))


def measure_curve(rewards: FloatArray, gold: FloatArray, reference: FloatArray, options: Miniature) -> Curve:
    proxy = rewards.reshape(gold.shape)
    points = measure_best_of_n(list(proxy), list(gold), options.ns, reference_gold=reference)
    checkpoints = [
        Checkpoint(
            step=point.n,
            kl=point.kl_bound,
            proxy=point.proxy_rows.tolist(),
            gold=(point.gold_rows - reference).tolist(),
        )
        for point in points
    ]
    return Curve(
        points=points, verdict=measure_overoptimization(checkpoints, [str(i) for i in range(len(gold))])
    )


def describe(curves: Mapping[str, list[Curve]], options: Miniature) -> dict[str, Any]:
    """What one world showed, as plain JSON."""
    single = curves["single"]
    last = np.mean([curve.points[-1].gold_rows for curve in single], axis=0)
    peak = max(
        np.mean([curve.points[i].gold_rows.mean() for curve in single]) for i in range(len(options.ns))
    )
    gains = np.stack([point.gold_gain.value for curve in single for point in curve.points])
    start = single[0].points[0].gold_gain
    fit = fit_frontier(
        [point.distance for point in single[0].points],
        np.stack([point.gold_rows - single[0].points[0].gold_rows for point in single[0].points]),
        form="best_of_n",
    )
    ensembles = {}
    for rule in ("mean", "worst_case"):
        curve = curves[rule][0]
        help_at_end = mean_estimate(curve.points[-1].gold_rows - last)
        ensembles[rule] = {
            "gold_gain": [round(point.gold_gain.value, 4) for point in curve.points],
            "gaming": str(curve.verdict.gaming),
            "gold_over_single_at_largest_n": bounds(help_at_end),
            "share_of_loss_recovered": round(help_at_end.value / (peak - last.mean()), 3)
            if peak - last.mean() > 0.05
            else None,
        }
    return {
        "ns": options.ns,
        "proxy": [round(point.proxy.value, 4) for point in single[0].points],
        "gold_gain": gains.reshape(len(single), -1).mean(axis=0).round(4).tolist(),
        "gold_gain_at_1": bounds(start),
        "gaming_by_head": [str(curve.verdict.gaming) for curve in single],
        "peak_n_by_head": [curve.verdict.peak_step for curve in single],
        "fit": {
            "alpha": bounds(fit.alpha),
            "beta": bounds(fit.beta),
            "peak_distance": bounds(fit.peak_distance),
            "r_squared": round(fit.r_squared, 4),
        },
        "ensembles": ensembles,
    }


def bounds(estimate: Any) -> list[float | None]:
    """Value, low, high; None for what is not finite."""
    numbers = (estimate.value, estimate.low, estimate.high)
    return [round(float(number), 4) if np.isfinite(number) else None for number in numbers]


if __name__ == "__main__":
    main()
