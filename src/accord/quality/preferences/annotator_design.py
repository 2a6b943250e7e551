"""Which shared parameters a comparison touches: scores, thresholds, positions, covariates, by prompt family.

The design is built once from the comparisons a model is fitted on; the same blocks then describe
comparisons it has not seen, whose unknown items, families and annotators are drawn from the priors.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from accord.quality.preferences.scored_pairs import ScoredPairs

MARGIN, SHIFT, LOG_THRESHOLD = 0, 1, 2
"""Predictors: the score difference, what is added to the margin, the log of the tie threshold."""
N_SHARED_PREDICTORS = 3
UNKNOWN = -1
"""Number of an id that the fit has not seen."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Block:
    """Parameters of one kind with one prior N(0, spread^2)."""

    name: str
    predictor: int
    start: int
    size: int
    spread: float
    """Standard deviation of the prior, or where empirical Bayes starts."""
    is_estimated: bool
    """True where empirical Bayes sets the spread."""

    @property
    def place(self) -> slice:
        """Where the block stands among the shared parameters."""
        return slice(self.start, self.start + self.size)


@dataclass(frozen=True, eq=False, kw_only=True)
class NumberedRows:
    """Comparisons in the numbers of a fit; UNKNOWN where it has none."""

    left: NDArray[np.intp]
    right: NDArray[np.intp]
    family: NDArray[np.intp]
    annotator: NDArray[np.intp]
    left_in_family: NDArray[np.intp]
    """[row] Number of (left item, family) among those seen together."""
    right_in_family: NDArray[np.intp]
    covariates: NDArray[np.float64]
    """[row, covariate]"""

    def __len__(self) -> int:
        return len(self.left)


def combine_item_and_family(pairs: ScoredPairs) -> NDArray[np.int64]:
    """Codes item * families + family that occur, sorted; none where every item is of one family only.

    Then no score has anything to deviate from.
    """
    n_families = len(pairs.families)
    codes = np.unique(
        np.concatenate([pairs.left * n_families + pairs.family, pairs.right * n_families + pairs.family])
    )
    several = np.bincount(codes // n_families, minlength=len(pairs.items)) > 1
    return np.asarray(codes if several.any() else codes[:0])


def number_rows(pairs: ScoredPairs, known: ScoredPairs, combined: NDArray[np.int64]) -> NumberedRows:
    """`pairs` in the numbers of `known`, whose ids may be others."""
    item = _translate(pairs.items, known.items)
    family = _translate(pairs.families, known.families)[pairs.family]
    annotator = _translate(pairs.annotators, known.annotators)[pairs.annotator]
    left, right = item[pairs.left], item[pairs.right]
    n_families = len(known.families)
    return NumberedRows(
        left=left,
        right=right,
        family=family,
        annotator=annotator,
        left_in_family=_find(combined, left, family, n_families),
        right_in_family=_find(combined, right, family, n_families),
        covariates=pairs.covariates,
    )


def build_design(rows: NumberedRows, blocks: tuple[Block, ...]) -> csr_array:
    """[predictor * row, shared] Predictor k of row i is line k * rows + i; unknown ids leave no entry."""
    n_rows, n_families = len(rows), 0
    number = np.arange(n_rows)
    lines, columns, values = [], [], []
    sizes = {block.name: block.size for block in blocks}
    n_families = sizes.get("family_covariate", 0) // max(rows.covariates.shape[1], 1)
    for block in blocks:
        for index, value in _entries(block.name, rows, n_families):
            known = index != UNKNOWN
            lines.append(block.predictor * n_rows + number[known])
            columns.append(block.start + index[known])
            values.append(value[known])
    shape = (N_SHARED_PREDICTORS * n_rows, sum(sizes.values()))
    return csr_array((np.concatenate(values), (np.concatenate(lines), np.concatenate(columns))), shape=shape)


def _entries(
    name: str, rows: NumberedRows, n_families: int
) -> list[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """What each row adds to the parameters of one block: numbers within the block, and factors."""
    one, none = np.ones(len(rows)), np.zeros(len(rows), dtype=np.intp)
    if name == "score":
        return [(rows.left, one), (rows.right, -one)]
    if name == "family_score":
        return [(rows.left_in_family, one), (rows.right_in_family, -one)]
    if name in ("position", "log_threshold"):
        return [(none, one)]
    if name in ("family_position", "family_log_threshold"):
        return [(rows.family, one)]
    columns = [(k, rows.covariates[:, k]) for k in range(rows.covariates.shape[1])]
    if name == "covariate":
        return [(none + k, column) for k, column in columns]
    return [
        (np.where(rows.family == UNKNOWN, UNKNOWN, k * n_families + rows.family), column)
        for k, column in columns
    ]


def _translate(ids: tuple[object, ...], known: tuple[object, ...]) -> NDArray[np.intp]:
    """[id] The number of each id in `known`."""
    number_of = {name: number for number, name in enumerate(known)}
    return np.array([number_of.get(name, UNKNOWN) for name in ids], dtype=np.intp)


def _find(
    combined: NDArray[np.int64], item: NDArray[np.intp], family: NDArray[np.intp], n_families: int
) -> NDArray[np.intp]:
    """[row] The place of (item, family) in `combined`."""
    if not len(combined):
        return np.full(len(item), UNKNOWN, dtype=np.intp)
    code = item * n_families + family
    place = np.minimum(np.searchsorted(combined, code), len(combined) - 1)
    is_there = (combined[place] == code) & (item != UNKNOWN) & (family != UNKNOWN)
    return np.where(is_there, place, UNKNOWN)
