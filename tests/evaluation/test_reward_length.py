"""Coefficients recover what the labels were made with; ranks within prompts by hand."""

import math

import numpy as np
import pytest
from scipy.special import expit

from accord.domain.errors import EvaluationError
from accord.evaluation.reward_length import measure_length_bias, within_prompt_rank_correlation


def test_rank_correlation_by_hand():
    # prompt a: ranks 1 2 3 against 1 3 2: Spearman 1/2; levels of prompts, and any stretching, do not matter
    scores, lengths = [0.0, 1.0, 100.0, 7.0], [5.0, 900.0, 6.0, 3.0]
    found = within_prompt_rank_correlation(scores, lengths, ["a", "a", "a", "b"])
    assert found.value == pytest.approx(0.5)
    alone = within_prompt_rank_correlation([1.0, 2.0], [1.0, 2.0], ["a", "b"])
    assert math.isnan(alone.value)


def test_prompts_that_want_long_answers_are_no_length_bias():
    generator = np.random.default_rng(0)
    level = np.repeat(generator.normal(size=100), 4)
    scores, lengths = level + generator.normal(size=400), 10 * level + generator.normal(size=400)
    ids = [str(i // 4) for i in range(400)]
    assert np.corrcoef(scores, lengths)[0, 1] > 0.5
    found = within_prompt_rank_correlation(scores, lengths, ids)
    assert found.low < 0.0 < found.high


def pairs(length_slope, *, n=4000, seed=0):
    """Margins and lengths with unit spread; people weigh them 1 and `length_slope`."""
    generator = np.random.default_rng(seed)
    margin = generator.normal(size=n)
    chosen, rejected = generator.normal(500, 1 / math.sqrt(2), size=(2, n))
    label = (generator.random(n) < expit(margin + length_slope * (chosen - rejected))).astype(float)
    return margin, label, chosen, rejected


@pytest.mark.parametrize("slope", [0.8, 0.0, -0.5])
def test_coefficients_are_recovered(slope):
    found = measure_length_bias(*pairs(slope))
    assert found.length_coefficient.value == pytest.approx(slope, abs=0.12)
    assert found.reward_coefficient.value == pytest.approx(1.0, abs=0.12)
    assert found.length_coefficient.low < slope < found.length_coefficient.high


def test_swapping_sides_changes_nothing():
    margin, label, chosen, rejected = pairs(0.5, n=200)
    flip = np.arange(200) % 2 == 0
    swapped = measure_length_bias(
        np.where(flip, -margin, margin),
        np.where(flip, 1 - label, label),
        np.where(flip, rejected, chosen),
        np.where(flip, chosen, rejected),
    )
    straight = measure_length_bias(margin, label, chosen, rejected)
    assert swapped.length_coefficient.value == pytest.approx(straight.length_coefficient.value)
    assert swapped.gap == pytest.approx(straight.gap)


def test_accuracies_by_hand():
    # right when longer is preferred (twice), wrong when shorter is; the last pair is of similar length
    # and right
    found = measure_length_bias(
        [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0], [20.0, 30.0, 20.0, 100.0], [10.0, 10.0, 10.0, 99.0]
    )
    assert (found.longer_accuracy.value, found.shorter_accuracy.value) == (1.0, 0.0)
    assert found.similar_length_accuracy.value == 1.0
    assert found.gap == 1.0


def test_what_does_not_occur_is_none():
    found = measure_length_bias([1.0, 2.0], [1.0, 1.0], [20.0, 30.0], [10.0, 10.0])
    assert found.shorter_accuracy is None
    assert found.similar_length_accuracy is None
    assert math.isnan(found.gap)


@pytest.mark.parametrize(
    ("margins", "lengths", "message"),
    [
        ([0.0], [2.0], "margins are all 0"),
        ([1.0], [1.0], "length differences"),
        ([1.0], [-2.0], "negative"),
        ([], [], "margins"),
    ],
)
def test_no_scale_is_refused(margins, lengths, message):
    with pytest.raises(EvaluationError, match=message):
        measure_length_bias(margins, [1.0] * len(margins), lengths, [1.0] * len(margins))


def test_trap_53_a_reward_that_only_counts_words_is_found_out_at_equal_lengths():
    generator = np.random.default_rng(0)
    n = 4000
    chosen, rejected = generator.integers(50, 150, size=(2, n)).astype(float)
    label = (generator.random(n) < expit((chosen - rejected) / 40)).astype(float)
    found = measure_length_bias(chosen - rejected + generator.normal(0, 1e-6, n), label, chosen, rejected)
    assert found.longer_accuracy.value == 1.0
    assert found.shorter_accuracy.value == 0.0
    assert found.gap == 1.0
    assert found.similar_length_accuracy.value == pytest.approx(0.5, abs=0.06)
    # swapping the sides of any pair changes nothing
    turned = np.where(np.arange(n) % 2 == 0, 1, -1)
    swapped = measure_length_bias(
        turned * (chosen - rejected),
        np.where(turned > 0, label, 1 - label),
        np.where(turned > 0, chosen, rejected),
        np.where(turned > 0, rejected, chosen),
    )
    assert swapped.gap == found.gap
    assert swapped.similar_length_accuracy.value == pytest.approx(
        found.similar_length_accuracy.value, abs=0.01
    )
