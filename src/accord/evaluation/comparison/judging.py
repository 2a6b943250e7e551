"""A judge of two answers, and what it says of every prompt, in both orders where order may matter to it.

Anything that gives the left answer's share of preference in [0, 1] is a judge. Leaves out the judges
themselves, and whether people agree with them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from accord.domain.errors import EvaluationError
from accord.domain.messages import Completion, Prompt
from accord.evaluation.clusters import FloatArray
from accord.evaluation.intervals import Estimate, share_estimate
from accord.evaluation.winrate import Scorer


class PairJudge(Protocol):
    """Compares two answers to one prompt."""

    @property
    def name(self) -> str:
        """What it is called in the facts of every number."""
        ...

    @property
    def has_order(self) -> bool:
        """Whether the side on which an answer stands may change what it says."""
        ...

    def prefer(
        self, prompts: Sequence[Prompt], left: Sequence[Completion], right: Sequence[Completion]
    ) -> Sequence[float]:
        """[prompt] preference for the left answer: 1 left, 0 right, 1/2 a tie."""
        ...


@dataclass(frozen=True)
class EachPair:
    """A function of (prompt, left, right) that says the preference for left, as a judge."""

    function: Callable[[Prompt, str, str], float]
    name: str = "function"
    has_order: bool = True

    def prefer(
        self, prompts: Sequence[Prompt], left: Sequence[Completion], right: Sequence[Completion]
    ) -> list[float]:
        """The function's word on every pair."""
        pairs = zip(prompts, left, right, strict=True)
        return [float(self.function(prompt, one.text, other.text)) for prompt, one, other in pairs]


@dataclass(frozen=True)
class ScoreJudge:
    """A scorer of single answers (a reward model, a rule) as a judge: the higher score wins."""

    scorer: Scorer
    name: str
    tie_margin: float = 0.0
    """Scores no farther apart are a tie."""
    has_order: bool = False

    def prefer(
        self, prompts: Sequence[Prompt], left: Sequence[Completion], right: Sequence[Completion]
    ) -> list[float]:
        """1, 1/2 or 0 by the scores."""
        return self.preferences(self.scores(prompts, left), self.scores(prompts, right))

    def scores(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> FloatArray:
        """[prompt] a finite score each; anything else raises and names the prompt."""
        given = list(self.scorer(prompts, completions))
        try:
            values = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise EvaluationError(
                f"judge {self.name!r} gave {given[0]!r} and the like; expected a finite score each: {error}"
            ) from error
        if len(values) != len(prompts):
            raise EvaluationError(f"judge {self.name!r} gave {len(values)} scores for {len(prompts)} answers")
        _require(np.isfinite(values), values, prompts, self.name, "a finite score")
        return values

    def preferences(self, left: FloatArray, right: FloatArray) -> list[float]:
        """The same from scores that are known."""
        gap = left - right
        decided = np.where(gap > 0, 1.0, 0.0)
        return [float(one) for one in np.where(np.abs(gap) <= self.tie_margin, 0.5, decided)]


@dataclass(frozen=True, kw_only=True)
class PairJudgments:
    """What one judge said of two models on every prompt."""

    judge: str
    preferences: tuple[float, ...]
    """[prompt] for the candidate, the mean of both orders where there are two; NaN without a verdict in each,
    which only judges that may abstain leave."""
    swap_consistency: Estimate | None = None
    """Share of prompts on which both orders name the same winner; None for a judge without order."""
    candidate_scores: tuple[float, ...] | None = None
    """[prompt] where the judge scores single answers."""
    incumbent_scores: tuple[float, ...] | None = None

    @property
    def wins(self) -> int:
        """Prompts on which the candidate is preferred."""
        return sum(value > 0.5 for value in self.preferences)

    @property
    def losses(self) -> int:
        """Prompts on which the incumbent is preferred."""
        return sum(value < 0.5 for value in self.preferences)

    @property
    def ties(self) -> int:
        """Prompts on which neither is."""
        return sum(value == 0.5 for value in self.preferences)

    @property
    def is_judged(self) -> tuple[bool, ...]:
        """[prompt] whether there is a verdict."""
        return tuple(not math.isnan(value) for value in self.preferences)


def judge_pairs(
    judge: PairJudge,
    prompts: Sequence[Prompt],
    candidate: Sequence[Completion],
    incumbent: Sequence[Completion],
    *,
    seed: int = 0,
) -> PairJudgments:
    """Ask a judge about every prompt, candidate left, and right too where it has an order."""
    if isinstance(judge, ScoreJudge):
        first, second = judge.scores(prompts, candidate), judge.scores(prompts, incumbent)
        return PairJudgments(
            judge=judge.name,
            preferences=tuple(judge.preferences(first, second)),
            candidate_scores=tuple(first.tolist()),
            incumbent_scores=tuple(second.tolist()),
        )
    forward = _asked(judge, prompts, candidate, incumbent)
    if not judge.has_order:
        return PairJudgments(judge=judge.name, preferences=tuple(forward.tolist()))
    backward = 1.0 - _asked(judge, prompts, incumbent, candidate)
    mean = (forward + backward) / 2
    is_judged = ~np.isnan(mean)
    is_same = (np.sign(forward - 0.5) == np.sign(backward - 0.5))[is_judged]
    ids = [prompt.id for prompt, is_kept in zip(prompts, is_judged, strict=True) if is_kept]
    return PairJudgments(
        judge=judge.name,
        preferences=tuple(mean.tolist()),
        swap_consistency=share_estimate(is_same.astype(float), ids, seed=seed) if ids else None,
    )


def _asked(
    judge: PairJudge, prompts: Sequence[Prompt], left: Sequence[Completion], right: Sequence[Completion]
) -> FloatArray:
    values = np.asarray(list(judge.prefer(prompts, left, right)), dtype=np.float64)
    if len(values) != len(prompts):
        raise EvaluationError(f"judge {judge.name!r} gave {len(values)} answers about {len(prompts)} pairs")
    is_fine = (values >= 0) & (values <= 1)
    if getattr(judge, "may_abstain", False):
        is_fine |= np.isnan(values)
    _require(is_fine, values, prompts, judge.name, "a preference from 0 to 1")
    return values


def _require(
    is_fine: np.ndarray, values: FloatArray, prompts: Sequence[Prompt], name: str, expected: str
) -> None:
    """NaN fails every comparison, so it is caught by either condition."""
    if is_fine.all():
        return
    row = int(np.flatnonzero(~is_fine)[0])
    raise EvaluationError(
        f"judge {name!r} said {values[row]} of the prompt {prompts[row].text[:80]!r} and of "
        f"{int((~is_fine).sum()) - 1} more; expected {expected}. Mend the judge, or leave these prompts out "
        "and say so"
    )
