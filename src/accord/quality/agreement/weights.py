"""Partial credit between classes: 1 on the diagonal, less the farther two classes lie apart."""

from typing import Literal

import numpy as np

from accord.domain import DataError
from accord.quality.agreement.resampling import FloatArray

Credit = Literal["identity", "linear", "quadratic", "ordinal"]
CREDITS: tuple[Credit, ...] = ("identity", "linear", "quadratic", "ordinal")


def credit_matrix(values: FloatArray, *, credit: Credit) -> FloatArray:
    """Credit [class, class] for classes that stand at `values` [class], which rise.

    identity: 0 off the diagonal. linear: 1 - |c - k| / range. quadratic: 1 - (|c - k| / range)^2
    (Cohen 1968; Fleiss and Cohen 1973). ordinal: 1 - C(places apart + 1, 2) / C(classes, 2),
    which reads the places only (Gwet 2014, section 3.5). One class: credit 1.
    """
    if credit not in CREDITS:
        raise DataError(f"credit is {credit!r}; expected one of {', '.join(CREDITS)}")
    n_classes = len(values)
    if credit == "identity" or n_classes == 1:
        return np.eye(n_classes)
    if credit == "ordinal":
        apart = np.abs(np.subtract.outer(np.arange(n_classes), np.arange(n_classes)))
        return np.asarray(1 - apart * (apart + 1) / (n_classes * (n_classes - 1)))
    share = np.abs(values[:, None] - values) / (values.max() - values.min())
    return np.asarray(1 - (share if credit == "linear" else share**2))
