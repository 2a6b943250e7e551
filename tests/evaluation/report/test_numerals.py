"""How numbers are written."""

import math

import pytest

from accord.evaluation.intervals import Estimate
from accord.evaluation.report.numerals import (
    duration,
    estimate_digits,
    interval,
    nats,
    number,
    p_value,
    percent,
    with_interval,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.4, "1,234"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.0123, "0.012"),
        (0.0, "0.00"),
        (-0.5, "−0.50"),
        (-0.00001, "0.000"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (None, "–"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_percent():
    assert (percent(0.7142), percent(1.0, digits=0), percent(math.nan)) == ("71.4%", "100%", "–")


@pytest.mark.parametrize(("half", "digits"), [(0.95, 1), (0.025, 2), (0.019, 3), (30.0, 0), (1e-9, 4)])
def test_decimals_follow_the_width_of_the_interval(half, digits):
    assert estimate_digits(Estimate(value=0.0, low=-half, high=half)) == digits


def test_estimate_with_interval():
    assert with_interval(Estimate(value=0.487, low=0.4621, high=0.5114)) == "0.49 [0.46, 0.51]"
    assert with_interval(Estimate(value=0.714, low=0.62, high=0.791), "percent") == "71.4% [62.0, 79.1]"
    assert with_interval(Estimate(value=9.8, low=8.85, high=10.75), "nats") == "9.8 nats [8.8, 10.8]"
    assert interval(Estimate(value=0.714, low=0.62, high=0.791), "percent") == "62.0 to 79.1%"


def test_estimate_without_interval_is_the_value_alone():
    assert with_interval(Estimate(value=0.5)) == "0.50"
    assert interval(Estimate(value=0.5)) == ""
    assert with_interval(None) == "–"
    assert with_interval(Estimate(value=2.0, low=2.0, high=2.0)) == "2.00 [2.00, 2.00]"


def test_p_value_has_a_floor():
    assert (p_value(0.01234), p_value(1e-9)) == ("p = 0.012", "p < 0.001")


def test_duration():
    assert (duration(8.12), duration(252), duration(7500), duration(None)) == (
        "8.1 s",
        "4 min 12 s",
        "2 h 5 min",
        "–",
    )


def test_small_kl_has_two_decimals():
    assert (nats(9.84), nats(0.123)) == ("9.8", "0.12")
