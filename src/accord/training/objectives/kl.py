"""Divergence of the policy from its reference: per-token estimators, and the exact sum over the vocabulary.

With r = log pi(x) - log ref(x) at tokens x drawn from pi:

    | estimator            | value of KL(pi || ref) | gradient when it is a loss term         |
    | k1 = r               | unbiased, may be < 0   | expectation 0: it does nothing          |
    | k2 = r^2 / 2         | biased, >= 0           | that of KL(pi || ref), exactly          |
    | k3 = exp(-r) - 1 + r | unbiased, >= 0         | that of KL(ref || pi), another quantity |

As a penalty in the reward (no gradient through it, REINFORCE does the rest) k1 is right and the others
are not: k3's would add the gradient of -KL(ref || pi). As a loss term `kl_penalty` gives each of them the
gradient of KL(pi || ref), by the probability ratio that the samples' distribution asks for.
Estimators: Schulman, "Approximating KL divergence" (2020). Gradients: by enumeration in
the tests. Nothing is clamped but the exponent of k3, far outside what training sees.
"""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

K3_EXPONENT_LIMIT = 60.0
"""exp of more would let a sum over few tokens overflow fp32; below it k3 is exact."""

RATIO_LIMIT = 20.0
"""A log of pi / pi_old is clamped to +-20 before exp, as in the policy losses."""


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


def kl_penalty(
    logprobs: Float[Tensor, " token"],
    reference_logprobs: Float[Tensor, " token"],
    old_logprobs: Float[Tensor, " token"],
    *,
    estimator: Literal["k1", "k2", "k3"],
) -> Float[Tensor, " token"]:
    """Terms whose mean over tokens drawn from `old` has the gradient of KL(pi || ref), to add to a loss.

        k1: rho r       k3: rho (exp(-r) - 1 + r)       k2: sg(rho) r^2 / 2

    r = log pi - log ref and rho = pi / pi_old, so that E_old[rho f] = E_pi[f]; where f is k1 or k3 the
    gradient passes through rho too, which is the part that a plain k1 or k3 in the loss leaves out ("A
    Comedy of Estimators", 2512.21852). k2 needs none: its own gradient r grad log pi is already right,
    its value is not. State by state k2 and k3 then have one gradient, rho r grad log pi, and k1 has
    rho grad log pi more, which is noise of mean 0. rho is 1 in the first update. The positions are
    those of the old policy: what a token does to the KL of later ones is left out, which is the one thing
    that k1 in the reward has beyond this.
    """
    log_ratio = logprobs - reference_logprobs
    ratio = (logprobs - old_logprobs).clamp(-RATIO_LIMIT, RATIO_LIMIT).exp()
    if estimator == "k2":
        return ratio.detach() * k2(log_ratio)
    return ratio * (k1(log_ratio) if estimator == "k1" else k3(log_ratio))


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
