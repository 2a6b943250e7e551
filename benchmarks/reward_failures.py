"""What the literature says of failing reward models, in miniature, on feature vectors of known gold reward.

Prints one JSON line. Answers, heads and pools are those of `overoptimization.py`. Parts:

    data      best-of-n against heads of growing numbers of pairs, in which planted tokens are as rare as in
              the pool: gold rises with data and its peak moves right (Gao et al. 2022)
    length    three labels in ten go to the longer answer, so that it wins nearly 65 %: how much of a policy's
              gain of reward is length, by the reward as it is, by a reward with a head of its own for length,
              and by length alone (Singhal et al. 2023; ODIN, Chen et al. 2024, here two linear heads, without
              the penalty on their angle)
    averages  of five heads' weights under a quarter of flipped labels (WARM, Rame et al. 2024)
    spread    of gold among heads that are equally accurate where nothing is planted (Wen et al. 2024)
    shift     of prompts and of answers by the same distance: what accuracy and calibration lose, and whether
              features, margins and rewards tell shifted pairs from others (LeVine et al. 2023). What
              answers are worth depends on the prompt, and rewards are linear in 128 random features
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from accord.evaluation.best_of_n import best_of_n_kl_bound, best_of_n_value
from accord.evaluation.calibration import measure_calibration
from accord.evaluation.drift.mahalanobis import ledoit_wolf, mahalanobis_distances
from accord.evaluation.ensemble import weighted_auroc
from accord.evaluation.intervals import Estimate, mean_estimate
from accord.evaluation.overoptimization import within_prompt_correlation
from accord.evaluation.reward_frontier import fit_frontier, measure_length_adjusted_gain
from overoptimization import (
    QUALITIES,
    RIDGE,
    bounds,
    draw_answers,
    fit_head,
    score_gold,
    standardize,
)

FloatArray = NDArray[np.float64]

SIZES = (500, 4_000, 16_000, 64_000)
FRESH = 8_000
"""Pairs on which accuracy is measured."""
BY_LENGTH = 0.3
"""Labels that go to the longer answer whatever it says: the longer wins .5 + .3 / 2."""
TASTE = 0.5
"""Log-odds per unit of gold of the labels that go by it."""
SHIFT = 2.0
"""Of the policy, in standard deviations along the head: KL 2 nats, the best reward that so much KL buys."""
SPREAD_PAIRS = 6_400
FLIPPED = 0.25
LENGTH_PENALTY = 40.0
"""Weight of the two correlations beside the summed log-likelihood, per pair in a hundred."""
SIDE = 6
"""Features of a prompt, and of an answer, of variance 1."""
HIDDEN = 128
MOVED = 2.0
"""Standard deviations that prompts, or both answers of a pair, are moved by in a direction of their own."""
SHIFTS = {"none": (0.0, 0.0), "prompts": (MOVED, 0.0), "answers": (0.0, MOVED), "both": (MOVED, MOVED)}
ON_PROMPT, CURVATURE = 0.5, 0.4
"""Of gold: the weight of what depends on the prompt, and how far quality beyond the average wears off."""
SHIFT_TASTE = 1.5
SHIFT_PAIRS, SHIFT_TESTED = 4_000, 2_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """Sizes and seeds."""

    prompts: int = 100
    pool: int = 512
    seeds: int = 3
    heads: int = 20


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, value in vars(Options()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = Options(**vars(parser.parse_args(arguments)))
    parts = {
        "data": sweep_data(options),
        "length": plant_length(options),
        "averages": average_heads(options),
        "spread": spread_heads(options),
        "shift": shift_pairs(options),
    }
    print(json.dumps({"task": "reward_failures", **vars(options), **parts}))


def draw_taste(generator: np.random.Generator) -> FloatArray:
    """Gold weights of the qualities, of length 1."""
    taste = generator.normal(size=QUALITIES)
    return np.asarray(taste / np.linalg.norm(taste))


def sweep_data(options: Options) -> list[dict[str, Any]]:
    """By number of pairs: accuracy, gains of gold and proxy by n, the fit, and what has to hold."""
    ns = [2**i for i in range(int(np.log2(options.pool)))]
    tables: dict[int, list[dict[str, FloatArray]]] = {size: [] for size in SIZES}
    for seed in range(options.seeds):
        generator = np.random.default_rng([seed, 10])
        taste = draw_taste(generator)
        pool = draw_answers(generator, "token", options.prompts * options.pool)
        gold = score_gold(pool, taste)
        fresh = score_gold(draw_answers(generator, "token", len(pool)), taste)
        below = np.searchsorted(np.sort(fresh), gold) / len(fresh)
        gold = (gold - gold.mean()) / gold.std()
        for size in SIZES:
            head = fit_head(generator, taste, size, world="token")
            tables[size].append(
                _curves(pool @ head, gold, below, ns, options)
                | {"accuracy": np.array(measure_accuracy(generator, head, taste))}
            )
    return [_describe_size(size, tables[size], ns) for size in SIZES]


def _curves(
    reward: FloatArray, gold: FloatArray, below: FloatArray, ns: Sequence[int], options: Options
) -> dict[str, FloatArray]:
    """[n, prompt] expected gold and proxy, in deviations of single answers, and wins over a fresh answer."""
    shape = (options.prompts, options.pool)
    proxy = ((reward - reward.mean()) / reward.std()).reshape(shape)
    rows = {"gold": gold.reshape(shape), "proxy": proxy, "wins": below.reshape(shape)}
    return {
        name: np.array([[best_of_n_value(proxy[i], table[i], n) for i in range(len(proxy))] for n in ns])
        for name, table in rows.items()
    }


def _describe_size(size: int, tables: Sequence[dict[str, FloatArray]], ns: Sequence[int]) -> dict[str, Any]:
    joined = {
        name: np.concatenate([one[name] for one in tables], axis=1) for name in ("gold", "proxy", "wins")
    }
    gains = joined["gold"] - joined["gold"][0]
    distances = [float(best_of_n_kl_bound(n) ** 0.5) for n in ns]
    fit = fit_frontier(distances, gains, form="best_of_n")
    proxy_gains = joined["proxy"] - joined["proxy"][0]
    means = gains.mean(axis=1)
    return {
        "pairs": size,
        "accuracy": [round(float(one["accuracy"]), 4) for one in tables],
        "ns": list(ns),
        "gold_gain": means.round(3).tolist(),
        "proxy_gain": proxy_gains.mean(axis=1).round(3).tolist(),
        "gold_gain_at_largest_n": bounds(mean_estimate(gains[-1])),
        "gap_at_largest_n": bounds(mean_estimate(proxy_gains[-1] - gains[-1])),
        "peak_n": ns[int(np.argmax(means))],
        "fit": {
            "alpha": bounds(fit.alpha),
            "beta": bounds(fit.beta),
            "peak_distance": bounds(fit.peak_distance),
            "r_squared": round(fit.r_squared, 4),
        },
        "proxy_is_monotone": bool((np.diff(joined["proxy"], axis=0) > -1e-9).all()),
        "wins": [bounds(mean_estimate(row)) for row in joined["wins"]],
    }


def measure_accuracy(generator: np.random.Generator, head: FloatArray, taste: FloatArray) -> float:
    """Share of fresh pairs, nothing planted, whose better answer by gold has the higher reward."""
    left, right = (draw_answers(generator, "control", FRESH) for _ in range(2))
    gold = score_gold(left, taste) - score_gold(right, taste)
    return float(((left - right) @ head * gold > 0).mean())


def plant_length(options: Options) -> dict[str, Any]:
    """Share of the gain beyond length, and correlation with length, by the reward that is optimized."""
    generator = np.random.default_rng([0, 11])
    taste = draw_taste(generator)
    train, test = (draw_length_pairs(generator, taste, count) for count in (4_000, FRESH))
    plain = fit_two_heads(train, penalty=0.0).sum(axis=0)
    quality = fit_two_heads(train, penalty=LENGTH_PENALTY)[0]
    answers = draw_answers(generator, "control", options.prompts * 16)[:, : QUALITIES + 1]
    ids = np.repeat(np.arange(options.prompts), 16).tolist()
    heads = {"plain": plain, "two_heads": quality, "length_alone": np.eye(QUALITIES + 1)[QUALITIES]}
    found: dict[str, Any] = {"longer_wins": round(float((test[:, QUALITIES] > 0).mean()), 4)}
    for name, head in heads.items():
        # Features are normal, so answers of the policy proportional to start * exp(reward) are shifted ones.
        moved = answers + SHIFT * head / np.linalg.norm(head)
        gain = measure_length_adjusted_gain(
            answers @ head,
            answers[:, QUALITIES],
            moved @ head,
            moved[:, QUALITIES],
            start_prompt_ids=ids,
            prompt_ids=ids,
        )
        correlation = within_prompt_correlation(answers @ head, answers[:, QUALITIES], ids)
        step = (moved - answers).mean(axis=0)
        found[name] = {
            "accuracy_on_people": round(float((test @ head > 0).mean()), 4),
            "accuracy_on_gold": round(float((test @ head * (test[:, :QUALITIES] @ taste) > 0).mean()), 4),
            "length_correlation": bounds(correlation),
            "non_length_gain": bounds(gain.ratio),
            "gold_gain": round(float(step[:QUALITIES] @ taste), 3),
            "share_of_plain_gain": round(float(step @ plain / np.linalg.norm(plain) / SHIFT), 3),
        }
    return found


def draw_length_pairs(generator: np.random.Generator, taste: FloatArray, count: int) -> FloatArray:
    """[pair, feature] preferred less other; gold knows no length, labels do."""
    left, right = (draw_answers(generator, "control", count)[:, : QUALITIES + 1] for _ in range(2))
    difference = left - right
    by_gold = generator.random(count) < expit(TASTE * difference[:, :QUALITIES] @ taste)
    prefers_left = np.where(generator.random(count) < BY_LENGTH, difference[:, QUALITIES] > 0, by_gold)
    return np.asarray(difference * np.where(prefers_left, 1.0, -1.0)[:, None])


def fit_two_heads(pairs: FloatArray, *, penalty: float) -> FloatArray:
    """[2, feature] a head for quality and one for length, whose sum is the Bradley-Terry reward.

    `penalty` holds the first head's correlation with length at 0 and the second's at 1; features of single
    answers are independent with variance 1, so a head's correlation is its weight of length over its norm.
    """
    size = pairs.shape[1]
    weight = penalty * len(pairs) / 100

    def loss(flat: FloatArray) -> float:
        quality, length = flat[:size], flat[size:]
        fitted = float(np.logaddexp(0.0, -pairs @ (quality + length)).sum()) + 0.5 * RIDGE * float(
            flat @ flat
        )
        if not penalty:
            return fitted
        own = quality[-1] / np.linalg.norm(quality)
        other = length[-1] / np.linalg.norm(length)
        return fitted + weight * float(own**2 + (1.0 - other))

    start = np.full(2 * size, 0.05)
    found = minimize(loss, start, method="L-BFGS-B", options={"maxfun": 200_000, "maxiter": 2_000}).x
    return np.asarray(found).reshape(2, size)


def average_heads(options: Options) -> dict[str, Any]:
    """Accuracy and flipped labels kept, of single heads and of the mean of their weights."""
    rows: dict[str, list[list[float]]] = {"accuracy": [], "memorized": []}
    for seed in range(10 * options.seeds):
        generator = np.random.default_rng([seed, 12])
        taste = draw_taste(generator)
        left, right = (draw_answers(generator, "control", 100)[:, : QUALITIES + 1] for _ in range(2))
        truth = np.sign((left - right)[:, :QUALITIES] @ taste)
        is_flipped = generator.random(100) < FLIPPED
        pairs = (left - right) * np.where(is_flipped, -truth, truth)[:, None]
        draws = [generator.integers(0, len(pairs), len(pairs)) for _ in range(5)]
        heads = [fit_two_heads(pairs[drawn], penalty=0.0).sum(axis=0) for drawn in draws]
        fresh = generator.normal(size=(FRESH, QUALITIES + 1))
        better = np.sign(fresh[:, :QUALITIES] @ taste)
        shown = [*heads, np.mean(heads, axis=0)]
        accuracy = [float((np.sign(fresh @ head) == better).mean()) for head in shown]
        kept = [float((pairs[is_flipped] @ head > 0).mean()) for head in shown]
        for name, values in (("accuracy", accuracy), ("memorized", kept)):
            rows[name].append([float(np.mean(values[:-1])), values[-1]])
    return {
        name: {
            "single": round(float(np.mean(table, axis=0)[0]), 4),
            "average": round(float(np.mean(table, axis=0)[1]), 4),
            "difference": bounds(mean_estimate([row[1] - row[0] for row in table])),
        }
        for name, table in rows.items()
    }


def spread_heads(options: Options) -> dict[str, Any]:
    """Range of accuracy where nothing is planted, and of gold under best-of-n where rare tokens are."""
    generator = np.random.default_rng([0, 13])
    taste = draw_taste(generator)
    pool = draw_answers(generator, "token", options.prompts * options.pool)
    gold = score_gold(pool, taste).reshape(options.prompts, options.pool)
    n = options.pool // 2
    accuracies, golds, errors = [], [], []
    for _ in range(options.heads):
        head = fit_head(generator, taste, SPREAD_PAIRS)
        proxy = standardize(pool @ head).reshape(gold.shape)
        rows = np.array([best_of_n_value(proxy[i], gold[i], n) for i in range(len(gold))])
        found: Estimate = mean_estimate(rows)
        accuracies.append(measure_accuracy(generator, head, taste))
        golds.append(found.value)
        errors.append(float(rows.std(ddof=1)) / len(rows) ** 0.5)
    return {
        "n": n,
        "accuracy": [round(min(accuracies), 4), round(max(accuracies), 4)],
        "gold": [round(min(golds), 3), round(max(golds), 3)],
        "gold_spread": round(float(np.std(golds, ddof=1)), 3),
        "standard_error": round(float(np.mean(errors)), 3),
        "correlation": round(float(np.corrcoef(accuracies, golds)[0, 1]), 3),
    }


def shift_pairs(options: Options) -> dict[str, Any]:
    """By shift: accuracy, calibration error and how well shifted pairs are told, over eight worlds a seed."""
    tables: dict[str, list[dict[str, float]]] = {name: [] for name in SHIFTS}
    for world in range(8 * options.seeds):
        for name, row in measure_shifts(np.random.default_rng([world, 14])).items():
            tables[name].append(row)
    columns = {
        name: {key: np.array([row[key] for row in rows]) for key in rows[0]} for name, rows in tables.items()
    }
    start = columns["none"]
    found: dict[str, Any] = {"worlds": 8 * options.seeds}
    for name, rows in columns.items():
        found[name] = {key: bounds(mean_estimate(values)) for key, values in rows.items()}
        found[name]["accuracy_lost"] = bounds(mean_estimate(start["accuracy"] - rows["accuracy"]))
    for key, sign in (("accuracy", -1.0), ("calibration_error", 1.0)):
        more = sign * (columns["answers"][key] - columns["prompts"][key])
        found[f"{key}_worse_by_answers_than_prompts"] = bounds(mean_estimate(more))
    return found


def measure_shifts(generator: np.random.Generator) -> dict[str, dict[str, float]]:
    """One world: a reward fitted on pairs as they come, and what it does on shifted ones."""
    taste = generator.normal(size=SIDE)
    taste /= np.linalg.norm(taste)
    fit_to_prompt = generator.normal(size=(SIDE, SIDE)) / SIDE**0.5
    weights = generator.normal(size=(2 * SIDE, HIDDEN)) / (2 * SIDE) ** 0.5
    offsets = generator.normal(size=HIDDEN)

    def gold(prompt: FloatArray, answer: FloatArray) -> FloatArray:
        own = answer @ taste
        by_prompt = np.einsum("ni,ij,nj->n", prompt, fit_to_prompt, answer)
        return np.asarray(own - CURVATURE / 2 * np.maximum(own, 0.0) ** 2 + ON_PROMPT * by_prompt)

    def draw(count: int, moved: tuple[float, float]) -> tuple[list[FloatArray], FloatArray, FloatArray]:
        """Features of both answers, gold of the first less that of the second, and the label."""
        directions = generator.normal(size=(2, SIDE))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        prompt = generator.normal(size=(count, SIDE)) + moved[0] * directions[0]
        answers = [generator.normal(size=(count, SIDE)) + moved[1] * directions[1] for _ in range(2)]
        lead = gold(prompt, answers[0]) - gold(prompt, answers[1])
        label = generator.random(count) < expit(SHIFT_TASTE * lead)
        features = [np.tanh(np.concatenate([prompt, one], axis=1) @ weights + offsets) for one in answers]
        return features, lead, label.astype(np.float64)

    features, _, label = draw(SHIFT_PAIRS, SHIFTS["none"])
    head = fit_logistic_head((features[0] - features[1]) * np.where(label > 0, 1.0, -1.0)[:, None])
    training = ledoit_wolf(np.concatenate(features))
    found: dict[str, dict[str, float]] = {}
    usual: dict[str, FloatArray] = {}
    for name, moved in SHIFTS.items():
        features, lead, label = draw(SHIFT_TESTED, moved)
        rewards = [one @ head for one in features]
        margin = rewards[0] - rewards[1]
        signs = {
            "distance": np.maximum(*[mahalanobis_distances(one, training) for one in features]),
            "margin": -np.abs(margin),
            "reward": -np.maximum(*rewards),
        }
        usual = usual or signs
        is_shifted = np.repeat([1.0, 0.0], SHIFT_TESTED)
        chance = expit(SHIFT_TASTE * np.abs(lead))
        found[name] = {
            "accuracy": float((margin * lead > 0).mean()),
            "ceiling": float(chance.mean()),
            "calibration_error": measure_calibration(margin, label).ece_debiased.value,
        } | {
            f"auroc_by_{key}": weighted_auroc(np.concatenate([sign, usual[key]]), is_shifted)
            for key, sign in signs.items()
        }
    return found


def fit_logistic_head(pairs: FloatArray) -> FloatArray:
    """[feature] ridge maximum likelihood of Bradley and Terry's model of [pair, feature], Newton's steps."""
    head = np.zeros(pairs.shape[1])
    for _ in range(15):
        chance = expit(pairs @ head)
        curvature = (pairs * (chance * (1.0 - chance))[:, None]).T @ pairs + RIDGE * np.eye(len(head))
        head = head + np.linalg.solve(curvature, pairs.T @ (1.0 - chance) - RIDGE * head)
    return head


if __name__ == "__main__":
    main()
