"""The best a choice of questions could do on real people's votes, by choosers that know what nobody can.

Prints one JSON line. Sets, reward model, splits, budget and the vote that each question reveals are those of
`loop_replay.py --reader words`; only who chooses is another:

    taste      knows the head that the whole pool's votes give, and asks for the pairs that most lower the
               variance of its margins over the pool (V-optimal, greedy): no label is known beforehand, so
               this is what a strategy with a perfect idea of the gains could do
    votes      besides reads each vote before it asks for it, and takes those that most lower the loss on all
               votes of the pool: labels are chosen, not questions
    answers    reads the held-out majority too, and takes the votes that most lower the loss on it: what no
               strategy may see, so beyond what any choice of the same votes that is made step by step does

`taste` and `votes` never see the held-out pairs. Beside them random asks on to the end of the pool: what all
labels are worth over the budget's, and what the last 30 % of the budget's are worth, which is all there is to
save. Intervals are over draws of split and votes. Greedy choice is no proof of an optimum.

    python benchmarks/loop_bound.py --data ../shared/data --draws 30
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from loop_labels import RIDGE, FloatArray, fit_linear, world_mean
from loop_replay import Judged, features_of, labels_for, read_llmfao, read_pandalm, split_pairs, words_of

STEP = 8
"""Votes taken between two fits by choosers that see votes."""
SAVED = 0.3
"""Share of labels that were to be saved."""


def by_taste(
    features: FloatArray, taste: FloatArray, pool: NDArray[np.intp], budget: int
) -> NDArray[np.intp]:
    """Greedy V-optimal order: each pair lowers the mean variance of the pool's margins most."""
    rows = features[pool]
    heavy = expit(rows @ taste) * expit(-rows @ taste)
    spread = rows.T @ rows / len(rows)
    inverse = np.eye(rows.shape[1]) / RIDGE
    order: list[int] = []
    is_left = np.ones(len(rows), dtype=np.bool_)
    for _ in range(min(budget, len(rows))):
        moved = rows @ inverse
        own = heavy * (moved * rows).sum(1)
        gain = heavy * ((moved @ spread) * moved).sum(1) / (1 + own)
        best = int(np.argmax(np.where(is_left, gain, -np.inf)))
        is_left[best] = False
        order.append(best)
        inverse -= heavy[best] * np.outer(moved[best], moved[best]) / (1 + own[best])
    return pool[order]


def by_votes(
    features: FloatArray,
    answer: FloatArray,
    goal: tuple[NDArray[np.intp], FloatArray],
    pool: NDArray[np.intp],
    budget: int,
    draws: np.random.Generator,
) -> NDArray[np.intp]:
    """Order of votes that each lower the loss on `goal` (pairs, shares for the first) most, by influence."""
    places, shares = goal
    chosen = draws.choice(pool, size=STEP, replace=False)
    while len(chosen) < budget:
        taste = fit_linear(features[chosen], answer[chosen])
        p = expit(features[chosen] @ taste)
        curved = (features[chosen].T * (p * (1 - p))) @ features[chosen] + RIDGE * np.eye(len(taste))
        slope = features[places].T @ (expit(features[places] @ taste) - shares)
        left = np.setdiff1d(pool, chosen)
        pull = (answer[left] - expit(features[left] @ taste)) * (
            features[left] @ np.linalg.solve(curved, slope)
        )
        # One vote moves the head by H^-1 x (y - p): the loss falls by minus its product with the slope.
        chosen = np.concatenate([chosen, left[np.argsort(pull)[:STEP]]])
    return chosen[:budget]


def compare_bounds(judged: Judged, features: FloatArray, draws: int, batches: int) -> dict[str, Any]:
    """Held-out accuracy over labels for each chooser, against random's."""
    asked = len(np.unique(judged.votes.pair))
    batch = asked // 2 // batches
    budget = batch * batches
    given = np.maximum(np.bincount(judged.votes.pair, minlength=len(features)), 1)
    share = np.bincount(judged.votes.pair, judged.votes.is_first, len(features)) / given
    curves: dict[str, list[list[float]]] = {name: [] for name in ("random", "taste", "votes", "answers")}
    whole: dict[str, list[float]] = {"one_vote": [], "all_votes": []}
    for seed in range(draws):
        held_out, pool, answer, majority = split_pairs(judged, seed)
        generator = np.random.default_rng([seed, 3])
        truth = majority[held_out]
        right = (truth + 1) / 2
        orders = {
            "random": generator.permutation(pool)[:budget],
            "taste": by_taste(features, fit_linear(features[pool], share[pool]), pool, budget),
            "votes": by_votes(features, answer, (pool, share[pool]), pool, budget, generator),
            "answers": by_votes(features, answer, (held_out, right), pool, budget, generator),
        }
        for name, order in orders.items():
            heads = [
                fit_linear(features[order[:n]], answer[order[:n]]) for n in range(batch, budget + 1, batch)
            ]
            curves[name].append(
                [float((np.sign(features[held_out] @ head) == truth).mean()) for head in heads]
            )
        for name, labels in (("one_vote", answer), ("all_votes", share)):
            head = fit_linear(features[pool], labels[pool], given[pool] if name == "all_votes" else None)
            whole[name].append(float((np.sign(features[held_out] @ head) == truth).mean()))
    found = {name: np.array(rows) for name, rows in curves.items()}
    end = found["random"][:, -1]
    early = found["random"][:, round((1 - SAVED) * batches) - 1]
    others = [name for name in found if name != "random"]
    return {
        "pool": len(pool),
        "budget": budget,
        "accuracy_at_the_end": {name: world_mean(rows[:, -1]) for name, rows in found.items()},
        "gain_over_random": {name: world_mean(found[name][:, -1] - end) for name in others},
        "labels_for_randoms_accuracy": {
            name: labels_for(rows, found["random"], batch, budget) for name, rows in found.items()
        },
        "random_budget_less_its_first_part": world_mean(end - early),
        "whole_pool": {name: world_mean(values) for name, values in whole.items()},
        "whole_pool_less_budget": {name: world_mean(values - end) for name, values in whole.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--batches", type=int, default=12)
    given = parser.parse_args()
    body: dict[str, Any] = {"draws": given.draws}
    for judged in (read_llmfao(given.data), read_pandalm(given.data)):
        features = features_of(judged, words_of(judged.answers))
        body[judged.name] = compare_bounds(judged, features, given.draws, given.batches)
    print(json.dumps(body))


if __name__ == "__main__":
    main()
