"""From raw judgments of pairs to preferences for training, with a word on every annotator.

Four methods: `majority` (certain or a tie), `vote_share` (ties count half), `dawid_skene`
(annotators weighed by how reliable they prove to be; the default) and `annotator_aware` (scores of
answers with each annotator's gain, tie threshold and position habit; it pays where answers are
compared with several others). Only with known answers, `gold`, are they calibrated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from accord import __version__
from accord.domain import DataError, Judgment, LabelColumns, Preference, Provenance
from accord.quality.consensus.information import diagonal_covariance
from accord.quality.judgments import LEFT, RIGHT, TIE, JudgmentTable, tabulate_judgments
from accord.quality.labels import RepeatPolicy, tabulate_labels
from accord.quality.preferences.annotator_aware import AnnotatorAwareConfig, fit_annotator_aware
from accord.quality.preferences.annotator_prediction import preference_probabilities
from accord.quality.preferences.fisher_scoring import ScoringConfig
from accord.quality.preferences.scored_pairs import pairs_from_judgments
from accord.quality.preferences.screen_dawid_skene import DawidSkeneConfig, DawidSkeneFit, fit_dawid_skene
from accord.quality.preferences.soft_labels import (
    PairCalibration,
    apply_pair_calibration,
    fit_pair_calibration,
    information_weight,
)

Method = Literal["dawid_skene", "majority", "vote_share", "annotator_aware"]
Weighting = Literal["one", "information"]
TiePolicy = Literal["keep", "drop"]
METHODS: tuple[Method, ...] = ("dawid_skene", "majority", "vote_share", "annotator_aware")
WEIGHTINGS: tuple[Weighting, ...] = ("one", "information")
FAMILY_LIMIT = 200
"""Prompts up to which each may have its own tie threshold and position effect."""
EXACT_LIMIT = 1500
"""Answers, about, up to which `annotator_aware` sets its spreads by empirical Bayes."""
SAME_SIDE = 1e-9
"""A probability this close to one half is a tie: the rest is rounding."""


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
    """True where known answers corrected the probabilities."""
    calibration: PairCalibration | None = None
    """How they were corrected, or None."""


def preferences_from_judgments(
    judgments: Sequence[Judgment],
    *,
    method: Method = "dawid_skene",
    tie_policy: TiePolicy = "keep",
    repeats: RepeatPolicy = "error",
    config: DawidSkeneConfig | None = None,
    weighting: Weighting = "one",
    gold: Sequence[Preference] = (),
) -> ConsensusResult:
    """Join the judgments of each pair into one preference.

    An exact tie keeps `p_chosen` 0.5 (`tie_policy='keep'`) or is left out and counted (`'drop'`); no
    side ever wins by its place in the file or on the screen. A pair whose two answers are the same
    text raises: nothing can be preferred. Every weight is 1, or with `weighting='information'` 1 less the
    entropy of `p_chosen` in bits. `gold` holds preferences that are known; with some the
    probabilities are calibrated on them, without any `is_calibrated` is False. `config` is of Dawid-Skene.
    """
    if method not in METHODS:
        raise DataError(f"consensus method {method!r} is unknown; expected one of {', '.join(METHODS)}")
    if weighting not in WEIGHTINGS:
        raise DataError(f"weighting {weighting!r} is unknown; expected one of {', '.join(WEIGHTINGS)}")
    table = tabulate_judgments(judgments, repeats=repeats)
    for pair in table.pairs:
        if pair.first == pair.second:
            raise DataError(
                f"both answers to prompt {pair.prompt.text[:60]!r} are the same text; remove the pair"
            )
    p_first, annotators = _fitted(table, method, config)
    calibration = fit_pair_calibration(table, p_first, gold) if gold else None
    if calibration is not None:
        p_first = apply_pair_calibration(calibration, table, p_first)
    preferences = _preferences(table, p_first, method if calibration is None else f"{method}, calibrated")
    if weighting == "information":
        weights = information_weight(np.array([one.p_chosen for one in preferences])).tolist()
        preferences = [replace(one, weight=weight) for one, weight in zip(preferences, weights, strict=True)]
    kept = [preference for preference in preferences if tie_policy == "keep" or not preference.is_tie]
    return ConsensusResult(
        method=method,
        preferences=kept,
        annotators=annotators,
        dropped_ties=len(preferences) - len(kept),
        is_calibrated=calibration is not None,
        calibration=calibration,
    )


def _fitted(
    table: JudgmentTable, method: Method, config: DawidSkeneConfig | None
) -> tuple[NDArray[np.float64], list[AnnotatorEstimate]]:
    """Probability that the first answer of each pair is better, and the annotators."""
    if method == "dawid_skene":
        fit = fit_dawid_skene(table, config)
        return fit.p_first, _estimates_from_fit(table, fit)
    if method == "annotator_aware":
        return _annotator_aware(table)
    share = vote_share(table)
    return (share if method == "vote_share" else majority(table)), _estimates_from_peers(table)


def _annotator_aware(table: JudgmentTable) -> tuple[NDArray[np.float64], list[AnnotatorEstimate]]:
    """Scores of answers with habits left out; each annotator's choices are checked against them."""
    if not table.judgment_ids:
        raise DataError("no judgments to fit; expected at least one")
    n_prompts = len({pair.prompt.id for pair in table.pairs})
    rows = pairs_from_judgments(
        table, family=(lambda pair: pair.prompt.id) if n_prompts <= FAMILY_LIMIT else None
    )
    fit = fit_annotator_aware(rows, AnnotatorAwareConfig(scoring=ScoringConfig(exact_limit=EXACT_LIMIT)))
    _, one_row = np.unique(table.pair_index, return_index=True)
    p_left = preference_probabilities(fit, rows.select(one_row))
    p_first = np.where(table.is_flipped[one_row], 1 - p_left, p_left)
    p_first = np.where(np.abs(p_first - 0.5) < SAME_SIDE, 0.5, p_first)
    seen = p_first[table.pair_index]
    p_left_better = np.where(table.is_flipped, 1 - seen, seen)
    is_decided = table.answer != TIE
    agreed = np.where(table.answer == LEFT, p_left_better, 1 - p_left_better)[is_decided]
    judge, n_annotators = table.annotator_index[is_decided], len(table.annotator_ids)
    habit_of = {one.annotator: one.left_habit.value for one in fit.annotators}
    left_habit = np.array([habit_of[annotator] for annotator in table.annotator_ids])
    right = np.asarray(np.bincount(judge, agreed, n_annotators), dtype=np.float64)
    wrong = np.asarray(np.bincount(judge, 1 - agreed, n_annotators), dtype=np.float64)
    return p_first, _estimates(table, right, wrong, left_habit, p_first)


def vote_share(table: JudgmentTable) -> NDArray[np.float64]:
    """[pair] Share of votes for the first answer; a tie counts half."""
    return np.asarray(table.first_votes / table.votes)


def majority(table: JudgmentTable) -> NDArray[np.float64]:
    """[pair] 1 where more judgments preferred the first answer, 0 where fewer, 0.5 where equally many."""
    return np.asarray(0.5 + 0.5 * np.sign(2 * table.first_votes - table.votes))


def _preferences(table: JudgmentTable, p_first: NDArray[np.float64], method: str) -> list[Preference]:
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
                    source=f"judgments, accord {__version__}",
                ),
            )
        )
    return preferences


def _estimates_from_fit(table: JudgmentTable, fit: DawidSkeneFit) -> list[AnnotatorEstimate]:
    sides = np.log(fit.confusion[:, :2, :2])
    left_habit = 0.5 * (sides[:, :, LEFT] - sides[:, :, RIGHT]).sum(axis=1)
    return _estimates(table, fit.right_counts, fit.wrong_counts, left_habit, fit.p_first)


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
    p_first: NDArray[np.float64] | None = None,
) -> list[AnnotatorEstimate]:
    """Accuracy with the interval of a Beta: Jeffreys' over expected counts, less what they hide.

    `p_first` [pair] is None where the better sides were taken as known.
    """
    alpha, beta = right + 0.5, wrong + 0.5
    told = np.ones_like(alpha) if p_first is None else _told_share(table, p_first, alpha, beta)
    low, high = (betaincinv(alpha * told, beta * told, level) for level in (0.025, 0.975))
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


def _told_share(
    table: JudgmentTable,
    p_first: NDArray[np.float64],
    alpha: NDArray[np.float64],
    beta: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[annotator] Share of the expected counts that is left where the better sides are inferred.

    The variance of an accuracy against inferred classes (`accord.quality.consensus.information`), with the
    two answers of a pair as classes, over that with known ones.
    """
    is_decided = table.answer != TIE
    chose_first = (table.answer == LEFT) != table.is_flipped
    columns = LabelColumns(
        items=table.pair_index[is_decided],
        annotators=table.annotator_index[is_decided],
        values=np.where(chose_first, 0, 1)[is_decided],
    )
    told = np.ones_like(alpha)
    if not is_decided.any():
        return told
    labels = tabulate_labels(columns, classes=(0, 1))
    pairs, people = labels.items.astype(np.int64), labels.annotators.astype(np.int64)
    right = (alpha / (alpha + beta))[people]
    rates = np.stack([np.stack([right, 1 - right], 1), np.stack([1 - right, right], 1)], 1)
    totals = (alpha + beta)[people]
    halves = np.stack([totals, totals], axis=1) / 2
    chances = np.stack([p_first, 1 - p_first], axis=1)[pairs]
    covariance = diagonal_covariance(labels, chances, rates, halves)
    variance = covariance.sum(axis=(1, 2)) / 4
    told[people] = np.clip(right * (1 - right) / (totals * variance), 0.0, 1.0)
    return told
