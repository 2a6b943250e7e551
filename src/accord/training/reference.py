"""The reference policy: log-probs of the start, at the least cost that is exact.

Under a fresh LoRA adapter it is the model with the adapter off; otherwise a frozen copy that
shares what does not train. Lower layers that never change run once for policy and reference.
"""

from contextlib import nullcontext

import torch
from torch import Tensor

from accord.domain import ModelError
from accord.models.language_model import LanguageModel, frozen_copy
from accord.models.layers import decoder_layers
from accord.models.logprobs import TokenLogprobs, token_logprobs
from accord.models.ragged import (
    SPLITTABLE_FAMILIES,
    PackedCompletions,
    TrunkStates,
    body_of,
    can_split,
    frozen_layers,
    hidden_states,
    trunk_states,
)
from accord.training.precision import Precision, resolve_precision


class Reference:
    """Scores completions under the policy's start, or under any frozen model of the same vocabulary."""

    def __init__(
        self, policy: LanguageModel, reference: LanguageModel | None = None, *, precision: Precision = "fp32"
    ):
        """Without `reference` the policy as it is now is the start: call this before training.

        The reference scores under `autocast(precision, ...)` only.
        """
        self.policy = policy
        self.is_adapter_off = reference is None and policy.is_adapter and policy.start_is_base
        self._version = ""
        if reference is None and not self.is_adapter_off:
            is_low = resolve_precision(precision, policy.device) == "bf16"
            self._version = policy.version  # of the start, whatever its copy keeps of it
            reference = frozen_copy(policy, products=torch.bfloat16 if is_low else None)
        elif reference is None:
            reference = policy
        elif reference.head_weight.shape[0] != policy.head_weight.shape[0]:
            raise ModelError(
                f"reference {reference.name!r} has {reference.head_weight.shape[0]} tokens and policy "
                f"{policy.name!r} {policy.head_weight.shape[0]}; a reference has the policy's "
                f"vocabulary, as its start does"
            )
        self.model = reference
        can_split_family = body_of(policy).config.model_type in SPLITTABLE_FAMILIES
        self.trunk_layers = frozen_layers(policy) if can_split_family else 0
        self.shares_trunk = self.trunk_layers > 0 and _same_trunk(policy, reference, self.trunk_layers)

    @property
    def version(self) -> str:
        """The hash of its weights."""
        return self._version or (self.model.base_version if self.is_adapter_off else self.model.version)

    @torch.no_grad()
    def trunk(self, packed: PackedCompletions) -> TrunkStates | None:
        """States after the layers that policy and reference share; None when there is nothing to gain."""
        if not self.shares_trunk or not can_split(body_of(self.policy), packed.ragged):
            return None
        return trunk_states(self.policy, packed.ragged, self.trunk_layers)

    @torch.no_grad()
    def logprobs(self, packed: PackedCompletions, *, trunk: TrunkStates | None, temperature: float) -> Tensor:
        """[n] log-probs of the completion tokens at `temperature`."""
        with self.model.reference() if self.is_adapter_off else nullcontext():
            return score_completions(self.model, packed, trunk=trunk, temperature=temperature).logprobs


def score_completions(
    model: LanguageModel,
    packed: PackedCompletions,
    *,
    trunk: TrunkStates | None = None,
    temperature: float = 1.0,
    with_entropy: bool = False,
) -> TokenLogprobs:
    """Log-probs [n] of the completion tokens of a batch; policy and reference go through this same code."""
    states = predicting_states(model, packed, trunk=trunk)
    return score_states(model, packed, states, temperature=temperature, with_entropy=with_entropy)


def predicting_states(
    model: LanguageModel, packed: PackedCompletions, *, trunk: TrunkStates | None = None
) -> Tensor:
    """[n, D] the hidden states that predict each completion token."""
    return hidden_states(model, packed.ragged, from_states=trunk)[packed.predictor_index]


def score_states(
    model: LanguageModel,
    packed: PackedCompletions,
    states: Tensor,
    *,
    temperature: float,
    with_entropy: bool = False,
) -> TokenLogprobs:
    """Log-probs [n] from `predicting_states`."""
    return token_logprobs(
        states,
        model.head_weight,
        packed.targets,
        temperature=temperature,
        with_entropy=with_entropy,
    )


def _same_trunk(policy: LanguageModel, reference: LanguageModel, n_layers: int) -> bool:
    """Whether the embedding and the lowest layers are the very same tensors in both."""
    mine, theirs = body_of(policy), body_of(reference)
    pairs = zip(
        [mine.get_input_embeddings(), *list(decoder_layers(mine))[:n_layers]],
        [theirs.get_input_embeddings(), *list(decoder_layers(theirs))[:n_layers]],
        strict=True,
    )
    return all(
        left is right
        for own, other in pairs
        for left, right in zip(own.parameters(), other.parameters(), strict=True)
    )
