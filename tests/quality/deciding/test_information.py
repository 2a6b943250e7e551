import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import DataError
from accord.quality.deciding.information import (
    information_gain,
    joint_error_bound,
    largest_horizon,
    value_of_asking,
)


def symmetric(accuracy, size=2):
    matrix = np.full((size, size), (1 - accuracy) / (size - 1))
    np.fill_diagonal(matrix, accuracy)
    return matrix


def drawn(seed, size):
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.ones(size)), generator.dirichlet(np.ones(size), size)


def test_one_label_by_hand():
    # p = (.6, .4), accuracy .8: label 0 leaves max(.48, .08), label 1 max(.12, .32) -> .80 - .60
    assert value_of_asking(np.array([0.6, 0.4]), symmetric(0.8)) == pytest.approx(0.2)
    # p = (.8, .2), accuracy .75: neither label turns the decision, three may:
    # 111: .8/64 against .2*27/64; 011: .8*9/64 against .2*27/64 stays -> gain (5.4 - .8) / 64
    belief = np.array([0.8, 0.2])
    assert value_of_asking(belief, symmetric(0.75)) == pytest.approx(0, abs=1e-15)
    assert value_of_asking(belief, symmetric(0.75), horizon=3) == pytest.approx(4.6 / 64)


@given(st.integers(0, 10**6), st.integers(2, 4))
def test_a_perfect_label_is_worth_all_that_is_missing_and_a_blind_one_nothing(seed, size):
    belief, _ = drawn(seed, size)
    assert value_of_asking(belief, np.eye(size)) == pytest.approx(1 - belief.max())
    assert value_of_asking(belief, np.full((size, size), 1 / size), horizon=3) == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 10**6), st.integers(2, 4))
def test_more_labels_are_never_worth_less(seed, size):
    belief, confusion = drawn(seed, size)
    values = [value_of_asking(belief, confusion, horizon=k) for k in (1, 2, 3, 5)]
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(values))
    assert values[-1] <= 1 - belief.max() + 1e-12


def test_three_labels_agree_with_all_sequences_written_out():
    belief, confusion = drawn(3, 3)
    total = 0.0
    for sequence in np.ndindex(3, 3, 3):
        total += (belief * np.prod(confusion[:, list(sequence)], axis=1)).max()
    assert value_of_asking(belief, confusion, horizon=3) == pytest.approx(total - belief.max())


def test_outcomes_are_bounded():
    assert math.comb(largest_horizon(10) + 9, 9) <= 20_000 < math.comb(largest_horizon(10) + 10, 9)
    assert largest_horizon(2) == 50
    with pytest.raises(DataError, match="horizon is 9, expected 1 to 7 with 10 classes"):
        value_of_asking(np.full(10, 0.1), np.eye(10), horizon=9)


def test_information_by_hand():
    # a coin seen through accuracy 3/4: ln 2 - H(1/4)
    noise = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    gain = information_gain(np.array([[0.5, 0.5], [1.0, 0.0]]), symmetric(0.75)[None])
    assert gain[0, 0] == pytest.approx(math.log(2) - noise)
    assert gain[1, 0] == pytest.approx(0)


@given(st.integers(0, 10**6), st.integers(2, 5))
def test_information_is_the_expected_fall_of_entropy(seed, size):
    belief, confusion = drawn(seed, size)
    entropy = lambda rows: -(rows * np.log(rows)).sum(axis=-1)  # noqa: E731
    joint = belief[:, None] * confusion
    evidence = joint.sum(axis=0)
    expected = entropy(belief) - evidence @ entropy((joint / evidence).T)
    assert information_gain(belief, confusion[None])[0, 0] == pytest.approx(expected, abs=1e-9)
    reversed_classes = information_gain(belief[::-1], confusion[::-1][None])[0, 0]
    assert reversed_classes == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("size", [2, 3])
def test_the_error_bound_holds_and_falls_with_every_annotator(size):
    generator = np.random.default_rng(0)
    prior = generator.dirichlet(np.full(size, 5.0))
    confusions = np.array([0.7 * np.eye(size) + 0.3 * drawn(seed, size)[1] for seed in range(6)])
    bounds = [joint_error_bound(prior, confusions[:n]) for n in range(7)]
    for n, bound in enumerate(bounds):
        right = 0.0
        for labels in np.ndindex(*(size,) * n):
            likelihood = np.prod([confusions[w, :, y] for w, y in enumerate(labels)], axis=0)
            right += (prior * likelihood).max()
        assert 1 - right <= bound + 1e-12
    assert all(later < earlier for earlier, later in itertools.pairwise(bounds))


def test_the_error_bound_of_symmetric_annotators_by_hand():
    # overlap 2 sqrt(.8 * .2) = .8 each, prior sqrt(1/4): .5 * .8^3
    assert joint_error_bound(np.array([0.5, 0.5]), np.array([symmetric(0.8)] * 3)) == pytest.approx(0.256)
    assert joint_error_bound(np.array([0.5, 0.5]), np.eye(2)[None]) == 0


def test_what_is_no_probability_is_named():
    with pytest.raises(DataError, match=r"\[0.5, 0.7\]"):
        value_of_asking(np.array([0.5, 0.7]), np.eye(2))
    with pytest.raises(DataError, match="sum 1"):
        information_gain(np.array([0.5, 0.5]), np.array([[[0.5, 0.4], [0.5, 0.5]]]))
