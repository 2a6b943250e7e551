"""KL estimators against enumeration of a policy with three states."""

import math

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped
from torch import tensor

from accord.training.objectives import kl

exact_kl = jaxtyped(typechecker=beartype)(kl.exact_kl)
k1 = jaxtyped(typechecker=beartype)(kl.k1)
k2 = jaxtyped(typechecker=beartype)(kl.k2)
k3 = jaxtyped(typechecker=beartype)(kl.k3)
kl_penalty = jaxtyped(typechecker=beartype)(kl.kl_penalty)
sequence_kl = jaxtyped(typechecker=beartype)(kl.sequence_kl)

LOGITS = tensor([0.3, -0.5, 1.1], dtype=torch.float64)
REFERENCE = tensor([-0.2, 0.4, 0.6], dtype=torch.float64).log_softmax(-1)


def exact_gradient(divergence):
    """Gradient of a divergence of the policy's log-probs, by autograd through the sum over states."""
    logits = LOGITS.clone().requires_grad_()
    divergence(logits.log_softmax(-1)).backward()
    return logits.grad


def expected_gradient(estimator):
    """E over states x drawn from the policy of the gradient of estimator(log ratio at x), state by state."""
    logits = LOGITS.clone().requires_grad_()
    probabilities = LOGITS.softmax(-1)
    total = torch.zeros(3, dtype=torch.float64)
    for state in range(3):
        log_ratio = (logits.log_softmax(-1) - REFERENCE)[state : state + 1]
        (gradient,) = torch.autograd.grad(estimator(log_ratio).sum(), logits)
        total += probabilities[state] * gradient
    return total


def forward_kl(logprobs):
    return exact_kl(logprobs[None], REFERENCE[None]).sum()


def backward_kl(logprobs):
    return exact_kl(REFERENCE[None], logprobs[None]).sum()


def test_exact_kl_by_hand():
    # pi = (1/2, 1/2, 0), ref = (1/4, 1/2, 1/4): 1/2 ln 2 + 1/2 ln 1 + 0
    policy = tensor([[0.5, 0.5, 0.0]]).log()
    reference = tensor([[0.25, 0.5, 0.25]]).log()
    assert exact_kl(policy, reference).tolist() == pytest.approx([0.5 * math.log(2)], abs=1e-7)


def test_estimators_by_hand():
    # r = ln 2: k2 = (ln 2)^2 / 2, k3 = 1/2 - 1 + ln 2
    ratio = tensor([math.log(2), 0.0], dtype=torch.float64)
    assert k1(ratio).tolist() == pytest.approx([math.log(2), 0.0])
    assert k2(ratio).tolist() == pytest.approx([math.log(2) ** 2 / 2, 0.0])
    assert k3(ratio).tolist() == pytest.approx([math.log(2) - 0.5, 0.0])


def test_k1_and_k3_are_unbiased_in_value_and_k2_is_not():
    logprobs = LOGITS.log_softmax(-1)
    truth = forward_kl(logprobs).item()
    mean = {f: (logprobs.exp() * f(logprobs - REFERENCE)).sum().item() for f in (k1, k2, k3)}
    assert mean[k1] == pytest.approx(truth, rel=1e-12)
    assert mean[k3] == pytest.approx(truth, rel=1e-12)
    assert abs(mean[k2] - truth) > 0.01 * truth


def test_trap_29_k1_in_the_loss_has_no_expected_gradient():
    assert expected_gradient(k1).abs().max() < 1e-15
    assert exact_gradient(forward_kl).abs().max() > 0.05


def test_trap_29_k2_in_the_loss_has_the_gradient_of_the_exact_kl():
    torch.testing.assert_close(expected_gradient(k2), exact_gradient(forward_kl), rtol=1e-12, atol=1e-14)


def test_trap_29_k3_in_the_loss_has_the_gradient_of_the_reverse_kl():
    torch.testing.assert_close(expected_gradient(k3), exact_gradient(backward_kl), rtol=1e-12, atol=1e-14)
    assert (expected_gradient(k3) - exact_gradient(forward_kl)).abs().max() > 0.01


def test_trap_29_k1_in_the_reward_has_the_gradient_of_the_exact_kl():
    # REINFORCE on reward -r: E[r grad log pi] is the gradient that is descended
    def reinforce(log_ratio):
        return log_ratio.detach() * log_ratio

    torch.testing.assert_close(
        expected_gradient(reinforce), exact_gradient(forward_kl), rtol=1e-12, atol=1e-14
    )


def test_trap_31_extreme_ratios_are_finite_and_nothing_is_clamped_inside_the_stated_range():
    ratio = tensor([-1e4, -60.0, -30.0, -10.5, 0.0, 10.5, 30.0, 1e4])
    for estimator in (k1, k2, k3):
        assert estimator(ratio).isfinite().all()
    assert torch.equal(k1(ratio), ratio)
    inside = ratio[1:].double()
    assert k3(ratio)[1:].tolist() == pytest.approx((torch.exp(-inside) - 1 + inside).tolist(), rel=1e-5)


def test_k3_is_never_negative_and_accurate_for_tiny_ratios():
    # near 0, k3 = r^2/2 - r^3/6: exp(-r) - 1 + r in fp32 would be rounding only
    ratio = tensor([1e-3, -1e-3], dtype=torch.float32)
    assert k3(ratio).tolist() == pytest.approx([5e-7 - 1e-9 / 6, 5e-7 + 1e-9 / 6], rel=2e-2)


def test_sequence_kl_sums_each_completion():
    ratio, index = tensor([1.0, 2.0, -0.5, 4.0]), tensor([0, 0, 2, 2])
    assert sequence_kl(ratio, index, 4).tolist() == [3.0, 0.0, 3.5, 0.0]


def expected_penalty_gradient(estimator, old_logits):
    """E over states drawn from `old` of the gradient of the loss term, state by state."""
    logits = LOGITS.clone().requires_grad_()
    old = old_logits.log_softmax(-1)
    total = torch.zeros(3, dtype=torch.float64)
    for state in range(3):
        at = slice(state, state + 1)
        term = kl_penalty(logits.log_softmax(-1)[at], REFERENCE[at], old[at], estimator=estimator)
        (gradient,) = torch.autograd.grad(term.sum(), logits)
        total += old[state].exp() * gradient
    return total


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
@pytest.mark.parametrize("old_logits", [LOGITS, tensor([1.0, 0.2, -0.7], dtype=torch.float64)])
def test_trap_29_the_penalty_in_the_loss_has_the_gradient_of_the_exact_kl(estimator, old_logits):
    # on-policy and after updates away from the policy that drew
    found = expected_penalty_gradient(estimator, old_logits)
    torch.testing.assert_close(found, exact_gradient(forward_kl), rtol=1e-12, atol=1e-14)


def test_in_the_loss_k2_and_k3_have_one_gradient_state_by_state_and_k1_adds_noise_of_mean_zero():
    # rho r grad log pi for both; k1 adds rho grad log pi
    old = tensor([1.0, 0.2, -0.7], dtype=torch.float64).log_softmax(-1)
    found = {}
    for estimator in ("k1", "k2", "k3"):
        logprobs = LOGITS.log_softmax(-1).requires_grad_()
        kl_penalty(logprobs, REFERENCE, old, estimator=estimator).sum().backward()
        found[estimator] = logprobs.grad
    torch.testing.assert_close(found["k2"], found["k3"], rtol=1e-12, atol=1e-14)
    ratio = (LOGITS.log_softmax(-1) - old).exp()
    torch.testing.assert_close(found["k1"], found["k3"] + ratio, rtol=1e-12, atol=1e-14)


def test_trap_29_k2_and_k3_in_the_reward_have_another_gradient():
    for estimator in (k2, k3):

        def reinforce(log_ratio, estimator=estimator):
            return estimator(log_ratio.detach()) * log_ratio

        assert (expected_gradient(reinforce) - exact_gradient(forward_kl)).abs().max() > 0.01


def two_step_kl(first, second):
    """KL of two-token sequences over two letters: `first` [2] log-probs, `second` [2, 2] given the first."""
    ref_first = tensor([0.6, 0.4], dtype=torch.float64).log()
    ref_second = tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64).log()
    ratio = (first[:, None] + second) - (ref_first[:, None] + ref_second)
    return ((first[:, None] + second).exp() * ratio).sum(), first - ref_first, second - ref_second


def test_k1_in_the_reward_answers_for_the_kl_of_later_tokens_and_the_loss_term_does_not():
    logits = tensor([[0.5, -0.5], [0.2, 0.1], [-1.0, 1.0]], dtype=torch.float64).requires_grad_()
    logs = logits.log_softmax(-1)
    exact, first_ratio, second_ratio = two_step_kl(logs[0], logs[1:])
    (truth,) = torch.autograd.grad(exact, logits, retain_graph=True)
    weights = (logs[0][:, None] + logs[1:]).exp().detach()
    to_come = (first_ratio[:, None] + second_ratio).detach()
    in_reward = (weights * (to_come * logs[0][:, None] + second_ratio.detach() * logs[1:])).sum()
    (found,) = torch.autograd.grad(in_reward, logits, retain_graph=True)
    torch.testing.assert_close(found, truth, rtol=1e-12, atol=1e-14)
    in_loss = (weights * (first_ratio.square()[:, None] / 2 + second_ratio.square() / 2)).sum()
    (other,) = torch.autograd.grad(in_loss, logits)
    torch.testing.assert_close(other[1:], truth[1:], rtol=1e-12, atol=1e-14)
    assert (other[0] - truth[0]).abs().max() > 0.02
