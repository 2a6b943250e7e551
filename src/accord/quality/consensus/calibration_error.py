"""How far confidence lies from accuracy, free of the noise of small bins, with an interval.

The mean of squared gaps of bins is above 0 even for perfect probabilities; what noise adds is taken away
(Kumar et al. 2019, "Verified uncertainty calibration"). The truth is often 0 or near it, where
resampling fails: a resample carries the noise of the sample and its own. So the interval is that of tests:
all errors that the data do not reject. At 0 the test has one side, far from it two, as in Feldman and Cousins
1998, so that it is never empty and no wider at the bound than elsewhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2, ncx2

FloatArray = NDArray[np.float64]

IMAGINED_ITEMS = 2.0
"""In each bin, right as often as they are sure of: without them a bin without a mistake had no noise."""
SMALLEST_TAIL = 1e-12
"""Of the distribution of the error; below, it is 0."""


@dataclass(frozen=True, kw_only=True)
class CalibrationError:
    """Root of the mean over items of the squared gap of their bin."""

    value: float
    """0 where noise explains all of it."""
    low: float
    high: float


def measure_calibration_error(
    confidence: FloatArray, right: FloatArray, bins: NDArray[np.int64], *, level: float = 0.95
) -> CalibrationError:
    """Debiased error of confidences [item] that were right [item], 0 to 1, in bins [item], with its interval.

    Q = sum_b w_b gap_b^2 over bins of n_b = w_b n items; the gap of a bin has variance v_b / n_b. The value
    is the root of Q - sum_b w_b v_b / n_b. Under an error e the law of Q is taken for a multiple of
    noncentral chi-squared with its mean and variance. Errors inside a bin are not seen.
    """
    sizes = np.bincount(bins)
    used = np.flatnonzero(sizes)
    n = sizes[used].astype(np.float64)

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(bins, values)[used] / n)

    gap = mean(confidence - right)
    doubt = mean(confidence * (1 - confidence))
    spread = n * np.maximum(mean((confidence - right) ** 2) - gap**2, 0.0) + IMAGINED_ITEMS * doubt
    noise = spread / np.maximum(n + IMAGINED_ITEMS - 1, 1.0) / n
    law = _Law.of(n / n.sum(), gap, noise)
    low, high = law.interval(level)
    return CalibrationError(value=float(np.sqrt(max(law.seen - law.noise, 0.0))), low=low, high=high)


@dataclass(frozen=True)
class _Law:
    """Of Q under each error."""

    seen: float
    """Q."""
    noise: float
    """Its mean where the error is 0."""
    noise_variance: float
    """Its variance there."""
    slope: float
    """What each unit of squared error adds to the variance."""

    @classmethod
    def of(cls, share: FloatArray, gap: FloatArray, noise: FloatArray) -> "_Law":
        seen = float(share @ gap**2)
        slope = 4 * float((share**2 * noise) @ gap**2) / seen if seen > 0 else 0.0
        return cls(seen, float(share @ noise), 2 * float(share**2 @ noise**2), slope)

    def below(self, square: float) -> float:
        """Probability of a smaller Q than was seen, where the squared error is `square`."""
        scale = (self.noise_variance + self.slope * square) / (2 * self.noise + 4 * square)
        freedom = self.noise / scale
        if square == 0:
            return float(chi2.cdf(self.seen / scale, freedom))
        return float(ncx2.cdf(self.seen / scale, freedom, square / scale))

    def interval(self, level: float) -> tuple[float, float]:
        """All errors with lower tail <= P(Q < seen) <= lower tail + level; the tail grows from 0 to half."""
        if self.noise_variance == 0:
            error = float(np.sqrt(max(self.seen - self.noise, 0.0)))
            return error, error

        def tail(square: float) -> float:
            grown = -np.expm1(-square / np.sqrt(self.noise_variance))
            return float((1 - level) / 2 * grown)

        def too_low(square: float) -> float:
            return self.below(square) - tail(square) - level

        def too_high(square: float) -> float:
            return self.below(square) - max(tail(square), SMALLEST_TAIL)

        most = self.seen + self.noise
        while too_high(most) > 0:
            most *= 2
        high = float(brentq(too_high, 0.0, most)) if too_high(0.0) > 0 else 0.0
        low = float(brentq(too_low, 0.0, most)) if too_low(0.0) > 0 else 0.0
        return float(np.sqrt(low)), float(np.sqrt(high))
