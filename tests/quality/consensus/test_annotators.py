import numpy as np
import pytest

from accord.quality.consensus.annotators import annotator_confusions
from accord.quality.labels import tabulate_labels
from accord.quality.simulation import CrowdConfig, simulate_labels


def test_confusion_and_accuracy_by_hand(table_of):
    # w says a, a, b on items whose class is a, a, b for certain. With imagined 2 on and 1 off the diagonal:
    # row a: 4 of 5 right, row b: 3 of 4... counts (2 + 2, 0 + 1) and (0 + 1, 1 + 2).
    table = table_of([("i", "w", "a"), ("j", "w", "a"), ("k", "w", "b")])
    (one,) = annotator_confusions(table, np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    assert one.rates == pytest.approx(np.array([[4 / 5, 1 / 5], [1 / 4, 3 / 4]]))
    assert one.accuracy == pytest.approx(2 / 3 * 4 / 5 + 1 / 3 * 3 / 4)
    assert one.accuracy_low < one.accuracy < one.accuracy_high
    assert one.n_labels == 3


def test_one_class_is_always_right(table_of):
    (one,) = annotator_confusions(table_of([("i", "w", "a")]), np.ones((1, 1)))
    assert (one.accuracy, one.accuracy_low, one.accuracy_high) == (1.0, 1.0, 1.0)


def test_accuracy_intervals_cover_where_the_classes_are_known():
    # 60 crowds of 40 annotators who see about 100 items each: 2400 intervals, whose share covered has a
    # standard error of 0.44 points; the imagined labels pull a little toward 2/3, so four are allowed.
    covered = []
    for seed in range(60):
        crowd = simulate_labels(CrowdConfig(n_items=800, n_annotators=40, labels_per_item=5), seed)
        table = tabulate_labels(crowd.columns)
        certain = np.eye(2)[crowd.truth_index]
        shares = certain.mean(axis=0)
        right = np.diagonal(crowd.annotators.confusion, axis1=1, axis2=2) @ shares
        for one, truth in zip(annotator_confusions(table, certain), right, strict=True):
            covered.append(one.accuracy_low <= truth <= one.accuracy_high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.018)
