"""What not knowing the classes costs, against the curvature of the likelihood itself."""

import numpy as np
import pytest

from accord.domain import LabelColumns
from accord.quality.consensus import information
from accord.quality.consensus.information import diagonal_covariance
from accord.quality.labels import tabulate_labels


def draw(n_classes, *, n_annotators=5, n_items=250, seed=0):
    """Table, class shares, the most likely rates, the posterior at these, and expected row counts."""
    rng = np.random.default_rng(seed)
    skills = rng.uniform(0.55, 0.8, n_annotators)[:, None, None]
    rates = skills * np.eye(n_classes) + (1 - skills) / n_classes
    shares = np.full(n_classes, 1 / n_classes)
    truth = rng.integers(0, n_classes, n_items)
    items, people = np.nonzero(rng.random((n_items, n_annotators)) < 0.9)
    given = [rng.choice(n_classes, p=rates[j, truth[i]]) for i, j in zip(items, people, strict=True)]
    columns = LabelColumns(items=items, annotators=people, values=np.array(given))
    table = tabulate_labels(columns, classes=range(n_classes))
    for _ in range(2000):
        joint = np.tile(np.log(shares), (table.n_items, 1))
        np.add.at(joint, table.item_index, np.log(rates[table.annotator_index, :, table.class_index]))
        posterior = np.exp(joint - joint.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
        counts = np.zeros((n_annotators, n_classes, n_classes))
        at = (table.annotator_index, slice(None), table.class_index)
        np.add.at(counts, at, posterior[table.item_index])
        totals = counts.sum(axis=2)
        before, rates = rates, counts / totals[:, :, None]
        if np.abs(rates - before).max() < 1e-10:
            break
    return table, shares, rates, posterior, totals


def log_likelihood(table, shares, logits):
    """Of all labels, classes summed out; `logits` [annotator, true, given]."""
    log_rates = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    joint = np.tile(np.log(shares), (table.n_items, 1))
    np.add.at(joint, table.item_index, log_rates[table.annotator_index, :, table.class_index])
    return np.log(np.exp(joint).sum(axis=1)).sum()


def covariance_by_differences(table, shares, rates):
    """Inverse of the numerical Hessian over the logits of wrong classes, carried to the diagonals."""
    n_annotators, size = rates.shape[:2]
    free = np.argwhere(np.tile(~np.eye(size, dtype=bool), (n_annotators, 1, 1)))
    base, step = np.log(rates), 1e-3

    def at(moves):
        logits = base.copy()
        for cell, move in moves:
            logits[tuple(cell)] += move
        return log_likelihood(table, shares, logits)

    hessian = np.empty((len(free), len(free)))
    for i, first in enumerate(free):
        for j, second in enumerate(free):
            signs = [(a, b) for a in (1, -1) for b in (1, -1)]
            values = [a * b * at([(first, a * step), (second, b * step)]) for a, b in signs]
            hessian[i, j] = sum(values) / (4 * step**2)
    slopes = np.zeros((n_annotators, size, len(free)))
    for i, (who, row, column) in enumerate(free):
        slopes[who, row, i] = -rates[who, row, row] * rates[who, row, column]
    inverse = np.linalg.inv(-hessian)
    return np.einsum("akp,pq,alq->akl", slopes, inverse, slopes)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_covariance_is_the_inverse_curvature_of_the_likelihood(n_classes):
    table, shares, rates, posterior, totals = draw(n_classes)
    found = diagonal_covariance(table, posterior, rates, totals)
    assert found == pytest.approx(covariance_by_differences(table, shares, rates), rel=2e-3, abs=1e-6)


def test_known_classes_give_multinomial_rows():
    table, _, rates, posterior, _ = draw(3)
    certain = np.eye(3)[posterior.argmax(axis=1)]
    totals = np.zeros((table.n_annotators, 3))
    np.add.at(totals, table.annotator_index, certain[table.item_index])
    found = diagonal_covariance(table, certain, rates, totals)
    right = np.diagonal(rates, axis1=1, axis2=2)
    expected = (right * (1 - right) / totals)[:, :, None] * np.eye(3)
    assert found == pytest.approx(expected, abs=1e-9)


def test_taking_the_others_as_known_never_widens(monkeypatch):
    table, _, rates, posterior, totals = draw(3)
    together = diagonal_covariance(table, posterior, rates, totals)
    monkeypatch.setattr(information, "JOINT_LIMIT", 0)
    alone = diagonal_covariance(table, posterior, rates, totals)
    gap = np.linalg.eigvalsh(together - alone)
    assert gap.min() > -1e-9
    assert gap.max() > 1e-4
    # one annotator: there are no others to know
    keep = table.annotator_index == 0
    own = table.select(keep)
    args = (own, posterior[np.unique(table.item_index[keep])], rates, totals)
    separate = diagonal_covariance(*args)[0]
    monkeypatch.undo()
    assert diagonal_covariance(*args)[0] == pytest.approx(separate, rel=1e-6)


def test_probabilities_that_say_nothing_stay_finite():
    table, _, rates, _, totals = draw(2)
    found = diagonal_covariance(table, np.full((table.n_items, 2), 0.5), rates, totals)
    assert np.isfinite(found).all()
    assert (np.linalg.eigvalsh(found) > 0).all()


def test_one_class_is_certain():
    columns = LabelColumns(items=[0, 1], annotators=[0, 0], values=[0, 0])
    table = tabulate_labels(columns, classes=range(1))
    assert diagonal_covariance(table, np.ones((2, 1)), np.ones((1, 1, 1)), np.ones((1, 1))) == 0
