"""Do annotators of a group agree more among themselves than with the others?

In-group agreement is Krippendorff's alpha, cross-group agreement its analogue for two sets of
annotators; their ratio is the group association index of GRASP (Prabhakaran et al. 2023). Leaves
out what the groups disagree on; means by group are in `accord.quality.bias.group_means`.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from accord.domain import ConfigError, DataError
from accord.quality.agreement.alpha import Level, class_values
from accord.quality.agreement.resampling import (
    DEFAULT_BOOTSTRAP,
    BootstrapConfig,
    FloatArray,
    Resampled,
    Units,
    bootstrap,
    number_clusters,
)
from accord.quality.agreement.result import Agreement
from accord.quality.bias.multiplicity import adjust_benjamini_hochberg
from accord.quality.labels import LabelTable

NO_COEFFICIENT = "too few shared items, or all ratings are the same value"
NO_RATIO = "the cross-group agreement is not above 0, so a ratio to it says nothing"
CHUNK_CELLS = 1 << 21
"""Statistics [item, permutation, number] held at a time."""
ROUNDING = 1e-12
"""Disagreement expected below this share of its largest value is a rounding error."""


@dataclass(frozen=True, kw_only=True)
class PermutationConfig:
    """How annotators are assigned to groups at random."""

    permutations: int = 1000
    """Random assignments; the smallest p-value is 2 / (permutations + 1)."""
    seed: int = 0
    """Of the assignments."""

    def __post_init__(self) -> None:
        if self.permutations < 1:
            raise ConfigError(
                "permutation test", [f"permutations is {self.permutations}, expected 1 or more"]
            )


DEFAULT_PERMUTATION = PermutationConfig()


@dataclass(frozen=True, kw_only=True)
class GroupAgreement:
    """One group against all others."""

    group: Hashable
    n_annotators: int
    in_group: Agreement
    """Alpha among the group's annotators."""
    cross_group: Agreement
    """Agreement beyond chance of the group's ratings with those of all others."""
    ratio: Agreement
    """In-group over cross-group: above 1 the group has a view of its own."""
    difference: float | None
    """In-group less cross-group: what is tested."""
    p_value: float | None
    """Two-sided permutation test that annotators might as well have been in other groups."""
    p_adjusted: float | None
    """After Benjamini-Hochberg over the groups."""


@dataclass(frozen=True, eq=False)
class _Bilinear:
    """Squared distances of classes c, k as features[c] @ form @ features[k], with few features."""

    features: FloatArray
    """[class, feature]"""
    form: FloatArray
    """[feature, feature]"""
    unit: FloatArray
    """[feature] features @ unit = 1."""


def compare_groups(
    table: LabelTable,
    groups: Mapping[Any, Hashable],
    *,
    level: Level = "nominal",
    strata: Mapping[Any, Hashable] | None = None,
    clusters: Sequence[Any] | None = None,
    config: BootstrapConfig = DEFAULT_BOOTSTRAP,
    permutation: PermutationConfig = DEFAULT_PERMUTATION,
) -> tuple[GroupAgreement, ...]:
    """In-group and cross-group agreement of each group, in the order of their text.

    `groups` names each annotator's group by his id in `table.annotators`; annotators without one are left
    out. With R_i and S_i ratings of the two sides on item i, R and S their sums, over items with both:

        cross = 1 - [sum_i (R_i + S_i) / (R_i S_i) sum_rs d(x_ir, y_is) / (R + S)]
                    / [sum_ck x_c y_k d_ck / (R S)]

    which is the cross-replication reliability of Wong, Paritosh and Aroyo 2021 and for halves of one set
    comes out near its alpha. Departures from GRASP: the test is on the difference, not on the ratio,
    which flies off where cross-group agreement is near 0, and ordinal distances are those of the
    mid-ranks among all ratings of the table.

    Intervals resample items, or `clusters` [item]; they hold for these annotators. The test shuffles the
    annotators over the groups, whole and within `strata`: name the batch as stratum where
    batches were labeled by different people, else a difference of batches passes for one of groups.
    What does not exist is None with the reason; a single group raises.
    """
    number_of = _number_groups(table, groups)
    keep = number_of[table.annotator_index] >= 0
    cluster = None if clusters is None else number_clusters(clusters, n_items=table.n_items)
    if cluster is not None:
        kept_items = np.unique(table.item_index[keep])
        cluster = np.unique(cluster[kept_items], return_inverse=True)[1].astype(np.int64)
    values = class_values(table, level)
    table = table.select(keep)
    present = np.unique(table.annotator_index)
    codes = number_of[present]
    names = sorted({groups[name] for name in table.annotators[present].tolist()}, key=str)
    space = _bilinear(table, values, level)
    counts = _feature_counts(table, space)
    annotator_strata = [
        None if strata is None else strata.get(name) for name in table.annotators[present].tolist()
    ]
    observed = _differences(counts, codes[:, None], len(names), space)[0]
    shuffled = _shuffle(counts, codes, annotator_strata, len(names), space, permutation)
    p_values = [_two_sided(float(observed[i]), shuffled[:, i]) for i in range(len(names))]
    tested = [i for i, p_value in enumerate(p_values) if p_value is not None]
    adjusted = adjust_benjamini_hochberg([p_value for p_value in p_values if p_value is not None])
    adjusted_of = dict(zip(tested, adjusted.tolist(), strict=True))
    units = Units(np.ones(table.n_items, dtype=np.int64), cluster)
    return tuple(
        replace(
            _measure_group(name, counts, codes == i, space, units, config),
            p_value=p_values[i],
            p_adjusted=adjusted_of.get(i),
        )
        for i, name in enumerate(names)
    )


def _number_groups(table: LabelTable, groups: Mapping[Any, Hashable]) -> NDArray[np.int64]:
    """Number of each annotator's group [annotator], in the order of their text; -1 without one."""
    ids = table.annotators.tolist()
    given = np.bincount(table.annotator_index, minlength=len(ids)) > 0
    of = [groups.get(name) if given[i] else None for i, name in enumerate(ids)]
    names = sorted({name for name in of if name is not None}, key=str)
    if len(names) < 2:
        raise DataError(
            f"annotators with labels are in {len(names)} groups ({', '.join(map(str, names))}); "
            f"expected two or more, named by the ids of the table, such as {ids[0]!r}"
        )
    number = {name: i for i, name in enumerate(names)}
    return np.array([-1 if name is None else number[name] for name in of], dtype=np.int64)


def _bilinear(table: LabelTable, values: FloatArray, level: Level) -> _Bilinear:
    """Distances of the level; interval and ordinal need three moments instead of a feature a class."""
    if level == "ordinal":
        margins = np.bincount(table.class_index, minlength=table.n_classes)
        values = (np.cumsum(margins) - margins / 2).astype(np.float64)
    if level in ("interval", "ordinal"):
        centered = values - values.mean()
        centered = centered / max(float(np.abs(centered).max()), np.finfo(float).tiny)
        features = np.stack([np.ones_like(centered), centered, centered**2], axis=1)
        form = np.array([[0.0, 0, 1], [0, -2, 0], [1, 0, 0]])
        return _Bilinear(features, form, np.array([1.0, 0, 0]))
    n_classes = len(values)
    if level == "nominal":
        form = 1 - np.eye(n_classes)
    else:
        total = values[:, None] + values
        form = np.divide(values[:, None] - values, total, out=np.zeros_like(total), where=total > 0) ** 2
    return _Bilinear(np.eye(n_classes), form, np.ones(n_classes))


def _feature_counts(table: LabelTable, space: _Bilinear) -> list[sparse.csr_array]:
    """Each feature's value of each rating [item, annotator], annotators with labels only."""
    annotators, column = np.unique(table.annotator_index, return_inverse=True)
    shape = (table.n_items, len(annotators))
    return [
        sparse.csr_array((feature[table.class_index], (table.item_index, column)), shape=shape)
        for feature in space.features.T
    ]


def _item_statistics(own: FloatArray, others: FloatArray, space: _Bilinear) -> FloatArray:
    """What the coefficients sum over items [item, ..., number]; the sides are [item, ..., feature].

    Numbers: in-group disagreement and margins, cross-group disagreement and both margins.
    """
    n_own, n_others = own @ space.unit, others @ space.unit
    is_pairable, is_shared = n_own > 1.5, (n_own > 0.5) & (n_others > 0.5)
    within = ((own @ space.form) * own).sum(axis=-1) / np.where(is_pairable, n_own - 1, 1)
    scale = (n_own + n_others) / np.where(is_shared, n_own * n_others, 1)
    across = ((own @ space.form) * others).sum(axis=-1) * scale
    pairable, shared = is_pairable[..., None], is_shared[..., None]
    return np.concatenate(
        [
            np.where(is_pairable, within, 0)[..., None],
            pairable * own,
            np.where(is_shared, across, 0)[..., None],
            shared * own,
            shared * others,
        ],
        axis=-1,
    )


def _coefficients(sums: FloatArray, space: _Bilinear) -> tuple[FloatArray, FloatArray]:
    """In-group and cross-group agreement of summed item statistics [..., number]; NaN where undefined."""
    size = len(space.unit)
    within, own_margins = sums[..., 0], sums[..., 1 : 1 + size]
    across, own, others = sums[..., 1 + size], sums[..., 2 + size : 2 + 2 * size], sums[..., 2 + 2 * size :]
    n_within = own_margins @ space.unit
    chance_within = ((own_margins @ space.form) * own_margins).sum(axis=-1)
    n_own, n_others = own @ space.unit, others @ space.unit
    chance_across = ((own @ space.form) * others).sum(axis=-1)
    in_group = 1 - _divide((n_within - 1) * within, chance_within, n_within**2)
    cross = 1 - _divide(
        across * n_own * n_others, (n_own + n_others) * chance_across, (n_own + n_others) ** 3
    )
    return in_group, cross


def _divide(numerator: FloatArray, denominator: FloatArray, scale: FloatArray) -> FloatArray:
    is_defined = denominator > ROUNDING * scale
    nothing = np.full(denominator.shape, np.nan)
    return np.asarray(np.divide(numerator, denominator, out=nothing, where=is_defined))


def _sides(counts: Sequence[sparse.csr_array], members: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Features of the ratings of members [annotator, column] and of the others [item, column, feature]."""
    own = np.stack([feature @ members for feature in counts], axis=-1)
    total = np.stack([np.asarray(feature.sum(axis=1)).ravel() for feature in counts], axis=-1)
    return own, total[:, None, :] - own


def _differences(
    counts: Sequence[sparse.csr_array], codes: NDArray[np.int64], n_groups: int, space: _Bilinear
) -> FloatArray:
    """In-group less cross-group agreement [assignment, group] of group numbers [annotator, assignment]."""
    found = []
    for group in range(n_groups):
        own, others = _sides(counts, (codes == group).astype(np.float64))
        in_group, cross = _coefficients(_item_statistics(own, others, space).sum(axis=0), space)
        found.append(in_group - cross)
    return np.stack(found, axis=1)


def _shuffle(
    counts: Sequence[sparse.csr_array],
    codes: NDArray[np.int64],
    strata: Sequence[Hashable],
    n_groups: int,
    space: _Bilinear,
    config: PermutationConfig,
) -> FloatArray:
    """Differences [permutation, group] after shuffling the annotators within strata."""
    rng = np.random.default_rng(config.seed)
    stratum = np.unique([str(name) for name in strata], return_inverse=True)[1]
    n_numbers = 2 + 3 * len(space.unit)
    size = max(1, CHUNK_CELLS // (counts[0].shape[0] * n_numbers))
    chunks = []
    for start in range(0, config.permutations, size):
        count = min(size, config.permutations - start)
        # within a stratum, annotators in a random order take the group numbers in their own order
        shuffled = np.lexsort((rng.random((count, len(codes))), np.tile(stratum, (count, 1))), axis=1)
        places = np.argsort(stratum, kind="stable")
        assigned = np.empty((count, len(codes)), dtype=np.int64)
        np.put_along_axis(assigned, shuffled, np.broadcast_to(codes[places], assigned.shape), axis=1)
        chunks.append(_differences(counts, assigned.T, n_groups, space))
    return np.concatenate(chunks)


def _two_sided(observed: float, shuffled: FloatArray) -> float | None:
    """Twice the smaller tail, the observed assignment included; one without a value counts in both."""
    if not np.isfinite(observed):
        return None
    slack = 1e-12
    is_missing = ~np.isfinite(shuffled)
    above = 1 + int(((shuffled >= observed - slack) | is_missing).sum())
    below = 1 + int(((shuffled <= observed + slack) | is_missing).sum())
    return min(1.0, 2 * min(above, below) / (len(shuffled) + 1))


def _measure_group(
    name: Hashable,
    counts: Sequence[sparse.csr_array],
    is_member: NDArray[np.bool_],
    space: _Bilinear,
    units: Units,
    config: BootstrapConfig,
) -> GroupAgreement:
    own, others = _sides(counts, is_member[:, None].astype(np.float64))
    own, others = own[:, 0, :], others[:, 0, :]
    numbers = _item_statistics(own, others, space)

    def statistic(weights: FloatArray) -> FloatArray:
        in_group, cross = _coefficients(weights @ numbers, space)
        is_usable = np.isfinite(cross) & (cross > 0)
        ratio = np.divide(in_group, cross, out=np.full(len(cross), np.nan), where=is_usable)
        return np.stack([in_group, cross, ratio], axis=1)

    found = bootstrap(statistic, units, config=config, undefined=NO_COEFFICIENT)
    n_own, n_others = own @ space.unit, others @ space.unit
    is_pairable, is_shared = n_own > 1.5, (n_own > 0.5) & (n_others > 0.5)
    cross_size = (int(is_shared.sum()), round(float((n_own + n_others)[is_shared].sum())))
    in_size = (int(is_pairable.sum()), round(float(n_own[is_pairable].sum())))
    in_group, cross = found.values[0], found.values[1]
    ratio = _agreement(found, 2, "group_association", cross_size)
    if ratio.value is None and in_group is not None and cross is not None:
        ratio = replace(ratio, reason=NO_RATIO)
    return GroupAgreement(
        group=name,
        n_annotators=int(is_member.sum()),
        in_group=_agreement(found, 0, "in_group_alpha", in_size),
        cross_group=_agreement(found, 1, "cross_group_agreement", cross_size),
        ratio=ratio,
        difference=None if in_group is None or cross is None else in_group - cross,
        p_value=None,
        p_adjusted=None,
    )


def _agreement(found: Resampled, at: int, method: str, size: tuple[int, int]) -> Agreement:
    return Agreement(
        value=found.values[at],
        low=found.lows[at],
        high=found.highs[at],
        n_items=size[0],
        n_ratings=size[1],
        method=method,
        reason=found.reasons[at],
    )
