"""Log-probs of given continuations under a language model, token by token; nothing is sampled.

For KL between two models and for suites that compare likelihoods.
"""

from collections.abc import Sequence

import torch

from accord.models import (
    LanguageModel,
    hidden_states,
    plan_micro_batches,
    prompt_completion_batch,
    token_logprobs,
)

BATCH_TOKENS = 4096
"""Tokens scored at one time; results do not depend on it beyond rounding."""


@torch.inference_mode()
def continuation_logprobs(
    model: LanguageModel,
    rows: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    temperature: float = 1.0,
) -> list[list[float]]:
    """Natural log-prob of each id of each continuation, in the model's own precision.

    Rows are (prompt ids, continuation ids), both non-empty. Equal models give equal numbers to the bit,
    whatever else they are compared with, since batches depend on the rows alone.
    """
    found: list[list[float]] = [[] for _ in rows]
    lengths = [len(prompt) + len(continuation) for prompt, continuation in rows]
    was_training = model.network.training
    model.network.eval()
    try:
        for batch in plan_micro_batches(lengths, BATCH_TOKENS):
            packed = prompt_completion_batch([(list(rows[i][0]), [list(rows[i][1])]) for i in batch]).to(
                model.device
            )
            hidden = hidden_states(model, packed.ragged)[packed.predictor_index]
            values = token_logprobs(hidden, model.head_weight, packed.targets, temperature=temperature)
            start = 0
            listed = values.logprobs.tolist()
            for i in batch:
                found[i] = listed[start : start + len(rows[i][1])]
                start += len(rows[i][1])
    finally:
        model.network.train(was_training)
    return found
