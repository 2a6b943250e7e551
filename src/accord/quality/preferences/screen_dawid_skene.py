"""Dawid-Skene for pairwise judgments: which answer is better, and how each annotator answers, by MAP EM.

Each pair i has a hidden state c: first better, second better, or equal. Seen on the annotator's
screen the state is z: left better, right better, or equal. Annotator a answers r (left, right,
tie) with probability confusion[a, z, r].

    E:  P_i(c)  ~  q_c * prod over judgments of i of confusion[a, z(c), r]
    M:  confusion[a, z, r]  ~  pseudo[z, r] + sum over judgments of a with answer r of P_i(c(z))
        q = (s, s, 1 - 2 s), 1 - 2 s  ~  pseudo_equal + sum_i P_i(equal)

Departs from Dawid and Skene 1979 in three ways. The confusion is held in screen coordinates
while the state is held by answer, so a habit of choosing left shows as confusion[left, left] above
confusion[right, right] and cancels out of the state. The prior of the state is equal for both
answers, because their order has no meaning. And the counts carry a diagonal-dominant prior
(MAP), which keeps an annotator of few judgments near the ordinary one and stops the two labels
from trading places. Judgments are taken as independent given the state; annotators who err on
the same hard pairs make the result over-confident, which the equal state softens, not cures.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accord.domain import DataError
from accord.quality.judgments import JudgmentTable

FIRST, SECOND, EQUAL = 0, 1, 2
TINY = 1e-300
"""Added before a logarithm; only reached when a prior count is set to zero."""


@dataclass(frozen=True, kw_only=True)
class DawidSkeneConfig:
    """The prior and when to stop."""

    right_count: float = 8.0
    """Imagined judgments per annotator that chose the better side, for each better side."""
    wrong_count: float = 2.0
    """Imagined judgments per annotator that chose the worse side, for each better side."""
    tie_count: float = 1.0
    """Imagined ties per annotator, for each better side."""
    equal_side_count: float = 4.0
    """Imagined judgments per annotator for each side where both were equal."""
    equal_tie_count: float = 2.0
    """Imagined ties per annotator where both were equal."""
    better_pairs: float = 8.0
    """Imagined pairs of which one answer is better."""
    equal_pairs: float = 2.0
    """Imagined pairs of equal answers."""
    max_iterations: int = 500
    """EM stops here even when it has not converged."""
    tolerance: float = 1e-8
    """EM stops when the objective per judgment rises by less."""

    @property
    def pseudo_counts(self) -> NDArray[np.float64]:
        """[state on screen, answer]"""
        right, wrong, tie = self.right_count, self.wrong_count, self.tie_count
        side = self.equal_side_count
        return np.array([[right, wrong, tie], [wrong, right, tie], [side, side, self.equal_tie_count]])


@dataclass(frozen=True)
class DawidSkeneFit:
    """A fitted model."""

    state: NDArray[np.float64]
    """[pair, 3] Posterior of first better, second better, equal."""
    confusion: NDArray[np.float64]
    """[annotator, state on screen, answer]"""
    prior: NDArray[np.float64]
    """[3] Prior of the states; the first two are equal."""
    objectives: tuple[float, ...]
    """Log-likelihood plus log prior (up to a constant) before each M-step; never falls."""
    right_counts: NDArray[np.float64]
    """[annotator] Expected number of judgments that chose the better side; the equal state counts half."""
    wrong_counts: NDArray[np.float64]
    """[annotator] Expected number of judgments that chose the worse side; the equal state counts half."""

    @property
    def p_first(self) -> NDArray[np.float64]:
        """[pair] Probability that the first answer is the better one; the equal state counts half."""
        return np.asarray(self.state[:, FIRST] + 0.5 * self.state[:, EQUAL])


def fit_dawid_skene(table: JudgmentTable, config: DawidSkeneConfig | None = None) -> DawidSkeneFit:
    """Fit by EM from the smoothed votes. Deterministic, and the same for every order of the rows.

    O(judgments) an iteration. Raises on an empty table.
    """
    config = config or DawidSkeneConfig()
    if not table.judgment_ids:
        raise DataError("no judgments to fit; expected at least one")
    pseudo = config.pseudo_counts
    state = _state_from_votes(table)
    objectives: list[float] = []
    for _ in range(config.max_iterations):
        counts = _expected_counts(table, state)
        confusion = _normalize(counts + pseudo)
        prior = _state_prior(state, config)
        state, log_likelihood = _posterior(table, confusion, prior)
        log_prior = (pseudo * np.log(confusion + TINY)).sum()
        log_prior += config.better_pairs * np.log(1 - prior[EQUAL]) + config.equal_pairs * np.log(
            prior[EQUAL] + TINY
        )
        objectives.append(float(log_likelihood + log_prior))
        if len(objectives) > 1 and objectives[-1] - objectives[-2] < config.tolerance * len(
            table.judgment_ids
        ):
            break
    counts = _expected_counts(table, state)
    coin = 0.5 * counts[:, EQUAL, :2].sum(axis=1)
    return DawidSkeneFit(
        state=state,
        confusion=confusion,
        prior=prior,
        objectives=tuple(objectives),
        right_counts=counts[:, 0, 0] + counts[:, 1, 1] + coin,
        wrong_counts=counts[:, 0, 1] + counts[:, 1, 0] + coin,
    )


def _state_from_votes(table: JudgmentTable) -> NDArray[np.float64]:
    share = (table.first_votes + 0.5) / (table.votes + 1.0)
    equal = np.minimum(share, 1 - share)
    return np.stack([share - equal / 2, 1 - share - equal / 2, equal], axis=1)


def _on_screen(table: JudgmentTable, state: NDArray[np.float64]) -> NDArray[np.float64]:
    """[judgment, state on screen] The states of each judgment's pair as its annotator saw them."""
    seen = state[table.pair_index]
    swapped = seen[:, [SECOND, FIRST, EQUAL]]
    return np.where(table.is_flipped[:, None], swapped, seen)


def _expected_counts(table: JudgmentTable, state: NDArray[np.float64]) -> NDArray[np.float64]:
    """[annotator, state on screen, answer]"""
    n_annotators = len(table.annotator_ids)
    cell = table.annotator_index * 3 + table.answer
    seen = _on_screen(table, state)
    columns = [np.bincount(cell, weights=seen[:, k], minlength=3 * n_annotators) for k in range(3)]
    return np.stack([column.reshape(n_annotators, 3) for column in columns], axis=1)


def _normalize(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(
        np.divide(counts, total, out=np.full_like(counts, 1 / counts.shape[-1]), where=total > 0)
    )


def _state_prior(state: NDArray[np.float64], config: DawidSkeneConfig) -> NDArray[np.float64]:
    equal = state[:, EQUAL].sum() + config.equal_pairs
    share = equal / (len(state) + config.equal_pairs + config.better_pairs)
    return np.array([(1 - share) / 2, (1 - share) / 2, share])


def _posterior(
    table: JudgmentTable, confusion: NDArray[np.float64], prior: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """The posterior of the states and the log-likelihood of all judgments."""
    seen = np.log(confusion + TINY)[table.annotator_index, :, table.answer]
    by_answer = np.where(table.is_flipped[:, None], seen[:, [SECOND, FIRST, EQUAL]], seen)
    n_pairs = len(table.pairs)
    evidence = [np.bincount(table.pair_index, weights=by_answer[:, k], minlength=n_pairs) for k in range(3)]
    joint = np.stack(evidence, axis=1) + np.log(prior + TINY)
    peak = joint.max(axis=1, keepdims=True)
    log_evidence = peak + np.log(np.exp(joint - peak).sum(axis=1, keepdims=True))
    return np.exp(joint - log_evidence), float(log_evidence.sum())
