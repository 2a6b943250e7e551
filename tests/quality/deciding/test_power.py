"""Widths and power by hand and against simulated tests; the smallest size is the smallest."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from accord.domain import ConfigError
from accord.quality.deciding.designs import AccuracyDesign, AlphaDesign, WinRateDesign
from accord.quality.deciding.power import plan_power, tabulate_power
from accord.quality.people.intervals import wilson_interval
from accord.quality.simulation import CrowdConfig


def test_width_of_independent_labels_is_wilsons():
    plan = plan_power(WinRateDesign(share=0.3), n_items=50, labels_an_item=1)
    bounds = wilson_interval(15, 50)
    assert plan.width == pytest.approx(float(bounds.high - bounds.low), rel=1e-12)
    assert (plan.n_labels, plan.design_effect, plan.power) == (50, 1, None)


def test_number_of_items_by_hand():
    # (1.95996 x .5 + .84162 x sqrt(.2475))^2 / .05^2 = (.97998 + .41870)^2 / .0025 = 782.5
    plan = plan_power(WinRateDesign(share=0.55), labels_an_item=1, power=0.8, difference=0.05)
    assert plan.n_items == 783
    assert plan.power == pytest.approx(0.8, abs=0.001)


def test_two_arms_by_hand():
    # pooled .55: (1.95996 sqrt(.495) + .84162 sqrt(.24 + .25))^2 / .1^2 = (1.37897 + .58913)^2 / .01 = 387.3
    plan = plan_power(WinRateDesign(share=0.6), labels_an_item=1, power=0.8, difference=0.1, arms=2)
    assert plan.n_items == 388
    # width of the difference: 2 x 1.95996 sqrt((.24 + .25) / 388)
    assert plan.width == pytest.approx(2 * 1.95996 * (0.49 / 388) ** 0.5, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    share=st.floats(0.05, 0.95),
    correlation=st.floats(0, 0.9),
    labels=st.integers(1, 6),
    width=st.floats(0.02, 0.3),
)
def test_the_smallest_number_of_items_is_the_smallest(share, correlation, labels, width):
    design = WinRateDesign(share=share, item_correlation=correlation)
    plan = plan_power(design, labels_an_item=labels, width=width)
    assert plan.width <= width
    assert plan.reason is None
    if plan.n_items > 2:
        less = plan_power(design, n_items=plan.n_items - 1, labels_an_item=labels)
        assert less.width > width


def test_more_labels_an_item_help_less_than_more_items():
    design = WinRateDesign(item_correlation=0.4)
    assert plan_power(design, width=0.05).labels_an_item == 1
    # with 600 items at one label .08 wide, more an item buy something, and then no more:
    few = plan_power(design, n_items=600, width=0.07)
    assert few.labels_an_item == 2
    none = plan_power(design, n_items=600, width=0.04)
    assert (none.labels_an_item, none.n_labels) == (None, None)
    # limit for many labels: 3.92 x .5 sqrt(.4 / 600) = .0506
    assert none.reason.startswith("not with up to 20 labels an item; with 20: width is 0.05")


def test_few_annotators_cannot_be_outweighed_by_items():
    design = WinRateDesign(n_annotators=5, annotator_correlation=0.05)
    plan = plan_power(design, labels_an_item=2, width=0.1)
    assert (plan.n_items, plan.n_labels) == (None, None)
    # 2 x t of 4 degrees 2.776 x sqrt(.25 x .05 / 5) = .278, less Wilson's shrinkage
    assert plan.width == pytest.approx(0.27, abs=0.01)
    assert "even 100,000,000 items do not do" in plan.reason


def simulated_rejections(design, plan, labels, n_runs=4000):
    """Share of t-tests on item means that find the difference, items drawn with the design's correlation."""
    rng = np.random.default_rng(0)
    own = rng.random((n_runs, plan.n_items, labels)) < design.share
    coin = rng.random((n_runs, plan.n_items, 1)) < design.share
    repeats = rng.random(own.shape) < design.item_correlation**0.5
    means = np.where(repeats, coin, own).mean(axis=2)
    errors = means.std(axis=1, ddof=1) / plan.n_items**0.5
    reach = stats.t.ppf(0.975, plan.n_items - 1)
    centers = means.mean(axis=1)
    widths = 2 * reach * errors
    return (np.abs(centers - (design.share - plan.difference)) > reach * errors).mean(), widths.mean()


@pytest.mark.parametrize(
    ("share", "labels", "n_items", "correlation"),
    [(0.6, 3, 60, 0.3), (0.55, 5, 200, 0.5), (0.65, 2, 30, 0.1)],
)
def test_power_and_width_are_those_of_simulated_tests(share, labels, n_items, correlation):
    design = WinRateDesign(share=share, item_correlation=correlation)
    plan = plan_power(design, n_items=n_items, labels_an_item=labels, difference=share - 0.5)
    power, width = simulated_rejections(design, plan, labels)
    # 4000 runs: a standard error of .008 at most; the planned test takes its error from the tested share
    assert plan.power == pytest.approx(power, abs=0.035)
    # Wilson's interval is narrower by 1 + reach^2 / effective labels
    assert plan.width == pytest.approx(width, rel=0.05)


def test_power_without_a_difference_is_the_level():
    design = WinRateDesign(share=0.5)
    plan = plan_power(design, n_items=100, labels_an_item=1, difference=1e-9)
    assert plan.power == pytest.approx(0.05, abs=1e-6)
    clustered = plan_power(design, n_items=10, labels_an_item=4, difference=1e-9)
    assert clustered.power == pytest.approx(0.05, abs=1e-6)


def test_items_for_alpha_and_what_they_give():
    plan = plan_power(AlphaDesign(), labels_an_item=5, width=0.1)
    assert plan.width <= 0.1
    assert 200 < plan.n_items < 400
    again = plan_power(AlphaDesign(), n_items=plan.n_items, labels_an_item=5)
    assert again == plan
    detect = plan_power(AlphaDesign(), labels_an_item=5, power=0.9, difference=0.1)
    # (1.96 + 1.2816)^2 x spread^2 / .1^2, where the spread is width / 3.92 x sqrt(n)
    spread = plan.width / 3.94 * plan.n_items**0.5
    assert detect.n_items == pytest.approx(3.2416**2 * spread**2 / 0.01, rel=0.03)
    nothing = plan_power(AlphaDesign(), n_items=100, labels_an_item=1)
    assert (nothing.value, nothing.width) == (None, None)
    assert "two labels" in nothing.reason


def test_labels_for_a_wanted_accuracy():
    plan = plan_power(AccuracyDesign(), n_items=200, least_value=0.9)
    # skill 6 / 8.5: seven labels are right with .88, nine with .908
    assert (plan.labels_an_item, plan.n_items) == (9, 200)
    both = plan_power(AccuracyDesign(), width=0.05, least_value=0.9)
    assert both.value >= 0.9
    assert both.width <= 0.05
    crowd = CrowdConfig(n_annotators=4, labels_per_item=1)
    short = plan_power(AccuracyDesign(crowd=crowd), n_items=200, least_value=0.9)
    assert short.labels_an_item is None
    assert "not with up to 4 labels" in short.reason


def test_a_plan_that_misses_what_is_wanted_says_so():
    plan = plan_power(WinRateDesign(), n_items=100, labels_an_item=1, width=0.1)
    assert plan.width == pytest.approx(0.192, abs=0.001)
    assert plan.reason == "width is 0.1923, wanted at most 0.1"


def test_table_has_every_combination():
    rows = tabulate_power(
        WinRateDesign(share=0.55), n_items=(100, 400), labels_an_item=(1, 3), difference=0.05
    )
    assert [(row.labels_an_item, row.n_items) for row in rows] == [(1, 100), (1, 400), (3, 100), (3, 400)]
    assert rows[0] == plan_power(WinRateDesign(share=0.55), n_items=100, labels_an_item=1, difference=0.05)
    assert rows[3].width < rows[2].width < rows[0].width
    assert rows[3].power > rows[2].power > rows[0].power
    json.dumps([asdict(row) for row in rows], allow_nan=False)


def test_equal_seeds_give_equal_plans():
    design = AccuracyDesign(crowd=CrowdConfig(difficulty_spread=1.0))
    first, same, other = (plan_power(design, n_items=100, labels_an_item=3, seed=seed) for seed in (1, 1, 2))
    assert first == same
    assert other.value != first.value
    assert other.value == pytest.approx(first.value, abs=0.03)


def test_wrong_questions_are_named():
    design = WinRateDesign(n_annotators=3)
    with pytest.raises(ConfigError, match="labels_an_item is 4, but there are 3 annotators"):
        plan_power(design, n_items=10, labels_an_item=4)
    with pytest.raises(ConfigError, match="power needs the difference"):
        plan_power(design, power=0.8)
    with pytest.raises(ConfigError, match=r"n_items is open(.|\n)*labels_an_item is open"):
        plan_power(design)
    with pytest.raises(ConfigError, match=r"arms is 3(.|\n)*difference is 0"):
        plan_power(design, n_items=10, labels_an_item=1, arms=3, difference=0.0)
    with pytest.raises(ConfigError, match=r"width is 2(.|\n)*confidence is 95"):
        plan_power(design, width=2, confidence=95)
    with pytest.raises(ConfigError, match="n_items is 0"):
        tabulate_power(design, n_items=[0], labels_an_item=[1])
    with pytest.raises(ConfigError, match=r"the share tested against is -0\.1"):
        plan_power(WinRateDesign(share=0.4), n_items=10, labels_an_item=1, difference=0.5)
