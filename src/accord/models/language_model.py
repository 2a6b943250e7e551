"""The bundle that every stage works on: a causal language model with its tokenizer.

The network is a plain transformers (or peft) module; what is added is a name for its
parts, a hash of its weights and a frozen copy that shares what does not train.
"""

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from accord.domain.errors import ModelError
from accord.models.chat import ChatTokenizer


@dataclass
class LanguageModel:
    """A causal language model and the tokenizer it was trained with."""

    network: PreTrainedModel | PeftModel
    tokenizer: ChatTokenizer
    name: str

    @property
    def causal_lm(self) -> PreTrainedModel:
        """The transformers model with its head; under LoRA the one that holds the adapters."""
        return self.network.get_base_model() if isinstance(self.network, PeftModel) else self.network

    @property
    def body(self) -> nn.Module:
        """The decoder without its head: `body(input_ids=..., position_ids=...).last_hidden_state` is [B, T, D]."""
        return self.causal_lm.get_decoder()

    @property
    def head_weight(self) -> Tensor:
        """The output embedding [V, D]; the same tensor as the input embedding where they are tied."""
        return self.causal_lm.get_output_embeddings().weight

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head_weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.head_weight.dtype

    @property
    def context_tokens(self) -> int:
        """How many positions the model was made for."""
        return int(self.causal_lm.config.max_position_embeddings)

    @property
    def is_adapter(self) -> bool:
        """True when a LoRA adapter is on top."""
        return isinstance(self.network, PeftModel)

    @property
    def version(self) -> str:
        """A hash of all weights: equal weights have equal versions, and any change gives another."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict(keep_vars=True).items()):
            digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    def trainable_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that learn, by name, each once."""
        return [(name, weight) for name, weight in self.network.named_parameters() if weight.requires_grad]

    @contextmanager
    def reference(self) -> Iterator["LanguageModel"]:
        """Within, the model is the one below its LoRA adapter, bit for bit. Full weights need `frozen_copy`."""
        if not isinstance(self.network, PeftModel):
            raise ModelError(
                f"model {self.name!r} trains its own weights, so the start cannot be had by turning an adapter "
                f"off. Take reference = frozen_copy(model) before training."
            )
        with self.network.disable_adapter():
            yield self


def frozen_copy(model: LanguageModel) -> LanguageModel:
    """A copy that never changes: trainable weights are copied, frozen ones shared, so they are in memory once."""
    shared = [weight for weight in model.network.parameters() if not weight.requires_grad]
    memo = {id(weight): weight for weight in [*shared, *model.network.buffers()]}
    network = copy.deepcopy(model.network, memo).requires_grad_(False).eval()
    return LanguageModel(network=network, tokenizer=model.tokenizer, name=model.name)
