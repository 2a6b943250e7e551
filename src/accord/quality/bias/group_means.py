"""Do groups of annotators rate higher or lower? Annotators, not ratings, are the sample.

Leaves out agreement within groups (`accord.quality.bias.groups`) and classes without an order.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from accord.domain import ConfigError, DataError
from accord.quality.bias.mixed_model import FloatArray, MixedModelFit, fit_mixed_model
from accord.quality.bias.multiplicity import adjust_benjamini_hochberg
from accord.quality.labels import LabelTable

NO_FIT = "ratings do not vary, or there are no more of them than groups"
TOO_FEW = "no interval: as many groups as annotators, so nothing says how annotators of a group differ"


@dataclass(frozen=True, kw_only=True)
class GroupMean:
    """One group's level; bounds are None where there is no interval."""

    group: Hashable
    n_annotators: int
    n_ratings: int
    mean: float
    """For a new item by a new annotator of the group."""
    low: float | None
    high: float | None
    difference: float | None
    """From the mean of the other groups' means."""
    difference_low: float | None
    difference_high: float | None
    p_value: float | None
    """Two-sided, that the difference is 0."""
    p_adjusted: float | None
    """After Benjamini-Hochberg over the groups."""


@dataclass(frozen=True, kw_only=True)
class GroupMeans:
    """Levels of all groups, and how much items, annotators and errors vary."""

    groups: tuple[GroupMean, ...]
    """In the order of their text; empty with a reason."""
    item_deviation: float | None
    """Standard deviations, in the unit of the ratings."""
    annotator_deviation: float | None
    """Between annotators of one group."""
    error_deviation: float | None
    reason: str | None = None


def measure_group_means(
    table: LabelTable, groups: Mapping[Any, Hashable], *, confidence: float = 0.95
) -> GroupMeans:
    """Means of groups from rating ~ group + item + annotator + error, items and annotators random, by REML.

    `groups` names each annotator's group by his id in `table.annotators`; annotators without one are left
    out. Student's t has annotators - groups degrees of freedom: however many ratings there are, a group of
    four annotators is a sample of four. For balanced data the interval of a difference is exact but for
    the bound of annotator variance at 0, which makes it wider. Ratings that do not vary give no groups and a
    reason; a single group has a mean and no difference.
    """
    if not 0 < confidence < 1:
        raise ConfigError("group means", [f"confidence is {confidence}, expected between 0 and 1"])
    ids = table.annotators.tolist()
    has_group = np.array([groups.get(name) is not None for name in ids])
    keep = has_group[table.annotator_index]
    if not keep.any():
        raise DataError(
            f"no annotator with ratings has a group; name groups by the ids of the table, such as {ids[0]!r}"
        )
    table = table.select(keep)
    present, annotator_index = np.unique(table.annotator_index, return_inverse=True)
    of = [groups[ids[at]] for at in present.tolist()]
    names = sorted(set(of), key=str)
    membership = np.array([[name == group for group in names] for name in of], dtype=np.float64)
    fit = fit_mixed_model(table.numbers, table.item_index, annotator_index, membership)
    if fit is None:
        return GroupMeans(
            groups=(), item_deviation=None, annotator_deviation=None, error_deviation=None, reason=NO_FIT
        )
    n_ratings = membership.T @ np.bincount(annotator_index, minlength=len(present))
    freedom = len(present) - len(names)
    return GroupMeans(
        groups=_rows(names, fit, membership.sum(axis=0), n_ratings, freedom, confidence),
        item_deviation=fit.item_variance**0.5,
        annotator_deviation=fit.annotator_variance**0.5,
        error_deviation=fit.error_variance**0.5,
        reason=None if freedom else TOO_FEW,
    )


def _rows(
    names: list[Hashable],
    fit: MixedModelFit,
    n_annotators: FloatArray,
    n_ratings: FloatArray,
    freedom: int,
    confidence: float,
) -> tuple[GroupMean, ...]:
    n_groups = len(names)
    contrasts = np.eye(n_groups)
    if n_groups > 1:
        contrasts = (n_groups * contrasts - 1) / (n_groups - 1)
    differences = contrasts @ fit.means
    errors = np.sqrt(np.diag(contrasts @ fit.covariance @ contrasts.T))
    mean_errors = np.sqrt(np.diag(fit.covariance))
    reach = -float(stdtrit(freedom, (1 - confidence) / 2)) if freedom else None
    has_test = freedom > 0 and n_groups > 1
    p_values = 2 * stdtr(freedom, -np.abs(differences) / errors) if has_test else np.zeros(0)
    adjusted = adjust_benjamini_hochberg(p_values.tolist())
    return tuple(
        GroupMean(
            group=name,
            n_annotators=int(n_annotators[i]),
            n_ratings=int(n_ratings[i]),
            mean=float(fit.means[i]),
            low=None if reach is None else float(fit.means[i] - reach * mean_errors[i]),
            high=None if reach is None else float(fit.means[i] + reach * mean_errors[i]),
            difference=float(differences[i]) if n_groups > 1 else None,
            difference_low=float(differences[i] - reach * errors[i]) if has_test and reach else None,
            difference_high=float(differences[i] + reach * errors[i]) if has_test and reach else None,
            p_value=float(p_values[i]) if has_test else None,
            p_adjusted=float(adjusted[i]) if has_test else None,
        )
        for i, name in enumerate(names)
    )
