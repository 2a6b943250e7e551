"""The reward model's loss against numbers by hand, finite differences and invariants."""

import math

import pytest
import torch
from beartype import beartype
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError, jaxtyped
from torch import tensor

from accord.domain import DataError
from accord.training.objectives import preference

preference_loss = jaxtyped(typechecker=beartype)(preference.preference_loss)

ONE = tensor([1.0])
rewards = st.floats(-20, 20)
pairs = st.lists(
    st.tuples(rewards, rewards, st.floats(0, 1), st.floats(0.1, 3), st.floats(-2, 2)), min_size=1, max_size=8
)


def columns(rows):
    return [torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True)]


def loss_of(rows, *, shift=0.0, centering=0.0):
    chosen, rejected, p_chosen, weights, margins = columns(rows)
    return preference_loss(
        chosen + shift,
        rejected + shift,
        weights=weights,
        p_chosen=p_chosen,
        margins=margins,
        centering=centering,
    ).item()


def test_preference_loss_by_hand():
    # margins: 0 and ln 3 -> softplus(-0) = ln 2, softplus(-ln 3) = ln(4/3)
    # weights 1 and 3 -> (ln 2 + 3 ln(4/3)) / 4
    loss = preference_loss(tensor([1.0, math.log(3)]), tensor([1.0, 0.0]), weights=tensor([1.0, 3.0]))
    assert loss.item() == pytest.approx((math.log(2) + 3 * math.log(4 / 3)) / 4, rel=1e-6)


def test_soft_label_is_the_expectation_over_who_won():
    # d = ln 3, p = 3/4: 3/4 ln(4/3) + 1/4 ln 4 = the entropy of (3/4, 1/4), its lowest value
    loss = preference_loss(tensor([math.log(3)]), tensor([0.0]), weights=ONE, p_chosen=tensor([0.75]))
    assert loss.item() == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4), rel=1e-6)


def test_soft_label_is_lowest_at_its_logit():
    difference = tensor([math.log(3)], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    one, label = zero + 1, zero + 0.75
    preference_loss(difference, zero, weights=one, p_chosen=label).backward()
    assert difference.grad.item() == pytest.approx(0.0, abs=1e-12)


def test_margin_by_hand_is_llama_2_equation_2():
    # d = 2, m = 2 - ln 3: softplus(m - d) = softplus(-ln 3) = ln(4/3)
    loss = preference_loss(tensor([2.0]), tensor([0.0]), weights=ONE, margins=tensor([2 - math.log(3)]))
    assert loss.item() == pytest.approx(math.log(4 / 3), rel=1e-6)


def test_margin_under_a_soft_label_asks_it_of_both_outcomes():
    # d = 0, m = ln 3, p anything: both outcomes cost softplus(ln 3) = ln 4
    margin = tensor([math.log(3)])
    for label in (0.0, 0.3, 1.0):
        loss = preference_loss(
            tensor([5.0]), tensor([5.0]), weights=ONE, p_chosen=tensor([label]), margins=margin
        )
        assert loss.item() == pytest.approx(math.log(4), rel=1e-6)


def test_centering_by_hand():
    # rewards 1 and 2: ln(1 + e) + 0.1 * (1 + 2)^2
    loss = preference_loss(tensor([1.0]), tensor([2.0]), weights=ONE, centering=0.1)
    assert loss.item() == pytest.approx(math.log1p(math.e) + 0.9, rel=1e-6)


def test_extreme_differences_stay_finite():
    chosen = tensor([1e4, -1e4], requires_grad=True)
    loss = preference_loss(chosen, tensor([0.0, 0.0]), weights=tensor([1.0, 1.0]))
    loss.backward()
    assert loss.item() == pytest.approx(5e3)  # softplus(-1e4) = 0, softplus(1e4) = 1e4
    assert chosen.grad.tolist() == [0.0, -0.5]


def test_shares_of_a_split_sum_to_the_whole():
    chosen, rejected = tensor([1.0, 2.0, 0.5]), tensor([0.0, 3.0, 0.5])
    weights = tensor([1.0, 0.5, 2.0])
    whole = preference_loss(chosen, rejected, weights=weights)
    parts = [
        preference_loss(chosen[part], rejected[part], weights=weights[part], normalizer=3.5)
        for part in (slice(0, 1), slice(1, 3))
    ]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-6)


def test_zero_total_weight_raises():
    with pytest.raises(DataError, match="sum to 0"):
        preference_loss(tensor([1.0]), tensor([0.0]), weights=tensor([0.0]))


def test_trap_44_nan_in_a_pair_of_weight_zero_changes_nothing():
    chosen = tensor([1.0, math.nan], requires_grad=True)
    rejected = tensor([0.0, math.nan], requires_grad=True)
    loss = preference_loss(chosen, rejected, weights=tensor([1.0, 0.0]), centering=0.1)
    loss.backward()
    assert loss.item() == pytest.approx(math.log1p(math.exp(-1)) + 0.1, rel=1e-6)
    assert chosen.grad[1].item() == 0.0
    assert rejected.grad[1].item() == 0.0
    assert chosen.grad[0].isfinite()


def test_gradient_equals_finite_differences():
    chosen, rejected, p_chosen, weights, margins = columns(
        [(0.3, -0.2, 0.8, 1.0, 0.1), (1.5, 2.5, 0.4, 0.5, -0.3), (-1.0, 0.0, 1.0, 2.0, 0.0)]
    )

    def loss(first, second):
        return preference_loss(
            first, second, weights=weights, p_chosen=p_chosen, margins=margins, centering=0.05
        )

    assert torch.autograd.gradcheck(loss, (chosen.requires_grad_(), rejected.requires_grad_()))


def test_shapes_are_checked():
    with pytest.raises(TypeCheckError):
        preference_loss(tensor([1.0, 2.0]), tensor([0.0]), weights=ONE)


@given(pairs, st.floats(-5, 5))
def test_without_centering_a_shift_of_all_rewards_changes_nothing(rows, shift):
    assert loss_of(rows, shift=shift) == pytest.approx(loss_of(rows), rel=1e-9, abs=1e-9)


@given(pairs, st.randoms())
def test_order_of_pairs_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    assert loss_of(shuffled, centering=0.1) == pytest.approx(loss_of(rows, centering=0.1), rel=1e-9)


@given(pairs)
def test_naming_the_other_side_chosen_changes_nothing(rows):
    swapped = [(rejected, chosen, 1 - p, weight, margin) for chosen, rejected, p, weight, margin in rows]
    assert loss_of(swapped, centering=0.1) == pytest.approx(loss_of(rows, centering=0.1), rel=1e-9)
