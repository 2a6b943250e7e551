"""Policy losses by hand, against finite differences, and under every aggregation."""

import math

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped
from torch import tensor

from accord.domain import ConfigError
from accord.training.objectives import policy
from accord.training.objectives.policy import Aggregation, Normalizers

sequence_policy_loss = jaxtyped(typechecker=beartype)(policy.sequence_policy_loss)
token_policy_loss = jaxtyped(typechecker=beartype)(policy.token_policy_loss)
aggregate = jaxtyped(typechecker=beartype)(policy.aggregate)

INDEX = tensor([0, 0, 0, 1])
NORMALIZERS = Normalizers(sequences=2, tokens=4, constant=10)


def doubles(*values):
    return tensor(values, dtype=torch.float64)


def test_on_policy_the_gradient_is_reinforce_with_the_completion_as_one_action():
    # -1/2 A_i for every token of sequence i, whatever its length
    logprobs = doubles(-1.0, -2.0, -0.5, -3.0).requires_grad_()
    result = sequence_policy_loss(
        logprobs, logprobs.detach(), doubles(3.0, -1.0), INDEX, normalizers=NORMALIZERS
    )
    result.loss.backward()
    assert logprobs.grad.tolist() == [-1.5, -1.5, -1.5, 0.5]
    assert result.ratio.tolist() == [1.0, 1.0]
    assert not result.is_clipped.any()


def test_sequence_ratio_and_clip_by_hand():
    # log ratios: ln 2 summed over three tokens, and -ln 2; clip 0.2
    # A = (1, -1): min(2, 1.2) = 1.2 (clipped) and min(-0.5, -0.8) = -0.8 (clipped): loss = -(1.2 - 0.8)/2
    third = math.log(2) / 3
    logprobs = doubles(third, third, third, -math.log(2)).requires_grad_()
    old = torch.zeros(4, dtype=torch.float64)
    result = sequence_policy_loss(logprobs, old, doubles(1.0, -1.0), INDEX, normalizers=NORMALIZERS)
    assert result.loss.item() == pytest.approx(-0.2)
    assert result.ratio.tolist() == pytest.approx([2.0, 0.5])
    assert result.is_clipped.tolist() == [True, True]
    result.loss.backward()
    assert logprobs.grad.tolist() == [0.0] * 4
    # the other signs are not clipped: min(-2, -1.2) = -2 and min(0.5, 0.8) = 0.5
    result = sequence_policy_loss(logprobs, old, doubles(-1.0, 1.0), INDEX, normalizers=NORMALIZERS)
    assert result.loss.item() == pytest.approx(0.75)
    assert result.is_clipped.tolist() == [False, False]


def test_without_clip_the_ratio_weighs_the_advantage():
    logprobs, old = doubles(0.1, 0.2, 0.0, 0.5), doubles(0.0, 0.0, 0.0, 0.0)
    result = sequence_policy_loss(logprobs, old, doubles(2.0, 3.0), INDEX, normalizers=NORMALIZERS, clip=None)
    assert result.loss.item() == pytest.approx(-(2 * math.exp(0.3) + 3 * math.exp(0.5)) / 2)


def test_token_ratio_and_clip_by_hand():
    # ratios 2, 1, 1/2 with A = 1 and 2 with A = -1: min gives 1.2, 1, 0.5 and -2
    logprobs = doubles(math.log(2), 0.0, -math.log(2), math.log(2))
    old = torch.zeros(4, dtype=torch.float64)
    result = token_policy_loss(
        logprobs, old, doubles(1.0, -1.0), INDEX, normalizers=NORMALIZERS, aggregation=Aggregation.TOKEN_MEAN
    )
    assert result.loss.item() == pytest.approx(-(1.2 + 1.0 + 0.5 - 2.0) / 4)
    assert result.is_clipped.tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Aggregation.SEQUENCE_MEAN_TOKEN_SUM, (1 + 2 + 6 + 8) / 2),
        (Aggregation.SEQUENCE_MEAN_TOKEN_MEAN, ((1 + 2 + 6) / 3 + 8) / 2),
        (Aggregation.TOKEN_MEAN, (1 + 2 + 6 + 8) / 4),
        (Aggregation.SEQUENCE_MEAN_TOKEN_CONSTANT, (1 + 2 + 6 + 8) / (2 * 10)),
    ],
)
def test_trap_18_every_aggregation_in_closed_form(how, expected):
    values = doubles(1.0, 2.0, 6.0, 8.0)
    assert aggregate(values, INDEX, normalizers=NORMALIZERS, how=how).item() == pytest.approx(expected)


@pytest.mark.parametrize("how", list(Aggregation))
def test_trap_16_shares_of_any_split_sum_to_the_whole(how):
    # trap 16: sequences of 3 and 1 tokens, in one part and in two
    values = doubles(1.0, 2.0, 6.0, 8.0)
    whole = aggregate(values, INDEX, normalizers=NORMALIZERS, how=how)
    parts = [
        aggregate(values[:3], tensor([0, 0, 0]), normalizers=NORMALIZERS, how=how),
        aggregate(values[3:], tensor([0]), normalizers=NORMALIZERS, how=how),
    ]
    assert sum(parts).item() == pytest.approx(whole.item())


@pytest.mark.parametrize("level", ["sequence", "token"])
@pytest.mark.parametrize("clip", [None, 0.2])
def test_gradients_equal_finite_differences(level, clip):
    generator = torch.Generator().manual_seed(1)
    old = torch.randn(9, generator=generator, dtype=torch.float64)
    logprobs = old + 0.15 * torch.randn(9, generator=generator, dtype=torch.float64)
    advantages = torch.randn(3, generator=generator, dtype=torch.float64)
    index = tensor([0, 0, 0, 0, 1, 2, 2, 2, 2])
    normalizers = Normalizers(sequences=5, tokens=20)
    loss_of = {"sequence": sequence_policy_loss, "token": token_policy_loss}[level]

    def loss(values):
        return loss_of(values, old, advantages, index, normalizers=normalizers, clip=clip).loss

    assert torch.autograd.gradcheck(loss, logprobs.requires_grad_(), eps=1e-6, atol=1e-7)


def test_a_ratio_beyond_use_is_finite():
    logprobs = doubles(-500.0, 0.0, 0.0, 500.0).requires_grad_()
    old = torch.zeros(4, dtype=torch.float64)
    for advantages in (doubles(1.0, 1.0), doubles(-1.0, -1.0)):
        logprobs.grad = None
        result = sequence_policy_loss(logprobs, old, advantages, INDEX, normalizers=NORMALIZERS)
        result.loss.backward()
        assert result.loss.isfinite()
        assert logprobs.grad.isfinite().all()


def test_a_clip_of_zero_is_refused():
    with pytest.raises(ConfigError, match="clip is 0"):
        sequence_policy_loss(
            doubles(0.0), doubles(0.0), doubles(1.0), tensor([0]), normalizers=NORMALIZERS, clip=0.0
        )


def test_the_upper_clip_may_lie_further_out():
    # ratio 1.25 with A = 1: beyond 1 + 0.2, within 1 + 0.28; ratio 0.5 with A = -1 meets the lower bound 0.8
    logprobs = doubles(math.log(1.25), math.log(0.5))
    advantages, index = doubles(1.0, -1.0), tensor([0, 1])
    counts = Normalizers(sequences=2, tokens=2)
    zero = torch.zeros(2, dtype=torch.float64)
    near = token_policy_loss(logprobs, zero, advantages, index, normalizers=counts)
    far = token_policy_loss(logprobs, zero, advantages, index, normalizers=counts, clip_high=0.28)
    assert near.loss.item() == pytest.approx(-(1.2 - 0.8) / 2)
    assert far.loss.item() == pytest.approx(-(1.25 - 0.8) / 2)
    assert near.is_clipped.tolist() == [True, True]
    assert far.is_clipped.tolist() == [False, True]


def test_gspo_takes_the_geometric_mean_of_the_ratios_by_hand():
    # sequence 0: log ratios 0.3, 0, 0 -> exp(0.1); sequence 1: exp(-0.05), both within the clip
    logprobs = doubles(0.3, 0.0, 0.0, -0.05).requires_grad_()
    old = torch.zeros(4, dtype=torch.float64)
    result = sequence_policy_loss(
        logprobs, old, doubles(1.0, 2.0), INDEX, normalizers=NORMALIZERS, is_length_normalized=True
    )
    assert result.ratio.tolist() == pytest.approx([math.exp(0.1), math.exp(-0.05)])
    assert result.loss.item() == pytest.approx(-(math.exp(0.1) + 2 * math.exp(-0.05)) / 2)
    result.loss.backward()
    # -1/N rho_i A_i / |i| for each token
    assert logprobs.grad.tolist() == pytest.approx([-math.exp(0.1) / 6] * 3 + [-math.exp(-0.05)])


def test_cispo_keeps_the_gradient_of_clipped_tokens_by_hand():
    # ratios 3 (weight clipped to 2) and 0.5; A = 1 and -2; 2 tokens
    logprobs = doubles(math.log(3.0) - 4.0, math.log(0.5) - 1.0).requires_grad_()
    old, index = doubles(-4.0, -1.0), tensor([0, 1])
    result = policy.cispo_loss(
        logprobs,
        old,
        doubles(1.0, -2.0),
        index,
        normalizers=Normalizers(sequences=2, tokens=2),
        clip_high=1.0,
    )
    expected = -(2 * 1 * (math.log(3.0) - 4.0) + 0.5 * -2 * (math.log(0.5) - 1.0)) / 2
    assert result.loss.item() == pytest.approx(expected)
    assert result.is_clipped.tolist() == [True, False]
    result.loss.backward()
    assert logprobs.grad.tolist() == pytest.approx([-1.0, 0.5])
    with pytest.raises(ConfigError, match="clip_high is 0"):
        policy.cispo_loss(
            logprobs,
            old,
            doubles(1.0, 1.0),
            index,
            normalizers=Normalizers(sequences=2, tokens=2),
            clip_high=0,
        )
