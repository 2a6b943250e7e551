"""How well any model could do against noisy annotators: the human ceiling and the noise floor.

People disagree, so a reward model that knew the truth would still miss some labels. Leaves
out differences between annotators (`accord.quality` models each of them).
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import betaincinv, betaln, digamma
from scipy.stats import binom

from accord.domain.errors import EvaluationError
from accord.domain.judgments import Judgment
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.intervals import Estimate, bootstrap_estimate, clustered_share

CONCENTRATION_BOUNDS = (1e-3, 1e3)
"""Of the fitted Beta(a, a): 0.001 is total agreement on every pair, 1,000 is coin flipping."""
CEILING_RESAMPLES = 300
QUANTILES = 2_000
"""Equal-probability points of the Beta that stand for it in the majority ceiling."""


@dataclass(frozen=True, kw_only=True)
class VoteCounts:
    """Decided votes on one pair; ties and both-bad are left out."""

    left: int
    right: int
    prompt_id: Hashable

    @property
    def total(self) -> int:
        """Decided votes."""
        return self.left + self.right


@dataclass(frozen=True, kw_only=True)
class HumanCeiling:
    """What the disagreement of the annotators allows."""

    annotator_agreement: Estimate
    """Probability that an annotator agrees with the majority of the OTHERS on the same pair (a split
    majority counts one half): what an average annotator would score on this test."""
    best_single: Estimate
    """Accuracy against one vote of a model that knows each pair's true vote share: E[max(p, 1 - p)]."""
    best_majority: Estimate
    """The same model's accuracy against the majority of as many votes as the pairs have, even splits out."""
    best_nll: Estimate
    """The same model's NLL of single votes, nats: the noise floor of a soft-label predictor."""
    n_pairs: int
    """Pairs with two or more decided votes; the others say nothing about agreement."""
    n_votes: int


def count_votes(judgments: Sequence[Judgment]) -> list[VoteCounts]:
    """Votes per pair of answers, whichever side each answer was shown on."""
    counts: dict[tuple[str, str, str], list[int]] = {}
    for judgment in judgments:
        comparison = judgment.comparison
        first, second = sorted((comparison.left, comparison.right))
        row = counts.setdefault((comparison.prompt.id, first, second), [0, 0])
        if judgment.choice.is_decided:
            is_first = (judgment.choice.left_share == 1.0) == (comparison.left == first)
            row[0 if is_first else 1] += 1
    return [VoteCounts(left=row[0], right=row[1], prompt_id=key[0]) for key, row in counts.items()]


def measure_ceiling(votes: Sequence[VoteCounts], *, seed: int = 0) -> HumanCeiling:
    """Ceiling and floor from repeated votes on the same pairs; needs a pair with two votes or more.

    Observed shares of few votes overstate agreement (two equal votes are not p = 1), so the
    true shares are modeled as Beta(a, a), the votes as binomial, and a is fitted by maximum
    likelihood. Total agreement drives the accuracies to 1 and the floor to 0, as far as the
    bound on a allows (0.999 and 0.002 nats).
    """
    repeated = [row for row in votes if row.total >= 2]
    if not repeated:
        raise EvaluationError(
            f"no pair has two decided votes ({len(votes)} pairs), so agreement is not defined. "
            f"Collect repeated votes on some pairs, or leave the ceiling out."
        )
    clusters = Clusters.of([row.prompt_id for row in repeated], rows=len(repeated))
    left = np.array([row.left for row in repeated])
    right = np.array([row.right for row in repeated])
    totals, n_totals = np.unique(left + right, return_counts=True)
    spread = bootstrap_estimate(
        lambda weights: fit_concentration(left, right, weights=weights),
        clusters,
        method="percentile",
        resamples=CEILING_RESAMPLES,
        seed=seed,
    )
    return HumanCeiling(
        annotator_agreement=_leave_one_out_agreement(repeated, seed=seed),
        best_single=_transform(spread, best_single_accuracy),
        best_majority=_transform(spread, lambda value: best_majority_accuracy(value, totals, n_totals)),
        best_nll=_transform(spread, best_single_nll),
        n_pairs=len(repeated),
        n_votes=int((left + right).sum()),
    )


def fit_concentration(left: np.ndarray, right: np.ndarray, *, weights: FloatArray | None = None) -> float:
    """Maximum-likelihood a of votes left ~ Binomial(n, p), p ~ Beta(a, a); symmetric in the sides."""
    sides = np.stack([np.minimum(left, right), np.maximum(left, right)])
    combos, codes = np.unique(sides, axis=1, return_inverse=True)
    count = np.bincount(codes.reshape(-1), weights=weights, minlength=combos.shape[1])

    def loss(log_value: float) -> float:
        value = math.exp(log_value)
        return -float(count @ (betaln(value + combos[0], value + combos[1]) - betaln(value, value)))

    bounds = tuple(math.log(bound) for bound in CONCENTRATION_BOUNDS)
    return math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def best_single_accuracy(concentration: float) -> float:
    """E[max(p, 1 - p)] for p ~ Beta(a, a): 1/2 + 4^-a / (a B(a, a))."""
    log_part = -concentration * math.log(4.0) - math.log(concentration)
    return 0.5 + math.exp(log_part - float(betaln(concentration, concentration)))


def best_single_nll(concentration: float) -> float:
    """E[-p ln p - (1 - p) ln(1 - p)] for p ~ Beta(a, a): digamma(2a + 1) - digamma(a + 1)."""
    return float(digamma(2 * concentration + 1) - digamma(concentration + 1))


def best_majority_accuracy(concentration: float, totals: np.ndarray, n_totals: np.ndarray) -> float:
    """P(majority of k votes is the likelier side), over pairs with `totals` votes; even splits left out."""
    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
    left_share = betaincinv(concentration, concentration, levels)
    share = np.maximum(left_share, 1.0 - left_share)
    right, decided = 0.0, 0.0
    for total, count in zip(totals, n_totals, strict=True):
        wrong = float(binom.cdf((total - 1) // 2, total, share).mean())
        split = float(binom.pmf(total // 2, total, share).mean()) if total % 2 == 0 else 0.0
        right += count * (1.0 - wrong - split)
        decided += count * (1.0 - split)
    return float(right / decided)


def _leave_one_out_agreement(votes: Sequence[VoteCounts], *, seed: int) -> Estimate:
    """Mean over votes of agreement with the majority of the other votes on the pair."""
    rows: list[float] = []
    ids: list[Hashable] = []
    for vote in votes:
        for own, other in ((vote.left, vote.right), (vote.right, vote.left)):
            lead = own - 1 - other
            rows += [0.5 + 0.5 * (lead > 0) - 0.5 * (lead < 0)] * own
            ids += [vote.prompt_id] * own
    return clustered_share(np.array(rows), Clusters.of(ids, rows=len(rows)), seed=seed)


def _transform(spread: Estimate, function: Callable[[float], float]) -> Estimate:
    """Carry value and bounds through a monotone function."""
    value = function(spread.value)
    if not spread.has_interval:
        return replace(spread, value=value)
    bounds = sorted((function(spread.low), function(spread.high)))
    return replace(
        spread, value=value, low=bounds[0], high=bounds[1], method=f"beta-binomial, {spread.method}"
    )
