"""What an annotator's judgments are worth: the cost of the soft labels they leave, not their error rate.

A label of an annotator with confusion pi[true, given] says P(true | given) ~ prior[true] pi[true, given]. The
cost of that soft label is the expected cost of a true class and a class drawn from it,

    cost(given) = sum over i, j of P(i | given) P(j | given) costs[i, j]

and the value is 1 - E[cost(given)] / cost(prior): 1 for soft labels that are certain, 0 for what an
annotator says who does not look. Ipeirotis, Provost and Wang 2010, sections 4 and 5. A bias (always one
class too high) is undone by reading the label through the confusion matrix and costs nothing; an
error that carries no information is lost. `face_cost` less `decision_cost` is what reading through the matrix
saves. Departs from the paper in the interval, from Dirichlet posteriors of the rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accord.domain import EvaluationError
from accord.quality.consensus.information import diagonal_covariance
from accord.quality.labels import LabelTable
from accord.quality.people.intervals import Estimate

EM_STEPS = 100
EM_TOLERANCE = 0.01
"""Labels: when no cell of a confusion matrix moves by more, its counts are done."""
MIN_MASS = 1e-12
"""Keeps the division by the chance of a label that is never given finite; its cost is weighed by 0."""


@dataclass(frozen=True, kw_only=True)
class ValueConfig:
    """Prior of the confusion rows and number of draws."""

    prior_count: float = 1.0
    """Imagined judgments of each true class, spread evenly over the classes given."""
    n_draws: int = 400
    """Draws of the confusion matrix for the interval."""
    level: float = 0.95
    """Level of the interval."""


@dataclass(frozen=True)
class AnnotatorValue:
    """One annotator's worth."""

    value: Estimate
    """1 - cost of soft label / cost of the prior; posterior mean."""
    soft_cost: float
    """Expected cost of his soft labels."""
    decision_cost: float
    """Expected cost of the best decision on his label alone."""
    face_cost: float
    """Expected cost of believing his label as it is."""

    @property
    def correctable_cost(self) -> float:
        """What his bias costs when labels are believed as they are: gone when read through his matrix."""
        return self.face_cost - self.decision_cost


@dataclass(frozen=True, eq=False)
class ConfusionWeight:
    """How many labels on items of known classes would tell as much of confusion matrices."""

    counts: NDArray[np.float64]
    """[annotator, true, given]"""
    correlation: NDArray[np.float64]
    """[annotator, true, true] Of what is not known of the diagonal's cells."""


def expected_confusions(
    table: LabelTable, probabilities: ArrayLike, *, leave_own_out: bool = True, prior_count: float = 1.0
) -> NDArray[np.float64]:
    """[annotator, true, given] Expected counts of judgments, from the posterior [item, class].

    With `leave_own_out` an annotator's own label is taken out of the posterior of its item first, by dividing
    by the confusion estimated with it (`probabilities_without_own`), and counts again as much as his
    confusion matrix makes of it: the most likely matrix given what the others say of each item, by EM. To
    leave it out and count what the others say would find everybody worse than he is, since they err too.
    """
    posterior = _check(table, probabilities)
    shape = (table.n_annotators, table.n_classes, table.n_classes)
    counts = _count(table, posterior[table.item_index], shape)
    if not leave_own_out:
        return counts
    others = probabilities_without_own(table, posterior, prior_count=prior_count)
    counts = _count(table, others, shape)
    for _ in range(EM_STEPS):
        joint = others * _rates(counts, prior_count)[table.annotator_index, :, table.class_index]
        renewed = _count(table, joint / joint.sum(axis=1, keepdims=True), shape)
        change, counts = np.abs(renewed - counts).max(), renewed
        if change < EM_TOLERANCE:
            break
    return counts


def weigh_confusions(
    table: LabelTable, probabilities: ArrayLike, counts: ArrayLike, *, prior_count: float = 1.0
) -> ConfusionWeight:
    """What expected `counts` [annotator, true, given] on items of inferred classes tell.

    A row keeps its shares and loses the labels that the doubt about the classes costs
    (`accord.quality.consensus.information`).
    """
    posterior, expected = _check(table, probabilities), np.asarray(counts, dtype=np.float64)
    rates = _rates(expected, prior_count)
    totals = expected.sum(axis=2)
    covariance = diagonal_covariance(table, posterior, rates, totals + prior_count)
    right = np.diagonal(rates, axis1=1, axis2=2)
    variance = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), MIN_MASS)
    told = np.clip(right * (1 - right) / variance - prior_count, 0.0, totals)
    error = np.sqrt(variance)
    correlation = covariance / (error[:, :, None] * error[:, None, :])
    correlation[:, np.arange(table.n_classes), np.arange(table.n_classes)] = 1.0
    return ConfusionWeight(expected * (told / np.maximum(totals, MIN_MASS))[:, :, None], correlation)


def probabilities_without_own(
    table: LabelTable, probabilities: ArrayLike, *, prior_count: float = 1.0
) -> NDArray[np.float64]:
    """[label, class] Posterior of the item as it would be without this label.

        P(k | others) ~ P(k | all) / P(label | k, annotator)

    with the annotator's confusion as expected counts plus `prior_count` spread over the classes. Exact for a
    Dawid-Skene posterior with these confusions; for another posterior it is an approximation on
    the safe side, since it takes the label out at its full, independent weight. O(labels x classes).
    """
    posterior = _check(table, probabilities)[table.item_index]
    shape = (table.n_annotators, table.n_classes, table.n_classes)
    confusion = _rates(_count(table, posterior, shape), prior_count)
    own = confusion[table.annotator_index, :, table.class_index]
    rest = np.maximum(posterior, MIN_MASS) / own
    return np.asarray(rest / rest.sum(axis=1, keepdims=True))


def value_annotators(
    confusion_counts: ArrayLike,
    class_prior: ArrayLike,
    *,
    correlation: ArrayLike | None = None,
    costs: ArrayLike | None = None,
    config: ValueConfig | None = None,
    seed: int = 0,
) -> list[AnnotatorValue]:
    """Worth of each annotator from counts [annotator, true, given] and the class shares [class].

    `correlation` [annotator, true, true] says how the rows of a matrix are uncertain together, where
    classes were inferred; by default they are not.

    `costs` [true, decided] are 0 and 1 by default. An annotator without a judgment has a value from the
    prior alone and says so. One class, or a class with all the mass, has nothing to decide: no value.
    """
    config = config or ValueConfig()
    counts = np.asarray(confusion_counts, dtype=np.float64)
    prior = np.asarray(class_prior, dtype=np.float64)
    n_classes = len(prior)
    if counts.ndim != 3 or counts.shape[1:] != (n_classes, n_classes) or (counts < 0).any():
        raise EvaluationError(
            f"counts have shape {counts.shape}; expected [annotator, {n_classes}, {n_classes}], none below 0"
        )
    prior = prior / prior.sum()
    loss = 1.0 - np.eye(n_classes) if costs is None else np.asarray(costs, dtype=np.float64)
    base_cost = float(prior @ loss @ prior)
    pseudo = counts + config.prior_count / n_classes
    mean = pseudo / pseudo.sum(axis=2, keepdims=True)
    soft_cost = _soft_cost(mean, prior, loss)
    joint = prior[None, :, None] * mean
    decided = np.einsum("atg,td->agd", joint, loss).min(axis=2).sum(axis=1)
    face = np.einsum("atg,tg->a", joint, loss)
    rng = np.random.default_rng(seed)
    result = []
    for number in range(len(counts)):
        total = float(counts[number].sum())
        if base_cost <= 0:
            estimate = Estimate(None, None, None, total, "one class has all the mass: nothing to decide")
        else:
            drawn = np.maximum(
                rng.standard_gamma(pseudo[number], size=(config.n_draws, *loss.shape)), MIN_MASS
            )
            if correlation is not None:
                drawn = _joined(drawn, np.asarray(correlation, dtype=np.float64)[number], rng)
            worth = 1 - _soft_cost(drawn / drawn.sum(axis=2, keepdims=True), prior, loss) / base_cost
            ends = np.quantile(worth, [(1 - config.level) / 2, (1 + config.level) / 2])
            reason = "" if total > 0 else "no judgment: the prior alone"
            estimate = Estimate(float(worth.mean()), float(ends[0]), float(ends[1]), total, reason)
        costs_of = (float(cost[number]) for cost in (soft_cost, decided, face))
        result.append(AnnotatorValue(estimate, *costs_of))
    return result


def _joined(
    drawn: NDArray[np.float64], correlation: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draws [draw, true, given] with the rows of a matrix paired anew, so that their diagonals correlate.

    Each row keeps its own draws; their ranks become those of normal draws (Iman and Conover 1982).
    """
    rows = drawn / drawn.sum(axis=2, keepdims=True)
    levels, directions = np.linalg.eigh(correlation)
    root = directions * np.sqrt(np.maximum(levels, 0.0))
    ranks = (rng.standard_normal((len(rows), len(root))) @ root.T).argsort(axis=0).argsort(axis=0)
    joined = np.empty_like(rows)
    for k in range(rows.shape[1]):
        joined[:, k] = rows[rows[:, k, k].argsort(), k][ranks[:, k]]
    return np.asarray(joined)


def _soft_cost(
    confusion: NDArray[np.float64], prior: NDArray[np.float64], loss: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[...] Expected cost of the soft labels of confusions [..., true, given]."""
    joint = prior[:, None] * confusion
    given = np.maximum(joint.sum(axis=-2), MIN_MASS)
    return np.asarray((np.einsum("...ig,ij,...jg->...g", joint, loss, joint) / given).sum(axis=-1))


def _check(table: LabelTable, probabilities: ArrayLike) -> NDArray[np.float64]:
    posterior = np.asarray(probabilities, dtype=np.float64)
    if posterior.shape != (table.n_items, table.n_classes):
        raise EvaluationError(
            f"probabilities have shape {posterior.shape}; expected [item, class] = "
            f"({table.n_items}, {table.n_classes}), in the order of the table"
        )
    if not (np.isfinite(posterior).all() and (posterior >= 0).all()):
        raise EvaluationError("a probability is negative or not finite; expected rows that sum to 1")
    return posterior


def _rates(counts: NDArray[np.float64], prior_count: float) -> NDArray[np.float64]:
    """[annotator, true, given] Rows that sum to 1, with `prior_count` imagined labels spread evenly."""
    pseudo = counts + prior_count / counts.shape[2]
    return np.asarray(pseudo / pseudo.sum(axis=2, keepdims=True))


def _count(
    table: LabelTable, posterior_of_label: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.float64]:
    """[annotator, true, given] Sums of the posteriors [label, class]."""
    annotators, true, given = shape
    cells = table.annotator_index.astype(np.int64) * given + table.class_index
    counts = np.empty((annotators, given, true))
    for k in range(true):
        flat = np.bincount(cells, weights=posterior_of_label[:, k], minlength=annotators * given)
        counts[:, :, k] = flat.reshape(annotators, given)
    return np.swapaxes(counts, 1, 2)
