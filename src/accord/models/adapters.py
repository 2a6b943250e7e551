"""LoRA adapters through peft: put on, load, merge. Quantized bases (QLoRA) are left out."""

from dataclasses import dataclass, replace

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel

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
    """"all-linear" (all but the head), or the ends of module names, such as ("q_proj", "v_proj")."""
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
    count = len(decoder_layers(base.body))
    settings = PeftLoraConfig(
        task_type="CAUSAL_LM",
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # peft divides, so a float is as good
        lora_dropout=config.dropout,
        target_modules=config.targets if isinstance(config.targets, str) else list(config.targets),
        layers_to_transform=None if top_layers is None else list(range(count - top_layers, count)),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        try:
            with without_peft_deprecations():
                network = get_peft_model(base.causal_lm, settings)  # type: ignore[arg-type]
        except ValueError as error:
            raise ModelError(
                f"LoRA targets {config.targets!r} do not fit model {model.name!r}: {error}. "
                f'Use "all-linear", or ends of the names of its linear layers.'
            ) from error
    return replace(base, network=network.eval(), start_is_base=True)


def merged_copy(model: LanguageModel) -> LanguageModel:
    """A model without adapter that computes the same, for scoring and saving.

    Its weights are W + (alpha / rank) B A, rounded once to the type of W. The model itself
    is not touched: merging in place and subtracting again would not give its weights back.
    """
    if not isinstance(model.network, PeftModel):
        return model
    touched = {id(weight) for layer in model.network.modules() for weight in _replaced_weights(layer)}
    network = copy_network(model.network, share=lambda weight: id(weight) not in touched)
    merged = network.merge_and_unload(safe_merge=True)  # type: ignore[operator]
    if not isinstance(merged, PreTrainedModel):
        raise ModelError(f"merging the adapter of {model.name!r} gave a {type(merged).__name__}.")
    return replace(model, network=merged, source=None, start_is_base=False)


def _replaced_weights(layer: torch.nn.Module) -> list[torch.nn.Parameter]:
    """The weights that merging writes to: every parameter of an adapted layer."""
    return list(layer.parameters()) if isinstance(layer, LoraLayer) else []
