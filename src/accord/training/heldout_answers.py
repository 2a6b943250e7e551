"""What a policy trained on single verdicts is worth on held-out ones: loss, accuracy, order.

Plain numpy on log ratios; pairs have `heldout`. Leaves out intervals, which are evaluation's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accord.domain import DataError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class HeldOutAnswers:
    """Log ratios of held-out answers and what people said of them; one entry an answer in each field."""

    log_ratios: FloatArray
    """log pi - log ref, summed over the answer's tokens."""
    p_desirable: FloatArray
    """Probability that the answer is wanted."""
    weights: FloatArray
    """Not negative, not all zero."""
    reference_point: float
    """What gains are measured from, in nats."""

    def __post_init__(self) -> None:
        if not len(self.weights) or self.weights.sum() <= 0:
            raise DataError("held-out answers need at least one of weight above 0")

    @property
    def gains(self) -> FloatArray:
        """Log ratios over the reference point."""
        return self.log_ratios - self.reference_point

    def loss(self, *, beta: float, desirable_weight: float = 1.0, undesirable_weight: float = 1.0) -> float:
        """KTO's loss, mean by weight."""
        away = np.exp(-np.logaddexp(0, beta * self.gains))
        each = self.p_desirable * desirable_weight * away
        each += (1 - self.p_desirable) * undesirable_weight * (1 - away)
        return float(np.average(each, weights=self.weights))

    def accuracy(self) -> float | None:
        """Share of answers on their side of the reference point, gains of 0 half; None without a verdict."""
        decided = self.p_desirable != 0.5
        if not self.weights[decided].sum():
            return None
        agreement = (np.sign(self.gains) * np.sign(self.p_desirable - 0.5) + 1) / 2
        return float(np.average(agreement[decided], weights=self.weights[decided]))

    def auc(self) -> float | None:
        """Chance that a wanted answer has the higher log ratio than an unwanted one, equal ones half.

        The area under the ROC curve, which no reference point and no beta moves. A soft label counts on both
        sides by its share. None where one side is empty.
        """
        order = np.argsort(self.log_ratios, kind="stable")
        values = self.log_ratios[order]
        wanted = (self.weights * self.p_desirable)[order]
        unwanted = (self.weights * (1 - self.p_desirable))[order]
        # A soft label is not compared with itself.
        total = wanted.sum() * unwanted.sum() - (wanted * unwanted).sum()
        if total <= 0:
            return None
        below = np.concatenate([[0.0], np.cumsum(unwanted)])
        first, after = (np.searchsorted(values, values, side=side) for side in ("left", "right"))
        won = wanted * (below[first] + (below[after] - below[first] - unwanted) / 2)
        return float(won.sum() / total)

    def metrics(
        self, *, beta: float, desirable_weight: float = 1.0, undesirable_weight: float = 1.0
    ) -> dict[str, float]:
        """All of it under the names of the metrics registry; what is undefined is left out."""
        values = {
            "kto/eval_loss": self.loss(
                beta=beta, desirable_weight=desirable_weight, undesirable_weight=undesirable_weight
            ),
            "kto/eval_accuracy": self.accuracy(),
            "kto/eval_auc": self.auc(),
            "kto/eval_reference_point": self.reference_point,
        }
        return {name: value for name, value in values.items() if value is not None}
