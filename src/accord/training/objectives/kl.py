"""Divergence of the policy from its reference: per-token estimators, and the exact sum over the vocabulary.

With r = log pi(x) - log ref(x) at tokens x drawn from pi:

    | estimator            | value of KL(pi || ref) | gradient when it is a loss term         |
    | k1 = r               | unbiased, may be < 0   | expectation 0: it does nothing          |
    | k2 = r^2 / 2         | biased, >= 0           | that of KL(pi || ref), exactly          |
    | k3 = exp(-r) - 1 + r | unbiased, >= 0         | that of KL(ref || pi), another quantity |

As a penalty in the reward (no gradient through it, REINFORCE does the rest) k1 is right.
Estimators: Schulman, "Approximating KL divergence" (2020). Gradients: by enumeration in
the tests. Nothing is clamped but the exponent of k3, far outside what training sees.
"""

from jaxtyping import Float, Int
from torch import Tensor

K3_EXPONENT_LIMIT = 60.0
"""exp of more would let a sum over few tokens overflow fp32; below it k3 is exact."""


def k1(log_ratio: Float[Tensor, " token"]) -> Float[Tensor, " token"]:
    """r: unbiased in value; belongs in the reward, never in the loss."""
    return log_ratio


def k2(log_ratio: Float[Tensor, " token"]) -> Float[Tensor, " token"]:
    """r^2 / 2: its gradient on samples of the policy is that of the exact KL."""
    return log_ratio.square() / 2


def k3(log_ratio: Float[Tensor, " token"]) -> Float[Tensor, " token"]:
    """exp(-r) - 1 + r: unbiased in value and never negative, hence of low variance; for the logs.

    Exact for r >= -60; below, the exponential stays at exp(60).
    """
    return (-log_ratio).clamp(max=K3_EXPONENT_LIMIT).expm1() + log_ratio


def exact_kl(
    policy_logprobs: Float[Tensor, "token V"], reference_logprobs: Float[Tensor, "token V"]
) -> Float[Tensor, " token"]:
    """KL(pi || ref) at each position, summed over the vocabulary: what the estimators estimate.

    Both are log-probs over the whole vocabulary. A token of probability 0 under the policy adds 0.
    """
    probabilities = policy_logprobs.exp()
    differences = policy_logprobs - reference_logprobs
    return (probabilities * differences.masked_fill(probabilities == 0, 0.0)).sum(-1)


def sequence_kl(
    log_ratio: Float[Tensor, " token"], sequence_index: Int[Tensor, " token"], n_sequences: int
) -> Float[Tensor, " sequence"]:
    """k1 of whole completions: the sum of r over the tokens of each; one without tokens gives 0."""
    return log_ratio.new_zeros(n_sequences).index_add(0, sequence_index, k1(log_ratio))
