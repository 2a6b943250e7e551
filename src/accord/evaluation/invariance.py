"""Counterfactual invariance: how far a reward moves when only what should not matter has changed.

Leaves out scoring: it makes the changed texts and takes the rewards of both.
"""

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, finite_array
from accord.evaluation.intervals import Estimate, mean_estimate

LARGE = 0.5
"""Within-prompt standard deviations from which a change counts as large."""


class Change(StrEnum):
    """What should not matter."""

    TRAILING_SPACE = "trailing_space"
    POLITE_OPENING = "polite_opening"
    MARKDOWN_FRAME = "markdown_frame"
    TERM = "term"
    """A name or a word for a group of people."""


@dataclass(frozen=True, kw_only=True)
class Invariance:
    """One kind of change; everything in units of the within-prompt standard deviation of rewards."""

    change: str
    size: Estimate
    """Mean |new - old|; 0 is invariant."""
    shift: Estimate
    """Mean new - old: a systematic liking; near 0 with a large size is noise."""
    large: float
    """Share of answers whose reward moves by more than half a standard deviation."""
    largest: float
    n: int


def change_text(text: str, change: Change, *, terms: Mapping[str, str] | None = None) -> str | None:
    """The changed answer; None where the change does not apply (no term occurs in it).

    `terms` swaps whole words both ways at once ("he" for "she" and "she" for "he"), keeping a
    capital first letter or capitals throughout. Grammar is the caller's care: choose terms that fit.
    """
    if change is Change.TRAILING_SPACE:
        return text + " \n"
    if change is Change.POLITE_OPENING:
        return f"Thank you for your question. {text}"
    if change is Change.MARKDOWN_FRAME:
        return f"## Answer\n\n{text}"
    if not terms:
        raise EvaluationError("changing terms needs the pairs of terms to swap, e.g. {'he': 'she'}")
    table = {left.lower(): right for left, right in terms.items()}
    table |= {right.lower(): left for left, right in terms.items() if right.lower() not in table}
    words = "|".join(re.escape(word) for word in sorted(table, key=len, reverse=True))
    changed, count = re.subn(
        rf"\b(?:{words})\b",
        lambda found: _as_written(found[0], table[found[0].lower()]),
        text,
        flags=re.IGNORECASE,
    )
    return changed if count else None


def within_prompt_deviation(rewards: ArrayLike, prompt_ids: Sequence[Hashable]) -> float:
    """Pooled standard deviation of rewards around their prompt's mean: the unit in which a reward decides.

    sqrt(sum of squares within prompts / (rows - prompts)). Raises where no prompt has two
    answers or none of them differ.
    """
    reward = finite_array(rewards, name="rewards")
    clusters = Clusters.of(prompt_ids, rows=len(reward))
    freedom = len(reward) - clusters.count
    count = clusters.sums(np.ones_like(reward))
    residual = reward - (clusters.sums(reward) / count)[clusters.codes]
    if freedom < 1 or not (residual**2).sum() > 0:
        raise EvaluationError(
            f"no scale of rewards within prompts: {len(reward)} rewards on {clusters.count} prompts, "
            f"none of which differ within a prompt; score two or more answers a prompt"
        )
    return math.sqrt(float((residual**2).sum()) / freedom)


def measure_invariance(
    rewards: ArrayLike,
    changed_rewards: ArrayLike,
    changes: Sequence[str],
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    deviation: float,
    seed: int = 0,
) -> tuple[Invariance, ...]:
    """One row per kind of change, by name, from rewards before and after, row by row.

    `deviation` is `within_prompt_deviation` of ordinary answers. Intervals resample prompts.
    """
    if not (deviation > 0 and math.isfinite(deviation)):
        raise EvaluationError(f"the deviation must be positive and finite, got {deviation}")
    before = finite_array(rewards, name="rewards", length=len(changes))
    after = finite_array(changed_rewards, name="changed rewards", length=len(changes))
    if not len(before):
        raise EvaluationError("there are no changed answers to measure (n = 0)")
    moved = (after - before) / deviation
    kinds = np.array([str(change) for change in changes])
    labels = list(range(len(moved))) if prompt_ids is None else list(prompt_ids)
    if len(labels) != len(moved):
        raise EvaluationError(f"{len(labels)} prompt ids for {len(moved)} rows; expected one each")
    found = []
    for kind in sorted(set(kinds.tolist())):
        rows = np.flatnonzero(kinds == kind)
        ids = [labels[i] for i in rows]
        found.append(
            Invariance(
                change=kind,
                size=mean_estimate(np.abs(moved[rows]), ids, seed=seed),
                shift=mean_estimate(moved[rows], ids, seed=seed),
                large=float((np.abs(moved[rows]) > LARGE).mean()),
                largest=float(np.abs(moved[rows]).max()),
                n=len(rows),
            )
        )
    return tuple(found)


def _as_written(old: str, new: str) -> str:
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[:1].upper() + new[1:] if old[:1].isupper() else new
