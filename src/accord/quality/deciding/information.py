"""What a label is worth before it is given: in probability of the right class, and in nats.

Plain arrays: a posterior [class] or [item, class] whose rows sum to 1, and confusion matrices
[annotator, true class, given class] whose rows sum to 1. What to do with these numbers is in
`accord.quality.deciding.stopping` and `accord.quality.deciding.routing`.
"""

from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, xlogy

from accord.domain import DataError

OUTCOME_LIMIT = 20_000
"""Outcomes of as many labels as are looked ahead; more would take longer than a label is worth."""
PROBABILITY_SLACK = 1e-6
"""Rows may miss a sum of 1 by this much, which is rounding."""


def value_of_asking(
    posterior: NDArray[np.float64],
    confusion: NDArray[np.float64],
    *,
    cost: float = 0.0,
    horizon: int = 1,
) -> float:
    """Expected rise of the highest posterior probability by asking, less `cost` for each label asked.

    One label is asked at least, and then one by one as long as it pays, up to `horizon` labels of
    annotators of one `confusion` [true, given]: the optimum over all such rules, by backward
    induction on how many labels of each class have come (Arrow, Blackwell & Girshick 1949). With
    horizon 1 it is E_y[max p(k | y)] - max p(k) - cost; without cost it is what `horizon` labels
    bring together. A perfect annotator is worth 1 - max p - cost, a blind one -cost.
    """
    belief = _checked(posterior)
    rates = _checked(confusion)
    reach = largest_horizon(len(belief))
    if not 1 <= horizon <= reach:
        raise DataError(
            f"horizon is {horizon}, expected 1 to {reach} with {len(belief)} classes; look less far ahead"
        )
    # Joint probability of each class with one sequence of labels of these counts; where another label leads.
    counts = np.zeros((1, len(belief)), dtype=np.int64)
    joints, followers = [belief[None, :]], []
    for _ in range(horizon):
        grown = (counts[:, None, :] + np.eye(len(belief), dtype=np.int64)).reshape(-1, len(belief))
        joint = (joints[-1][:, None, :] * rates.T).reshape(-1, len(belief))
        counts, first, place = np.unique(grown, axis=0, return_index=True, return_inverse=True)
        joints.append(joint[first])
        followers.append(place.reshape(-1, len(belief)))
    value = joints[-1].max(axis=1)
    for joint, follower in zip(joints[-2:0:-1], followers[:0:-1], strict=True):
        value = np.maximum(joint.max(axis=1), value[follower].sum(axis=1) - cost * joint.sum(axis=1))
    return float(value[followers[0][0]].sum() - cost - belief.max())


def largest_horizon(n_classes: int) -> int:
    """Most labels whose outcomes are still enumerated; at most 50."""
    size = 1
    while size < 50 and comb(size + n_classes, n_classes - 1) <= OUTCOME_LIMIT:
        size += 1
    return size


def information_gain(posterior: NDArray[np.float64], confusions: NDArray[np.float64]) -> NDArray[np.float64]:
    """[item, annotator] Mutual information of the true class and one label, in nats.

    Expected fall of the posterior's entropy (Lindley 1956): 0 for an annotator whose rows are alike,
    the entropy of the posterior for a perfect one. `posterior` is [item, class].
    """
    belief, rates = np.atleast_2d(_checked(posterior)), _checked(confusions)
    given = np.einsum("ik,wky->iwy", belief, rates)
    noise = -xlogy(rates, rates).sum(axis=2)
    gain = -xlogy(given, given).sum(axis=2) - belief @ noise.T
    return np.asarray(np.maximum(gain, 0.0), dtype=np.float64)


def joint_error_bound(prior: NDArray[np.float64], confusions: NDArray[np.float64]) -> float:
    """Upper bound on the probability that one label of each of these annotators, weighed best, misleads.

        sum over k < l of sqrt(prior_k prior_l) prod_w sum_y sqrt(rate_w(y | k) rate_w(y | l))

    Bhattacharyya 1943. Of no annotators it is the bound on the prior's own error; cut at 1.
    It holds on items on which their errors are independent: of ordinary difficulty.
    """
    belief, rates = _checked(prior), _checked(confusions)
    roots = np.sqrt(rates)
    with np.errstate(divide="ignore"):
        overlap = np.log(np.einsum("wky,wly->wkl", roots, roots)).sum(axis=0)
        log_prior = np.log(belief)
    terms = 0.5 * (log_prior[:, None] + log_prior[None, :]) + overlap
    upper = terms[np.triu_indices(len(belief), 1)]
    return float(min(1.0, np.exp(logsumexp(upper)))) if len(upper) else 0.0


def _checked(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows as they are, if they are probabilities."""
    values = np.asarray(rows, dtype=np.float64)
    sums = values.sum(axis=-1)
    if not (np.isfinite(values).all() and (values >= 0).all() and (abs(sums - 1) < PROBABILITY_SLACK).all()):
        worst = values.reshape(-1, values.shape[-1])[np.argmax(np.abs(sums - 1))]
        raise DataError(
            f"probabilities {np.round(worst, 4).tolist()} do not fit; "
            "expected 0 or more with sum 1 in every row"
        )
    return values
