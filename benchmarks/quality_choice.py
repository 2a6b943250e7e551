"""What the limits of `method="auto"` rest on: each of the real crowds left out in turn, one JSON line.

The limits (`ChoiceConfig`) are chosen on five crowds and tried on the sixth: of all settings of the grid
those whose mean log-loss on the gold of the five is within `SLACK` of the lowest, and of these the most
cautious: the smallest gain that alarms, then the smallest discount, then the smallest material gain. That
rule was fixed before it was tried. Beside it stand the shipped limits, and how much surer each consensus is
than right: its mean highest probability less the share that is right.

    python benchmarks/quality_choice.py --data DATA [--seed 0]
"""

import argparse
import gzip
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.domain import LabelColumns
from accord.quality.consensus.choice import ChoiceConfig, choose_model, published
from accord.quality.consensus.evidence import gather_evidence
from accord.quality.consensus.held_out import ModelSurvey, survey_models
from accord.quality.consensus.models import fit_model
from accord.quality.consensus.vote import vote_share
from accord.quality.labels import LabelTable, tabulate_labels

CROWDS = ("bluebirds", "ducks", "rte", "sentiment1000", "webrating4", "hitspam")
TARGETS = (0.8888, 0.6875, 0.9275, 0.713, 0.769, 0.66)
"""Accuracy the best published method has on each."""
DISCOUNTS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
ALARMS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 1.0)
MATERIALS = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08)
SLACK = 0.002
"""Nats of mean log-loss that settings may differ by and still be called level."""


@dataclass(frozen=True, eq=False)
class Crowd:
    """One real crowd, with everything a setting needs."""

    name: str
    table: LabelTable
    gold: NDArray[np.int64]
    """[item] Class number, -1 where unknown."""
    survey: ModelSurvey
    posteriors: dict[str, NDArray[np.float64]]


def read_labels(data: Path, name: str) -> tuple[LabelTable, NDArray[np.int64]]:
    """The table of a set and the class number of each item, -1 without gold."""
    rows = _read(data / f"crowd_{name}" / "labels.jsonl.gz")
    columns = LabelColumns(
        items=[row["task"] for row in rows],
        annotators=[row["worker"] for row in rows],
        values=[row["label"] for row in rows],
    )
    table = tabulate_labels(columns, repeats="first")
    place = {value: k for k, value in enumerate(table.classes)}
    known = {str(row["task"]): place[row["gold"]] for row in _read(data / f"crowd_{name}" / "gold.jsonl.gz")}
    gold = np.array([known.get(str(item), -1) for item in table.items.tolist()])
    return table, gold


def read_crowd(data: Path, name: str, seed: int) -> Crowd:
    """Labels, gold, held-out labels and the posterior of every candidate."""
    table, gold = read_labels(data, name)
    evidence = gather_evidence(table)
    survey = survey_models(table, seed=seed)
    posteriors = {
        method: fit_model(table, method, evidence=evidence, seed=seed).posterior
        for method in survey.candidates
    }
    return Crowd(name, table, gold, survey, posteriors)


def _read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def try_limits(crowd: Crowd, limits: ChoiceConfig) -> dict[str, Any]:
    """Accuracy, log-loss on gold and excess of confidence of what `auto` publishes under these limits."""
    choice = choose_model(crowd.survey, limits)
    posterior = crowd.posteriors[choice.method]
    chances = posterior
    if choice.method != "vote_share":
        chances = published(crowd.table, posterior, choice.discount, config=limits)
    return {"method": choice.method, "alarm": bool(choice.alarms), **_score(chances, crowd.gold)}


def _score(chances: NDArray[np.float64], gold: NDArray[np.int64]) -> dict[str, float]:
    known = np.flatnonzero(gold >= 0)
    rows, truth = chances[known], gold[known]
    top = rows >= rows.max(axis=1, keepdims=True) - 1e-9
    cells = np.arange(len(known)), truth
    accuracy = float((top[cells] / top.sum(axis=1)).mean())
    return {
        "accuracy": round(accuracy, 4),
        "log_loss": round(float(-np.log(np.maximum(rows[cells], 1e-12)).mean()), 4),
        "excess_confidence": round(float(rows.max(axis=1).mean()) - accuracy, 4),
    }


def choose_limits(crowds: list[Crowd], tried: dict[tuple[str, ChoiceConfig], dict[str, Any]]) -> ChoiceConfig:
    """The most cautious of the settings that are level with the best on these crowds."""
    settings = {limits for _, limits in tried}
    mean = {
        limits: float(np.mean([tried[crowd.name, limits]["log_loss"] for crowd in crowds]))
        for limits in settings
    }
    least = min(mean.values())
    level = [limits for limits in settings if mean[limits] <= least + SLACK]
    return min(level, key=lambda one: (one.alarming_gain, one.most_discount, one.material_gain))


def main() -> None:
    """Leave each crowd out in turn and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the crowd_* sets")
    parser.add_argument("--seed", type=int, default=0, help="of held-out labels and fits")
    args = parser.parse_args()
    crowds = [read_crowd(args.data, name, args.seed) for name in CROWDS]
    grid = [
        ChoiceConfig(most_discount=most, alarming_gain=alarm, material_gain=material)
        for most, alarm, material in itertools.product(DISCOUNTS, ALARMS, MATERIALS)
    ]
    tried = {(crowd.name, limits): try_limits(crowd, limits) for crowd in crowds for limits in grid}
    line: dict[str, Any] = {}
    for crowd, target in zip(crowds, TARGETS, strict=True):
        limits = choose_limits([one for one in crowds if one is not crowd], tried)
        line[crowd.name] = {
            "target": target,
            "vote": _score(vote_share(crowd.table), crowd.gold),
            "shipped": try_limits(crowd, ChoiceConfig()),
            "left_out": tried[crowd.name, limits],
            "limits": [limits.most_discount, limits.alarming_gain, limits.material_gain],
            "gain_of_kinds": crowd.survey.gain_of_kinds(),
        }
    print(json.dumps({"seed": args.seed, "limits": "discount, alarm, material", "crowds": line}))


if __name__ == "__main__":
    main()
