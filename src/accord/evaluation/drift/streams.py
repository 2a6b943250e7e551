"""Change detectors for numbers that come in one by one: Page-Hinkley and ADWIN.

For reward-model accuracy on incoming labels, annotator agreement, judge agreement. Leaves out
what changed and why (`diagnosis.py`). An alarm asks for labels; it is not a verdict.
"""

import math
from dataclasses import dataclass

import numpy as np

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A change that a detector announced."""

    position: int
    """Number of values seen when it was announced, from 1."""
    change_at: int
    """Number of values before the estimated change."""
    before: float
    """Mean of the values before it, as the detector keeps them."""
    after: float


class PageHinkley:
    """Cumulative sum of departures from a known level; announces a DROP below it (Page 1954).

        S_t = max(0, S_{t-1} + (level - tolerance - x_t)),   alarm when S_t > threshold

    Against the known level of a labeled reference instead of the stream's own running mean,
    so that a slow drop cannot pull its own baseline along. For rises pass negated values.
    Starts over after an alarm. `page_hinkley_threshold` gives the threshold.
    """

    def __init__(self, level: float, *, threshold: float, tolerance: float = 0.02):
        if not threshold > 0 or tolerance < 0:
            raise EvaluationError(
                f"threshold must be positive and tolerance not negative, got {threshold} and {tolerance}"
            )
        self.level = level
        self.threshold = threshold
        self.tolerance = tolerance
        self._seen = 0
        self._restart()

    def update(self, value: float) -> Alarm | None:
        """Take one value; an alarm when the sum passes the threshold, else None. NaN raises."""
        _require_finite(value, self._seen)
        self._seen += 1
        self._sum += self.level - self.tolerance - value
        if self._sum <= 0.0:
            self._restart()
            return None
        self._tail_sum += value
        if self._sum <= self.threshold:
            return None
        length = self._seen - self._start
        alarm = Alarm(
            position=self._seen, change_at=self._start, before=self.level, after=self._tail_sum / length
        )
        self._restart()
        return alarm

    def _restart(self) -> None:
        self._sum = 0.0
        self._tail_sum = 0.0
        self._start = self._seen


def page_hinkley_threshold(
    reference: FloatArray,
    *,
    horizon: int,
    false_alarm: float = 0.05,
    tolerance: float = 0.02,
    runs: int = 2_000,
    seed: int = 0,
) -> float:
    """Threshold at which streams of `horizon` values redrawn from the reference alarm in a share
    `false_alarm`.

    The reference's own error is part of it: each run draws its own level from a resample of
    the reference. Values are taken as independent; batches that share prompts need their means.
    """
    if len(reference) < 20 or horizon < 1 or not 0.0 < false_alarm < 1.0:
        raise EvaluationError(
            f"a threshold needs 20 reference values, a horizon and a false-alarm share in (0, 1), "
            f"got {len(reference)}, {horizon} and {false_alarm}"
        )
    generator = np.random.default_rng(seed)
    levels = generator.choice(reference, size=(runs, len(reference))).mean(axis=1)
    total, peak = np.zeros(runs), np.zeros(runs)
    for _ in range(horizon):
        total = np.maximum(0.0, total + levels - tolerance - generator.choice(reference, size=runs))
        peak = np.maximum(peak, total)
    return max(float(np.quantile(peak, 1.0 - false_alarm, method="higher")), 1e-9)


class Adwin:
    """A window that drops its older part when its mean differs from the newer part's (Bifet and Gavalda
    2007).

    At every cut of the window, with m = 1 / (1/n0 + 1/n1) and d = delta / window:

        alarm when |mean0 - mean1| > sqrt(2/m * var * ln(2/d)) + 2/(3m) * ln(2/d)

    The whole window is kept (the paper's exact form, not its buckets), so memory is `max_window`
    numbers. `delta` bounds the false alarms of ONE look roughly; over a stream they add up, and
    the measured rate is in the tests. Values must lie in [0, 1].
    """

    def __init__(self, *, delta: float = 0.002, max_window: int = 5_000, every: int = 8, least: int = 10):
        if not 0.0 < delta < 1.0 or max_window < 4 * least or every < 1 or least < 1:
            raise EvaluationError(
                f"delta must lie in (0, 1), the window hold 4 times the least part, and looks come every "
                f"1 or more; got delta {delta}, window {max_window}, least {least}, every {every}"
            )
        self.delta = delta
        self.max_window = max_window
        self.every = every
        self.least = least
        self._window: list[float] = []
        self._seen = 0

    @property
    def window(self) -> tuple[float, ...]:
        """Values since the last change, oldest first."""
        return tuple(self._window)

    def update(self, value: float) -> Alarm | None:
        """Take one value; looks at the window every `every` values. A value outside [0, 1] raises."""
        _require_finite(value, self._seen)
        if not 0.0 <= value <= 1.0:
            raise EvaluationError(f"value {self._seen} is {value}; ADWIN needs values in [0, 1]")
        self._seen += 1
        self._window.append(float(value))
        if len(self._window) > self.max_window:
            del self._window[0]
        if self._seen % self.every or len(self._window) < 2 * self.least:
            return None
        cut = self._find_cut()
        if cut is None:
            return None
        values = np.array(self._window)
        self._window = self._window[cut:]
        return Alarm(
            position=self._seen,
            change_at=self._seen - len(self._window),
            before=float(values[:cut].mean()),
            after=float(values[cut:].mean()),
        )

    def _find_cut(self) -> int | None:
        """The cut that exceeds its limit by the largest factor; None when no cut does."""
        values = np.array(self._window)
        n = len(values)
        cuts = np.arange(self.least, n - self.least + 1)
        sums = np.cumsum(values)
        before = sums[cuts - 1] / cuts
        after = (sums[-1] - sums[cuts - 1]) / (n - cuts)
        harmonic = 1.0 / (1.0 / cuts + 1.0 / (n - cuts))
        log_term = math.log(2.0 * n / self.delta)
        limit = np.sqrt(2.0 / harmonic * values.var() * log_term) + 2.0 / (3.0 * harmonic) * log_term
        excess = np.abs(before - after) / limit
        best = int(np.argmax(excess))
        return int(cuts[best]) if excess[best] > 1.0 else None


def _require_finite(value: float, position: int) -> None:
    if not math.isfinite(value):
        raise EvaluationError(f"value {position} of the stream is {value}; leave it out and count it")
