"""How much is known of annotators' confusion matrices where the classes of the items are inferred.

With the classes known, a row of a confusion matrix is a multinomial. What not knowing them costs is
the variance that the complete-data score has over the classes of each item, given the labels (Louis 1982):

    I = I_complete - sum over items of Var(score | labels)

Scores of annotators who share items hang together: a crowd that errs together makes everybody's matrix
uncertain at once. Up to `JOINT_LIMIT` parameters the information of all annotators is inverted; beyond, each
annotator's alone, which takes the other matrices as known. Departs from Louis in that the probabilities may
be any posterior, not the maximum-likelihood one, so that the information can be indefinite: at least
`LEAST_KEPT` of the complete information is kept in every direction. Shares of classes are taken as known.
Beyond `MOST_CELLS` free cells a matrix, a label is only right or wrong, which wrong class is not looked at:
a matrix of that size holds hardly a label a cell, and its information has the fourth power of the classes.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from accord.quality.labels import LabelTable

FloatArray = NDArray[np.float64]
JOINT_LIMIT = 1600
"""Free cells of all matrices, annotators x classes x (classes - 1), that are inverted together at most."""
MOST_CELLS = 132
"""Free cells of one matrix, classes x (classes - 1), whose information is taken whole: twelve classes."""
LEAST_KEPT = 0.02


def diagonal_covariance(
    table: LabelTable, probabilities: FloatArray, rates: FloatArray, totals: FloatArray
) -> FloatArray:
    """Covariance [annotator, true, true] of the diagonals of confusion matrices.

    `rates` [annotator, true, given] inside (0, 1), `totals` [annotator, true] the labels, imagined
    ones included, each row rests on. One class has covariance 0.
    """
    size = table.n_classes
    if size == 1:
        return np.zeros((table.n_annotators, 1, 1))
    width = size * (size - 1)
    if width > MOST_CELLS:
        return _of_right_or_wrong(table, probabilities, rates, totals)
    slopes = _slopes(rates)
    complete = _complete_information(rates, totals)
    if table.n_annotators * width <= JOINT_LIMIT:
        covariance = _joint(table, probabilities, rates, complete)
    else:
        covariance = _alone(table, probabilities, rates, complete)
    return np.asarray(np.einsum("akp,apq,alq->akl", slopes, covariance, slopes))


def _of_right_or_wrong(
    table: LabelTable, probabilities: FloatArray, rates: FloatArray, totals: FloatArray
) -> FloatArray:
    """[annotator, true, true] Of each annotator alone, by logits of the diagonal; O(labels x classes^2)."""
    right = np.diagonal(rates, axis1=1, axis2=2)
    slope = right * (1 - right)
    classes = np.arange(table.n_classes)
    covariance = np.empty_like(rates)
    by_annotator = np.argsort(table.annotator_index, kind="stable")
    ends = np.cumsum(np.bincount(table.annotator_index, minlength=table.n_annotators))
    for i, own in enumerate(np.split(by_annotator, ends[:-1])):
        known = probabilities[table.item_index[own]]
        score = (table.class_index[own][:, None] == classes) - right[i]
        missing = -(known * score).T @ (known * score)
        missing[classes, classes] += (known * score**2).sum(axis=0)
        half = np.diag((totals[i] * slope[i]) ** -0.5)
        covariance[i] = _invert(half[None], missing[None])[0]
    return np.asarray(slope[:, :, None] * covariance * slope[:, None, :])


def _off_diagonal(size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the free cells: logits of the wrong classes against the right one."""
    rows, columns = np.nonzero(~np.eye(size, dtype=bool))
    return rows, columns


def _slopes(rates: FloatArray) -> FloatArray:
    """d rates[k, k] / d logit of a free cell [annotator, true, cell]."""
    n_annotators, size = rates.shape[:2]
    rows, columns = _off_diagonal(size)
    slopes = np.zeros((n_annotators, size, len(rows)))
    cells = np.arange(len(rows))
    slopes[:, rows, cells] = -rates[:, rows, rows] * rates[:, rows, columns]
    return slopes


def _complete_information(rates: FloatArray, totals: FloatArray) -> FloatArray:
    """[annotator, cell, cell] As if every class were known: totals times the covariance of one label."""
    rows, columns = _off_diagonal(rates.shape[1])
    same_row = rows[:, None] == rows[None, :]
    of_cell = rates[:, rows, columns]
    information = -of_cell[:, :, None] * of_cell[:, None, :] * same_row
    cells = np.arange(len(rows))
    information[:, cells, cells] += of_cell
    return np.asarray(information * totals[:, rows][:, :, None])


def _scores(table: LabelTable, rates: FloatArray) -> FloatArray:
    """[label, cell] Score of each free cell if the item were of the cell's true class."""
    rows, columns = _off_diagonal(table.n_classes)
    is_given = table.class_index[:, None] == columns[None, :]
    return np.asarray(is_given - rates[:, rows, columns][table.annotator_index])


def _alone(
    table: LabelTable, probabilities: FloatArray, rates: FloatArray, complete: FloatArray
) -> FloatArray:
    """[annotator, cell, cell] Covariance with the other annotators' matrices taken as known."""
    rows, columns = _off_diagonal(table.n_classes)
    size, width = table.n_classes, len(rows)
    flat = table.annotator_index.astype(np.int64) * size + table.class_index
    known = probabilities[table.item_index]
    missing = np.zeros_like(complete)
    is_given = np.arange(size)[:, None] == columns[None, :]
    score = is_given[None, :, :] - rates[:, rows, columns][:, None, :]
    for k in range(size):
        for other in range(size):
            spread = known[:, k] * ((k == other) - known[:, other])
            sums = np.bincount(flat, weights=spread, minlength=table.n_annotators * size)
            weight = sums.reshape(table.n_annotators, size)
            first, second = np.flatnonzero(rows == k), np.flatnonzero(rows == other)
            part = np.einsum("ag,agp,agq->apq", weight, score[:, :, first], score[:, :, second])
            missing[np.ix_(np.arange(len(rates)), first, second)] += part
    root = np.linalg.cholesky(complete)
    half = np.linalg.solve(root, np.eye(width)[None])
    return _invert(half, missing)


def _joint(
    table: LabelTable, probabilities: FloatArray, rates: FloatArray, complete: FloatArray
) -> FloatArray:
    """[annotator, cell, cell] Blocks of the inverse of the information of all annotators together."""
    rows, _ = _off_diagonal(table.n_classes)
    n_annotators, width = complete.shape[:2]
    scores = _scores(table, rates)
    columns = table.annotator_index.astype(np.int64)[:, None] * width + np.arange(width)
    items = np.repeat(table.item_index, width)
    shape = (table.n_items, n_annotators * width)
    missing = np.zeros((shape[1], shape[1]))
    weighed = scores * probabilities[table.item_index][:, rows]
    mean = sparse.csr_array((weighed.ravel(), (items, columns.ravel())), shape=shape)
    missing -= (mean.T @ mean).toarray()
    for k in range(table.n_classes):
        own = rows == k
        root = scores[:, own] * np.sqrt(probabilities[table.item_index, k])[:, None]
        at = np.repeat(table.item_index, int(own.sum()))
        of_class = sparse.csr_array((root.ravel(), (at, columns[:, own].ravel())), shape=shape)
        missing += (of_class.T @ of_class).toarray()
    half = np.zeros((shape[1], shape[1]))
    roots = np.linalg.solve(np.linalg.cholesky(complete), np.eye(width)[None])
    for i in range(n_annotators):
        place = slice(i * width, (i + 1) * width)
        half[place, place] = roots[i]
    whole = _invert(half[None], missing[None])[0]
    blocks = whole.reshape(n_annotators, width, n_annotators, width)
    return np.stack([blocks[i, :, i, :] for i in range(n_annotators)])


def _invert(half: FloatArray, missing: FloatArray) -> FloatArray:
    """(complete - missing)^-1 with half the inverse root of the complete information, stacked."""
    turned = np.swapaxes(half, 1, 2)
    share = half @ missing @ turned
    lost, directions = np.linalg.eigh((share + np.swapaxes(share, 1, 2)) / 2)
    kept = np.maximum(1.0 - lost, LEAST_KEPT)
    basis = turned @ directions
    return np.asarray((basis / kept[:, None, :]) @ np.swapaxes(basis, 1, 2))
