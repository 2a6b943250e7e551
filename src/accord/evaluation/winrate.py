"""Win rates: two sets of answers to the same prompts, compared by a scorer or by judgments.

Leaves out length control and leaderboards of many models.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from accord.domain.errors import EvaluationError
from accord.domain.judgments import Judgment
from accord.domain.messages import Completion, Prompt
from accord.evaluation.clusters import Clusters, FloatArray, finite_array
from accord.evaluation.intervals import Estimate, clustered_share, mean_estimate

Scorer = Callable[[Sequence[Prompt], Sequence[Completion]], Sequence[float]]
"""Prompts and one completion each in, one finite score each out (higher is better)."""


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """How often the candidate beat the incumbent."""

    rate: Estimate
    """(wins + ties / 2) / n, interval clustered by prompt (`share_estimate` says which)."""
    wins: int
    ties: int
    losses: int
    sign_test_p: float
    """Two-sided exact sign test over prompts; prompts whose pairs cancel are left out; 1 if none is left."""
    mean_difference: Estimate | None = None
    """Mean score of the candidate minus the incumbent's; None when there were judgments, not scores."""

    @property
    def n(self) -> int:
        """Pairs compared."""
        return self.wins + self.ties + self.losses

    @property
    def is_better(self) -> bool:
        """True when the whole interval lies above one half."""
        return self.rate.is_above(0.5)


def compare_scores(
    candidate_scores: ArrayLike,
    incumbent_scores: ArrayLike,
    prompt_ids: Sequence[Hashable],
    *,
    tie_margin: float = 0.0,
    seed: int = 0,
) -> WinRate:
    """Compare row by row: a win where the candidate scores more than `tie_margin` higher.

    One row per pair; several rows may share a prompt. n = 0 raises. All ties give a
    rate of one half and p = 1; total agreement gives a Wilson interval, not width zero.
    """
    candidate = finite_array(candidate_scores, name="candidate scores")
    incumbent = finite_array(incumbent_scores, name="incumbent scores", length=len(candidate))
    if tie_margin < 0:
        raise EvaluationError(f"tie_margin must not be negative, got {tie_margin}")
    difference = candidate - incumbent
    outcome = np.where(difference > tie_margin, 1.0, np.where(difference < -tie_margin, 0.0, 0.5))
    gain = mean_estimate(difference, prompt_ids, seed=seed)
    return _from_outcomes(outcome, prompt_ids, gain=gain, seed=seed)


def compare_completions(
    prompts: Sequence[Prompt],
    candidate: Sequence[Completion],
    incumbent: Sequence[Completion],
    scorer: Scorer,
    *,
    tie_margin: float = 0.0,
    seed: int = 0,
) -> WinRate:
    """Score both sets of completions on the same prompts and compare them pair by pair."""
    if not len(prompts) == len(candidate) == len(incumbent):
        raise EvaluationError(
            f"{len(prompts)} prompts, {len(candidate)} candidate and {len(incumbent)} incumbent "
            f"completions; expected one of each per pair"
        )
    ids = [prompt.id for prompt in prompts]
    scores = scorer(prompts, candidate), scorer(prompts, incumbent)
    return compare_scores(*scores, ids, tie_margin=tie_margin, seed=seed)


def compare_judgments(
    judgments: Sequence[Judgment],
    *,
    is_candidate_left: Callable[[Judgment], bool] = lambda judgment: True,
    seed: int = 0,
) -> WinRate:
    """Win rate of the candidate from judgments; ties and both-bad count half.

    `is_candidate_left` says on which side the candidate was shown (default: left). Each
    judgment is a row; all judgments of a prompt, by whomever, are one cluster.
    """
    outcome = np.array(
        [
            judgment.choice.left_share if is_candidate_left(judgment) else 1.0 - judgment.choice.left_share
            for judgment in judgments
        ]
    )
    ids = [judgment.comparison.prompt.id for judgment in judgments]
    return _from_outcomes(outcome, ids, gain=None, seed=seed)


def sign_test(differences: ArrayLike) -> float:
    """Two-sided exact sign test that a difference is as often positive as negative.

    Zeros are left out (Conover 1999, 3.4); nothing left gives p = 1.
    """
    rows = finite_array(differences, name="differences")
    positive, negative = int((rows > 0).sum()), int((rows < 0).sum())
    if positive + negative == 0:
        return 1.0
    return float(binomtest(positive, positive + negative, 0.5).pvalue)


def _from_outcomes(
    outcome: FloatArray, prompt_ids: Sequence[Hashable], *, gain: Estimate | None, seed: int
) -> WinRate:
    clusters = Clusters.of(prompt_ids, rows=len(outcome))
    return WinRate(
        rate=clustered_share(outcome, clusters, seed=seed),
        wins=int((outcome == 1.0).sum()),
        ties=int((outcome == 0.5).sum()),
        losses=int((outcome == 0.0).sum()),
        sign_test_p=sign_test(clusters.sums(outcome - 0.5)),
        mean_difference=gain,
    )
