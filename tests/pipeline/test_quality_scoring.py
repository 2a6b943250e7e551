"""A posterior is scored by hand-made numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import EvaluationError
from accord.pipeline.quality_scoring import choose_gold, score_posterior

CLASSES = ("a", "b")


def test_score_by_hand():
    probabilities = np.array([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9], [0.3, 0.7]])
    score = score_posterior(probabilities, items=[1, 2, 3, 4], classes=CLASSES, gold={1: "a", 2: "b", 4: "a"})
    # right: 1 of item 1, one half of the tie, 0 of item 4; item 3 has no gold
    assert score.accuracy.value == pytest.approx(1.5 / 3)
    assert score.accuracy.n == 3
    losses = [-math.log(0.8), -math.log(0.5), -math.log(0.3)]
    assert score.log_loss.value == pytest.approx(sum(losses) / 3)
    assert [point.observed.n for point in score.points] == [3]
    assert score.points[0].predicted == pytest.approx((0.8 + 0.5 + 0.7) / 3)


def test_an_impossible_answer_costs_much_but_not_everything():
    score = score_posterior(np.array([[1.0, 0.0]]), items=[1], classes=CLASSES, gold={1: "b"})
    assert score.log_loss.value == pytest.approx(-math.log(1e-12))


def test_without_gold_there_is_no_score():
    assert score_posterior(np.array([[1.0, 0.0]]), items=[1], classes=CLASSES, gold={2: "b"}) is None


def test_what_does_not_sum_to_one_raises():
    with pytest.raises(EvaluationError, match="must sum to 1"):
        score_posterior(np.array([[0.5, 0.4]]), items=[1], classes=CLASSES, gold={1: "b"})


@given(n=st.integers(1, 200), seed=st.integers(0, 9))
def test_reliability_points_hold_every_item_once_and_lie_in_order(n: int, seed: int):
    rng = np.random.default_rng(seed)
    first = rng.choice([0.2, 0.5, 0.9, 0.95, 1.0], size=n)
    score = score_posterior(
        np.stack([first, 1 - first], axis=1),
        items=list(range(n)),
        classes=CLASSES,
        gold=dict.fromkeys(range(n), "a"),
    )
    assert sum(point.observed.n for point in score.points) == n
    predicted = [point.predicted for point in score.points]
    assert predicted == sorted(predicted)
    mean = sum(point.predicted * point.observed.n for point in score.points) / n
    assert mean == pytest.approx(np.maximum(first, 1 - first).mean())


def test_chosen_gold_does_not_depend_on_the_order_of_the_file():
    names = [f"t{i}" for i in range(50)]
    chosen = choose_gold(names, 10, seed=3)
    assert chosen == choose_gold(reversed(names), 10, seed=3)
    assert len(set(chosen)) == 10
    assert chosen != choose_gold(names, 10, seed=4)
    assert set(choose_gold(names, 99, seed=0)) == set(names)
