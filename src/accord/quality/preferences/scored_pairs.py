"""Comparisons as index arrays: which item stood left, which right, what was answered, and by whom.

An item is whatever has a score: an answer, a model, a source of answers. What is not compared
twice (a text, a time) is left out; `accord.quality.judgments` keeps that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from accord.domain import DataError
from accord.quality.judgments import LEFT, RIGHT, TIE, JudgmentTable, Pair

ComparisonRepeats = Literal["first", "last", "error"]
OUTCOMES = {"left": LEFT, "right": RIGHT, "tie": TIE, LEFT: LEFT, RIGHT: RIGHT, TIE: TIE}
LEFT_SHARE = np.array([1.0, 0.0, 0.5])
"""[outcome] The win of the left side; a tie counts half for each."""


@dataclass(frozen=True, eq=False)
class ScoredPairs:
    """Comparisons, one a row. Built by `tabulate_pairs` or `pairs_from_judgments`."""

    items: tuple[Any, ...]
    """Ids in sorted order."""
    annotators: tuple[Any, ...]
    """Ids in sorted order."""
    families: tuple[Any, ...]
    """Prompt families in sorted order; a single empty one where none were given."""
    covariate_names: tuple[str, ...]
    left: NDArray[np.intp]
    """[row] Item on the left."""
    right: NDArray[np.intp]
    """[row] Item on the right; never that on the left."""
    outcome: NDArray[np.intp]
    """[row] LEFT, RIGHT or TIE."""
    annotator: NDArray[np.intp]
    """[row]"""
    family: NDArray[np.intp]
    """[row]"""
    covariates: NDArray[np.float64]
    """[row, covariate] Left minus right, for example of log lengths."""
    n_repeats: int = 0
    """Rows left out because the same annotator had judged the same comparison in another row."""

    def __len__(self) -> int:
        return len(self.left)

    @property
    def left_share(self) -> NDArray[np.float64]:
        """[row] The win of the left side: 1, 0, or one half for a tie."""
        return LEFT_SHARE[self.outcome]

    @property
    def appearances(self) -> NDArray[np.intp]:
        """[item] In how many rows the item stands."""
        both = np.concatenate([self.left, self.right])
        return np.bincount(both, minlength=len(self.items))

    def select(self, keep: NDArray[Any]) -> "ScoredPairs":
        """The rows where `keep` is True, or of the row numbers `keep`; the ids stay as they are."""
        return replace(
            self,
            left=self.left[keep],
            right=self.right[keep],
            outcome=self.outcome[keep],
            annotator=self.annotator[keep],
            family=self.family[keep],
            covariates=self.covariates[keep],
        )

    def mirrored(self) -> "ScoredPairs":
        """The same comparisons with left and right of every row exchanged."""
        return replace(
            self,
            left=self.right,
            right=self.left,
            outcome=np.array([RIGHT, LEFT, TIE])[self.outcome],
            covariates=-self.covariates,
        )


def tabulate_pairs(
    left: Sequence[Any],
    right: Sequence[Any],
    outcome: Sequence[Any],
    annotator: Sequence[Any] | None = None,
    *,
    family: Sequence[Any] | None = None,
    covariates: Mapping[str, Sequence[float]] | None = None,
    comparison: Sequence[Any] | None = None,
    repeats: ComparisonRepeats = "error",
) -> ScoredPairs:
    """Columns of equal length as a table.

    `outcome` holds left, right, tie, or 0, 1, 2. Without `annotator` all rows are one annotator's.
    `comparison` names what was shown; a second row of one annotator for one comparison is settled by
    `repeats`. Without it every row is a comparison of its own, for two items may meet often.
    Raises on an empty table, an item against itself, an unknown outcome or a covariate that is
    not finite, with the row.
    """
    n_rows = len(left)
    _check_lengths(n_rows, {"right": right, "outcome": outcome, "annotator": annotator, "family": family})
    _check_lengths(n_rows, {"comparison": comparison, **(covariates or {})})
    items, sides = _numbered("item", [*left, *right])
    annotators, annotator_index = _numbered(
        "annotator", annotator if annotator is not None else [""] * n_rows
    )
    families, family_index = _numbered("family", family if family is not None else [""] * n_rows)
    pairs = ScoredPairs(
        items=items,
        annotators=annotators,
        families=families,
        covariate_names=tuple(covariates or {}),
        left=sides[:n_rows],
        right=sides[n_rows:],
        outcome=_outcomes(outcome),
        annotator=annotator_index,
        family=family_index,
        covariates=_covariates(covariates or {}, n_rows),
    )
    if (pairs.left == pairs.right).any():
        row = int(np.argmax(pairs.left == pairs.right))
        raise DataError(f"row {row}: item {left[row]!r} is compared with itself; remove the row")
    return pairs if comparison is None else _without_repeats(pairs, comparison, repeats)


def pairs_from_judgments(
    table: JudgmentTable,
    *,
    source: Callable[[Pair, str], Any] | None = None,
    family: Callable[[Pair], Any] | None = None,
    covariates: Mapping[str, Callable[[str], float]] | None = None,
) -> ScoredPairs:
    """A judgment table as comparisons, one row a judgment in the same order.

    `source(pair, text)` names the item behind an answer, without it each answer to a prompt is an item;
    `family(pair)` names the prompt's family; `covariates` are measures of a text, for example its log length,
    taken left minus right.
    """
    named = source or (lambda pair, text: (pair.prompt.id, text))
    shown = [
        (pair.second, pair.first) if is_flipped else (pair.first, pair.second)
        for pair, is_flipped in zip(
            [table.pairs[k] for k in table.pair_index], table.is_flipped.tolist(), strict=True
        )
    ]
    behind = [table.pairs[k] for k in table.pair_index]
    return tabulate_pairs(
        [named(pair, texts[0]) for pair, texts in zip(behind, shown, strict=True)],
        [named(pair, texts[1]) for pair, texts in zip(behind, shown, strict=True)],
        table.answer.tolist(),
        [table.annotator_ids[k] for k in table.annotator_index],
        family=None if family is None else [family(pair) for pair in behind],
        covariates={
            name: [measure(first) - measure(second) for first, second in shown]
            for name, measure in (covariates or {}).items()
        },
    )


def _check_lengths(n_rows: int, columns: Mapping[str, Sequence[Any] | None]) -> None:
    if not n_rows:
        raise DataError("no comparisons; expected at least one row")
    for name, column in columns.items():
        if column is not None and len(column) != n_rows:
            raise DataError(f"column {name!r} has {len(column)} rows, expected {n_rows}, as many as 'left'")


def _numbered(noun: str, column: Sequence[Any]) -> tuple[tuple[Any, ...], NDArray[np.intp]]:
    """Distinct ids in sorted order, and the number of each row's."""
    values = column if isinstance(column, np.ndarray) else None
    if values is None and all(type(value) is int for value in column):
        values = np.asarray(column)
    if values is not None and values.dtype.kind in "iu":
        ids, index = np.unique(values, return_inverse=True)
        return tuple(ids.tolist()), index.astype(np.intp)
    missing = [row for row, value in enumerate(column) if value is None or value != value]
    if missing:
        raise DataError(f"row {missing[0]}: {noun} is {column[missing[0]]!r}, expected an id")
    distinct = set(column)
    try:
        names = sorted(distinct)
    except TypeError:
        names = sorted(distinct, key=repr)
    number_of = {name: number for number, name in enumerate(names)}
    return tuple(names), np.fromiter((number_of[value] for value in column), np.intp, len(column))


def _outcomes(outcome: Sequence[Any]) -> NDArray[np.intp]:
    if isinstance(outcome, np.ndarray) and outcome.dtype.kind in "iu":
        if outcome.size and (outcome.min() < 0 or outcome.max() > TIE):
            row = int(np.argmax((outcome < 0) | (outcome > TIE)))
            raise DataError(f"row {row}: outcome is {outcome[row]}, expected 0 (left), 1 (right) or 2 (tie)")
        return outcome.astype(np.intp)
    for row, value in enumerate(outcome):
        if value not in OUTCOMES:
            raise DataError(f"row {row}: outcome is {value!r}, expected left, right or tie")
    return np.array([OUTCOMES[value] for value in outcome], dtype=np.intp)


def _covariates(covariates: Mapping[str, Sequence[float]], n_rows: int) -> NDArray[np.float64]:
    columns = np.empty((n_rows, len(covariates)))
    for k, (name, values) in enumerate(covariates.items()):
        columns[:, k] = values
        if not np.isfinite(columns[:, k]).all():
            row = int(np.argmin(np.isfinite(columns[:, k])))
            raise DataError(
                f"row {row}: covariate {name!r} is {columns[row, k]}, expected a finite difference, left "
                f"minus right"
            )
    return columns


def _without_repeats(
    pairs: ScoredPairs, comparison: Sequence[Any], repeats: ComparisonRepeats
) -> ScoredPairs:
    if repeats not in ("first", "last", "error"):
        raise DataError(f"repeats is {repeats!r}; expected one of first, last, error")
    _, shown = _numbered("comparison", comparison)
    key = shown * len(pairs.annotators) + pairs.annotator
    if repeats == "last":
        _, back = np.unique(key[::-1], return_index=True)
        kept = len(key) - 1 - back
    else:
        _, kept = np.unique(key, return_index=True)
    n_repeats = len(key) - len(kept)
    if n_repeats and repeats == "error":
        row = int(np.setdiff1d(np.arange(len(key)), kept)[0])
        raise DataError(
            f"row {row}: annotator {pairs.annotators[pairs.annotator[row]]!r} judged comparison "
            f"{comparison[row]!r} before; {n_repeats} rows repeat one. "
            f"Choose repeats='first' or repeats='last'"
        )
    return replace(pairs.select(np.sort(kept)), n_repeats=n_repeats)
