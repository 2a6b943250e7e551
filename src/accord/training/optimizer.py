"""AdamW over named parameters, its learning-rate schedule and the clipping of gradients; knows no model."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from accord.domain import TrainingError
from accord.training.compact_adamw import CompactAdamW
from accord.training.precision import Precision
from accord.training.settings import check_settings


@dataclass(frozen=True, kw_only=True)
class OptimizationConfig:
    """How weights are changed: the same for every stage."""

    steps: int | None = None
    """Optimizer steps. None: the stage counts them from its epochs."""
    learning_rate: float = 1e-5
    """Peak rate, reached at the end of warm-up."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """What follows warm-up: the peak, or a fall to `final_rate_share` of it at the last step."""
    warmup_steps: int = 0
    """Steps of linear rise: step i of W (from 1) runs at i/W of the peak, so no step is wasted at rate 0."""
    final_rate_share: float = 0.0
    """Where linear and cosine would arrive one step after the last, as a share of the peak."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of AdamW's first and second moment."""
    eps: float = 1e-8
    """Added to the root of the bias-corrected second moment. The early RLHF code used 1e-5 (with TensorFlow's
    placement of the bias correction), which damps small gradients; set it to compare with such runs."""
    weight_decay: float = 0.0
    """Decoupled decay, on matrices (two or more axes, embeddings included) and never on biases and norms."""
    max_grad_norm: float = 1.0
    """Global norm above which the gradient of the whole update is scaled down; 0 turns clipping off."""
    precision: Precision = "auto"
    """bf16: autocast over fp32 weights; auto: bf16 where the hardware multiplies it quickly, else fp32."""
    optimizer_state: Literal["fp32", "bf16", "int8"] = "fp32"
    """How AdamW keeps its two moments: as the weights are (8 bytes a weight), in bf16 (4) or in 8-bit blocks
    (2), both rounded at random without bias. Small moments save memory, cost some time and add noise."""
    recompute: Literal["auto", "always", "never"] = "auto"
    """Whether layers run again in the backward pass and keep only their input: the same loss and gradient bit
    for bit, about a third more time. auto: in the updates that an estimate says would not fit otherwise."""
    parallel: Literal["replicate", "shard"] = "replicate"
    """What several ranks (torchrun) do: each hold all weights, or share the decoder layers that learn by
    FSDP2, with gradients and optimizer state. Not for online stages, which sample from whole weights."""
    memory_gb: float = 0.0
    """What the run may hold in 10^9 bytes, for `recompute`; 0: nine tenths of what is free at the start."""
    micro_batch_tokens: int = 4096
    """Tokens in one forward pass: bounds memory, does not change the gradient."""
    eval_every: int = 0
    """Steps between evaluations; there is one before the first and one after the last step anyway."""
    eval_at_start: bool = True
    """Evaluate before the first step, so that curves begin at the model as it came."""
    checkpoint_every: int = 0
    """Steps between checkpoints, one more at the end. 0: only when interrupted."""
    keep_checkpoints: int = 2
    """Newest checkpoints kept; older ones are removed after a new one is safely written."""
    max_skipped_in_a_row: int = 3
    """Steps with a non-finite loss or gradient are skipped; this many in a row stop the run."""

    def __post_init__(self) -> None:
        check_settings(
            "optimization",
            self,
            (
                ("steps", self.steps is None or self.steps >= 1, "1 or more"),
                ("learning_rate", 0.0 <= self.learning_rate < math.inf, "0 or more"),
                ("schedule", self.schedule in ("constant", "linear", "cosine"), "constant, linear or cosine"),
                ("warmup_steps", self.warmup_steps >= 0, "0 or more"),
                ("final_rate_share", 0.0 <= self.final_rate_share <= 1.0, "between 0 and 1"),
                ("betas", all(0.0 <= beta < 1.0 for beta in self.betas), "two numbers in [0, 1)"),
                ("eps", self.eps > 0.0, "above 0"),
                ("weight_decay", self.weight_decay >= 0.0, "0 or more"),
                ("max_grad_norm", self.max_grad_norm >= 0.0, "0 or more"),
                ("precision", self.precision in ("fp32", "bf16", "auto"), "fp32, bf16 or auto"),
                ("optimizer_state", self.optimizer_state in ("fp32", "bf16", "int8"), "fp32, bf16 or int8"),
                ("recompute", self.recompute in ("auto", "always", "never"), "auto, always or never"),
                ("parallel", self.parallel in ("replicate", "shard"), "replicate or shard"),
                (
                    "optimizer_state",
                    self.parallel == "replicate" or self.optimizer_state == "fp32",
                    "fp32 with parallel = 'shard', which splits it over the ranks already",
                ),
                ("memory_gb", 0.0 <= self.memory_gb < math.inf, "0 or more"),
                ("micro_batch_tokens", self.micro_batch_tokens >= 1, "1 or more"),
                ("eval_every", self.eval_every >= 0, "0 or more"),
                ("checkpoint_every", self.checkpoint_every >= 0, "0 or more"),
                ("keep_checkpoints", self.keep_checkpoints >= 1, "1 or more"),
                ("max_skipped_in_a_row", self.max_skipped_in_a_row >= 1, "1 or more"),
            ),
        )


def learning_rate_at(config: OptimizationConfig, step: int, steps: int) -> float:
    """The rate of the update after `step` finished ones, of `steps` in all.

        step <  W:  peak * (step + 1) / W
        step >= W:  peak * (f + (1 - f) * shape((step - W) / (steps - W)))

    with shape(x) = 1, 1 - x or (1 + cos(pi x)) / 2 and f = `final_rate_share`.
    Departs from transformers' schedules in the warm-up, whose first step has rate 0.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    shape = 1.0 - done if config.schedule == "linear" else (1.0 + math.cos(math.pi * done)) / 2
    return config.learning_rate * (config.final_rate_share + (1.0 - config.final_rate_share) * shape)


def build_optimizer(
    named: list[tuple[str, nn.Parameter]], config: OptimizationConfig
) -> torch.optim.Optimizer:
    """torch's AdamW, fused where the device has it, or one with small moments; decay on matrices only.

    Trained weights in half precision are refused: updates of 1e-5 of a weight vanish in bf16.
    """
    if not named:
        raise TrainingError(
            "nothing to train: the task has no trainable parameters. Raise trainable_layers or use LoRA."
        )
    for name, parameter in named:
        if parameter.dtype not in (torch.float32, torch.float64):
            raise TrainingError(
                f"parameter {name} is {parameter.dtype}, expected float32: small updates vanish in "
                f"half precision. Load the model as float32; precision='bf16' still multiplies in bf16."
            )
    decayed = [parameter for _, parameter in named if parameter.ndim >= 2]
    spared = [parameter for _, parameter in named if parameter.ndim < 2]
    groups = [
        {"params": members, "weight_decay": decay}
        for members, decay in ((decayed, config.weight_decay), (spared, 0.0))
        if members
    ]
    if config.optimizer_state != "fp32":
        return CompactAdamW(
            groups,
            lr=config.learning_rate,
            betas=config.betas,
            eps=config.eps,
            state_format=config.optimizer_state,
        )
    is_fused = all(parameter.device.type in ("cpu", "cuda") for _, parameter in named)
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=config.betas, eps=config.eps, fused=is_fused
    )


def clip_gradients(parameters: list[nn.Parameter], max_norm: float, *, norm: Tensor | None = None) -> Tensor:
    """Scale all gradients so that their global norm is at most `max_norm`; return the norm BEFORE scaling.

    0 leaves them alone. Parameters without a gradient count as zero. A non-finite
    norm leaves the gradients alone: the caller skips the step. `norm` is given where `parameters` are
    parts of larger ones.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if norm is None:
        norm = torch.nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())
    if max_norm > 0 and bool(torch.isfinite(norm)) and bool(norm > max_norm):
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return norm
