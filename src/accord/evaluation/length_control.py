"""Length-controlled win rates: what a model would win if its answers were as long as the baseline's.

AlpacaEval 2's generalized linear model (Dubois et al. 2024) by its sufficient statistics:

    P(model beats baseline on prompt i) = sigmoid(a * tanh(d_i / sd(d)) + b * difficulty_i + c)
    d_i = length of the baseline's answer - length of the model's;   LC = mean_i sigmoid(b * difficulty_i + c)

fitted to judges' probabilities by weighted cross entropy, with two rewritings of the baseline itself (verbose
and concise) as further rows of weight 0.1 each that hold a and b down. Departs from the published procedure
in that no L1 penalty is chosen by cross-validation (it moves the result by 0.1 points at most) and that the
interval is of LC itself, by resampling prompts; the published standard error is the spread of predictions.
Leaves out who judged, and files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import FloatArray, finite_array, share_array
from accord.evaluation.intervals import Estimate, bootstrap_reach, mean_estimate

REWRITING_WEIGHT = 0.1
"""Of each row of a rewritten baseline: 0.2 for both, against 1 for a row of the model."""
MOMENTS = (-182.710, 412.869)
"""Sums of label times feature (length, difficulty) over the rewritten GPT-4 baseline of AlpacaEval 2.

Its labels are not public in one place; the sums are all that the fit needs of them.
"""
RIDGE = 1e-6
"""Keeps the optimum finite where a model won or lost every prompt; below 1e-3 points elsewhere."""
STEPS = 100
ROUNDING = 1e-13
FAR_POINTS = 10.0
"""Raw and controlled win rates farther apart than this are flagged."""
MIN_PROMPTS = 20
"""Fewer prompts do not carry three parameters."""


@dataclass(frozen=True, kw_only=True)
class Rewritings:
    """The baseline rewritten to be longer and shorter: what a mere change of length is worth."""

    length_feature: FloatArray
    """[row] tanh of the standardized length difference, both rewritings one after the other."""
    difficulty: FloatArray
    """[row]"""
    length_moment: float
    """Sum of label times `length_feature`."""
    difficulty_moment: float
    """Sum of label times `difficulty`."""


@dataclass(frozen=True, kw_only=True)
class LengthControlled:
    """One model's win rate, raw and at equal length, in percent."""

    raw: Estimate
    """With its bootstrap interval."""
    raw_standard_error: float
    """100 sd / sqrt(n), as AlpacaEval prints it."""
    controlled: Estimate
    length_weight: float
    """a: above 0 where shorter answers of the model win more."""
    difficulty_weight: float
    """b; 0 where no difficulty is known."""
    model_weight: float
    """c"""
    is_regularized: bool
    """False where no rewritings of the baseline were given."""
    flags: tuple[str, ...]
    """What to be careful about, in words."""


def rewritings_of(
    baseline_lengths: ArrayLike,
    rewritten_lengths: Sequence[ArrayLike],
    difficulty: ArrayLike,
    *,
    moments: tuple[float, float] = MOMENTS,
) -> Rewritings:
    """Features of the rewritten baseline; each rewriting is standardized by itself."""
    baseline = finite_array(baseline_lengths, name="baseline_lengths")
    hard = finite_array(difficulty, name="difficulty", length=len(baseline))
    features = [
        length_feature(baseline, finite_array(one, name="rewritten_lengths", length=len(baseline)))
        for one in rewritten_lengths
    ]
    return Rewritings(
        length_feature=np.concatenate(features),
        difficulty=np.tile(hard, len(features)),
        length_moment=moments[0],
        difficulty_moment=moments[1],
    )


def length_feature(baseline: FloatArray, model: FloatArray) -> FloatArray:
    """tanh((baseline - model) / sd), sd with n - 1; zeros where all differences are equal."""
    difference = baseline - model
    spread = difference.std(ddof=1) if len(difference) > 1 else 0.0
    return np.tanh(difference / spread) if spread > 0 else np.zeros(len(difference))


def control_length(
    preferences: ArrayLike,
    baseline_lengths: ArrayLike,
    model_lengths: ArrayLike,
    *,
    difficulty: ArrayLike | None = None,
    all_difficulty: ArrayLike | None = None,
    rewritings: Rewritings | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> LengthControlled:
    """The win rate raw and at equal length.

    `preferences` [prompt] is the judge's probability in [0, 1] that the model's answer is better (1/2 for a
    tie); lengths [prompt] are in characters; `difficulty` [prompt] is that of each judged prompt and
    `all_difficulty` that of all prompts of the benchmark, which the result is averaged over. Fewer than 20
    prompts raise `EvaluationError`. `resamples` = 0 leaves the interval of LC out.
    """
    label = share_array(preferences, name="preferences")
    n = len(label)
    if n < MIN_PROMPTS:
        raise EvaluationError(f"{n} judged prompts; a length-controlled win rate needs {MIN_PROMPTS} or more")
    baseline = finite_array(baseline_lengths, name="baseline_lengths", length=n)
    model = finite_array(model_lengths, name="model_lengths", length=n)
    hard = np.zeros(n) if difficulty is None else finite_array(difficulty, name="difficulty", length=n)
    everywhere = hard if all_difficulty is None else finite_array(all_difficulty, name="all_difficulty")
    rows = np.column_stack([length_feature(baseline, model), hard, np.ones(n)])
    weights = _fit(rows, label, np.ones(n), rewritings, np.zeros(3))
    value = _win_rate(weights, everywhere)
    draws = np.empty(resamples)
    generator = np.random.default_rng(seed)
    for k in range(resamples):
        drawn = generator.integers(0, n, n)
        counts = np.bincount(drawn, minlength=n).astype(float)
        shown = everywhere if all_difficulty is not None else hard[drawn]
        draws[k] = _win_rate(_fit(rows, label, counts, rewritings, weights), shown)
    tail = float(ndtr(-bootstrap_reach(n, confidence)))
    low, high = np.quantile(draws, [tail, 1 - tail]) if resamples else (np.nan, np.nan)
    raw = mean_estimate(label, confidence=confidence, seed=seed)
    controlled = Estimate(
        value=100 * value,
        low=100 * float(low),
        high=100 * float(high),
        n=n,
        method=f"percentile, {n} prompts" if resamples else "",
        confidence=confidence,
    )
    return LengthControlled(
        raw=_percent(raw),
        raw_standard_error=float(100 * label.std(ddof=1) / np.sqrt(n)),
        controlled=controlled,
        length_weight=float(weights[0]),
        difficulty_weight=float(weights[1]),
        model_weight=float(weights[2]),
        is_regularized=rewritings is not None,
        flags=_flags(100 * raw.value, 100 * value, model, rewritings),
    )


def _fit(
    rows: FloatArray, label: FloatArray, counts: FloatArray, rewritings: Rewritings | None, start: FloatArray
) -> FloatArray:
    """Newton steps with halving on the convex loss; [3] length, difficulty, model."""
    extra = np.zeros((0, 3))
    moments = np.zeros(3)
    if rewritings is not None:
        zeros = np.zeros(len(rewritings.difficulty))
        extra = np.column_stack([rewritings.length_feature, rewritings.difficulty, zeros])
        moments[:2] = rewritings.length_moment, rewritings.difficulty_moment

    def loss(weights: FloatArray) -> float:
        own, other = rows @ weights, extra @ weights
        fitted = np.dot(counts, np.logaddexp(0, own) - label * own)
        held = REWRITING_WEIGHT * (np.logaddexp(0, other).sum() - moments @ weights)
        return float(fitted + held + RIDGE * weights @ weights / 2)

    weights, value = start.astype(float), loss(start)
    for _ in range(STEPS):
        own, other = expit(rows @ weights), expit(extra @ weights)
        gradient = rows.T @ (counts * (own - label)) + RIDGE * weights
        gradient += REWRITING_WEIGHT * (extra.T @ other - moments)
        curvature = (rows.T * (counts * own * (1 - own))) @ rows + RIDGE * np.eye(3)
        curvature += REWRITING_WEIGHT * (extra.T * (other * (1 - other))) @ extra
        step = np.linalg.solve(curvature, gradient)
        scale = 1.0
        # Near the optimum the loss only differs by rounding; a whole step is right there.
        slack = ROUNDING * (1 + abs(value))
        while loss(weights - scale * step) > value + slack and scale > 1e-10:
            scale /= 2
        weights = weights - scale * step
        value = loss(weights)
        if np.abs(scale * step).max() < 1e-12:
            break
    return weights


def _win_rate(weights: FloatArray, difficulty: FloatArray) -> float:
    return float(expit(weights[2] + weights[1] * difficulty).mean())


def _percent(share: Estimate) -> Estimate:
    return Estimate(
        value=100 * share.value,
        low=100 * share.low,
        high=100 * share.high,
        n=share.n,
        method=share.method,
        confidence=share.confidence,
    )


def _flags(
    raw: float, controlled: float, lengths: FloatArray, rewritings: Rewritings | None
) -> tuple[str, ...]:
    flags = []
    if abs(raw - controlled) > FAR_POINTS:
        flags.append(f"raw and length-controlled win rate are {abs(raw - controlled):.1f} points apart")
    if len(np.unique(lengths)) <= max(1, len(lengths) // 100):
        flags.append("nearly all answers are equally long: a constant output can win this measure")
    if rewritings is None:
        flags.append("no rewritings of the baseline: length is controlled by the model's own answers alone")
    return tuple(flags)
