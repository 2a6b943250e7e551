"""Consistency of annotators with themselves, from hand-counted repeats."""

import numpy as np
import pytest

from accord.domain import LabelColumns
from accord.quality.agreement import measure_repeats


def columns(rows):
    items, annotators, values = zip(*rows, strict=True)
    return LabelColumns(items=items, annotators=annotators, values=values)


ROWS = [
    ("i1", "ann", "a"),
    ("i2", "ann", "b"),
    ("i3", "ann", "a"),
    ("i1", "bob", "b"),
    ("i1", "ann", "a"),
    ("i2", "ann", "a"),
    ("i1", "bob", "b"),
    ("i1", "cat", "b"),
]


def test_repeats_are_counted_by_annotator():
    report = measure_repeats(columns(ROWS))
    assert [(one.annotator, one.n_items, one.n_same) for one in report.annotators] == [
        ("ann", 2, 1),
        ("bob", 1, 1),
    ]
    assert report.share_same.value == pytest.approx(2 / 3)
    # first against last: aa, ba, bb; o_ab = o_ba = 1, n_a = n_b = 3: alpha = 1 - 5 * 2 / 18
    assert report.alpha.value == pytest.approx(8 / 18)
    assert (report.alpha.n_items, report.alpha.n_ratings) == (3, 6)


def test_the_first_label_stands_against_the_last():
    report = measure_repeats(columns([("i", "ann", value) for value in "aba"]))
    assert report.share_same.value == 1.0


def test_wilson_interval_by_hand():
    # 8 of 10: center (.8 + z^2 / 20) / (1 + z^2 / 10), z^2 = 3.841459: (.8 + .192073) / 1.384146 = .716740
    # reach sqrt(.16 * .3841459 + .3841459^2 / 4) / 1.384146 = .226579
    rows = [(i, "ann", "a") for i in range(10)] + [(i, "ann", "a" if i < 8 else "b") for i in range(10)]
    one = measure_repeats(columns(rows)).annotators[0]
    assert (one.low, one.high) == pytest.approx((0.490162, 0.943318), abs=1e-5)


def test_one_annotator_has_no_interval():
    rows = [(i, "ann", "ab"[i % 2]) for i in range(10)] * 2
    report = measure_repeats(columns(rows))
    assert (report.share_same.value, report.share_same.low) == (1.0, None)
    assert "1 of the clusters" in report.share_same.reason


def test_no_repeats_have_a_reason():
    report = measure_repeats(columns(ROWS[:4]))
    assert (report.alpha.value, report.annotators) == (None, ())
    assert "no annotator labeled an item twice" in report.share_same.reason


def test_numbers_may_come_near_each_other():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    rows = [(i, f"w{i % 12}", float(truth[i] + 0.5 * rng.normal())) for _ in range(2) for i in range(300)]
    report = measure_repeats(columns(rows), level="interval")
    # reliability 1 / (1 + .25); a correlation of 300 pairs near .8 has standard error .36 / sqrt(300) = .021
    assert report.alpha.value == pytest.approx(0.8, abs=0.065)
    assert report.alpha.low < 0.8 < report.alpha.high
    assert report.share_same.value == 0.0
