"""The bundle that every stage works on: a causal language model with its tokenizer.

The network is a plain transformers (or peft) module; what is added is a name for its
parts, a hash of its weights and a frozen copy that shares what does not train.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from accord.domain.errors import ModelError
from accord.models.chat import ChatTokenizer
from accord.models.layers import decoder_layers
from accord.models.weights import hash_weights


@dataclass
class LanguageModel:
    """A causal language model and the tokenizer it was trained with."""

    network: PreTrainedModel | PeftModel
    tokenizer: ChatTokenizer
    name: str
    """For people and file names."""
    source: str | None = None
    """What `load_model` takes to get the weights below the adapter again; None when they were never saved."""
    start_is_base: bool = False
    """True while the adapter on top began as nothing, so that the base is where training started."""

    @property
    def causal_lm(self) -> PreTrainedModel:
        """The transformers model with its head; under LoRA the one that holds the adapters."""
        if isinstance(self.network, PeftModel):
            base: PreTrainedModel = self.network.get_base_model()  # type: ignore[assignment]
            return base
        return self.network

    @property
    def body(self) -> nn.Module:
        """The decoder without its head; its output's `last_hidden_state` is [B, T, D]."""
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
        return hash_weights(self._weights())

    @property
    def base_version(self) -> str:
        """The hash of the weights below the adapter: the `version` of the model it was put on."""
        return hash_weights((name, weight) for name, weight in self._weights() if ".lora_" not in name)

    def trainable_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that learn, by name, each once."""
        return [(name, weight) for name, weight in self.network.named_parameters() if weight.requires_grad]

    @contextmanager
    def scoring(self) -> Iterator["LanguageModel"]:
        """Within, dropout is off, so that two passes over one row agree; afterwards the mode is as it was."""
        modes = [(module, module.training) for module in self.network.modules()]
        self.network.eval()
        try:
            yield self
        finally:
            for module, mode in modes:
                module.training = mode

    @contextmanager
    def reference(self) -> Iterator["LanguageModel"]:
        """Within, the model is its own start: the base below a fresh LoRA adapter, bit for bit.

        Anything else (full weights, an adapter that had learned before) needs `frozen_copy`
        taken before training, which serves every kind of model.
        """
        if not isinstance(self.network, PeftModel) or not self.start_is_base:
            what = "an adapter that had learned before" if self.is_adapter else "its own weights"
            raise ModelError(
                f"model {self.name!r} trains {what}, so its start cannot be had by turning an adapter off. "
                f"Take reference = frozen_copy(model) before training."
            )
        with self.network.disable_adapter():
            yield self

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and saved buffers, tied ones once, under the names they have without peft."""
        network = self.network
        saved = network.state_dict(keep_vars=True)
        seen: set[int] = set()
        for name, weight in sorted(saved.items()):
            if id(weight) not in seen:
                seen.add(id(weight))
                yield name.removeprefix("base_model.model.").replace(".base_layer.", "."), weight


def set_special_ids(network: PreTrainedModel, tokenizer: ChatTokenizer) -> None:
    """Let config, generation config and tokenizer agree on what ends an answer and what pads a row."""
    stops = sorted(tokenizer.stop_ids)
    ends = stops if len(stops) > 1 else stops[0]
    ids = {"bos_token_id": tokenizer.bos_id, "eos_token_id": ends, "pad_token_id": tokenizer.pad_id}
    network.config.update(ids)
    network.generation_config = GenerationConfig(**ids)
    # transformers gives the pad row of the embedding no gradient, and a checkpoint may pad with its EOS
    network.get_input_embeddings().padding_idx = None  # type: ignore[assignment]
    tokenizer.hf.pad_token = tokenizer.hf.convert_ids_to_tokens(tokenizer.pad_id)


def frozen_copy(model: LanguageModel, *, products: torch.dtype | None = None) -> LanguageModel:
    """A copy that never changes, to be the reference while `model` trains.

    Trainable weights are copied; frozen ones (lower layers, the base of an adapter) are
    shared, so they are in memory once. Unfreezing them later in `model` would change both.

    `products` is the type of autocast where the copy runs under nothing else: the decoder's linear layers
    are then kept in it, which is what autocast would make of them at each pass. A copy below an adapter
    stays as it is.
    """
    network = copy_network(model.network, share=lambda weight: not weight.requires_grad)
    if products is not None and not model.is_adapter:
        _lower_linears(network, products)
    return replace(model, network=network.requires_grad_(False).eval())


def _lower_linears(network: PreTrainedModel | PeftModel, dtype: torch.dtype) -> None:
    """Linear layers of the decoder that are a copy's own, in `dtype`."""
    for layer in decoder_layers(network.get_decoder()):
        for module in layer.modules():
            if type(module) is nn.Linear and all(weight.requires_grad for weight in module.parameters()):
                module.to(dtype)


def copy_network(
    network: PreTrainedModel | PeftModel, *, share: Callable[[nn.Parameter], bool]
) -> PreTrainedModel | PeftModel:
    """A deep copy in which the parameters that `share` picks, and all buffers, are the same tensors."""
    shared = [weight for weight in network.parameters() if share(weight)]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in [*shared, *network.buffers()]})
