"""What a reward model of few pairs learns, by where its head begins and how often it reads them.

    python benchmarks/reward_heads.py                # the quickstart's model and pairs, minutes on two cores
    python benchmarks/reward_heads.py --fast         # every step on the tiny model; shows nothing

The quickstart's fine-tuned model answers, the one pass's simulated panel compares (`accord quickstart
--single`), and reward models learn from equal pairs: heads that begin at random or at 0, one pass or two.
Each is scored on fresh answers to held-out prompts by the task's known taste. Prints one JSON line:

    right        share of pairs of answers to one prompt, more than .02 of taste apart, in the right order
    best_taste   taste of the answer it likes best of each prompt's; beside it the mean and the best there is
    with_length  correlation of its score, and of the taste, with words between the answers to one prompt

each with a 95 % interval over prompts. Leaves out the policy.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.domain import Streams
from accord.evaluation.intervals import mean_estimate
from accord.models import RewardModel, load_model
from accord.pipeline.comparing import collect_comparisons
from accord.pipeline.material import KnownTaste, gather_material
from accord.pipeline.quickstart import quickstart_config, single_pass_config
from accord.pipeline.rounds.answers import AnswerGroup, sample_groups
from accord.training import train_reward_model, train_sft

Measures = dict[str, NDArray[np.float64]]

ANSWERS = 6
"""To each held-out prompt."""
SEEN = 0.02
"""Least difference of taste that counts."""
HEADS = (("random", None), ("zero", 0.0))
PASSES = (1.0, 2.0)


def run(seed: int, *, is_fast: bool) -> dict[str, Any]:
    """Tune, compare, and train one reward model for each setting on the same pairs."""
    once, streams = single_pass_config(seed=seed, is_fast=is_fast), Streams(seed)
    shipped = quickstart_config(seed=seed, is_fast=is_fast).reward
    shipped = replace(
        shipped, members=1, eval_share=0.0, optimization=replace(shipped.optimization, steps=None)
    )
    model = load_model(once.model.name, trainable_layers=once.model.trainable_layers)
    material = gather_material(once, model.tokenizer)
    assert material.taste is not None
    train_sft(model, list(material.demonstrations), once.sft, streams=streams.child("sft"))
    pairs = collect_comparisons(
        model,
        material,
        once.panel,
        once.evaluation.sampling,
        streams=streams,
        report_progress=lambda done, total: None,
    ).train
    groups = sample_groups(
        model, material.heldout, ANSWERS, once.evaluation.sampling, streams=streams.child("held out")
    )
    rows, found = [], {}
    for name, std in HEADS:
        for passes in PASSES:
            settings = replace(shipped, head_std=std, epochs=passes)
            begun = time.perf_counter()
            trained = train_reward_model(model, pairs, settings, streams=streams.child("reward")).reward_model
            seconds = round(time.perf_counter() - begun, 1)
            found[name, passes] = judge(trained, groups, material.taste)
            rows.append({"head": name, "passes": passes, "s": seconds, **summary(found[name, passes], seed)})
    before, now = found["random", 1.0], found["zero", 2.0]
    return {
        "seed": seed,
        "pairs": len(pairs),
        "prompts": len(groups),
        "rows": rows,
        "zero_twice_less_random_once": summary({name: now[name] - before[name] for name in now}, seed),
        "answers": summary(of_taste(groups, material.taste), seed),
    }


def judge(model: RewardModel, groups: Sequence[AnswerGroup], taste: KnownTaste) -> Measures:
    """Each measure [prompt]; NaN where a prompt's answers do not tell."""
    right, best, length = [], [], []
    for group in groups:
        texts = [answer.text for answer in group.answers]
        scores = np.array(model.score_texts([group.prompt] * len(texts), texts))
        values = tastes(group, taste)
        told = [
            float(np.sign(scores[i] - scores[j]) == np.sign(values[i] - values[j]))
            for i, j in combinations(range(len(texts)), 2)
            if abs(values[i] - values[j]) > SEEN
        ]
        right.append(np.mean(told) if told else np.nan)
        best.append(values[int(np.argmax(scores))])
        length.append(correlation(scores, words(group)))
    return {"right": np.array(right), "best_taste": np.array(best), "with_length": np.array(length)}


def of_taste(groups: Sequence[AnswerGroup], taste: KnownTaste) -> Measures:
    """The same of the taste itself: what is there to be found."""
    values = [tastes(group, taste) for group in groups]
    return {
        "mean_taste": np.array([one.mean() for one in values]),
        "best_taste": np.array([one.max() for one in values]),
        "with_length": np.array([correlation(tastes(one, taste), words(one)) for one in groups]),
    }


def tastes(group: AnswerGroup, taste: KnownTaste) -> NDArray[np.float64]:
    return np.array([taste.judge(group.prompt, answer).total for answer in group.answers])


def words(group: AnswerGroup) -> NDArray[np.float64]:
    return np.array([float(len(answer.text.split())) for answer in group.answers])


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > 0 else np.nan


def summary(measures: Measures, seed: int) -> dict[str, list[float | None]]:
    """Mean and interval of each measure over the prompts that tell."""
    found: dict[str, list[float | None]] = {}
    for name, values in measures.items():
        told = values[~np.isnan(values)]
        if not len(told):
            found[name] = [None, None, None]
            continue
        estimate = mean_estimate(told, list(range(len(told))), seed=seed)
        found[name] = [round(float(one), 3) for one in (estimate.value, estimate.low, estimate.high)]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true", help="the tiny model: nothing is learned")
    given = parser.parse_args(arguments)
    print(json.dumps(run(given.seed, is_fast=given.fast)))


if __name__ == "__main__":
    main()
