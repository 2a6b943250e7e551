"""Reward against distance from the reference: Gao's forms, the proxy's lead over gold, gains beyond length.

Leaves out finding a peak without a form (`overoptimization.py`) and making the points (`best_of_n.py`).
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray, finite_array
from accord.evaluation.intervals import Estimate, bootstrap_estimate, bootstrap_reach

Form = Literal["best_of_n", "rl"]

MIN_POINTS = 3
"""Points away from the start; two would be met exactly by two coefficients."""
RESAMPLES = 2_000
LENGTH_BUCKETS = 10


@dataclass(frozen=True, kw_only=True)
class FrontierFit:
    """R(d) = d (alpha - beta d) for best-of-n, d (alpha - beta ln d) for RL; d^2 = KL (Gao et al. 2022)."""

    form: Form
    alpha: Estimate
    beta: Estimate
    peak_distance: Estimate
    """alpha / (2 beta), or exp(alpha / beta - 1); infinite where beta <= 0 (the form never turns), 0 where
    best-of-n never gains. The interval's upper bound is infinite when over 2.5 % of resamples never turn."""
    peak_reward: float
    """Fitted reward at the peak; infinite where there is none."""
    share_turning: float
    """Share of resamples with a finite peak."""
    r_squared: float
    """Of the weighted fit, around the weighted mean of the points; NaN where they do not vary."""

    @property
    def has_turnover(self) -> bool:
        """True when the whole interval of beta is positive. Says nothing of points beyond those measured."""
        return self.beta.is_above(0.0)

    def predict(self, distances: ArrayLike) -> FloatArray:
        """Fitted reward at each distance; 0 at distance 0."""
        return _design(np.asarray(distances, dtype=np.float64), self.form) @ np.array(
            [self.alpha.value, self.beta.value]
        )


def fit_frontier(
    distances: ArrayLike,
    gains: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    form: Form,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> FrontierFit:
    """Weighted least squares of gains on one of the two forms, with a bootstrap of whole prompts.

    `gains` has shape [point, row]: gold minus gold of the start, row by row. Points weigh by
    the inverse square of their standard error over prompts (equally where one has none). Points
    at distance 0 fix nothing and are left out; fewer than 3 others raise. One prompt gives the
    coefficients without intervals. Every resample draws prompts once for all points, so what
    they share cancels; give `prompt_ids` also when rows are prompts times seeds.
    """
    distance = finite_array(distances, name="distances")
    table = np.asarray(gains, dtype=np.float64)
    if table.ndim != 2 or len(table) != len(distance) or not np.isfinite(table).all() or not table.size:
        raise EvaluationError(
            f"gains must be finite numbers of shape [point, row] with {len(distance)} points, "
            f"got shape {table.shape}"
        )
    if len(distance) and distance.min() < 0:
        raise EvaluationError(f"distances are roots of KL and cannot be negative, got {distance.min()}")
    is_used = distance > 0
    if len(np.unique(distance[is_used])) < MIN_POINTS:
        raise EvaluationError(
            f"a fit of two coefficients needs {MIN_POINTS} distinct distances above 0, "
            f"got {len(np.unique(distance[is_used]))}"
        )
    return _fit(distance[is_used], table[is_used], form, prompt_ids, resamples, seed)


def _fit(
    distance: FloatArray,
    table: FloatArray,
    form: Form,
    prompt_ids: Sequence[Hashable] | None,
    resamples: int,
    seed: int,
) -> FrontierFit:
    rows = table.shape[1]
    clusters = Clusters.of(prompt_ids, rows=rows)
    sums = np.stack([clusters.sums(row) for row in table])
    sizes = clusters.sums(np.ones(rows))
    means = sums.sum(axis=1) / sizes.sum()
    design = _design(distance, form)
    weight = _point_weights(sums, sizes, means)
    root = np.sqrt(weight)
    solver: FloatArray = np.linalg.pinv(design * root[:, None]).astype(np.float64) * root
    fitted = solver @ means
    draws = _coefficient_draws(solver, sums, sizes, resamples, seed)
    peaks = np.array([_peak(alpha, beta, form) for alpha, beta in draws])
    peak = _peak(float(fitted[0]), float(fitted[1]), form)
    center = float(weight @ means / weight.sum())
    total = float(weight @ (means - center) ** 2)
    error = float(weight @ (means - design @ fitted) ** 2)
    reward = float((_design(np.array([peak]), form) @ fitted)[0]) if math.isfinite(peak) else math.inf
    return FrontierFit(
        form=form,
        alpha=_percentile(float(fitted[0]), draws[:, 0], rows, clusters.count),
        beta=_percentile(float(fitted[1]), draws[:, 1], rows, clusters.count),
        peak_distance=_percentile(peak, peaks, rows, clusters.count),
        peak_reward=reward,
        share_turning=float(np.isfinite(peaks).mean()) if len(peaks) else float(math.isfinite(peak)),
        r_squared=1.0 - error / total if total > 0 else math.nan,
    )


@dataclass(frozen=True, kw_only=True)
class OptimizationGap:
    """How much faster the proxy rose than gold, in standard deviations of the start's answers."""

    gap: Estimate
    """z(proxy gain) - z(gold gain); 0 when both rose alike, 1 is one standard deviation."""
    proxy_gain: Estimate
    """In standard deviations of the start's proxy."""
    gold_gain: Estimate


def measure_gap(
    start_proxy: ArrayLike,
    start_gold: ArrayLike,
    proxy: ArrayLike,
    gold: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> OptimizationGap:
    """Over-optimization gap of a checkpoint against the start, row by row on the same prompts.

    Each scale is the standard deviation (n - 1) over ALL the start's answers and is resampled
    with them. A start whose proxy or gold does not vary has no scale and raises.
    """
    columns = [finite_array(start_proxy, name="start proxy")]
    rows = len(columns[0])
    for name, values in (("start gold", start_gold), ("proxy", proxy), ("gold", gold)):
        columns.append(finite_array(values, name=name, length=rows))
    for name, column in (("proxy", columns[0]), ("gold", columns[1])):
        if rows < 2 or np.ptp(column) == 0.0:
            raise EvaluationError(f"the start's {name} does not vary over {rows} rows, so it has no scale")
    clusters = Clusters.of(prompt_ids, rows=rows)

    def estimate(statistic: Callable[[FloatArray], float]) -> Estimate:
        return bootstrap_estimate(statistic, clusters, method="percentile", seed=seed)

    def proxy_gain(weights: FloatArray) -> float:
        return _standardized_gain(columns[0], columns[2], weights)

    def gold_gain(weights: FloatArray) -> float:
        return _standardized_gain(columns[1], columns[3], weights)

    return OptimizationGap(
        gap=estimate(lambda weights: proxy_gain(weights) - gold_gain(weights)),
        proxy_gain=estimate(proxy_gain),
        gold_gain=estimate(gold_gain),
    )


@dataclass(frozen=True, kw_only=True)
class LengthAdjustedGain:
    """A reward gain and the part of it that is left between answers of the same length."""

    total: Estimate
    within_length: Estimate
    """Gain within length buckets, weighted by the start's bucket shares."""
    ratio: Estimate
    """within_length / total: 1 when length plays no part, 0 when it is everything. NaN where the interval
    of the total includes 0: a share of nothing."""
    covered: float
    """Share of the start's answers in buckets that hold answers of both; the rest cannot be compared."""


def measure_length_adjusted_gain(
    start_rewards: ArrayLike,
    start_lengths: ArrayLike,
    rewards: ArrayLike,
    lengths: ArrayLike,
    *,
    start_prompt_ids: Sequence[Hashable] | None = None,
    prompt_ids: Sequence[Hashable] | None = None,
    buckets: int = LENGTH_BUCKETS,
    seed: int = 0,
) -> LengthAdjustedGain:
    """Non-length reward gain (Singhal et al. 2023): bucket edges are quantiles of the start's lengths.

    Prompts are resampled over both sets together when both ids are given, rows apart
    otherwise. Buckets without answers of one side are left out and the others weigh more
    (`covered`); when none is shared the gain within lengths is NaN.
    """
    before = finite_array(start_rewards, name="start rewards")
    after = finite_array(rewards, name="rewards")
    old = finite_array(start_lengths, name="start lengths", length=len(before))
    new = finite_array(lengths, name="lengths", length=len(after))
    if not len(before) or not len(after):
        raise EvaluationError(f"a gain needs answers on both sides, got {len(before)} and {len(after)}")
    if (start_prompt_ids is None) != (prompt_ids is None):
        raise EvaluationError("give the prompt ids of both sides or of neither")
    labels = None if prompt_ids is None or start_prompt_ids is None else [*start_prompt_ids, *prompt_ids]
    clusters = Clusters.of(labels, rows=len(before) + len(after))
    edges = np.unique(np.quantile(old, np.arange(1, buckets) / buckets))
    codes = np.concatenate([np.searchsorted(edges, old, "right"), np.searchsorted(edges, new, "right")])
    reward = np.concatenate([before, after])
    is_new = np.arange(len(reward)) >= len(before)
    size = len(edges) + 1

    def total(weights: FloatArray) -> float:
        return _weighted_mean(reward, weights * is_new) - _weighted_mean(reward, weights * ~is_new)

    def within(weights: FloatArray) -> float:
        return _within_buckets(reward, codes, weights, is_new, size)

    def estimate(statistic: Callable[[FloatArray], float]) -> Estimate:
        return bootstrap_estimate(statistic, clusters, method="percentile", seed=seed)

    gain = estimate(total)
    is_nothing = not (gain.is_above(0.0) or gain.is_below(0.0))
    shared = np.intersect1d(codes[~is_new], codes[is_new])
    return LengthAdjustedGain(
        total=gain,
        within_length=estimate(within),
        ratio=Estimate(value=math.nan, n=len(reward), method="not defined: no total gain")
        if is_nothing
        else estimate(lambda weights: within(weights) / total(weights)),
        covered=float(np.isin(codes[~is_new], shared).mean()),
    )


def _within_buckets(
    reward: FloatArray, codes: np.ndarray, weights: FloatArray, is_new: np.ndarray, size: int
) -> float:
    old_count = np.bincount(codes, weights=weights * ~is_new, minlength=size)
    new_count = np.bincount(codes, weights=weights * is_new, minlength=size)
    is_both = (old_count > 0) & (new_count > 0)
    if not is_both.any():
        return math.nan
    old_sum = np.bincount(codes, weights=weights * reward * ~is_new, minlength=size)
    new_sum = np.bincount(codes, weights=weights * reward * is_new, minlength=size)
    gains = new_sum[is_both] / new_count[is_both] - old_sum[is_both] / old_count[is_both]
    return float(old_count[is_both] @ gains / old_count[is_both].sum())


def _design(distance: FloatArray, form: Form) -> FloatArray:
    if form == "best_of_n":
        return np.stack([distance, -(distance**2)], axis=1)
    log_distance = np.log(np.where(distance > 0, distance, 1.0))
    return np.stack([distance, -distance * log_distance], axis=1)


def _peak(alpha: float, beta: float, form: Form) -> float:
    if beta <= 0.0:
        return math.inf
    if form == "best_of_n":
        return max(0.0, alpha / (2.0 * beta))
    exponent = alpha / beta - 1.0
    return math.exp(exponent) if exponent < 700.0 else math.inf


def _point_weights(sums: FloatArray, sizes: FloatArray, means: FloatArray) -> FloatArray:
    """Inverse variance of each point's mean over prompts; ones where any has none."""
    if len(sizes) < 2:
        return np.ones(len(means))
    residual = sums - means[:, None] * sizes
    variance = (residual**2).sum(axis=1) * len(sizes) / (len(sizes) - 1) / sizes.sum() ** 2
    return 1.0 / variance if variance.min() > 0 else np.ones(len(means))


def _coefficient_draws(
    solver: FloatArray, sums: FloatArray, sizes: FloatArray, resamples: int, seed: int
) -> FloatArray:
    """Coefficients of resampled prompts, shape [resample, 2]; none with one prompt."""
    count = len(sizes)
    if count < 2:
        return np.empty((0, 2))
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(count, np.full(count, 1.0 / count), size=resamples).astype(np.float64)
    return np.asarray((drawn @ sums.T) / (drawn @ sizes)[:, None] @ solver.T)


def _percentile(value: float, draws: FloatArray, rows: int, count: int) -> Estimate:
    if not len(draws):
        return Estimate(value=value, n=rows, method="no interval")
    tail = float(ndtr(-bootstrap_reach(count)))
    low = float(np.quantile(draws, tail, method="lower"))
    high = float(np.quantile(draws, 1 - tail, method="higher"))
    return Estimate(value=value, low=low, high=high, n=rows, method=f"expanded percentile, {count} clusters")


def _weighted_mean(values: FloatArray, weights: FloatArray) -> float:
    total = float(weights.sum())
    return float(weights @ values) / total if total > 0 else math.nan


def _standardized_gain(before: FloatArray, after: FloatArray, weights: FloatArray) -> float:
    mean = _weighted_mean(before, weights)
    total = float(weights.sum())
    variance = float(weights @ (before - mean) ** 2) / (total - 1.0) if total > 1 else 0.0
    gain = _weighted_mean(after, weights) - mean
    return gain / math.sqrt(variance) if variance > 0 else math.nan
