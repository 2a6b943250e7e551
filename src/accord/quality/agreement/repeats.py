"""How far annotators agree with themselves, from items they were silently shown a second time.

Takes the columns, not a table, for a table keeps one label of each annotator and item. Leaves
out why an annotator changed his mind; a clearer guideline in between counts as inconsistency.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from accord.domain import LabelColumns
from accord.quality.agreement.alpha import Level, alpha_statistic, class_values
from accord.quality.agreement.coincidence import count_rows
from accord.quality.agreement.kappa import pair_credit
from accord.quality.agreement.resampling import DEFAULT_BOOTSTRAP, BootstrapConfig, FloatArray
from accord.quality.agreement.result import NO_VARIANCE, Agreement, agreement_of_rows, no_agreement
from accord.quality.labels import tabulate_labels

NO_REPEATS = "no annotator labeled an item twice; show some items again to measure consistency"


@dataclass(frozen=True, kw_only=True)
class AnnotatorConsistency:
    """One annotator against himself."""

    annotator: Any
    n_items: int
    """Items he labeled twice or more."""
    n_same: int
    """Items whose first and last label are equal."""
    share: float
    """n_same / n_items."""
    low: float
    """Of the Wilson score interval of the share."""
    high: float


@dataclass(frozen=True, kw_only=True)
class RepeatReport:
    """Consistency of all annotators who labeled something twice."""

    share_same: Agreement
    """Share of repeated items with equal first and last label; `n_items` counts annotator and item."""
    alpha: Agreement
    """Alpha of first against last labels, on the level asked for: consistency beyond chance."""
    annotators: tuple[AnnotatorConsistency, ...]
    """In the order of their ids; those without a repeat are not there."""


def measure_repeats(
    columns: LabelColumns, *, level: Level = "nominal", config: BootstrapConfig = DEFAULT_BOOTSTRAP
) -> RepeatReport:
    """Agreement of each annotator's first label of an item with his last, rows being in order of time.

    Intervals resample annotators, who differ in consistency; one annotator has a value and no interval.
    The chance that alpha corrects for is that of the pooled labels. No repeats: values None with the
    reason, and no annotators.
    """
    first = tabulate_labels(columns, repeats="first")
    last = tabulate_labels(columns, repeats="last")
    values = class_values(first, level)
    is_repeated = first.rows != last.rows
    before, after = first.class_index[is_repeated], last.class_index[is_repeated]
    if not len(before):
        return RepeatReport(
            share_same=no_agreement("repeat_share_same", NO_REPEATS),
            alpha=no_agreement(f"repeat_alpha_{level}", NO_REPEATS),
            annotators=(),
        )
    present, cluster = np.unique(first.annotator_index[is_repeated], return_inverse=True)
    rows = count_rows(
        np.tile(np.arange(len(before)), 2),
        np.concatenate([before, after]),
        n_items=len(before),
        n_classes=first.n_classes,
        clusters=cluster.astype(np.int64),
    )
    same = pair_credit(rows, np.eye(first.n_classes))

    def share(weights: FloatArray) -> FloatArray:
        return np.asarray((weights @ same) / weights.sum(axis=1))[:, None]

    statistic = alpha_statistic(rows, values, level=level)
    n_items = np.bincount(cluster)
    n_same = np.bincount(cluster, weights=before == after).astype(np.int64)
    return RepeatReport(
        share_same=agreement_of_rows(
            rows, share, method="repeat_share_same", undefined=NO_VARIANCE, config=config
        ),
        alpha=agreement_of_rows(
            rows, statistic, method=f"repeat_alpha_{level}", undefined=NO_VARIANCE, config=config
        ),
        annotators=tuple(
            _consistency(name, int(same_items), int(items), config.confidence)
            for name, same_items, items in zip(
                first.annotators[present].tolist(), n_same, n_items, strict=True
            )
        ),
    )


def _consistency(annotator: Any, n_same: int, n_items: int, confidence: float) -> AnnotatorConsistency:
    """Wilson 1927: the shares that a two-sided score test does not reject."""
    quantile = float(ndtri((1 + confidence) / 2))
    share, spread = n_same / n_items, quantile**2 / n_items
    center = (share + spread / 2) / (1 + spread)
    reach = float(np.sqrt(share * (1 - share) * spread + spread**2 / 4)) / (1 + spread)
    return AnnotatorConsistency(
        annotator=annotator,
        n_items=n_items,
        n_same=n_same,
        share=share,
        low=max(0.0, center - reach),
        high=min(1.0, center + reach),
    )
