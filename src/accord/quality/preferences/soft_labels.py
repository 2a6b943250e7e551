"""From fitted probabilities to soft labels: calibrated on known answers, weighted by what they tell.

    logit p_calibrated = a logit p + b logit (smoothed vote share),  a, b >= 0

There is no intercept, because the order of two answers has no meaning. A ridge pulls a to 0.2 and b to 1:
annotators err together on hard pairs, so that model log-odds are mostly too large. Without known answers
nothing here can be called calibrated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit, xlogy

from accord.domain import DataError, Preference
from accord.quality.judgments import JudgmentTable

MIN_GOLD = 10
"""Known answers below which two coefficients are not worth fitting."""
PRIOR_COEFFICIENTS = np.array([0.2, 1.0])
"""Of the model's log-odds and of the vote share's."""
RIDGE = 1.0
"""Precision of the prior of both coefficients."""
CERTAIN = 1e-9
"""Probabilities are kept this far from 0 and 1 before their log-odds are taken."""


@dataclass(frozen=True, kw_only=True)
class PairCalibration:
    """A fitted calibrator of pairs."""

    of_model: float
    """a; near 0 says that the model adds nothing to the votes."""
    of_votes: float
    """b"""
    n_gold: int
    """Known pairs it was fitted on."""


def information_weight(p_chosen: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - entropy in bits: 1 for a certain preference, 0 for a tie."""
    entropy = -(xlogy(p_chosen, p_chosen) + xlogy(1 - p_chosen, 1 - p_chosen)) / np.log(2)
    return np.asarray(np.clip(1 - entropy, 0.0, 1.0))


def match_gold(
    table: JudgmentTable, gold: Sequence[Preference]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Pairs whose answer is known, and the known probability that the first is better.

    A pair known twice counts once where both say the same, and raises where they do not.
    """
    place = {(pair.prompt.id, pair.first, pair.second): k for k, pair in enumerate(table.pairs)}
    known: dict[int, float] = {}
    for one in gold:
        first, second = sorted((one.chosen, one.rejected))
        k = place.get((one.prompt.id, first, second))
        if k is None:
            continue
        p_first = one.p_chosen if one.chosen == first else 1 - one.p_chosen
        if known.setdefault(k, p_first) != p_first:
            raise DataError(
                f"gold contradicts itself on {one.prompt.text[:60]!r}: the first answer is better with "
                f"probability {known[k]} and {p_first}; keep one"
            )
    index = np.array(sorted(known), dtype=np.intp)
    return index, np.array([known[int(k)] for k in index], dtype=np.float64)


def fit_pair_calibration(
    table: JudgmentTable, p_first: NDArray[np.float64], gold: Sequence[Preference]
) -> PairCalibration:
    """Fit on the pairs of `table` that `gold` knows. Raises on fewer than MIN_GOLD of them."""
    index, target = match_gold(table, gold)
    if len(index) < MIN_GOLD:
        raise DataError(
            f"{len(index)} of {len(gold)} gold preferences are of judged pairs, expected {MIN_GOLD} or more; "
            f"give more gold or leave it out"
        )
    features = _features(table, p_first)[index]

    def objective(coefficients: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = features @ coefficients
        away = coefficients - PRIOR_COEFFICIENTS
        loss = -(target @ log_expit(score) + (1 - target) @ log_expit(-score)) + 0.5 * RIDGE * away @ away
        return float(loss), features.T @ (expit(score) - target) + RIDGE * away

    found = minimize(
        objective, PRIOR_COEFFICIENTS, jac=True, method="L-BFGS-B", bounds=[(0.0, None), (0.0, None)]
    )
    return PairCalibration(of_model=float(found.x[0]), of_votes=float(found.x[1]), n_gold=len(index))


def apply_pair_calibration(
    calibration: PairCalibration, table: JudgmentTable, p_first: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[pair] Calibrated probability that the first answer is better; a tie of votes and model stays one."""
    coefficients = np.array([calibration.of_model, calibration.of_votes])
    return np.asarray(expit(_features(table, p_first) @ coefficients))


def _features(table: JudgmentTable, p_first: NDArray[np.float64]) -> NDArray[np.float64]:
    """[pair, 2]"""
    share = (table.first_votes + 0.5) / (table.votes + 1.0)
    return np.stack([logit(np.clip(p_first, CERTAIN, 1 - CERTAIN)), logit(share)], axis=1)
