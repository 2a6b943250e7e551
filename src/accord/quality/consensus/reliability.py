"""How far probabilities can be trusted: accuracy, log-loss and calibration error on gold, with intervals.

Measure on gold that the probabilities were not fitted on (`cross_calibrate`, or other items).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.domain import ConfigError, DataError
from accord.quality.agreement.resampling import DEFAULT_BOOTSTRAP, BootstrapConfig, Units, bootstrap
from accord.quality.consensus.calibration_error import measure_calibration_error
from accord.quality.consensus.evidence import UNKNOWN, GoldIndex

SMALLEST = 1e-12
"""Probability that the loss of a surprise is counted at, where it is 0: at most 27.6 nats an item."""
NO_GOLD = "no gold items to measure on"
BIASED = "no interval: the error is above 0 even for perfect probabilities; see calibration_error_debiased"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure with its interval over items, by bootstrap; None where it does not exist, with the reason."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """One point of a reliability diagram."""

    n_items: int
    confidence: float
    """Mean probability of the named class."""
    accuracy: float
    """Share of the items on which it is right."""


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """What probabilities are worth on gold items."""

    n_items: int
    accuracy: Measure
    """Share right; a tie among k classes counts 1/k if the right one is among them."""
    log_loss: Measure
    """Nats an item: mean of -log(probability of the gold class)."""
    calibration_error: Measure
    """ECE: mean over items of |confidence - accuracy| of their bin (Naeini et al. 2015). It is above 0 even
    for perfect probabilities, by about sqrt(bins / items) / 2, so it has no interval."""
    calibration_error_debiased: Measure
    """Root of the mean over items of (confidence - accuracy)^2 of their bin, less the variance of the latter
    (Kumar et al. 2019); 0 where nothing is left. Its interval is by tests, not by resampling."""
    bins: tuple[ReliabilityBin, ...]
    """By rising confidence, as many items in each; equal confidences stay together."""


def measure_reliability(
    probabilities: NDArray[np.float64],
    gold: GoldIndex,
    *,
    n_bins: int = 10,
    config: BootstrapConfig = DEFAULT_BOOTSTRAP,
) -> Reliability:
    """Measure probabilities [item, class] against gold [item], `UNKNOWN` where there is none.

    Without gold each figure is None with the reason; one item gives figures without intervals.
    """
    if len(probabilities) != len(gold):
        raise DataError(
            f"{len(probabilities)} rows of probabilities for {len(gold)} gold entries, expected as many"
        )
    if n_bins < 1:
        raise ConfigError("measure_reliability", [f"n_bins is {n_bins}; expected at least 1"])
    known = np.flatnonzero(gold != UNKNOWN)
    if not len(known):
        nothing = Measure(value=None, low=None, high=None, reason=NO_GOLD)
        return Reliability(
            n_items=0,
            accuracy=nothing,
            log_loss=nothing,
            calibration_error=nothing,
            calibration_error_debiased=nothing,
            bins=(),
        )
    chances, truth = probabilities[known], gold[known]
    right_chance = chances[np.arange(len(known)), truth]
    confidence = chances.max(axis=1)
    is_top = chances == confidence[:, None]
    right = is_top[np.arange(len(known)), truth] / is_top.sum(axis=1)
    loss = -np.log(np.maximum(right_chance, SMALLEST))
    numbers = bin_numbers(confidence, n_bins)
    member = np.eye(n_bins)[numbers]
    gap = confidence - right
    columns = np.stack([right, loss], axis=1)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(weights @ columns / weights.sum(axis=1, keepdims=True))

    units = Units(np.ones(len(known), dtype=np.int64))
    found = bootstrap(statistic, units, config=config, undefined=NO_GOLD)
    accuracy, log_loss = (
        Measure(value=value, low=low, high=high, reason=reason)
        for value, low, high, reason in zip(found.values, found.lows, found.highs, found.reasons, strict=True)
    )
    debiased = _debiased(confidence, right, numbers, config)
    plain = float(np.abs(gap @ member).sum() / len(known))
    error = Measure(value=plain, low=None, high=None, reason=BIASED)
    return Reliability(
        n_items=len(known),
        accuracy=accuracy,
        log_loss=log_loss,
        calibration_error=error,
        calibration_error_debiased=debiased,
        bins=_bins(member, confidence, right),
    )


def _debiased(
    confidence: NDArray[np.float64],
    right: NDArray[np.float64],
    numbers: NDArray[np.int64],
    config: BootstrapConfig,
) -> Measure:
    found = measure_calibration_error(confidence, right, numbers, level=config.confidence)
    reason = None if config.replicates else "no interval was asked for (0 replicates)"
    if len(right) < 2:
        reason = f"no interval: {len(right)} of the items that are drawn, needs 2"
    if reason is not None:
        return Measure(value=found.value, low=None, high=None, reason=reason)
    return Measure(value=found.value, low=found.low, high=found.high, reason=None)


def bin_numbers(confidence: NDArray[np.float64], n_bins: int) -> NDArray[np.int64]:
    """[item] Bin of each confidence: equally many items in each, equal confidences in the same."""
    _, index, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    return np.asarray(np.minimum(middle * n_bins / len(confidence), n_bins - 1).astype(np.int64)[index])


def _bins(
    member: NDArray[Any], confidence: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[ReliabilityBin, ...]:
    sizes = member.sum(axis=0)
    return tuple(
        ReliabilityBin(n_items=int(size), confidence=float(sure / size), accuracy=float(good / size))
        for size, sure, good in zip(sizes, confidence @ member, right @ member, strict=True)
        if size
    )
