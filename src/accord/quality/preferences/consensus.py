"""From raw judgments of pairs to preferences for training, with a word on every annotator.

Three methods: `majority` (certain or a tie), `vote_share` (ties count half) and `dawid_skene`
(annotators weighed by how reliable they prove to be; the default). None is calibrated on
known answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from accord.domain import DataError, Judgment, Preference, Provenance
from accord.quality.judgments import LEFT, RIGHT, TIE, JudgmentTable, tabulate_judgments
from accord.quality.labels import RepeatPolicy
from accord.quality.preferences.screen_dawid_skene import DawidSkeneConfig, DawidSkeneFit, fit_dawid_skene

Method = Literal["dawid_skene", "majority", "vote_share"]
TiePolicy = Literal["keep", "drop"]
METHODS: tuple[Method, ...] = ("dawid_skene", "majority", "vote_share")


@dataclass(frozen=True, kw_only=True)
class AnnotatorEstimate:
    """How reliable one annotator proved to be."""

    annotator_id: str
    judgments: int
    """How many judgments the estimate rests on, ties included."""
    tie_share: float
    """Share of ties (both bad included) among them."""
    accuracy: float
    """Probability of choosing the better side, given that one is better and a side was chosen."""
    accuracy_low: float
    """Lower end of the 95 % interval."""
    accuracy_high: float
    """Upper end of the 95 % interval."""
    left_habit: float
    """Log-odds added to the left side; 0 is no habit, 1 turns even odds into 0.73 for left."""


@dataclass(frozen=True, kw_only=True)
class ConsensusResult:
    """Preferences, one a pair in the order the pairs first appeared, and the annotators behind them."""

    method: Method
    preferences: list[Preference]
    annotators: list[AnnotatorEstimate]
    dropped_ties: int
    """Pairs without a preferred side that `tie_policy='drop'` left out."""
    is_calibrated: bool = False
    """No known answers were used to check or correct the probabilities."""


def preferences_from_judgments(
    judgments: Sequence[Judgment],
    *,
    method: Method = "dawid_skene",
    tie_policy: TiePolicy = "keep",
    repeats: RepeatPolicy = "error",
    config: DawidSkeneConfig | None = None,
) -> ConsensusResult:
    """Join the judgments of each pair into one preference.

    An exact tie keeps `p_chosen` 0.5 (`tie_policy='keep'`) or is left out and counted (`'drop'`); no
    side ever wins by its place in the file or on the screen. Every weight is 1. A pair whose two
    answers are the same text raises: nothing can be preferred.
    """
    if method not in METHODS:
        raise DataError(f"consensus method {method!r} is unknown; expected one of {', '.join(METHODS)}")
    table = tabulate_judgments(judgments, repeats=repeats)
    for pair in table.pairs:
        if pair.first == pair.second:
            raise DataError(
                f"both answers to prompt {pair.prompt.text[:60]!r} are the same text; remove the pair"
            )
    if method == "dawid_skene":
        fit = fit_dawid_skene(table, config)
        p_first, annotators = fit.p_first, _estimates_from_fit(table, fit)
    else:
        share = vote_share(table)
        p_first = share if method == "vote_share" else majority(table)
        annotators = _estimates_from_peers(table)
    preferences = _preferences(table, p_first, method)
    kept = [preference for preference in preferences if tie_policy == "keep" or not preference.is_tie]
    return ConsensusResult(
        method=method,
        preferences=kept,
        annotators=annotators,
        dropped_ties=len(preferences) - len(kept),
    )


def vote_share(table: JudgmentTable) -> NDArray[np.float64]:
    """[pair] Share of votes for the first answer; a tie counts half."""
    return np.asarray(table.first_votes / table.votes)


def majority(table: JudgmentTable) -> NDArray[np.float64]:
    """[pair] 1 where more judgments preferred the first answer, 0 where fewer, 0.5 where equally many."""
    return np.asarray(0.5 + 0.5 * np.sign(2 * table.first_votes - table.votes))


def _preferences(table: JudgmentTable, p_first: NDArray[np.float64], method: Method) -> list[Preference]:
    behind: list[list[str]] = [[] for _ in table.pairs]
    for pair_index, judgment_id in zip(table.pair_index, table.judgment_ids, strict=True):
        behind[pair_index].append(judgment_id)
    preferences = []
    for pair, probability, judgment_ids in zip(table.pairs, p_first.tolist(), behind, strict=True):
        chosen, rejected = (pair.first, pair.second) if probability >= 0.5 else (pair.second, pair.first)
        preferences.append(
            Preference(
                prompt=pair.prompt,
                chosen=chosen,
                rejected=rejected,
                p_chosen=min(1.0, max(probability, 1 - probability)),
                provenance=Provenance(
                    judgment_ids=tuple(judgment_ids),
                    method=method,
                    votes=len(judgment_ids),
                    source="judgments",
                ),
            )
        )
    return preferences


def _estimates_from_fit(table: JudgmentTable, fit: DawidSkeneFit) -> list[AnnotatorEstimate]:
    sides = np.log(fit.confusion[:, :2, :2])
    left_habit = 0.5 * (sides[:, :, LEFT] - sides[:, :, RIGHT]).sum(axis=1)
    return _estimates(table, fit.right_counts, fit.wrong_counts, left_habit)


def _estimates_from_peers(table: JudgmentTable) -> list[AnnotatorEstimate]:
    """Each annotator against the majority of the others on the same pair; pairs without one do not count."""
    for_left = np.array([1.0, 0.0, 0.5])[table.answer]
    own = np.where(table.is_flipped, 1 - for_left, for_left)
    others = (table.first_votes[table.pair_index] - own) - (table.votes[table.pair_index] - 1) / 2
    counted = (table.answer != TIE) & (others != 0)
    agrees = np.sign(own - 0.5) == np.sign(others)
    n_annotators = len(table.annotator_ids)
    right = np.bincount(table.annotator_index[counted & agrees], minlength=n_annotators).astype(float)
    wrong = np.bincount(table.annotator_index[counted & ~agrees], minlength=n_annotators).astype(float)
    lefts = np.bincount(table.annotator_index[table.answer == LEFT], minlength=n_annotators)
    rights = np.bincount(table.annotator_index[table.answer == RIGHT], minlength=n_annotators)
    return _estimates(table, right, wrong, np.log((lefts + 0.5) / (rights + 0.5)))


def _estimates(
    table: JudgmentTable,
    right: NDArray[np.float64],
    wrong: NDArray[np.float64],
    left_habit: NDArray[np.float64],
) -> list[AnnotatorEstimate]:
    """Accuracy with a Jeffreys interval over expected counts, which is narrow by what they hide."""
    alpha, beta = right + 0.5, wrong + 0.5
    low, high = betaincinv(alpha, beta, 0.025), betaincinv(alpha, beta, 0.975)
    judged = np.bincount(table.annotator_index, minlength=len(table.annotator_ids))
    ties = np.bincount(table.annotator_index[table.answer == TIE], minlength=len(table.annotator_ids))
    return [
        AnnotatorEstimate(
            annotator_id=annotator_id,
            judgments=int(judged[k]),
            tie_share=float(ties[k] / judged[k]),
            accuracy=float(alpha[k] / (alpha[k] + beta[k])),
            accuracy_low=float(low[k]),
            accuracy_high=float(high[k]),
            left_habit=float(left_habit[k]),
        )
        for k, annotator_id in enumerate(table.annotator_ids)
    ]
