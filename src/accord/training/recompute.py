"""Which updates run their layers again in the backward pass: all, none, or those that would not fit.

Losses and gradients are the same bits either way, so the choice may differ from update to update and from
machine to machine. Only the network that trains is looked at.
"""

import torch
from torch import nn
from transformers import PreTrainedModel

from accord.models.language_model import LanguageModel
from accord.models.logprobs import DEFAULT_TILE, KEPT_BYTES
from accord.models.ragged import body_of
from accord.models.recomputing import set_recompute
from accord.models.reward import RewardModel
from accord.training.compact_adamw import state_bytes
from accord.training.estimate import ActivationCost, measure_activations
from accord.training.memory import free_bytes, resident_bytes
from accord.training.optimizer import OptimizationConfig
from accord.training.precision import resolve_precision
from accord.training.task import Update

USABLE_SHARE = 0.9
"""Of the memory that is free when the run starts; the rest is for what the estimate leaves out."""


class RecomputePlan:
    """Turns the body's layers to keeping or recomputing before each update."""

    def __init__(self, model: object, parameters: list[nn.Parameter], config: OptimizationConfig):
        """`model`: a LanguageModel or RewardModel, still whole; nothing is done for anything else."""
        self.model = model
        self.config = config
        self.room: float | None = None
        self.cost = ActivationCost(once=0.0, per_token=0.0)
        body = self.body
        if body is None or config.recompute != "auto" or not parameters:
            return
        self.room = activation_room(parameters, config)
        if self.room is not None:
            devices = [parameters[0].device] if parameters[0].device.type == "cuda" else []
            with torch.random.fork_rng(devices=devices):  # the probe may run dropout
                self.cost = measure_activations(body, precision=config.precision)

    @property
    def body(self) -> PreTrainedModel | None:
        """The decoder whose layers are turned."""
        return _body(self.model)

    def needs(self, update: Update) -> bool:
        """Whether the update's largest micro-batch would not fit if everything were kept."""
        if self.config.recompute != "auto":
            return self.config.recompute == "always"
        if self.room is None or self.body is None:
            return False
        tokens = min(update.tokens, self.config.micro_batch_tokens)
        return self.cost.once + self.cost.per_token * tokens + self._head_bytes(tokens) > self.room

    def prepare(self, update: Update) -> bool:
        """Turn the layers to what `needs` says, and say it."""
        is_on = self.needs(update)
        if self.body is not None:
            set_recompute(self.body, is_on)
        return is_on and self.body is not None

    def _head_bytes(self, tokens: int) -> float:
        """At most what log-probs over the vocabulary keep, were every token a label."""
        assert self.body is not None
        vocabulary = int(self.body.config.vocab_size)
        item = 2 if resolve_precision(self.config.precision, self.body.device) == "bf16" else 4
        return float(
            max(min(tokens * vocabulary * item, KEPT_BYTES), min(tokens, DEFAULT_TILE) * vocabulary * item)
        )


def activation_room(parameters: list[nn.Parameter], config: OptimizationConfig) -> float | None:
    """Bytes left for activations beside gradients and optimizer; None where nobody says what is free."""
    device = parameters[0].device
    if config.memory_gb:
        free: float | None = config.memory_gb * 1e9 - _held_bytes(device)
    else:
        known = free_bytes(device)
        free = None if known is None else USABLE_SHARE * known
    if free is None:
        return None
    count = sum(weight.numel() for weight in parameters)
    item = parameters[0].element_size()
    return free - count * item - state_bytes(count, config.optimizer_state, item=item)


def _held_bytes(device: torch.device) -> float:
    return float(torch.cuda.memory_allocated(device) if device.type == "cuda" else resident_bytes())


def _body(model: object) -> PreTrainedModel | None:
    if isinstance(model, LanguageModel):
        return body_of(model)
    return model.body if isinstance(model, RewardModel) else None
