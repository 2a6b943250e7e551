"""Whether people agree with a judge as well as with each other.

    kappa = (observed - expected) / (1 - expected)

Judge and people: observed is the mean over items of the share of an item's people who say what the judge
says, expected the chance that judge and a person drawn from all votes agree. People: the same for two
different people of one item. The question is not whether the judge's kappa is high but whether it is as high
as people's: `gap` is judge less people, resampled over items together. Items without two people count for
the judge only. Leaves out correcting the judge's numbers (`accord.evaluation.prediction_powered`).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.intervals import Estimate, bootstrap_estimate, share_estimate
from accord.evaluation.measurement import Measurement

Item = TypeVar("Item", bound=Hashable)
Answer = str
"""Who won, e.g. "left", "right", "tie", in terms that do not depend on the side shown."""
RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class JudgeValidation:
    """A judge held against people."""

    n_items: int
    """Items with a verdict and a person."""
    n_missing: int
    """Items with people and no verdict: told, not counted."""
    agreement: Estimate
    """Share of people, item by item, who say what the judge says."""
    plurality: Estimate
    """Share of items on which the judge says what most people say; even counts are left out."""
    kappa: Estimate
    """Judge and people."""
    human_kappa: Estimate | None
    """People among each other; None where no item has two."""
    gap: Estimate | None
    """Judge's kappa less people's."""


def validate_judge(
    verdicts: Mapping[Item, Answer | None],
    people: Mapping[Item, Sequence[Answer]],
    *,
    clusters: Mapping[Item, Hashable] | None = None,
    seed: int = 0,
) -> JudgeValidation:
    """Hold verdicts [item] against people's votes [item]; None is a verdict that did not come.

    `clusters` [item] names what is resampled together, by default each item alone.
    """
    asked = [item for item in people if people[item]]
    items = [item for item in asked if verdicts.get(item) is not None]
    if not items:
        raise EvaluationError("no item has both a verdict and a person's vote; compare the ids")
    answers = sorted({vote for item in items for vote in people[item]} | {str(verdicts[i]) for i in items})
    place = {answer: k for k, answer in enumerate(answers)}
    votes = np.zeros((len(items), len(answers)))
    for row, item in enumerate(items):
        for vote in people[item]:
            votes[row, place[vote]] += 1
    said = np.eye(len(answers))[[place[str(verdicts[item])] for item in items]]
    units = Clusters.of([item if clusters is None else clusters[item] for item in items], rows=len(items))
    total = votes.sum(axis=1)
    shared = (said * votes).sum(axis=1) / total
    top = votes.max(axis=1)
    is_clear = (votes == top[:, None]).sum(axis=1) == 1
    hits = (said * (votes == top[:, None])).sum(axis=1)
    names = [str(item if clusters is None else clusters[item]) for item in items]

    def of_judge(weights: FloatArray) -> float:
        return _kappa(weights @ shared / weights.sum(), weights @ said, weights @ (votes / total[:, None]))

    has_two = total >= 2
    pairs = np.where(has_two, total * (total - 1), 1.0)
    among = ((votes * (votes - 1)).sum(axis=1) / pairs)[has_two]

    def of_people(weights: FloatArray) -> float:
        own = weights[has_two]
        if not own.sum():
            return float("nan")
        chance = own @ (votes / total[:, None])[has_two]
        return _kappa(own @ among / own.sum(), chance, chance)

    resample = partial(
        bootstrap_estimate, clusters=units, method="percentile", resamples=RESAMPLES, seed=seed
    )
    human = resample(of_people) if has_two.any() else None
    gap = None
    if human is not None:
        gap = resample(lambda weights: of_judge(weights) - of_people(weights))
    return JudgeValidation(
        n_items=len(items),
        n_missing=len(asked) - len(items),
        agreement=share_estimate(shared, names, seed=seed),
        plurality=share_estimate(hits[is_clear], np.array(names)[is_clear].tolist(), seed=seed),
        kappa=resample(of_judge),
        human_kappa=human,
        gap=gap,
    )


def as_measurements(found: JudgeValidation) -> tuple[Measurement, ...]:
    """The figures as `accord gate` reads them; what does not exist is left out."""
    figures = {
        "judge_agreement": found.agreement,
        "judge_plurality_agreement": found.plurality,
        "judge_kappa": found.kappa,
        "human_kappa": found.human_kappa,
        "judge_kappa_gap": found.gap,
    }
    return tuple(
        Measurement(metric=name, estimate=estimate)
        for name, estimate in figures.items()
        if estimate is not None
    )


def _kappa(observed: float, first: FloatArray, second: FloatArray) -> float:
    """From the observed share and two tables of counts; NaN where chance alone agrees always."""
    expected = float((first / first.sum()) @ (second / second.sum()))
    return float((observed - expected) / (1 - expected)) if expected < 1 - 1e-12 else float("nan")
