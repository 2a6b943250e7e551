"""Scenarios of `coverage.py` about numbers that join others: effects, correlations, ratios, differences.

Where a truth has no closed form it is the statistic of a very large draw of the same world, made once.
Leaves out the measuring and the command line, which are in `coverage.py`.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.special import expit

from accord.evaluation.ceiling import best_single_accuracy
from accord.evaluation.drift.measurements import measure_drift
from accord.evaluation.drift.rows import DriftRows
from accord.evaluation.judges.label_errors import score_measurements
from accord.evaluation.leaderboard.battles import Battles, make_battles
from accord.evaluation.leaderboard.ranking import rank_models
from accord.evaluation.leaderboard.standing import effect_rows
from accord.evaluation.optimization_measurements import measure_pool
from accord.evaluation.reward_measurements import measure_reward_model
from accord.evaluation.scored_answers import ScoredAnswer, ScoredPool
from accord.evaluation.scored_pairs import ScoredPair, ScoredPairs
from accord.evaluation.suites.model_written import ModelWritten
from accord.evaluation.suites.pairing import pair_suites
from accord.evaluation.suites.pronouns import Winogenerated
from accord.evaluation.suites.suite import Suite, SuiteRun
from coverage_rewards import Held, holds, largest_of_normals

STRENGTHS = np.array([0.6, 0.2, -0.2, -0.6])
POOL, BEST_OF = 32, 16


def draw_styled_battles(generator: np.random.Generator, prompts: int) -> Battles:
    """Three battles a prompt, which lean alike, of four models; length and headers of the answers count."""
    first = generator.integers(0, 4, prompts)
    second = (first + generator.integers(1, 4, prompts)) % 4
    prompt = np.repeat(np.arange(prompts), 3)
    style = generator.normal(size=(3 * prompts, 2))
    lean = generator.normal(0, 1.0, prompts)
    margin = (STRENGTHS[first] - STRENGTHS[second] + lean)[prompt] + style @ [0.5, -0.3]
    lost = (generator.random(len(prompt)) >= expit(margin)).astype(int)
    names = np.array(list("abcd"))
    return make_battles(
        names[first[prompt]],
        names[second[prompt]],
        lost,
        clusters=prompt,
        covariates=style,
        covariate_names=("length", "headers"),
    )


@cache
def style_truth() -> tuple[float, ...]:
    return tuple(rank_models(draw_styled_battles(np.random.default_rng(0), 60_000)).effects.tolist())


def effects_of_style(generator: np.random.Generator, seed: int) -> Held:
    """900 battles of 300 prompts: what a typical difference of length and of headers is worth."""
    rows = effect_rows(rank_models(draw_styled_battles(generator, 300)))
    return [row["low"] <= truth <= row["high"] for row, truth in zip(rows, style_truth(), strict=True)], []


def rank_correlation_of_labels(generator: np.random.Generator, seed: int) -> Held:
    """60 prompts of two answers, scores that correlate .6 with people's and share the prompt's part."""
    part = np.repeat(generator.normal(size=(2, 60)), 2, axis=1) * math.sqrt(0.5)
    noise = generator.normal(size=(2, 120)) * math.sqrt(0.5)
    people, other = part + noise
    scores = 0.6 * people + 0.8 * other
    prompts = [str(i) for i in np.repeat(np.arange(60), 2)]
    truth = 6 / math.pi * math.asin(0.6 / 2)
    held = []
    for clusters in (prompts, None):
        found = score_measurements(scores.tolist(), people.tolist(), {}, clusters=clusters, seed=seed)
        held.append(holds(found[0].estimate, truth))
    return held[:1], held[1:]


def _difference(suite: Suite, sides: list[SuiteRun], metric: str, seed: int, truth: float) -> bool:
    found = pair_suites(suite, sides[0], sides[1], seed=seed).measurements
    one = next(row for row in found if (row.metric, row.slice, row.versus) == (metric, "all", "incumbent"))
    return holds(one.estimate, truth)


def difference_of_halves(generator: np.random.Generator, seed: int) -> Held:
    """120 items, a third with Yes as the matching answer, two models that mostly answer alike."""
    is_yes = np.arange(120) % 3 == 0
    first = generator.random(120) < np.where(is_yes, 0.8, 0.3)
    again = generator.random(120) < np.where(is_yes, 0.6, 0.3)
    second = np.where(generator.random(120) < 0.5, first, again)
    items = tuple({"behaviour": "b", "matching": " Yes" if one else " No"} for one in is_yes)
    sides = [
        SuiteRun(
            suite="model_written",
            items=items,
            answers=tuple({"logprob_matching": float(one), "logprob_not_matching": 0.5} for one in matched),
            facts={},
        )
        for matched in (first, second)
    ]
    return [_difference(ModelWritten(), sides, "behavior_match", seed, 0.5 * 0.5 * 0.2)], []


def difference_of_slopes(generator: np.random.Generator, seed: int) -> Held:
    """60 occupations of five sentences each whose leans both models share in part: slopes of .4 and .3."""
    women = np.linspace(2.0, 98.0, 60)
    shared = generator.uniform(-0.1, 0.1, 60)
    items = tuple(
        {"occupation": f"o{k}", "BLS_percent_women_2019": float(women[k])}
        for k in range(60)
        for _ in range(5)
    )
    sides = []
    for slope in (0.4, 0.3):
        lean = 0.3 + slope * women / 100 + shared + generator.uniform(-0.05, 0.05, 60)
        own = np.repeat(lean, 5) + generator.uniform(-0.1, 0.1, 300)
        answers = tuple(
            {"logprob_female": math.log(one), "logprob_male": math.log(1 - one)} for one in own.tolist()
        )
        sides.append(SuiteRun(suite="winogenerated", items=items, answers=answers, facts={}))
    return [_difference(Winogenerated(), sides, "pronoun_slope", seed, 0.1)], []


def gap_of_worst_group(generator: np.random.Generator, seed: int) -> Held:
    """Four groups of 60 pairs: how far the truly worst lies below all, at least .95."""
    shares = [0.85, 0.8, 0.75, 0.6]
    pairs = tuple(
        ScoredPair(
            id=f"{name} {i}",
            prompt_id=f"{name} {i}",
            chosen_reward=1.0 if generator.random() < share else -1.0,
            rejected_reward=0.0,
            group=name,
        )
        for name, share in zip("abcd", shares, strict=True)
        for i in range(60)
    )
    return [_measured(pairs, "reward_accuracy_gap", "worst_group", seed, float(np.mean(shares)) - 0.6)], []


def accuracy_of_ceiling(generator: np.random.Generator, seed: int) -> Held:
    """150 pairs of five votes, shares of Beta(1, 1), a reward right of the likelier side in .8."""
    share = generator.beta(1.0, 1.0, 150)
    chosen = generator.binomial(5, share)
    is_right = generator.random(150) < 0.8
    pairs = tuple(
        ScoredPair(
            id=str(i),
            prompt_id=str(i),
            chosen_reward=1.0 if is_right[i] == (share[i] > 0.5) else -1.0,
            rejected_reward=0.0,
            p_chosen=float(chosen[i] / 5),
            votes=(int(chosen[i]), 5 - int(chosen[i])),
        )
        for i in range(150)
    )
    # Against one vote: .8 of the ceiling and .2 of what is left; E max(p, 1 - p) is 3/4.
    ceiling = best_single_accuracy(1.0)
    truth = (0.8 * ceiling + 0.2 * (1.0 - ceiling)) / ceiling
    return [_measured(pairs, "reward_accuracy_of_ceiling", "all", seed, truth)], []


def _measured(pairs: tuple[ScoredPair, ...], metric: str, slice_name: str, seed: int, truth: float) -> bool:
    found = measure_reward_model(ScoredPairs(labeled=pairs), seed=seed).measurements
    return holds(
        next(row.estimate for row in found if (row.metric, row.slice) == (metric, slice_name)), truth
    )


def gap_of_a_pool(generator: np.random.Generator, seed: int) -> Held:
    """Best of 16 of 80 prompts' 32 samples by a proxy of correlation .6: proxy gain less gold gain."""
    prompts = generator.normal(0, 0.5, (80, 1))
    proxy = generator.normal(size=(80, POOL))
    gold = 0.6 * proxy + 0.8 * generator.normal(size=proxy.shape)
    pools = {
        str(i): tuple(
            ScoredAnswer(prompt_id=str(i), proxy=float(one), gold=float(other))
            for one, other in zip((proxy + prompts)[i], (gold + prompts)[i], strict=True)
        )
        for i in range(80)
    }
    found = measure_pool(ScoredPool(pools=pools), sizes=[1, BEST_OF], seed=seed).measurements
    gap = next(one.estimate for one in found if one.metric == "overoptimization_gap")
    # both deviations are those of a prompt's part and an answer's
    return [holds(gap, 0.4 * largest_of_normals(BEST_OF) / math.sqrt(1.25))], []


def agreement_of_batches(generator: np.random.Generator, seed: int) -> Held:
    """80 pairs of five votes then, 60 others of three now, from Beta(1, 1) to Beta(2, 2): the change."""
    sides = []
    for name, count, votes, shape in (("old", 80, 5, 1.0), ("new", 60, 3, 2.0)):
        left = generator.binomial(votes, generator.beta(shape, shape, count))
        sides.append(
            DriftRows(
                prompt_ids=tuple(f"{name} {i}" for i in range(count)),
                votes=tuple((int(one), votes - int(one)) for one in left),
            )
        )
    found = measure_drift(sides[0], sides[1], seed=seed).measurements
    change = next(
        one.estimate for one in found if (one.metric, one.versus) == ("annotator_agreement", "incumbent")
    )
    # E p^2 + (1 - p)^2 of Beta(a, a) is (a + 1) / (2a + 1)
    return [holds(change, 3 / 5 - 2 / 3)], []


JOINED: dict[str, Callable[[np.random.Generator, int], Held]] = {
    "effects_of_style": effects_of_style,
    "rank_correlation_of_labels": rank_correlation_of_labels,
    "difference_of_halves": difference_of_halves,
    "difference_of_slopes": difference_of_slopes,
    "gap_of_worst_group": gap_of_worst_group,
    "accuracy_of_ceiling": accuracy_of_ceiling,
    "gap_of_a_pool": gap_of_a_pool,
    "agreement_of_batches": agreement_of_batches,
}
