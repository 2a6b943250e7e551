"""A posterior that means what it says at every number of labels, so that a threshold on it does too.

The calibrator of a finished consensus is fitted on items with all their labels. A stopping rule
reads posteriors of items with few, so this one is fitted on the gold items at every number of
labels that they went through.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from accord.domain import ConfigError, DataError

SMALLEST = 1e-12
"""Posteriors are kept this far from 0, where their logs end."""
SMOOTHING = 0.5
"""Imagined votes for each class in the vote share (Jeffreys)."""
CENTER = (0.3, 0.3)
"""Where the weights of posterior and votes are drawn to. Lower than those of a finished consensus: of few
votes the share alone says less than of many."""


@dataclass(frozen=True, kw_only=True)
class StopCalibrationConfig:
    """How far the parameters are held to their centers."""

    weight_ridge: float = 4.0
    """Of the squared distance of a and b from their centers, in nats."""
    intercept_ridge: float = 1.0
    """Of the squared distance of the intercepts from 0, in nats."""
    floor_strength: float = 3.0
    """Imagined gold items on which the crowd did not mislead itself."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}, expected above 0"
            for name in ("weight_ridge", "intercept_ridge", "floor_strength")
            if not getattr(self, name) > 0
        ]
        if problems:
            raise ConfigError("StopCalibrationConfig", problems)


@dataclass(frozen=True, eq=False)
class StopCalibrator:
    """(1 - floor) softmax(a log posterior + b log vote share + c) + floor / K."""

    posterior_weight: float
    """a, 0 or more; far below 1 says the annotators' errors go together."""
    share_weight: float
    """b, 0 or more."""
    intercepts: NDArray[np.float64]
    """[class] c; a large one says the crowd over-calls another class."""
    floor: float
    """Share of items on which the whole crowd may be misled, however many agree, in [0, 1)."""

    @property
    def highest(self) -> float:
        """The probability that no number of labels exceeds."""
        return 1 - self.floor * (1 - 1 / len(self.intercepts))

    def apply(self, posterior: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """[item, class] Calibrated probabilities from posterior and votes [item, class]."""
        logits = self.posterior_weight * _logs(posterior) + self.share_weight * _log_shares(counts)
        mixed = softmax(logits + self.intercepts, axis=1)
        return np.asarray((1 - self.floor) * mixed + self.floor / len(self.intercepts), dtype=np.float64)


def fit_stop_calibrator(
    states: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    truth: NDArray[np.int64],
    config: StopCalibrationConfig | None = None,
) -> StopCalibrator:
    """Fit on gold items as they stood after each number of labels.

    `states` holds a pair of posterior and votes [item, class] for each number, `truth` [item] the class
    numbers. Each item counts as one, its states sharing the weight. With no items the centers come
    back. The form is the stack of log posterior and log vote share; the floor is ours: without
    it an item that misleads everybody looks ever surer, and no weight repairs that.
    """
    config = config or StopCalibrationConfig()
    if not states or any(len(posterior) != len(truth) for posterior, _ in states):
        raise DataError(
            f"{len(states)} states of {len(truth)} gold items; expected one or more, each with a row an item"
        )
    size = states[0][0].shape[1]
    logs = np.concatenate([_logs(posterior) for posterior, _ in states])
    shares = np.concatenate([_log_shares(counts) for _, counts in states])
    start = np.array([*CENTER, *np.zeros(size), 0.02])
    if not len(truth):
        return StopCalibrator(*CENTER, np.zeros(size), 0.0)
    target = np.eye(size)[np.tile(truth, len(states))]
    weight = 1 / len(states)
    ridges = np.array([config.weight_ridge] * 2 + [config.intercept_ridge] * size)

    def objective(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        floor, offset = values[-1], values[:-1] - start[:-1]
        log_mixed = log_softmax(values[0] * logs + values[1] * shares + values[2:-1], axis=1)
        mixed = np.exp(log_mixed)
        right = (mixed * target).sum(axis=1)
        total = (1 - floor) * right + floor / size
        slope = ((1 - floor) * right / total)[:, None] * (target - mixed)
        gradient = -weight * np.array(
            [
                (slope * logs).sum(),
                (slope * shares).sum(),
                *slope.sum(axis=0),
                ((1 / size - right) / total).sum(),
            ]
        )
        gradient[:-1] += 2 * ridges * offset
        gradient[-1] += config.floor_strength / (1 - floor)
        value = -weight * np.log(total).sum() + (ridges * offset**2).sum()
        return value - config.floor_strength * np.log(1 - floor), gradient

    bounds = [(0, None)] * 2 + [(None, None)] * size + [(1e-9, 0.9)]
    fit = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return StopCalibrator(float(fit.x[0]), float(fit.x[1]), fit.x[2:-1].copy(), float(fit.x[-1]))


def _logs(posterior: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(posterior, SMALLEST)), dtype=np.float64)


def _log_shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    smoothed = counts + SMOOTHING
    return np.asarray(np.log(smoothed / smoothed.sum(axis=1, keepdims=True)), dtype=np.float64)
