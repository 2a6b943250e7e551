"""How strongly each annotator's choices follow the reward: gains, and how well they order a known panel.

    P(left) = sigma(a_w m + c_w),  m = reward left less reward right, in root mean squares over all judgments

for annotator w of gain a_w and leaning c_w, ties left out. Gains have the prior N(1, 1), leanings N(0, 0.25).
The rewards are those of a model that learned from the same judgments: gains order annotators and say
nothing of the reward. Where the panel is simulated its true accuracy is known, and so is the rank correlation
with it.
Leaves out who is paused for it: nobody is.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from accord.domain import Choice, Completion, Judgment, Prompt, Streams
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement
from accord.pipeline.rounds.choosing import MemberScores
from accord.pipeline.rounds.panel import Panelist
from accord.pipeline.rounds.releasing import SKILL_METRIC
from accord.quality import AnswerView, Panel

FloatArray = NDArray[np.float64]
PRECISION = np.array([1.0, 4.0])
"""Of the priors of gain and leaning: 1 / variance."""
MEAN = np.array([1.0, 0.0])
NEWTON_STEPS = 50
Z95 = 1.959963984540054
TIRING_STEP = 10
"""Judgments between two looks at the accuracy of who tires."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How much the reward decides what one annotator chooses."""

    annotator: str
    judgments: int
    """Decided ones."""
    gain: float
    """Log-odds that one root mean square of reward differences adds; 0 answers at random."""
    low: float
    high: float
    left_habit: float
    """Log-odds added to the left side."""


def find_gains(judgments: Sequence[Judgment], scores: MemberScores) -> list[Gain]:
    """A gain for everybody who took a side, by name; `scores` are a reward model's."""
    decided = [one for one in judgments if one.choice.is_decided]
    answers: dict[tuple[str, str], tuple[int, Prompt]] = {}
    for one in decided:
        for text in (one.comparison.left, one.comparison.right):
            prompt = one.comparison.prompt
            answers.setdefault((prompt.id, text), (len(answers), prompt))
    if not decided:
        return []
    texts = [Completion(text=text) for _, text in answers]
    rewards = np.asarray(scores([prompt for _, prompt in answers.values()], texts)).mean(axis=0)

    def reward(one: Judgment, text: str) -> float:
        return float(rewards[answers[one.comparison.prompt.id, text][0]])

    margins = np.array(
        [reward(one, one.comparison.left) - reward(one, one.comparison.right) for one in decided]
    )
    return fit_gains(decided, margins)


def fit_gains(decided: Sequence[Judgment], margins: FloatArray) -> list[Gain]:
    """Gains of decided judgments given margins [judgment], left less right; Laplace intervals of 95 %.

    Margins that are all 0 leave everybody at the prior.
    """
    scale = float(np.sqrt(np.mean(np.square(margins)))) or 1.0
    rows: dict[str, list[int]] = {}
    for place, one in enumerate(decided):
        rows.setdefault(one.annotator_id, []).append(place)
    found = []
    for name in sorted(rows):
        own = np.array(rows[name])
        is_left = np.array([decided[place].choice is Choice.LEFT for place in rows[name]], dtype=float)
        value, spread = _fit_one(margins[own] / scale, is_left)
        gain, reach = float(value[0]), Z95 * spread
        found.append(
            Gain(
                annotator=name,
                judgments=len(own),
                gain=gain,
                low=gain - reach,
                high=gain + reach,
                left_habit=float(value[1]),
            )
        )
    return found


def _fit_one(margins: FloatArray, is_left: FloatArray) -> tuple[FloatArray, float]:
    """Gain and leaning of one annotator by Newton's method with halved steps, and the gain's deviation."""
    design = np.stack([margins, np.ones_like(margins)], axis=1)
    sign = 2 * is_left - 1

    def loss(value: FloatArray) -> float:
        fit = np.logaddexp(0.0, -sign * (design @ value)).sum()
        return float(fit + 0.5 * (PRECISION * (value - MEAN) ** 2).sum())

    value = MEAN.copy()
    for _ in range(NEWTON_STEPS):
        chance = expit(design @ value)
        slope = design.T @ (chance - is_left) + PRECISION * (value - MEAN)
        curve = (design.T * (chance * (1 - chance))) @ design + np.diag(PRECISION)
        step, share = np.linalg.solve(curve, slope), 1.0
        while loss(value - share * step) > loss(value) and share > 1e-6:
            share /= 2
        value = value - share * step
        if np.abs(step).max() < 1e-9:
            break
    chance = expit(design @ value)
    curve = (design.T * (chance * (1 - chance))) @ design + np.diag(PRECISION)
    return value, float(np.sqrt(np.linalg.inv(curve)[0, 0]))


def true_accuracies(
    panel: Sequence[Panelist],
    pairs: Sequence[tuple[AnswerView, AnswerView]],
    judgments: Sequence[Judgment],
) -> dict[str, float]:
    """Chance to be right, where a side is taken, of each simulated annotator who judged, on `pairs`.

    Over both orders on screen; of who tires it is the mean over his longest session.
    """
    sessions = Counter((one.annotator_id, str(one.meta.get("batch", ""))) for one in judgments)
    longest: dict[str, int] = {}
    for (name, _), count in sessions.items():
        longest[name] = max(longest.get(name, 0), count)
    found = {}
    for one in panel:
        name = one.character.id
        if name in longest:
            looks = range(0, longest[name], TIRING_STEP) if one.tires else (0,)
            at = [
                Panel(annotators=(one.after(done),), streams=Streams(0), judgments_per_pair=1)
                for done in looks
            ]
            found[name] = float(np.mean([alone.known_accuracy(pairs)[name] for alone in at]))
    return found


def rank_correlation(found: Mapping[str, float], truth: Mapping[str, float]) -> Estimate:
    """Spearman's over annotators in both, with the interval of Bonett and Wright (2000); needs four.

    The interval is of such panels drawn anew: with ten annotators it is wide, whatever the judgments say.
    """
    names = sorted(name for name in found if name in truth and math.isfinite(found[name] + truth[name]))
    method = f"Spearman, Bonett-Wright, {len(names)} annotators"
    if len(names) < 4 or any(len({one[name] for name in names}) < 2 for one in (found, truth)):
        return Estimate(value=math.nan, n=len(names), method=method)
    value = float(stats.spearmanr([found[name] for name in names], [truth[name] for name in names]).statistic)
    reach = Z95 * math.sqrt((1 + value**2 / 2) / (len(names) - 3))
    middle = math.atanh(min(max(value, -1 + 1e-12), 1 - 1e-12))
    low, high = math.tanh(middle - reach), math.tanh(middle + reach)
    return Estimate(value=value, low=low, high=high, n=len(names), method=method)


@dataclass(frozen=True, kw_only=True)
class Skills:
    """What a round says of everybody's skill."""

    gains: tuple[Gain, ...]
    measurements: tuple[Measurement, ...] = ()
    """Rank correlations with the truth, of gains and of the stated accuracy, where the truth is known."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Gains as JSON."""
        return [asdict(one) for one in self.gains]


def measure_skills(gains: Sequence[Gain], stated: Mapping[str, float], truth: Mapping[str, float]) -> Skills:
    """Gains and `stated` accuracies held against the `truth`; without a truth the gains alone."""
    if not truth:
        return Skills(gains=tuple(gains))
    told = {"gain": {one.annotator: one.gain for one in gains}, "stated accuracy": stated}
    return Skills(
        gains=tuple(gains),
        measurements=tuple(
            Measurement(metric=SKILL_METRIC, slice=f"by={name}", estimate=rank_correlation(values, truth))
            for name, values in told.items()
        ),
    )
