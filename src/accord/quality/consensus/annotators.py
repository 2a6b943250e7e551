"""What consensus says of each annotator: his confusion matrix and his accuracy, with an interval.

The true classes are not known but probable, so a label counts for each class by its probability; the
intervals count what not knowing them costs (`accord.quality.consensus.information`). Leaves out what the
figures mean for pay or work (`accord.quality.people`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from accord.quality.consensus.evidence import gather_evidence
from accord.quality.consensus.information import MOST_CELLS, diagonal_covariance
from accord.quality.labels import LabelTable

RIGHT_COUNT = 2.0
WRONG_COUNT = 1.0
"""Imagined labels on and off the diagonal of each row, as in Dawid-Skene's prior. Of a matrix of more than
`MOST_CELLS` free cells a whole row shares one wrong label: otherwise they would drown those given."""


@dataclass(frozen=True, eq=False)
class AnnotatorConfusion:
    """One annotator against consensus."""

    annotator: Any
    n_labels: int
    rates: NDArray[np.float64]
    """[true class, given class] Posterior mean; rows sum to 1."""
    accuracy: float
    """Probability of the right class on an item drawn from all items."""
    accuracy_low: float
    accuracy_high: float
    """95 % interval."""


def annotator_confusions(
    table: LabelTable, probabilities: NDArray[np.float64], *, level: float = 0.95
) -> tuple[AnnotatorConfusion, ...]:
    """Every annotator of the table against `probabilities` [item, class], in the table's order.

    Rows of a confusion matrix are Dirichlet given the classes; accuracy is their diagonal weighed by the
    shares of the classes, and its interval that of the Beta with the same mean and variance. Probabilities
    that are surer than they should be make intervals that are too narrow.
    """
    size = table.n_classes
    counts = gather_evidence(table).count(probabilities)
    wrong = WRONG_COUNT if size * (size - 1) <= MOST_CELLS else WRONG_COUNT / (size - 1)
    counts = counts + wrong + (RIGHT_COUNT - wrong) * np.eye(size)
    totals = counts.sum(axis=2, keepdims=True)
    rates = counts / totals
    shares = probabilities.mean(axis=0)
    right = np.diagonal(rates, axis1=1, axis2=2)
    mean = right @ shares
    covariance = diagonal_covariance(table, probabilities, rates, totals[:, :, 0] + 1.0)
    variance = np.einsum("k,akl,l->a", shares, covariance, shares)
    low, high = _beta_interval(mean, variance, level)
    n_labels = np.bincount(table.annotator_index, minlength=table.n_annotators)
    return tuple(
        AnnotatorConfusion(
            annotator=name,
            n_labels=int(n_labels[i]),
            rates=rates[i],
            accuracy=float(mean[i]),
            accuracy_low=float(low[i]),
            accuracy_high=float(high[i]),
        )
        for i, name in enumerate(table.annotators.tolist())
    )


def _beta_interval(
    mean: NDArray[np.float64], variance: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles of the Beta with these moments; a variance of 0 (one class) gives the mean itself."""
    is_spread = variance > 0
    strength = np.where(is_spread, mean * (1.0 - mean) / np.where(is_spread, variance, 1.0) - 1.0, 1.0)
    first = np.where(is_spread, mean * strength, 1.0)
    second = np.where(is_spread, (1.0 - mean) * strength, 1.0)
    tail = (1.0 - level) / 2
    low, high = beta.ppf(tail, first, second), beta.ppf(1.0 - tail, first, second)
    return np.where(is_spread, low, mean), np.where(is_spread, high, mean)
