"""Distinct rows stand for all items, and the coincidence matrix has the margins it must have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.quality.agreement.coincidence import coincidence_matrix, count_rows, rows_of_table

labels = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), min_size=1, max_size=40)


@given(labels=labels)
def test_rows_with_multiplicities_are_the_items(labels):
    items, item_index = np.unique([item for item, _ in labels], return_inverse=True)
    class_index = np.array([value for _, value in labels])
    rows = count_rows(item_index, class_index, n_items=len(items), n_classes=4)
    dense = np.zeros((len(items), 4))
    np.add.at(dense, (item_index, class_index), 1)
    repeated = np.repeat(rows.counts.toarray(), rows.units.multiplicity, axis=0)
    assert sorted(repeated.tolist()) == sorted(dense.tolist())
    assert rows.n_items == len(items)
    assert rows.n_ratings == len(labels)
    assert len({tuple(row) for row in rows.counts.toarray().tolist()}) == rows.counts.shape[0]


@given(labels=labels)
def test_clusters_keep_a_row_an_item(labels):
    items, item_index = np.unique([item for item, _ in labels], return_inverse=True)
    class_index = np.array([value for _, value in labels])
    clusters = np.arange(len(items)) // 2
    rows = count_rows(item_index, class_index, n_items=len(items), n_classes=4, clusters=clusters)
    dense = np.zeros((len(items), 4))
    np.add.at(dense, (item_index, class_index), 1)
    assert rows.counts.toarray().tolist() == dense.tolist()
    assert rows.units.n_units == (len(items) + 1) // 2


@pytest.mark.parametrize("n_classes", [3, 20, 22, 200])
def test_rows_are_right_whether_or_not_they_fit_a_number(n_classes):
    # 6^3 patterns are tallied, 6^20 fit a float, 6^22 an integer, 6^200 neither: one row an item
    rng = np.random.default_rng(n_classes)
    item_index = np.repeat(np.arange(30), 5)
    class_index = rng.integers(0, n_classes, 150)
    rows = count_rows(item_index, class_index, n_items=30, n_classes=n_classes)
    sums = rows.class_sums(rows.units.multiplicity[None, :].astype(float))
    assert sums[0].tolist() == np.bincount(class_index, minlength=n_classes).tolist()
    assert (rows.totals == 5).all()


def test_matrix_sums_to_the_pairable_ratings(table_of):
    table = table_of([[1, 2, 2], [3, 3, None], [1, None, None], [2, 3, 1]])
    matrix = coincidence_matrix(table)
    assert matrix == pytest.approx(matrix.T)
    # item 3 has one rating; the others have 3 + 2 + 3: two of 1, three of 2, three of 3
    assert matrix.sum(axis=1) == pytest.approx([2, 3, 3])


def test_selection_of_rows_renumbers_clusters(table_of):
    table = table_of([[1, 2], [1, None], [2, 2], [1, 1]])
    rows = rows_of_table(table, clusters=np.array([0, 1, 2, 0])).pairable
    assert rows.units.cluster_of_row.tolist() == [0, 1, 0]
