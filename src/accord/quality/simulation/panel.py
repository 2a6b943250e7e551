"""A panel of simulated annotators whose skill, habits and carelessness are known.

They stand in for people where nobody sits at the machine, and give tests and reports a known truth.
Their judgments carry `Source.SIMULATED` and are never counted as people's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from accord.domain import Choice, Comparison, DataError, Judgment, Source, Streams, content_hash


@dataclass(frozen=True, kw_only=True)
class AnswerView:
    """What the true taste says of one answer, and its length: all that a simulated annotator sees."""

    total: float
    """The true utility."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """The qualities behind it, by name."""
    words: int = 0
    """Length in words."""


@dataclass(frozen=True)
class ChoiceProbabilities:
    """How likely each answer to "which is better?" is; they sum to 1."""

    left: float
    right: float
    tie: float


@dataclass(frozen=True, kw_only=True)
class SimulatedAnnotator:
    """One annotator of known character. The defaults are a perfect-taste annotator of moderate skill."""

    id: str
    skill: float = 8.0
    """Log-odds of the better side per unit of utility; 0 guesses, below 0 prefers the worse."""
    left_habit: float = 0.0
    """Log-odds added to the left side."""
    length_liking: float = 0.0
    """Utility added for each ten words, whatever they say."""
    tilts: Mapping[str, float] = field(default_factory=dict)
    """Utility added for a quality beyond its true weight; negative for what this annotator overlooks."""
    tie_width: float = 0.25
    """Ties are likely while the log-odds are smaller than this; 0 never ties."""
    carelessness: float = 0.0
    """Probability of answering left or right by a coin without reading, in [0, 1]."""

    def utility(self, view: AnswerView) -> float:
        """What this annotator thinks an answer is worth."""
        tilted = sum(tilt * view.parts.get(quality, 0.0) for quality, tilt in self.tilts.items())
        return view.total + tilted + self.length_liking * view.words / 10

    def choice_probabilities(self, left: AnswerView, right: AnswerView) -> ChoiceProbabilities:
        """Threshold model with ties (Rao and Kupper 1967), mixed with a coin.

        d = skill * (utility(left) - utility(right)) + left_habit
        P(left) = (1 - carelessness) * sigma(d - tie_width) + carelessness / 2
        P(right) = (1 - carelessness) * sigma(-d - tie_width) + carelessness / 2;  tie is the rest
        """
        log_odds = self.skill * (self.utility(left) - self.utility(right)) + self.left_habit
        reads = 1 - self.carelessness
        p_left = reads * _sigmoid(log_odds - self.tie_width) + self.carelessness / 2
        p_right = reads * _sigmoid(-log_odds - self.tie_width) + self.carelessness / 2
        return ChoiceProbabilities(p_left, p_right, max(0.0, 1 - p_left - p_right))


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Simulated annotators with the stream their answers are drawn from.

    Every draw depends only on the seed, the pair and the annotator, so a judgment does not
    change when other pairs are added, nor when left and right of the asked comparison are swapped.
    """

    annotators: tuple[SimulatedAnnotator, ...]
    streams: Streams
    judgments_per_pair: int = 3
    """How many annotators see each pair, drawn anew for each."""
    both_bad_below: float = 0.2
    """A tie of two answers whose true totals are both below this is reported as both bad."""

    def __post_init__(self) -> None:
        if len({annotator.id for annotator in self.annotators}) != len(self.annotators):
            raise DataError("annotators of a panel need different ids")
        if not 1 <= self.judgments_per_pair <= len(self.annotators):
            raise DataError(
                f"judgments_per_pair is {self.judgments_per_pair}, expected 1 to {len(self.annotators)}, "
                "the number of annotators of the panel"
            )

    def judge(self, comparison: Comparison, left: AnswerView, right: AnswerView) -> list[Judgment]:
        """Judgments by annotators drawn for this pair; each sees left and right in an order of his own."""
        views = {comparison.left: left, comparison.right: right}
        first, second = sorted((comparison.left, comparison.right))
        pair_key = content_hash([comparison.prompt.id, first, second])
        order = self._generator("assign", pair_key).permutation(len(self.annotators))
        judgments = []
        for k in sorted(order[: self.judgments_per_pair].tolist()):
            annotator = self.annotators[k]
            generator = self._generator("judge", annotator.id, pair_key)
            shown = (first, second) if generator.random() < 0.5 else (second, first)
            choice = self._choose(annotator, views[shown[0]], views[shown[1]], generator.random())
            seen = Comparison(
                prompt=comparison.prompt, left=shown[0], right=shown[1], meta=dict(comparison.meta)
            )
            judgments.append(
                Judgment(comparison=seen, annotator_id=annotator.id, choice=choice, source=Source.SIMULATED)
            )
        return judgments

    def known_accuracy(self, pairs: Sequence[tuple[AnswerView, AnswerView]]) -> dict[str, float]:
        """The true accuracy of each annotator on `pairs`, by id.

        The probability of the truly better side given that a side is chosen, over both orders on screen,
        averaged over pairs of different true totals with the probability of choosing a side as weight.
        NaN where no pair has a better side.
        """
        decided = [sorted(pair, key=_true_total) for pair in pairs if pair[0].total != pair[1].total]
        known = {}
        for annotator in self.annotators:
            right = wrong = 0.0
            for worse, better in decided:
                shown_left = annotator.choice_probabilities(better, worse)
                shown_right = annotator.choice_probabilities(worse, better)
                right += shown_left.left + shown_right.right
                wrong += shown_left.right + shown_right.left
            known[annotator.id] = right / (right + wrong) if decided else math.nan
        return known

    def _choose(
        self, annotator: SimulatedAnnotator, left: AnswerView, right: AnswerView, draw: float
    ) -> Choice:
        probabilities = annotator.choice_probabilities(left, right)
        if draw < probabilities.left:
            return Choice.LEFT
        if draw < probabilities.left + probabilities.right:
            return Choice.RIGHT
        both_bad = max(left.total, right.total) < self.both_bad_below
        return Choice.BOTH_BAD if both_bad else Choice.TIE

    def _generator(self, *names: str) -> np.random.Generator:
        return np.random.default_rng(self.streams.child("panel", *names).value)


def support_panel(streams: Streams, *, judgments_per_pair: int = 3) -> Panel:
    """Seven annotators, `sim-01` to `sim-07`: three careful ones and four with one known fault each.

    The faults: always a little to the left, fond of length, forgiving of wrong answers that sound
    polite, and careless every third time.
    """
    annotators = (
        SimulatedAnnotator(id="sim-01", skill=16.0),
        SimulatedAnnotator(id="sim-02", skill=12.0, tie_width=0.5),
        SimulatedAnnotator(id="sim-03", skill=9.0, tilts={"answers": 0.1}),
        SimulatedAnnotator(id="sim-04", skill=8.0, left_habit=0.8),
        SimulatedAnnotator(id="sim-05", skill=8.0, length_liking=0.06),
        SimulatedAnnotator(id="sim-06", skill=7.0, tilts={"answers": -0.2, "polite": 0.2}),
        SimulatedAnnotator(id="sim-07", skill=10.0, carelessness=0.35, tie_width=0.1),
    )
    return Panel(annotators=annotators, streams=streams, judgments_per_pair=judgments_per_pair)


def _true_total(view: AnswerView) -> float:
    return view.total


def _sigmoid(value: float) -> float:
    return 0.5 * (1 + math.tanh(value / 2))
