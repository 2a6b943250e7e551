"""Intervals: Wilson for plain proportions, cluster bootstrap (percentile and BCa) for everything else.

Every measured number of the package is an `Estimate`. Leaves out tests of
hypotheses (`winrate.py` has the sign test) and sequential intervals.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, ndtr, ndtri, stdtrit

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray, finite_array, share_array

Method = Literal["bca", "percentile"]

RESAMPLES = 10_000
"""Resamples of a mean; Monte Carlo error of a 95 % bound is then about 1 % of the interval's width."""
STATISTIC_RESAMPLES = 1_000
"""Resamples of a statistic that is computed row by row in Python."""
ROUNDING = 1e-12
"""Draws this close to the value, relatively, are ties: the same clusters summed in another order."""
MIN_STRETCH = 1e-3
"""Least divisor of BCa's levels: with few clusters and a strong skew it would turn around."""
MAX_DRAWS = 4_000_000
"""Resampled indices held in memory at a time (32 MB)."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A measured number with its interval: value, bounds, how many rows, how the interval was made."""

    value: float
    low: float = math.nan
    """Lower bound; NaN where no interval is defined (one cluster only, or a number that is known)."""
    high: float = math.nan
    n: int = 0
    """Rows behind the value (pairs, answers, votes)."""
    method: str = ""
    """How the interval was made, e.g. "wilson" or "bca, 80 clusters"."""
    confidence: float = 0.95

    @property
    def has_interval(self) -> bool:
        """True when both bounds are numbers."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def is_above(self, threshold: float) -> bool:
        """True when the whole interval lies above `threshold`; False without an interval."""
        return self.has_interval and self.low > threshold

    def is_below(self, threshold: float) -> bool:
        """True when the whole interval lies below `threshold`; False without an interval."""
        return self.has_interval and self.high < threshold


def wilson(successes: float, n: int, *, confidence: float = 0.95) -> Estimate:
    """Wilson score interval of a proportion of independent trials.

        center = (p + z^2/2n) / (1 + z^2/n),  half = z/(1 + z^2/n) * sqrt(p(1-p)/n + z^2/4n^2)

    n = 0 raises. n = 1 and total agreement give wide, one-sided-looking intervals
    inside [0, 1], never width zero. `successes` may hold halves (ties); the interval
    is then conservative. Wilson 1927; Brown, Cai and DasGupta 2001.
    """
    if n < 1:
        raise EvaluationError(f"a proportion needs at least one trial, got n = {n}")
    if not 0.0 <= successes <= n:
        raise EvaluationError(f"successes must lie between 0 and n = {n}, got {successes}")
    z_value = _two_sided_z(confidence)
    share = successes / n
    shrink = 1.0 + z_value**2 / n
    center = (share + z_value**2 / (2 * n)) / shrink
    half = z_value / shrink * math.sqrt(share * (1 - share) / n + z_value**2 / (4 * n**2))
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == n else min(1.0, center + half)
    return Estimate(value=share, low=low, high=high, n=n, method="wilson", confidence=confidence)


def mean_estimate(
    values: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    method: Method = "bca",
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Mean over rows, with a bootstrap interval that resamples whole prompts.

    Interval scale. n = 0 raises; one prompt gives the mean without an interval; equal
    values give an interval of width zero (for shares use `share_estimate`, which does not).
    """
    rows = finite_array(values, name="values")
    clusters = Clusters.of(prompt_ids, rows=len(rows))
    return ratio_estimate(
        rows,
        np.ones_like(rows),
        clusters,
        method=method,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )


def share_estimate(
    values: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    method: Method = "bca",
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Mean of values in [0, 1] (1 yes, 0 no, 0.5 a tie), by prompt.

    Wilson when every row has its own prompt and is 0 or 1; a cluster bootstrap otherwise.
    Where all prompts agree a bootstrap would claim certainty, so the interval is then
    Wilson's with n = number of prompts. n = 0 raises.
    """
    rows = share_array(values, name="values")
    clusters = Clusters.of(prompt_ids, rows=len(rows))
    return clustered_share(rows, clusters, method=method, confidence=confidence, seed=seed)


def clustered_share(
    rows: FloatArray,
    clusters: Clusters,
    *,
    method: Method = "bca",
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """`share_estimate` for rows whose clusters are known."""
    _require_rows(len(rows))
    is_binary = bool(np.isin(rows, (0.0, 1.0)).all())
    if clusters.is_single and is_binary:
        return wilson(float(rows.sum()), len(rows), confidence=confidence)
    share = float(rows.mean())
    means = clusters.sums(rows) / clusters.sums(np.ones_like(rows))
    if clusters.count == 1 or np.ptp(means) == 0.0:
        plain = wilson(share * clusters.count, clusters.count, confidence=confidence)
        name = f"wilson, {clusters.count} clusters"
        return Estimate(
            value=share, low=plain.low, high=plain.high, n=len(rows), method=name, confidence=confidence
        )
    return ratio_estimate(rows, np.ones_like(rows), clusters, method=method, confidence=confidence, seed=seed)


def ratio_estimate(
    numerators: FloatArray,
    denominators: FloatArray,
    clusters: Clusters,
    *,
    method: Method = "bca",
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """sum(numerators) / sum(denominators) with a cluster bootstrap; the mean is the case of denominators 1.

    n = 0 or a total denominator that is not positive raises; one cluster gives no interval.
    """
    _require_rows(len(numerators))
    order = np.lexsort((denominators, numerators, clusters.codes))  # sums round alike in every row order
    ordered = Clusters(codes=clusters.codes[order], count=clusters.count)
    upper, lower = ordered.sums(numerators[order]), ordered.sums(denominators[order])
    if not lower.sum() > 0:
        raise EvaluationError(f"the weights sum to {lower.sum()}; a mean needs a positive total")
    value = float(upper.sum() / lower.sum())
    if clusters.count < 2:
        return _without_interval(value, len(numerators), confidence)
    generator = np.random.default_rng(seed)
    draws = []
    done = 0
    while done < resamples:
        chunk = min(resamples - done, max(1, MAX_DRAWS // clusters.count))
        picks = generator.integers(0, clusters.count, size=(chunk, clusters.count))
        draws.append(upper[picks].sum(axis=1) / _positive(lower[picks].sum(axis=1)))
        done += chunk
    kept = lower.sum() - lower
    leave_one_out = (upper.sum() - upper) / _positive(kept)
    return _from_draws(
        value, np.concatenate(draws), leave_one_out, len(numerators), clusters.count, method, confidence
    )


def quantile_estimate(values: ArrayLike, share: float, *, confidence: float = 0.95) -> Estimate:
    """A quantile of independent rows between two of them, without any assumption (order statistics).

        rows l and u, from the smallest: P(Bin(n, share) < l) <= alpha / 2, P(Bin(n, share) >= u) <= alpha / 2

    The value is the smallest row that `share` of the rows do not exceed. Where even the largest row is no
    upper bound, it stands for it, and `confidence` says how often such an interval holds: the 99th percentile
    takes 368 rows, from which on .99^n <= .025. n = 0 raises; n = 1 has no interval.
    """
    rows = np.sort(finite_array(values, name="values"))
    _require_rows(len(rows))
    if not 0.0 < share < 1.0:
        raise EvaluationError(f"the share of a quantile is {share}; expected a number between 0 and 1")
    tail = (1.0 - confidence) / 2
    n = len(rows)
    value = float(rows[min(n - 1, max(0, math.ceil(share * n - ROUNDING) - 1))])
    if n == 1:
        return _without_interval(value, n, confidence)
    # [l - 1] P(fewer than l rows lie below the quantile)
    fewer = bdtr(np.arange(n, dtype=np.float64), n, share)
    low = max(0, int(np.searchsorted(fewer, tail, side="right")) - 1)
    high = min(n - 1, int(np.searchsorted(fewer, 1.0 - tail, side="left")))
    held = float(fewer[high] - fewer[low])
    return Estimate(
        value=value,
        low=float(rows[low]),
        high=float(rows[high]),
        n=n,
        method="order statistics",
        confidence=min(confidence, held),
    )


def bootstrap_estimate(
    statistic: Callable[[FloatArray], float],
    clusters: Clusters,
    *,
    method: Method = "bca",
    resamples: int = STATISTIC_RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Any statistic of weighted rows, with a cluster bootstrap.

    `statistic(weights)` takes one weight per row (how often its cluster was drawn; ones
    give the value) and returns a float. Resamples on which it is NaN are left out; when
    more than a tenth are, there is no interval. One cluster gives no interval.
    """
    _require_rows(clusters.rows)
    value = float(statistic(np.ones(clusters.rows)))
    if clusters.count < 2 or not math.isfinite(value):
        return _without_interval(value, clusters.rows, confidence)
    generator = np.random.default_rng(seed)
    draws = np.empty(resamples)
    for i in range(resamples):
        picks = generator.integers(0, clusters.count, size=clusters.count)
        counts = np.bincount(picks, minlength=clusters.count).astype(np.float64)
        draws[i] = statistic(counts[clusters.codes])
    draws = draws[~np.isnan(draws)]
    if len(draws) < 0.9 * resamples:
        return _without_interval(value, clusters.rows, confidence)
    leave_one_out = np.array([])
    if method == "bca":
        keep = np.ones(clusters.count)
        leave_one_out = np.empty(clusters.count)
        for i in range(clusters.count):
            keep[i] = 0.0
            leave_one_out[i] = statistic(keep[clusters.codes])
            keep[i] = 1.0
    return _from_draws(value, draws, leave_one_out, clusters.rows, clusters.count, method, confidence)


def bca_quantiles(
    draws: FloatArray,
    *,
    value: float,
    leave_one_out: FloatArray,
    confidence: float = 0.95,
    clusters: int | None = None,
) -> tuple[float, float]:
    """The two quantile levels of the bias-corrected and accelerated interval.

        z0 = Phi^-1(share of draws below value, ties half)
        a  = sum(u^3) / (6 sum(u^2)^1.5),  u = mean(leave_one_out) - leave_one_out
        level = Phi(z0 + (z0 + z) / (1 - a (z0 + z)))

    Efron 1987. Falls back to the plain percentiles where z0 or a is not finite. With `clusters` z is
    `bootstrap_reach`, without which few clusters cover too little.
    """
    z_value = _two_sided_z(confidence) if clusters is None else bootstrap_reach(clusters, confidence)
    is_tied = np.isclose(draws, value, rtol=ROUNDING, atol=0.0)
    below = float(((draws < value) & ~is_tied).mean() + 0.5 * is_tied.mean())
    spread = leave_one_out[np.isfinite(leave_one_out)]
    influence = spread.mean() - spread if len(spread) else spread
    power = float((influence**2).sum()) ** 1.5
    if not 0.0 < below < 1.0 or power == 0.0:
        return float(ndtr(-z_value)), float(ndtr(z_value))
    bias = float(ndtri(below))
    acceleration = float((influence**3).sum()) / (6.0 * power)
    low, high = (
        float(ndtr(bias + (bias + tail) / max(1.0 - acceleration * (bias + tail), MIN_STRETCH)))
        for tail in (-z_value, z_value)
    )
    return low, high


def bootstrap_reach(clusters: int, confidence: float = 0.95) -> float:
    """What stands for z in a bootstrap of so many clusters: sqrt(n / (n - 1)) times Student's t of n - 1.

    Draws of n clusters vary by (n - 1) / n less than they should and know no Student (Hesterberg 2015); with
    few of them the interval reaches to the outermost draws.
    """
    return -float(stdtrit(clusters - 1, (1.0 - confidence) / 2)) * math.sqrt(clusters / (clusters - 1))


def _from_draws(
    value: float,
    draws: FloatArray,
    leave_one_out: FloatArray,
    n: int,
    count: int,
    method: Method,
    confidence: float,
) -> Estimate:
    if method == "bca":
        levels = bca_quantiles(
            draws, value=value, leave_one_out=leave_one_out, confidence=confidence, clusters=count
        )
    else:
        reach = bootstrap_reach(count, confidence)
        levels = (float(ndtr(-reach)), float(ndtr(reach)))
    low, high = (float(bound) for bound in np.quantile(draws[np.isfinite(draws)], levels))
    name = f"{method}, {count} clusters"
    return Estimate(value=value, low=low, high=high, n=n, method=name, confidence=confidence)


def _without_interval(value: float, n: int, confidence: float) -> Estimate:
    return Estimate(value=value, n=n, method="no interval", confidence=confidence)


def _positive(totals: FloatArray) -> FloatArray:
    return np.where(totals > 0, totals, np.nan)


def _require_rows(n: int) -> None:
    if n < 1:
        raise EvaluationError("there are no rows to measure (n = 0); check the filter or the split")


def _two_sided_z(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise EvaluationError(f"confidence must lie between 0 and 1, got {confidence}")
    return float(ndtri(0.5 + confidence / 2))
