"""Names what drifted, prompts, preferences, the policy's answers or annotators, and the action each asks for.

Four tests on four kinds of evidence, corrected together. Leaves out streams (`streams.py`) and whether the
reward model got worse: only labels say that.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, FloatArray
from accord.evaluation.drift.two_sample import PERMUTATIONS, TwoSampleTest, compare_samples
from accord.evaluation.intervals import Estimate, ratio_estimate
from accord.evaluation.multiplicity import holm

ALPHA = 0.01
"""Chance of naming any drift when there is none; low, since a batch comes every few days."""
MIN_ANCHORS = 10


class DriftKind(StrEnum):
    """What moved."""

    COVARIATE = "covariate"
    """People ask other things."""
    PREFERENCE = "preference"
    """People like other things: the same pair, other labels."""
    POLICY_INDUCED = "policy_induced"
    """The policy answers the same prompts with what the reward model was not trained on."""
    ANNOTATOR = "annotator"
    """Some of those who judge became worse while the others did not."""

    @property
    def action(self) -> str:
        """What to do about it."""
        return _ACTIONS[self]


_ACTIONS = {
    DriftKind.COVARIATE: "collect prompts from current traffic and have pairs on them labeled",
    DriftKind.PREFERENCE: "weight labels by age or retrain on new ones, and label the anchors again",
    DriftKind.POLICY_INDUCED: "collect labels on the current policy's own answers and retrain on them",
    DriftKind.ANNOTATOR: "pause them, show the guidelines again, and look at what they gave since",
}


@dataclass(frozen=True, kw_only=True)
class AnchorVotes:
    """Votes on one anchor pair, then and now; ties are left out before."""

    pair: Hashable
    old_left: int
    old_right: int
    new_left: int
    new_right: int


@dataclass(frozen=True, kw_only=True)
class PreferenceDrift:
    """Old against new labels of the same pairs."""

    change: Estimate
    """Mean over pairs of |share new - share old| LESS what vote noise alone would give; near 0 without
    drift."""
    p_value: float
    """By dealing each pair's votes to old and new at random; disagreement among people is thus no drift."""
    flipped: float
    """Share of pairs whose majority changed sides, of those with a majority in both."""
    n_pairs: int
    n_votes: int


@dataclass(frozen=True, kw_only=True)
class AnnotatorDrift:
    """Whether anybody became worse, from one valid p-value each."""

    p_value: float
    """That nobody did: the least adjusted by Simes 1986, as `benjamini_hochberg` gives it."""
    who: tuple[str, ...]
    """Who is meant where it is found, each in words."""
    n_annotators: int
    """How many had enough judgments to tell."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of drift."""

    kind: DriftKind
    p_value: float
    """As tested; NaN where not measured."""
    adjusted_p: float
    """Holm over the kinds that were measured."""
    is_found: bool
    action: str
    """Empty unless found."""
    evidence: str
    """In words: what was tested, or "not measured" and why."""


def measure_preference_drift(
    anchors: Sequence[AnchorVotes], *, permutations: int = PERMUTATIONS, seed: int = 0
) -> PreferenceDrift:
    """Whether people now label the same pairs otherwise; pairs need a vote on each side of time.

    Under no drift a pair's votes are exchangeable between then and now, so each permutation
    draws its old votes for left from a hypergeometric distribution. Annotators are taken as
    drawn from one pool; different annotators then and now are part of what is found. Fewer
    than 10 usable pairs raise.
    """
    usable = [row for row in anchors if row.old_left + row.old_right and row.new_left + row.new_right]
    if any(min(row.old_left, row.old_right, row.new_left, row.new_right) < 0 for row in anchors):
        raise EvaluationError("vote counts of the anchors cannot be negative")
    if len({row.pair for row in usable}) != len(usable) or len(usable) < MIN_ANCHORS:
        raise EvaluationError(
            f"preference drift needs {MIN_ANCHORS} distinct anchor pairs with votes then and now, got "
            f"{len(usable)} rows of {len({row.pair for row in usable})} pairs; label 50 each batch"
        )
    old = np.array([row.old_left + row.old_right for row in usable])
    new = np.array([row.new_left + row.new_right for row in usable])
    old_left = np.array([row.old_left for row in usable])
    left = old_left + np.array([row.new_left for row in usable])
    observed = _vote_change(old_left, left, old, new)
    generator = np.random.default_rng(seed)
    dealt = generator.hypergeometric(left, old + new - left, old, size=(permutations, len(usable)))
    changes = _vote_change(dealt, left, old, new)
    excess = observed - changes.mean(axis=0)
    extreme = int((changes.mean(axis=1) >= observed.mean() - 1e-12).sum())
    lead_old = 2 * old_left - old
    lead_new = 2 * (left - old_left) - new
    is_both = (lead_old != 0) & (lead_new != 0)
    clusters = Clusters.of([str(row.pair) for row in usable], rows=len(usable))
    return PreferenceDrift(
        change=ratio_estimate(excess, np.ones(len(usable)), clusters, method="percentile", seed=seed),
        p_value=(1 + extreme) / (1 + permutations),
        flipped=float((lead_old * lead_new < 0)[is_both].mean()) if is_both.any() else math.nan,
        n_pairs=len(usable),
        n_votes=int((old + new).sum()),
    )


def measure_prompt_shift(
    old_prompts: ArrayLike, new_prompts: ArrayLike, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> TwoSampleTest:
    """Covariate drift: MMD of prompt features [prompt, feature], one row per distinct prompt."""
    return compare_samples(old_prompts, new_prompts, permutations=permutations, seed=seed)


def measure_answer_shift(
    old_answers: ArrayLike,
    new_answers: ArrayLike,
    old_ids: Sequence[Hashable],
    new_ids: Sequence[Hashable],
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> TwoSampleTest:
    """Policy-induced drift: answers of two policies to the SAME prompts, sides swapped within prompts.

    Both must have answered the same prompts, else what people ask would be counted as what
    the policy does; another set of prompts raises.
    """
    if set(old_ids) != set(new_ids):
        differing = set(old_ids) ^ set(new_ids)
        raise EvaluationError(
            f"answers of both policies must be to the same prompts; {len(differing)} prompts were answered "
            f"by one only, e.g. {min(map(str, differing))!r}. Keep the shared ones"
        )
    return compare_samples(
        _within_prompt(old_answers, new_answers, old_ids, new_ids, side=0),
        _within_prompt(old_answers, new_answers, old_ids, new_ids, side=1),
        reference_ids=old_ids,
        current_ids=new_ids,
        permutations=permutations,
        seed=seed,
    )


def diagnose_drift(
    *,
    prompts: TwoSampleTest | None = None,
    preferences: PreferenceDrift | None = None,
    answers: TwoSampleTest | None = None,
    annotators: AnnotatorDrift | None = None,
    alpha: float = ALPHA,
) -> tuple[Finding, ...]:
    """One finding per kind, in a fixed order; the chance of any false one is at most `alpha` (Holm).

    What was not measured is said so and never counts as "no drift". More than one kind may be found.
    """
    tests: dict[DriftKind, tuple[float, str]] = {}
    if prompts is not None:
        tests[DriftKind.COVARIATE] = (prompts.p_value, _words("prompts", prompts))
    if preferences is not None:
        words = (
            f"{preferences.n_pairs} anchors, vote share changed by {preferences.change.value:.3f} over noise"
        )
        tests[DriftKind.PREFERENCE] = (preferences.p_value, words)
    if answers is not None:
        tests[DriftKind.POLICY_INDUCED] = (answers.p_value, _words("answers to the same prompts", answers))
    if annotators is not None:
        named = "; ".join(annotators.who)
        count = annotators.n_annotators
        words = f"{count} annotator{'' if count == 1 else 's'} against the others in time"
        words += f": {named}" if named else ""
        tests[DriftKind.ANNOTATOR] = (annotators.p_value, words)
    adjusted = holm([row[0] for row in tests.values()]).tolist()
    by_kind = dict(zip(tests, adjusted, strict=True))
    findings = []
    for kind in DriftKind:
        p_value, words = tests.get(kind, (math.nan, f"not measured: {_NEEDS[kind]}"))
        is_found = by_kind.get(kind, math.inf) <= alpha
        findings.append(
            Finding(
                kind=kind,
                p_value=p_value,
                adjusted_p=by_kind.get(kind, math.nan),
                is_found=is_found,
                action=kind.action if is_found else "",
                evidence=words,
            )
        )
    return tuple(findings)


_NEEDS = {
    DriftKind.COVARIATE: "needs features of old and new prompts",
    DriftKind.PREFERENCE: "needs anchor pairs labeled then and now",
    DriftKind.POLICY_INDUCED: "needs answers of both policies to the same prompts",
    DriftKind.ANNOTATOR: "needs judgments of each annotator in the order of time",
}


def _words(what: str, test: TwoSampleTest) -> str:
    return f"{what}: {test.n_reference} against {test.n_current} rows, statistic {test.statistic:.4g}"


def _vote_change(
    old_left: NDArray[np.int64], left: NDArray[np.int64], old: NDArray[np.int64], new: NDArray[np.int64]
) -> FloatArray:
    """|share of left now - share of left then| of each pair."""
    return np.asarray(np.abs((left - old_left) / new - old_left / old))


def _within_prompt(
    old: ArrayLike, new: ArrayLike, old_ids: Sequence[Hashable], new_ids: Sequence[Hashable], *, side: int
) -> FloatArray:
    """Rows of one side less the mean over the prompt's rows of both: what the prompt asks for cancels."""
    first, second = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    first, second = (table[:, None] if table.ndim == 1 else table for table in (first, second))
    if first.shape[1:] != second.shape[1:]:
        raise EvaluationError(f"features have shapes {first.shape} and {second.shape}; the widths must agree")
    pooled = np.concatenate([first, second])
    clusters = Clusters.of([*old_ids, *new_ids], rows=len(pooled))
    count = clusters.sums(np.ones(len(pooled)))
    means = np.stack([clusters.sums(column) / count for column in pooled.T], axis=1)
    centered = pooled - means[clusters.codes]
    return np.asarray(centered[: len(first)] if side == 0 else centered[len(first) :])
