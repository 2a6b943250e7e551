"""Ticks are round, labels tell them apart, and coordinates lie where they should."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.evaluation.report.axes import Frame, nice_ticks, padded_range, tick_text


def test_ticks_are_round():
    assert nice_ticks(0.0, 1.0, count=5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert nice_ticks(13.0, 88.0, count=4) == [20.0, 40.0, 60.0, 80.0]
    assert nice_ticks(3.0, 3.0) == [3.0]


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e6))
def test_ticks_stay_inside_and_are_few(low, width):
    ticks = nice_ticks(low, low + width)
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)
    assert len(ticks) <= 7


def test_labels_have_just_the_decimals_that_differ():
    assert [tick_text(tick, [0.0, 0.25, 0.5]) for tick in (0.0, 0.25)] == ["0.00", "0.25"]
    assert tick_text(20.0, [20.0, 40.0]) == "20"


def test_range_of_one_value_has_room():
    low, high = padded_range([2.0])
    assert low < 2.0 < high
    assert padded_range([math.nan]) == (0.0, 1.0)


def test_corners_of_the_frame():
    frame = Frame(
        x_range=(0, 4), y_range=(0, 1), x_label="x", y_label="y", width=100, height=50, left=10, right=10
    )
    assert (frame.x(0), frame.x(4)) == (10, 90)
    assert (frame.y(0), frame.y(1)) == (50 - 42, 26)


def test_square_root_scale_gives_room_to_small_values():
    frame = Frame(
        x_range=(0, 4), y_range=(0, 1), x_label="x", y_label="y", width=100, left=10, right=10, x_scale="sqrt"
    )
    assert frame.x(1) == pytest.approx(50)  # sqrt(1) is half of sqrt(4)


def test_gap_in_the_data_breaks_the_line():
    frame = Frame(x_range=(0, 2), y_range=(0, 1), x_label="x", y_label="y")
    assert frame.path((0, 1, 2), (0.5, math.nan, 0.5)).count("M") == 2


def test_an_axis_of_names_has_no_ticks_of_its_own():
    frame = Frame(x_range=(0.0, 3.0), y_range=(0.0, 1.0), x_label="", y_label="", has_columns=False)
    plain = Frame(x_range=(0.0, 3.0), y_range=(0.0, 1.0), x_label="", y_label="")
    named, numbered = (one.svg([], key="k", title="t", description="d") for one in (frame, plain))
    assert "tick middle" not in named
    assert "tick middle" in numbered
