"""How often 95 % intervals hold the truth: win rates, paired differences and leaderboards, by simulation.

    python benchmarks/coverage.py --draws 1000

Prints one JSON line: for each scenario the share of draws whose interval holds the true value, its Monte
Carlo standard error, and the same for an interval that ignores clusters, which is the control.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from accord.evaluation.imports.comparison import paired_share_interval
from accord.evaluation.intervals import Estimate, mean_estimate, share_estimate
from accord.evaluation.judged_pairs import JudgedPair, measure_judged_pairs
from accord.evaluation.leaderboard.battles import make_battles
from accord.evaluation.leaderboard.ranking import RankingConfig, rank_models
from accord.evaluation.leaderboard.ranks import measure_ranks

Held = tuple[list[bool], list[bool]]
"""Whether each interval held the truth, and whether each of the control did (empty where there is none)."""
STRENGTHS = np.array([0.9, 0.5, 0.1, -0.1, -0.5, -0.9])
PROMPTS = 300
BATTLES = 3


def holds(found: Estimate, truth: float) -> bool:
    return found.low <= truth <= found.high


def win_rate_of_single_votes(generator: np.random.Generator, seed: int) -> Held:
    """805 prompts with one vote each, no ties: Wilson."""
    wins = generator.random(805) < 0.53
    return [holds(share_estimate(wins.astype(float), seed=seed), 0.53)], []


def win_rate_with_ties(generator: np.random.Generator, seed: int) -> Held:
    """200 prompts, four annotators each who share the prompt's leaning, a tie in four: BCa by prompt."""
    chance = generator.beta(2.0, 1.5, 200)[:, None]
    ties = generator.random((200, 4)) < 0.25
    votes = np.where(ties, 0.5, generator.random((200, 4)) < chance).ravel()
    truth = 0.25 * 0.5 + 0.75 * 2.0 / 3.5
    prompts = np.repeat(np.arange(200), 4).tolist()
    return [holds(share_estimate(votes, prompts, seed=seed), truth)], [
        holds(share_estimate(votes, seed=seed), truth)
    ]


def win_rate_of_both_orders(generator: np.random.Generator, seed: int) -> Held:
    """150 prompts, two judges in both orders who like the first place."""
    chance = generator.beta(2.0, 2.0, 150)[:, None]
    first = generator.random((150, 2)) < chance * 0.8 + 0.2
    second = generator.random((150, 2)) < chance * 0.8
    pairs = [
        JudgedPair(prompt_id=str(k), candidate_first=float(first[k, j]), candidate_second=float(second[k, j]))
        for k in range(150)
        for j in range(2)
    ]
    return [holds(measure_judged_pairs(pairs, seed=seed).win_rate, 0.5)], []


def difference_of_shares(generator: np.random.Generator, seed: int) -> Held:
    """500 items, 8 % only the candidate's, 5 % only the incumbent's: Bonett and Price."""
    kind = generator.choice(3, 500, p=[0.08, 0.05, 0.87])
    found = paired_share_interval((kind == 0).astype(float), (kind == 1).astype(float))
    return [holds(found, 0.03)], []


def difference_by_cluster(generator: np.random.Generator, seed: int) -> Held:
    """120 clusters of 1 to 8 items, skewed differences that share the cluster's part: BCa by cluster."""
    sizes = generator.integers(1, 9, 120)
    labels = np.repeat(np.arange(120), sizes)
    part = generator.gamma(2.0, 0.5, 120) - 1.0
    gain = 0.1 + part[labels] + generator.normal(0, 0.7, len(labels))
    return [holds(mean_estimate(gain, labels.tolist(), seed=seed), 0.1)], [
        holds(mean_estimate(gain, seed=seed), 0.1)
    ]


def draw_battles(generator: np.random.Generator, n_prompts: int) -> tuple[np.ndarray, ...]:
    """Left, right, outcome and prompt; battles of a prompt are of one pair and lean alike."""
    first = generator.integers(0, len(STRENGTHS), n_prompts)
    second = (first + generator.integers(1, len(STRENGTHS), n_prompts)) % len(STRENGTHS)
    lean = generator.normal(0, 1.0, n_prompts)
    prompt = np.repeat(np.arange(n_prompts), BATTLES)
    margin = (STRENGTHS[first] - STRENGTHS[second] + lean)[prompt]
    lost = generator.random(len(prompt)) >= 1 / (1 + np.exp(-margin))
    names = np.array(list("abcdef"))
    return names[first[prompt]], names[second[prompt]], lost.astype(int), prompt


def leaderboard(method: str, truth: np.ndarray) -> Callable[[np.random.Generator, int], Held]:
    """900 battles of six models on 300 prompts; the control ignores prompts."""

    def draw(generator: np.random.Generator, seed: int) -> Held:
        left, right, outcome, prompt = draw_battles(generator, PROMPTS)
        config = RankingConfig(intervals=method, resamples=200, seed=seed)
        held = []
        for clusters in (prompt, None):
            ranks = measure_ranks(rank_models(make_battles(left, right, outcome, clusters=clusters), config))
            held.append(((ranks.low <= truth) & (truth <= ranks.high)).tolist())
        return held[0], held[1]

    return draw


def rank_intervals(truth: np.ndarray) -> Callable[[np.random.Generator, int], Held]:
    """Whether the true ranks of all six models lie in their intervals together: at least 95 %."""
    order = np.argsort(np.argsort(-truth)) + 1

    def draw(generator: np.random.Generator, seed: int) -> Held:
        left, right, outcome, prompt = draw_battles(generator, PROMPTS)
        ranks = measure_ranks(rank_models(make_battles(left, right, outcome, clusters=prompt)), seed=seed)
        return [bool(((ranks.best <= order) & (order <= ranks.worst)).all())], []

    return draw


def measure(
    scenario: Callable[[np.random.Generator, int], Held], draws: int, number: int
) -> dict[str, float]:
    held: list[float] = []
    control: list[float] = []
    for seed in range(draws):
        own, other = scenario(np.random.default_rng([number, seed]), seed)
        held.append(float(np.mean(own)))
        control += [float(np.mean(other))] if other else []
    found = {"coverage": float(np.mean(held)), "standard_error": float(np.std(held) / math.sqrt(draws))}
    return found | ({"without_clusters": float(np.mean(control))} if control else {})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--only", nargs="+", help="names of scenarios; all else")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    # What the models' scores are over all prompts, not given one: from a large draw.
    truth = rank_models(make_battles(*draw_battles(np.random.default_rng(0), 100_000)[:3])).scores
    scenarios = {
        "win_rate_single": win_rate_of_single_votes,
        "win_rate_ties": win_rate_with_ties,
        "win_rate_both_orders": win_rate_of_both_orders,
        "difference_shares": difference_of_shares,
        "difference_clusters": difference_by_cluster,
        "leaderboard_sandwich": leaderboard("sandwich", truth),
        "leaderboard_bootstrap": leaderboard("bootstrap", truth),
        "leaderboard_ranks": rank_intervals(truth),
    }
    found = {
        name: measure(scenario, options.draws, number)
        for number, (name, scenario) in enumerate(scenarios.items())
        if not options.only or name in options.only
    }
    seconds = time.perf_counter() - started
    print(json.dumps({"draws": options.draws, "seconds": round(seconds, 1), "scenarios": found}))


if __name__ == "__main__":
    main()
