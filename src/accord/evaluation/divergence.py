"""KL(policy || reference) from answers sampled by the policy: the k1 and k3 estimators.

Leaves out KL to anything the answers were not sampled from: samples must come from the
policy at temperature 1 over the full vocabulary, else the numbers estimate something else.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from accord.domain.errors import EvaluationError
from accord.evaluation.clusters import Clusters, finite_array
from accord.evaluation.intervals import Estimate, mean_estimate, ratio_estimate

MAX_LOG_RATIO = 60.0
"""Log-ratios beyond this are clipped inside exp() only, which would overflow float64 at 709."""


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """How far the policy has moved from the reference, in nats."""

    per_sequence: Estimate
    """k1: mean over answers of log policy - log reference. Unbiased; single answers may be negative."""
    per_token: Estimate
    """The same sum over all answers divided by their tokens."""
    per_sequence_k3: Estimate | None
    """k3: sum over tokens of ratio - 1 - log ratio with ratio = reference / policy. Never negative, and
    unbiased per TOKEN distribution; needs token log-probs, None without them."""
    n_tokens: int

    @property
    def distance(self) -> float:
        """d = sqrt(KL) of Gao et al. 2022; 0 where the estimate is not positive."""
        return float(np.sqrt(max(self.per_sequence.value, 0.0)))


def measure_divergence(
    policy_logprobs: ArrayLike,
    reference_logprobs: ArrayLike,
    n_tokens: Sequence[int],
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> Divergence:
    """KL from the total log-prob of each answer (one row an answer), interval clustered by prompt.

    n = 0 raises. One prompt gives no interval. Equal log-probs give exactly 0.
    """
    policy = finite_array(policy_logprobs, name="policy log-probs")
    reference = finite_array(reference_logprobs, name="reference log-probs", length=len(policy))
    tokens = finite_array(n_tokens, name="token counts", length=len(policy))
    if len(tokens) and tokens.min() < 0:
        raise EvaluationError(f"token counts must not be negative, got {tokens.min():g}")
    ratio = policy - reference
    clusters = Clusters.of(prompt_ids, rows=len(policy))
    return Divergence(
        per_sequence=mean_estimate(ratio, prompt_ids, seed=seed),
        per_token=ratio_estimate(ratio, tokens, clusters, seed=seed),
        per_sequence_k3=None,
        n_tokens=int(tokens.sum()),
    )


def measure_token_divergence(
    policy_logprobs: Sequence[ArrayLike],
    reference_logprobs: Sequence[ArrayLike],
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> Divergence:
    """KL from token log-probs (one array an answer, equal lengths on both sides): k1 and k3.

        k1 = sum_t log p_t - log r_t,   k3 = sum_t r_t/p_t - 1 - log(r_t/p_t)

    Schulman 2020. The k3 of an answer of no tokens is 0, as is its k1.
    """
    if len(policy_logprobs) != len(reference_logprobs):
        raise EvaluationError(
            f"{len(policy_logprobs)} answers under the policy and {len(reference_logprobs)} under the "
            f"reference; expected the same answers"
        )
    first, third, lengths = [], [], []
    for i, (policy_row, reference_row) in enumerate(zip(policy_logprobs, reference_logprobs, strict=True)):
        policy = finite_array(policy_row, name=f"policy log-probs of answer {i}")
        reference = finite_array(reference_row, name=f"reference log-probs of answer {i}", length=len(policy))
        ratio = policy - reference
        first.append(float(ratio.sum()))
        third.append(float((np.expm1(np.minimum(-ratio, MAX_LOG_RATIO)) + ratio).sum()))
        lengths.append(len(policy))
    clusters = Clusters.of(prompt_ids, rows=len(first))
    return Divergence(
        per_sequence=mean_estimate(first, prompt_ids, seed=seed),
        per_token=ratio_estimate(np.array(first), np.array(lengths, dtype=float), clusters, seed=seed),
        per_sequence_k3=mean_estimate(third, prompt_ids, seed=seed),
        n_tokens=sum(lengths),
    )
