"""What a reward model is worth on held-out pairs: accuracy, likelihood, calibration, leaning to length.

Plain numpy on reward differences; intervals and comparisons with people are evaluation's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accord.domain import DataError

CALIBRATION_BINS = 10
"""Bins of equal count for the expected calibration error; fewer when there are fewer pairs."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class HeldOutPairs:
    """Rewards of both sides of held-out pairs and what people said; one entry a pair in each field."""

    chosen_rewards: FloatArray
    rejected_rewards: FloatArray
    p_chosen: FloatArray
    """Probability that chosen is the better one."""
    weights: FloatArray
    """Not negative, not all zero."""
    chosen_tokens: FloatArray
    """Tokens of the chosen completion."""
    rejected_tokens: FloatArray
    """Tokens of the rejected completion."""

    def __post_init__(self) -> None:
        if not len(self.weights) or self.weights.sum() <= 0:
            raise DataError("held-out pairs need at least one pair of weight above 0")

    @property
    def differences(self) -> FloatArray:
        """Chosen minus rejected, the model's log-odds that chosen wins."""
        return self.chosen_rewards - self.rejected_rewards

    @property
    def nll(self) -> FloatArray:
        """Cross entropy of each pair's label and sigmoid(difference), in nats; margins are not in it."""
        return self.p_chosen * np.logaddexp(0, -self.differences) + (1 - self.p_chosen) * np.logaddexp(
            0, self.differences
        )

    def mean(self, values: FloatArray) -> float:
        """Mean of `values` by the pairs' weights."""
        return float(np.average(values, weights=self.weights))

    def accuracy(self) -> float | None:
        """Share of pairs whose more probable side has the higher reward; equal rewards count half.

        Ties of the annotators (p = 1/2) have no right answer and are left out, so that a
        model cannot gain or lose on them; None when nothing else is there.
        """
        decided = self.p_chosen != 0.5
        if not self.weights[decided].sum():
            return None
        agreement = np.sign(self.differences) * np.sign(self.p_chosen - 0.5)
        return float(np.average((agreement[decided] + 1) / 2, weights=self.weights[decided]))

    def brier(self) -> float:
        """Mean squared distance of sigmoid(difference) from the label; always saying 1/2 gets 1/4."""
        return self.mean((_sigmoid(self.differences) - self.p_chosen) ** 2)

    def calibration_error(self, *, bins: int = CALIBRATION_BINS) -> float:
        """Expected calibration error of the model's confidence in the side it prefers.

        Pairs are sorted by confidence max(q, 1 - q) and cut into bins of equal count; the
        error is the weighted mean over bins of |mean confidence - mean share by which
        the preferred side won|. Which side is called chosen does not matter. Biased
        upward for few pairs: bins of n pairs have errors of about 0.4 / sqrt(n) by chance.
        """
        odds = _sigmoid(self.differences)
        confidence = np.maximum(odds, 1 - odds)
        won = np.where(odds > 0.5, self.p_chosen, np.where(odds < 0.5, 1 - self.p_chosen, 0.5))
        order = np.argsort(confidence, kind="stable")
        error = 0.0
        for members in np.array_split(order, min(bins, len(order))):
            gaps = self.weights[members] * (confidence[members] - won[members])
            error += abs(float(gaps.sum()))
        return error / float(self.weights.sum())

    def length_correlation(self) -> float | None:
        """Pearson correlation of reward and completion length over both sides; None without spread."""
        rewards = np.concatenate([self.chosen_rewards, self.rejected_rewards])
        tokens = np.concatenate([self.chosen_tokens, self.rejected_tokens])
        if rewards.std() == 0 or tokens.std() == 0:
            return None
        return float(np.corrcoef(rewards, tokens)[0, 1])

    def metrics(self) -> dict[str, float]:
        """All of it under the names of the metrics registry; what is undefined is left out."""
        rewards = np.concatenate([self.chosen_rewards, self.rejected_rewards])
        values = {
            "reward/eval_accuracy": self.accuracy(),
            "reward/eval_nll": self.mean(self.nll),
            "reward/eval_brier": self.brier(),
            "reward/eval_calibration_error": self.calibration_error(),
            "reward/eval_mean": float(rewards.mean()),
            "reward/eval_margin": self.mean(self.differences),
            "reward/eval_length_correlation": self.length_correlation(),
        }
        return {name: value for name, value in values.items() if value is not None}


def rise_in_standard_errors(nll: FloatArray, best_nll: FloatArray) -> float:
    """How far mean `nll` lies above mean `best_nll`, in standard errors of the paired difference.

    Both are of the same pairs. Fewer than two pairs, or no change, give 0.
    """
    difference = nll - best_nll
    if len(difference) < 2 or not difference.any():
        return 0.0
    error = float(difference.std(ddof=1)) / len(difference) ** 0.5
    return float(difference.mean()) / error if error > 0 else float(np.sign(difference.mean())) * np.inf


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.exp(-np.logaddexp(0, -values))
