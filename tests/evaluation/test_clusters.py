"""Columns are checked before anything is measured; clusters do not depend on row order."""

import math

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, finite_array, share_array


def test_not_finite_value_is_named_with_its_row():
    with pytest.raises(
        EvaluationError, match="scores has 2 values that are not finite, the first in row 1: nan"
    ):
        finite_array([1.0, math.nan, math.inf], name="scores")


def test_wrong_length_is_named():
    with pytest.raises(EvaluationError, match="scores has 2 rows, expected 3"):
        finite_array([1.0, 2.0], name="scores", length=3)


def test_two_dimensions_are_refused():
    with pytest.raises(EvaluationError, match="2 dimensions"):
        finite_array([[1.0]], name="scores")


def test_share_outside_the_unit_interval_is_refused():
    with pytest.raises(EvaluationError, match=r"must lie in \[0, 1\]"):
        share_array([0.2, 1.2], name="p_chosen")


def test_sums_are_taken_within_clusters():
    clusters = Clusters.of(["b", "a", "b"], rows=3)
    assert clusters.count == 2
    assert clusters.sums(np.array([1.0, 10.0, 2.0])).tolist() == [10.0, 3.0]  # a, then b


def test_without_labels_each_row_stands_alone():
    assert Clusters.of(None, rows=3).is_single
    assert not Clusters.of(["a", "a", "b"], rows=3).is_single


def test_selected_rows_are_renumbered():
    chosen = Clusters.of(["a", "b", "c"], rows=3).select(np.array([False, True, True]))
    assert (chosen.count, chosen.codes.tolist()) == (2, [0, 1])


def test_missing_labels_are_refused():
    with pytest.raises(EvaluationError, match="2 prompt ids for 3 rows"):
        Clusters.of(["a", "b"], rows=3)
