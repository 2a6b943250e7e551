"""Gwet's AC1 and AC2: agreement whose chance term stays small where one class is very common."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from accord.quality.agreement.coincidence import rows_of_table
from accord.quality.agreement.kappa import chance_corrected
from accord.quality.agreement.resampling import (
    DEFAULT_BOOTSTRAP,
    BootstrapConfig,
    FloatArray,
    number_clusters,
)
from accord.quality.agreement.result import Agreement, no_agreement
from accord.quality.agreement.weights import Credit, credit_matrix
from accord.quality.labels import LabelTable

MAX_CLASSES = 2000
"""The credit matrix is dense; with more distinct values the values are numbers, not classes."""


def gwet_ac(
    table: LabelTable,
    *,
    credit: Credit = "identity",
    values: FloatArray | None = None,
    clusters: Sequence[Any] | None = None,
    config: BootstrapConfig = DEFAULT_BOOTSTRAP,
) -> Agreement:
    """AC1 with identity credit, else AC2.

        p_e = sum_kl credit_kl / (K (K - 1)) * sum_k share_k (1 - share_k)

    Gwet 2008, equation 7; 2014, sections 4.4 and 5.6: p_a is the mean credit of pairs over items with
    two ratings or more, share_k the mean over all items of the item's share of class k. K counts
    the classes of the table, given or not, so name them where some are rare. Linear and
    quadratic credit read the places of the classes, or `values` [class] where given. Total
    agreement is 1, even on one class of several, without an interval; a table with one class only
    gives None.
    """
    method = "gwet_ac1" if credit == "identity" else f"gwet_ac2_{credit}"
    n_classes = table.n_classes
    if n_classes < 2:
        return no_agreement(method, "one class only: name the classes that could have been given")
    if n_classes > MAX_CLASSES:
        return no_agreement(method, f"{n_classes} distinct values are numbers, not classes; use alpha or ICC")
    numbers = None if clusters is None else number_clusters(clusters, n_items=table.n_items)
    places = np.arange(n_classes, dtype=np.float64) if values is None else values
    matrix = credit_matrix(places, credit=credit)
    scale = float(matrix.sum()) / (n_classes * (n_classes - 1))
    return chance_corrected(
        rows_of_table(table, clusters=numbers),
        matrix,
        lambda shares: scale * (shares * (1 - shares)).sum(axis=1),
        method=method,
        undefined="agreement by chance is total",
        config=config,
    )
