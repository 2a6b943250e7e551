"""Direct preference losses: by hand, under soft labels, and where they are lowest."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accord.domain import DataError, TrainingError
from accord.training.objectives.direct import (
    PairLogprobs,
    apo_down,
    apo_zero,
    dpo,
    dpo_per_token,
    expected_losses,
    hinge,
    ipo,
    orpo,
    robust_dpo,
    simpo,
    weighted_mean,
)
from accord.training.objectives.preference import preference_loss


def pair(chosen, rejected, reference_chosen=0.0, reference_rejected=0.0, tokens=(1, 1)):
    values = (chosen, rejected, reference_chosen, reference_rejected, *tokens)
    return PairLogprobs(*(torch.tensor([float(value)], dtype=torch.float64) for value in values))


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


# chosen: -4 under the policy, -6 under the reference: ratio 2 over 2 tokens
# rejected: -9 under the policy, -8 under the reference: ratio -1 over 4 tokens; h = 3
EXAMPLE = pair(-4, -9, -6, -8, tokens=(2, 4))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (partial(dpo, beta=0.5), math.log(1 + math.exp(-1.5))),
        (partial(hinge, beta=0.1), 1 - 0.3),
        (partial(hinge, beta=0.5), 0.0),
        # per token: 2/2 - (-1)/4 = 1.25; target 1/(2 * 0.5) = 1
        (partial(ipo, beta=0.5), 0.0625),
        # per token: 2/2 - (-1)/4 = 1.25
        (partial(dpo_per_token, beta=2.0), math.log(1 + math.exp(-2.5))),
        # per token: -4/2 - (-9/4) = 0.25
        (partial(simpo, beta=2.0, margin=0.5), math.log(1 + math.exp(0.5 - 0.5))),
        (partial(apo_zero, beta=0.5), sigmoid(-1.0) + sigmoid(-0.5)),
        (partial(apo_down, beta=0.5), sigmoid(1.0) + sigmoid(-1.5)),
    ],
)
def test_trap_34_losses_by_hand_with_their_own_lengths(loss, expected):
    assert loss(EXAMPLE).item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_orpo_by_hand():
    # p_chosen = e^-2, p_rejected = e^-2.25 a token; odds = p / (1 - p)
    odds = [math.exp(x) / (1 - math.exp(x)) for x in (-2.0, -2.25)]
    expected = 2.0 + 0.3 * math.log(1 + odds[1] / odds[0])
    assert orpo(EXAMPLE, beta=0.3).item() == pytest.approx(expected, rel=1e-12)


def test_robust_dpo_is_unbiased_under_flipped_labels():
    # expectation over flips with probability e of the robust loss is the clean loss
    flips = 0.2
    robust = partial(robust_dpo, beta=0.5, flip_share=flips)
    mean = (1 - flips) * robust(EXAMPLE) + flips * robust(EXAMPLE.swapped())
    assert mean.item() == pytest.approx(dpo(EXAMPLE, beta=0.5).item(), rel=1e-12)
    with pytest.raises(TrainingError, match=r"flip_share is 0\.5"):
        robust_dpo(EXAMPLE, beta=0.5, flip_share=0.5)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1))
def test_dpo_is_bradley_terry_on_implicit_rewards(chosen, rejected, p_chosen):
    pairs = pair(chosen, rejected)
    p = torch.tensor([p_chosen], dtype=torch.float64)
    expected = preference_loss(
        0.3 * pairs.chosen_ratio, 0.3 * pairs.rejected_ratio, weights=torch.ones_like(p), p_chosen=p
    )
    found = expected_losses(partial(dpo, beta=0.3), pairs, p)
    torch.testing.assert_close(found[0], expected)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1))
def test_naming_the_other_side_chosen_changes_nothing(chosen, rejected, p_chosen):
    p = torch.tensor([p_chosen], dtype=torch.float64)
    for loss in (partial(dpo, beta=0.3), partial(ipo, beta=0.3), partial(apo_zero, beta=0.3)):
        one = expected_losses(loss, pair(chosen, rejected), p)
        other = expected_losses(loss, pair(rejected, chosen), 1 - p)
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "loss",
    [
        partial(dpo, beta=0.3),
        partial(ipo, beta=0.3),
        partial(hinge, beta=0.3),
        partial(simpo, beta=2.0, margin=0.5),
        partial(orpo, beta=0.3),
        partial(apo_zero, beta=0.3),
        partial(apo_down, beta=0.3),
        partial(robust_dpo, beta=0.3, flip_share=0.1),
    ],
)
def test_gradients_match_finite_differences(loss):
    def total(chosen, rejected):
        fixed = torch.tensor([-3.0, -2.0], dtype=torch.float64)
        tokens = torch.tensor([3.0, 5.0], dtype=torch.float64)
        return loss(PairLogprobs(chosen, rejected, fixed, fixed - 1, tokens, tokens + 2)).sum()

    chosen = torch.tensor([-2.5, -4.0], dtype=torch.float64, requires_grad=True)
    rejected = torch.tensor([-3.5, -1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(total, (chosen, rejected))


def test_log_odds_of_a_sure_answer_stay_finite():
    assert orpo(pair(0.0, -1.0), beta=0.1).isfinite().all()


def test_weighted_mean_by_hand_and_a_row_of_weight_zero():
    losses = torch.tensor([1.0, 3.0, math.nan])
    weights = torch.tensor([1.0, 3.0, 0.0])
    assert weighted_mean(losses, weights).item() == pytest.approx((1 + 9) / 4)
    assert weighted_mean(losses, weights, normalizer=8).item() == pytest.approx(10 / 8)
    with pytest.raises(DataError, match="sum to 0"):
        weighted_mean(losses, torch.zeros(3))
