"""Whether weighing pairs helps where it should: panels of unlike taste, and judgments that grew old.

Prints one JSON line for each part, means over worlds with 95 % intervals, gains paired by world. Answers are
feature vectors, the reward model is linear, and the weights are the loop's own.

    panels  two panels of unlike taste of which one gives most of the pairs; accuracy by each panel's own
            taste with pairs as they come, panels alike (`balanced`), and more weight for the panel whose loss
            is high (`worst`, `GroupWeights` moved after each update); once more where both gave alike
    age     four rounds of pairs, the newest of the policy that is asked about now; accuracy on its pairs with
            all alike, by age (half-life of 2 rounds, the default, and of 1) and by drift (half at 1 nat):
            where nothing moves, where the taste turns by 15 degrees a round, and where answers move and the
            truth is bent, so that no linear reward fits it everywhere

    python benchmarks/loop_weights.py --worlds 60
"""

import argparse
import json
from typing import Any

import numpy as np
from scipy.special import expit

from accord.pipeline.rounds.plan import AgreeingConfig
from accord.training.group_weights import GroupWeights, GroupWeightsConfig, Mode
from loop_labels import FloatArray, fit_linear, world_mean

QUALITIES = 12
HELD_OUT = 4000
SHARPNESS = 2.0
"""Log-odds of a label a unit of worth."""
UPDATES, BATCH, RATE, DECAY = 600, 32, 0.1, 0.01
MODES: tuple[Mode, ...] = ("none", "balanced", "worst")
ANGLE = 70.0
"""Degrees between the two panels' tastes."""
ROUNDS, PAIRS = 4, 100
TURN = 15.0
"""Degrees a round."""
STEP = 0.7
"""How far the mean answer moves a round; the KL is half the square of the distance."""
BEND = 0.5
WEIGHTINGS = {
    "alike": AgreeingConfig(half_life=None),
    "half-life 2": AgreeingConfig(half_life=2.0),
    "half-life 1": AgreeingConfig(half_life=1.0),
    "half-drift 1": AgreeingConfig(half_life=None, half_drift=1.0),
}


def tastes_at(angle: float, draws: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Two unit vectors so many degrees apart."""
    first, second = np.linalg.qr(draws.normal(size=(QUALITIES, 2)))[0].T
    turn = np.deg2rad(angle)
    return first, np.cos(turn) * first + np.sin(turn) * second


def train(
    features: FloatArray, labels: FloatArray, groups: list[str], mode: Mode, draws: np.random.Generator
) -> FloatArray:
    """A linear reward by plain gradient steps on batches, its groups weighed as reward training does."""
    weighing = GroupWeights(GroupWeightsConfig(mode=mode), groups, [1.0] * len(groups))
    taste = np.zeros(QUALITIES)
    mean = np.zeros(QUALITIES)
    for update in range(UPDATES):
        rows = draws.integers(0, len(labels), BATCH)
        margins = features[rows] @ taste
        losses = np.logaddexp(0.0, -margins) + (1 - labels[rows]) * margins
        factors = np.array([weighing.factor(groups[row]) for row in rows.tolist()])
        for row, loss in zip(rows.tolist(), losses.tolist(), strict=True):
            weighing.note(groups[row], loss, 1.0)
        weighing.move()
        slope = features[rows].T @ (factors * (expit(margins) - labels[rows])) / BATCH
        taste = taste - RATE * (slope + DECAY * taste)
        mean += taste * (update >= UPDATES // 2)
    return mean


def compare_panels(worlds: int, pairs: int, share: float) -> dict[str, Any]:
    """Accuracy of the panel that is served worst, of the mean panel, and over all pairs as they come."""
    found: dict[str, dict[str, list[float]]] = {
        mode: {name: [] for name in ("worst_panel", "mean_of_panels", "as_pairs_come")} for mode in MODES
    }
    for seed in range(worlds):
        draws = np.random.default_rng([seed, 21])
        tastes = tastes_at(ANGLE, draws)
        is_few = np.arange(pairs) < round(share * pairs)
        features = draws.normal(size=(pairs, QUALITIES)) * np.sqrt(2)
        worth = np.where(is_few, features @ tastes[1], features @ tastes[0])
        labels = (draws.random(pairs) < expit(SHARPNESS * worth)).astype(float)
        held = draws.normal(size=(HELD_OUT, QUALITIES))
        names = ["few" if one else "many" for one in is_few.tolist()]
        for mode in MODES:
            reward = train(features, labels, names, mode, np.random.default_rng([seed, 22]))
            many, few = (float((np.sign(held @ reward) == np.sign(held @ one)).mean()) for one in tastes)
            found[mode]["worst_panel"].append(min(many, few))
            found[mode]["mean_of_panels"].append((many + few) / 2)
            found[mode]["as_pairs_come"].append((1 - share) * many + share * few)
    return {
        "share_of_few": share,
        "accuracy": {
            mode: {name: world_mean(row) for name, row in rows.items()} for mode, rows in found.items()
        },
        "less_none": {
            mode: {
                name: world_mean(np.subtract(row, found["none"][name])) for name, row in found[mode].items()
            }
            for mode in MODES[1:]
        },
    }


def compare_ages(worlds: int, moves: str) -> dict[str, Any]:
    """Accuracy on the newest policy's pairs; `moves` is nothing, taste or answers."""
    found: dict[str, list[float]] = {name: [] for name in WEIGHTINGS}
    for seed in range(worlds):
        draws = np.random.default_rng([seed, 23])
        first, other = tastes_at(90.0, draws)
        means = [STEP * number * first * (moves == "answers") for number in range(ROUNDS)]
        turns = [np.deg2rad(TURN) * number * (moves == "taste") for number in range(ROUNDS)]

        def worth(answers: FloatArray, turn: float, ways: tuple[FloatArray, FloatArray]) -> FloatArray:
            told = answers @ (np.cos(turn) * ways[0] + np.sin(turn) * ways[1])
            return (
                told - BEND / 2 * (answers @ ways[0]) ** 2 + BEND * (answers @ ways[0]) * (answers @ ways[1])
                if moves == "answers"
                else told
            )

        rows, labels = [], []
        for mean, turn in zip(means, turns, strict=True):
            left, right = (mean + draws.normal(size=(PAIRS, QUALITIES)) for _ in range(2))
            gap = worth(left, turn, (first, other)) - worth(right, turn, (first, other))
            rows.append(left - right)
            labels.append((draws.random(PAIRS) < expit(SHARPNESS * gap)).astype(float))
        left, right = (means[-1] + draws.normal(size=(HELD_OUT, QUALITIES)) for _ in range(2))
        truth = np.sign(worth(left, turns[-1], (first, other)) - worth(right, turns[-1], (first, other)))
        for name, config in WEIGHTINGS.items():
            weights = [
                config.weight_of_age(ROUNDS - 1 - number)
                * config.weight_of_drift(float(((means[number] - means[-1]) ** 2).sum() / 2))
                for number in range(ROUNDS)
            ]
            reward = fit_linear(np.concatenate(rows), np.concatenate(labels), np.repeat(weights, PAIRS))
            found[name].append(float((np.sign((left - right) @ reward) == truth).mean()))
    return {
        "moves": moves,
        "accuracy": {name: world_mean(row) for name, row in found.items()},
        "less_alike": {
            name: world_mean(np.subtract(row, found["alike"]))
            for name, row in found.items()
            if name != "alike"
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=400, help="Of both panels together.")
    given = parser.parse_args()
    shares = [compare_panels(given.worlds, given.pairs, share) for share in (0.15, 0.5)]
    print(json.dumps({"part": "panels", "worlds": given.worlds, "found": shares}), flush=True)
    ages = [compare_ages(given.worlds, moves) for moves in ("nothing", "taste", "answers")]
    print(json.dumps({"part": "age", "worlds": given.worlds, "found": ages}), flush=True)


if __name__ == "__main__":
    main()
