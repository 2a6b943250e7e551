import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import DataError
from accord.quality.deciding.inclusion import (
    draw_questions,
    draw_systematic,
    inclusion_probabilities,
    weighted_mean,
)


def test_chances_follow_scores_and_sum_to_the_size():
    # scores 1, 1, 2 and two draws: 2 * (1/4, 1/4, 1/2)
    assert inclusion_probabilities([1, 1, 2], 2) == pytest.approx([0.5, 0.5, 1.0])


def test_a_score_that_asks_for_more_than_certainty_leaves_the_rest_to_the_others():
    # 6 of 10 at size 2 would be 1.2: certain; the other draw is shared 1:3
    assert inclusion_probabilities([6, 1, 3], 2) == pytest.approx([1.0, 0.25, 0.75])


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.integers(0, 30))
def test_chances_are_at_most_one_and_sum_to_what_can_be_drawn(scores, size):
    chances = inclusion_probabilities(scores, size)
    assert ((chances >= 0) & (chances <= 1 + 1e-9)).all()
    assert chances.sum() <= size + 1e-6
    n_positive = sum(score > 1e-300 for score in scores)
    if size <= n_positive and all(score == 0 or score > 1e-6 for score in scores):
        assert chances.sum() == pytest.approx(size)


def test_systematic_draws_come_in_with_their_chances_and_in_fixed_number():
    chances = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 1.0])
    generator = np.random.default_rng(0)
    draws = [draw_systematic(chances, generator) for _ in range(4000)]
    assert {len(draw) for draw in draws} == {3}
    seen = np.bincount(np.concatenate(draws), minlength=7) / 4000
    # three standard errors of a share of 4000
    assert seen == pytest.approx(chances, abs=3 * np.sqrt(0.25 / 4000))


def test_inclusion_of_both_streams_together_is_what_happens():
    scores = np.array([0.0, 1.0, 1.0, 4.0, 8.0, 2.0, 2.0, 2.0])
    generator = np.random.default_rng(1)
    draws = [draw_questions(scores, 4, random_share=0.5, generator=generator) for _ in range(4000)]
    seen = np.bincount(np.concatenate([draw.chosen for draw in draws]), minlength=8) / 4000
    # by hand for the first: two of eight at random, score 0: 1/4; for the fifth: 1 - 3/4 * (1 - 2 * 8/20)
    assert draws[0].inclusion[0] == pytest.approx(0.25)
    assert draws[0].inclusion[4] == pytest.approx(1 - 0.75 * 0.2)
    assert seen == pytest.approx(draws[0].inclusion, abs=3 * np.sqrt(0.25 / 4000))


def test_a_small_pool_is_taken_whole():
    draw = draw_questions([1.0, 2.0], 5, random_share=0.3, generator=np.random.default_rng(0))
    assert draw.chosen.tolist() == [0, 1]
    assert draw.inclusion.tolist() == [1.0, 1.0]


def test_weighted_mean_by_hand():
    # weights 2 and 4: (2 * 1 + 4 * 0) / 6; effective 36 / 20
    mean = weighted_mean([1.0, 0.0], [0.5, 0.25])
    assert mean.value == pytest.approx(1 / 3)
    assert mean.n_effective == pytest.approx(1.8)


def test_active_draws_mislead_a_plain_mean_and_not_the_weighted_one():
    generator = np.random.default_rng(2)
    truth = generator.random(400) < 0.3
    scores = np.where(truth, 5.0, 1.0)  # the active stream runs after the ones
    plain, held, lengths = [], [], []
    for _ in range(400):
        draw = draw_questions(scores, 80, random_share=0.25, generator=generator)
        values = truth[draw.chosen].astype(float)
        mean = weighted_mean(values, draw.inclusion[draw.chosen])
        plain.append(values.mean())
        lengths.append(mean.value)
        held.append(mean.low <= truth.mean() <= mean.high)
    assert np.mean(plain) > truth.mean() + 0.15
    assert np.mean(lengths) == pytest.approx(truth.mean(), abs=0.01)
    assert 0.93 <= np.mean(held) <= 0.99  # a little wide: draws without replacement


@pytest.mark.parametrize("scores", [[-1.0, 2.0], [float("nan"), 1.0]])
def test_scores_that_are_no_weights_are_refused(scores):
    with pytest.raises(DataError, match="finite numbers"):
        inclusion_probabilities(scores, 1)


def test_a_question_that_could_not_have_been_drawn_has_no_weight():
    with pytest.raises(DataError, match="above 0"):
        weighted_mean([1.0], [0.0])
