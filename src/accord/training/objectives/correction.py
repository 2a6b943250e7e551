"""Importance weights for samples of a policy that is not quite the learner: other kernels or precision.

With d = log pi_learner - log pi_sampler at the drawn tokens, both before the update, the gradient of an
expectation under the learner is that under the sampler weighed by exp(d):

    E_pi[f] = E_sampler[exp(sum_t d_t) f]

| level    | weight of a token          | bias                                    | variance              |
| token    | exp(d_t)                   | ignores that earlier tokens differ too  | bounded, low          |
| sequence | exp(sum of the completion) | none before the cap                     | grows with the length |

Truncation (Ionides 2008; as "TIS" in RLHF) lowers weights above the cap to it: biased toward the sampler,
never unbounded. Masking drops what is outside [1 / cap, cap]: what the two disagree on teaches nothing.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

LOG_WEIGHT_LIMIT = 20.0
"""A log weight is clamped to +-20 before exp, as log ratios are in the losses."""


def importance_weights(
    learner_logprobs: Float[Tensor, " token"],
    sampler_logprobs: Float[Tensor, " token"],
    sequence_index: Int[Tensor, " token"],
    *,
    mode: Literal["truncate", "mask"],
    level: Literal["token", "sequence"],
    cap: float,
) -> Float[Tensor, " token"]:
    """[token] weights, 0 to `cap`, without gradient; equal over a completion at level "sequence"."""
    difference = (learner_logprobs - sampler_logprobs).detach()
    if level == "sequence":
        n_sequences = int(sequence_index.max()) + 1 if len(sequence_index) else 0
        summed = difference.new_zeros(n_sequences).index_add(0, sequence_index, difference)
        difference = summed[sequence_index]
    weights = difference.clamp(-LOG_WEIGHT_LIMIT, LOG_WEIGHT_LIMIT).exp()
    if mode == "truncate":
        return weights.clamp_max(cap)
    is_kept = (weights <= cap) & (weights >= 1 / cap)
    return torch.where(is_kept, weights, 0.0)
