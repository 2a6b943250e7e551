"""LoRA adapters through peft: put on, load, merge. Quantized bases (QLoRA) are left out."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from accord.domain.errors import ModelError
from accord.models.language_model import LanguageModel, copy_network
from accord.models.layers import decoder_layers
from accord.models.silence import without_peft_deprecations


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """A low-rank adapter on the linear layers (Hu et al. 2021); the weights below it stay as they are."""

    rank: int = 16
    """Rank of the update B A; its second factor starts at zero, so the start is the base exactly."""
    alpha: float = 32.0
    """The update is scaled by alpha / rank."""
    dropout: float = 0.0
    """Dropout before the adapter; anything but 0 makes training and scoring log-probs differ."""
    targets: str | tuple[str, ...] = "all-linear"
    """"all-linear" (all in the decoder layers), or names of linear layers, such as ("q_proj", "v_proj")."""
    seed: int = 0
    """Seed of the first factor."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ModelError(f"LoRA rank is {self.rank}; expected 1 or more (8 to 64 are usual).")
        if not 0.0 <= self.dropout < 1.0:
            raise ModelError(f"LoRA dropout is {self.dropout}; expected a share in [0, 1).")


def add_adapter(model: LanguageModel, config: LoraConfig, *, top_layers: int | None = None) -> LanguageModel:
    """The model with a fresh adapter that trains alone; untrained, it gives the base's outputs bit for bit.

    With `top_layers`, only that many of the uppermost decoder layers get one. A model that
    has an adapter already is merged first. The given network is taken over: peft builds into it.
    """
    base = merged_copy(model) if model.is_adapter else model
    names = target_names(base.causal_lm, config.targets, top_layers=top_layers)
    settings = PeftLoraConfig(
        task_type="CAUSAL_LM",
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # peft divides, so a float is as good
        lora_dropout=config.dropout,
        target_modules=names,
        fan_in_fan_out=isinstance(base.causal_lm.get_submodule(names[0]), Conv1D),
    )
    with torch.random.fork_rng(devices=[]), without_peft_deprecations():
        torch.manual_seed(config.seed)
        network = get_peft_model(base.causal_lm, settings)  # type: ignore[arg-type]
    return replace(base, network=network.eval(), start_is_base=True)


def target_names(
    network: PreTrainedModel, targets: str | tuple[str, ...], *, top_layers: int | None = None
) -> list[str]:
    """Names of the linear modules in the decoder layers (or only the uppermost) that `targets` picks."""
    layers = list(decoder_layers(network.get_decoder()))
    chosen = {id(part) for layer in layers[-(top_layers or len(layers)) :] for part in layer.modules()}
    linear = [
        name
        for name, module in network.named_modules()
        if id(module) in chosen and isinstance(module, nn.Linear | Conv1D)
    ]
    wanted = None if targets == "all-linear" else (targets,) if isinstance(targets, str) else targets
    names = [name for name in linear if wanted is None or name.split(".")[-1] in wanted]
    absent = [] if wanted is None else sorted(set(wanted) - {name.split(".")[-1] for name in names})
    if absent or not names:
        there = sorted({name.split(".")[-1] for name in linear})
        raise ModelError(
            f"LoRA targets {absent} are not in this model; its linear layers are called {there}. "
            f'Use some of those names, or "all-linear".'
        )
    return names


def merged_copy(model: LanguageModel) -> LanguageModel:
    """A model without adapter that computes the same, for scoring and saving.

    Its weights are W + (alpha / rank) B A, rounded once to the type of W. The model itself
    is not touched: merging in place and subtracting again would not give its weights back.
    """
    if not isinstance(model.network, PeftModel):
        return model
    adapted = _adapted_layers(model.network)
    replaced = {id(weight) for layer in adapted for weight in layer.parameters()}
    network = copy_network(model.network, share=lambda weight: id(weight) not in replaced)
    # peft rounds the update to the type of W before adding it; in float32 the sum is rounded once, at the end
    parts = [(layer.get_base_layer(), model.dtype) for layer in _adapted_layers(network)]
    for part, _ in parts:
        part.float()
    merged = network.merge_and_unload(safe_merge=True)  # type: ignore[operator]
    for part, dtype in parts:
        part.to(dtype)
    if not isinstance(merged, PreTrainedModel):
        raise ModelError(f"merging the adapter of {model.name!r} gave a {type(merged).__name__}.")
    return replace(model, network=merged, source=None, start_is_base=False)


def _adapted_layers(network: nn.Module) -> list[Any]:
    """The linear layers with factors beside them; peft types them as a mixin, not as modules."""
    return [layer for layer in network.modules() if isinstance(layer, LoraLayer)]
