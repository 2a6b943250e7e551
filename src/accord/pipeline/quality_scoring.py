"""A consensus held against known answers: accuracy, log-loss, reliability, each with its interval."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.domain import EvaluationError, Value
from accord.evaluation import Estimate, mean_estimate, wilson
from accord.pipeline.quality_contents import ReliabilityPoint

SMALLEST_PROBABILITY = 1e-12
"""A class held for impossible costs 27.6 nats when it was right; infinity would hide all the rest."""
MOST_POINTS = 10
FEWEST_IN_POINT = 15
"""Items behind one point of the reliability diagram; fewer points rather than fewer items."""


@dataclass(frozen=True, kw_only=True)
class PosteriorScore:
    """How right and how honest a posterior is."""

    accuracy: Estimate
    """A tie of k classes that holds the answer counts 1/k."""
    log_loss: Estimate
    """Nats an item."""
    points: tuple[ReliabilityPoint, ...]


def score_posterior(
    probabilities: NDArray[np.float64],
    *,
    items: Sequence[Any],
    classes: Sequence[Value],
    gold: Mapping[Any, Value],
) -> PosteriorScore | None:
    """Score `probabilities` [item, class] on the items that have gold; None where none has."""
    place_of = {value: number for number, value in enumerate(classes)}
    known = [(row, place_of[gold[item]]) for row, item in enumerate(items) if item in gold]
    if not known:
        return None
    rows, truth = np.array(known).T
    scored = np.asarray(probabilities)[rows]
    if not np.allclose(scored.sum(axis=1), 1.0, atol=1e-6):
        raise EvaluationError("probabilities must sum to 1 over the classes of each item")
    peak = scored.max(axis=1)
    at_peak = scored >= peak[:, None]
    right = at_peak[np.arange(len(truth)), truth] / at_peak.sum(axis=1)
    losses = -np.log(np.maximum(scored[np.arange(len(truth)), truth], SMALLEST_PROBABILITY))
    return PosteriorScore(
        accuracy=wilson(float(right.sum()), len(right)),
        log_loss=mean_estimate(losses),
        points=_reliability(peak, right),
    )


def choose_gold(gold: Iterable[Any], count: int, *, seed: int) -> list[Any]:
    """`count` of the gold items at random, the same for every order of the file; all of them where fewer."""
    names = sorted(gold, key=str)
    order = np.random.default_rng(seed).permutation(len(names))
    return [names[place] for place in order[:count]]


def _reliability(confidence: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[ReliabilityPoint, ...]:
    """Points of about equally many items each, in order of confidence; equal confidences stay together."""
    order = np.argsort(confidence, kind="stable")
    n_points = max(1, min(MOST_POINTS, len(order) // FEWEST_IN_POINT))
    edges = [confidence[part[-1]] for part in np.array_split(order, n_points) if len(part)]
    bins = np.searchsorted(np.unique(edges), confidence, side="left")
    points = []
    for number in np.unique(bins):
        inside = bins == number
        observed = wilson(float(right[inside].sum()), int(inside.sum()))
        points.append(ReliabilityPoint(predicted=float(confidence[inside].mean()), observed=observed))
    return tuple(points)
