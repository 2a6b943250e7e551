"""Paired differences: by hand, and honest where nothing differs."""

import numpy as np
import pytest

from accord.evaluation.comparison.columns import difference_measurement, paired_measurements
from accord.evaluation.intervals import wilson


def measure(first: list[float], second: list[float], *, is_share: bool = True):
    ids = [str(i) for i in range(len(first))]
    return difference_measurement("m", first, second, ids, is_share=is_share, seed=0, facts={"judge": "j"})


def test_difference_and_tests_by_hand():
    # 6 prompts only the candidate, 0 only the incumbent: McNemar 2 * 0.5^6; all 2^10 flips give the same
    found = measure([1.0] * 6 + [0.0] * 4, [0.0] * 10)
    assert found.versus == "incumbent"
    assert found.estimate.value == pytest.approx(0.6)
    assert found.facts["p_mcnemar_exact"] == pytest.approx(2 * 0.5**6)
    assert found.facts["p_sign_flip"] == pytest.approx(2 * 0.5**6)
    assert (found.facts["only_candidate"], found.facts["only_incumbent"]) == (6, 0)
    sd = np.std([1] * 6 + [0] * 4, ddof=1)
    assert found.deviation == pytest.approx(sd)
    assert found.facts["detectable_effect"] == pytest.approx(2.8016 * sd / np.sqrt(10), rel=1e-4)
    assert found.facts["judge"] == "j"


def test_one_prompt_that_differs_leaves_both_sides_open():
    # McNemar gives p = 1; a bootstrap of 26 prompts could draw nothing below 0
    found = measure([1.0] + [0.0] * 25, [0.0] * 26)
    assert found.facts["p_mcnemar_exact"] == 1.0
    # Bonett and Price: center 1 / 28, spread sqrt((3 / 28 - 1 / 784) / 28)
    half = 1.959964 * np.sqrt((3 / 28 - 1 / 784) / 28)
    assert found.estimate.low == pytest.approx(1 / 28 - half)
    assert found.estimate.high == pytest.approx(1 / 28 + half)
    assert found.estimate.low < 0


def test_no_difference_seen_is_not_certainty():
    found = measure([1.0] * 96, [1.0] * 96)
    assert found.estimate.value == 0.0
    assert found.estimate.high == pytest.approx(wilson(0, 96).high)
    assert found.estimate.low == pytest.approx(-wilson(0, 96).high)


def test_a_constant_gap_of_unbounded_numbers_has_width_zero():
    found = measure([5.0, 6.0, 7.0], [4.0, 5.0, 6.0], is_share=False)
    assert (found.estimate.value, found.estimate.low, found.estimate.high) == (1.0, 1.0, 1.0)
    assert "p_mcnemar_exact" not in found.facts


def test_one_prompt_gives_no_interval_and_no_deviation():
    found = measure([1.0], [0.0])
    assert not found.estimate.has_interval
    assert found.deviation is None
    assert found.facts["p_sign_flip"] == 1.0
    assert "detectable_effect" not in found.facts


def test_levels_stand_beside_the_difference():
    rows = paired_measurements(
        "m", [1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0], list("abcd"), is_share=True, seed=0, facts={}
    )
    assert [(one.slice, one.versus, one.estimate.value) for one in rows] == [
        ("all", "nothing", 0.75),
        ("side=incumbent", "nothing", 0.25),
        ("all", "incumbent", 0.5),
    ]
