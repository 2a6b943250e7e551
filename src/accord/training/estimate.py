"""Memory and time of a training before it runs, counted from its weights, its rows and a short forward.

What the forward keeps for the backward is measured on the model itself, so families, adapters and frozen
layers need no formulas. Leaves out sampling (online stages), the allocator's waste, and what other
processes hold.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from accord.domain import Streams, TrainingError
from accord.models.batching import plan_micro_batches
from accord.models.layers import decoder_layers
from accord.models.logprobs import DEFAULT_TILE, KEPT_BYTES
from accord.models.ragged import Ragged, Segment, hidden_states
from accord.training.compact_adamw import state_bytes
from accord.training.order import DataOrder
from accord.training.precision import Precision, autocast, resolve_precision

PROBE_TOKENS = (32, 96)
"""Lengths of the two forwards that part what a token keeps from what is kept once, such as bf16 weights."""
MATRIX_SHARE = 0.5
"""Share of a bare matrix product's speed that a step reaches: the rest is norms, attention, memory."""


@dataclass(frozen=True, kw_only=True)
class RowShape:
    """What one row of an update costs: a group of answers that run behind one prompt."""

    tokens: int
    """Tokens that run."""
    label_tokens: int
    """Tokens whose log-probs are taken; 0 for reward models."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A run's updates, cut into micro-batches as the run will cut them."""

    steps: int
    tokens_per_step: float
    """Mean tokens that run in an update."""
    largest_tokens: int
    """Tokens of the largest micro-batch."""
    largest_labels: int
    """The most label tokens in one micro-batch."""
    micro_batches: int
    """The most micro-batches in one update."""


@dataclass(frozen=True, kw_only=True)
class ActivationCost:
    """What a forward keeps for the backward, in bytes."""

    once: float
    """Whatever the batch: bf16 copies of weights under autocast."""
    per_token: float
    """Of all layers together."""


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Bytes by purpose; `peak` is what the process holds at its highest."""

    process: float
    """Interpreter and libraries, before the model."""
    weights: float
    reference: float
    """A frozen copy of what learns; 0 under an adapter or without a reference."""
    gradients: float
    optimizer: float
    activations: float
    """What the largest micro-batch keeps for its backward."""
    activations_checkpointed: float
    """The same if only each layer's input were kept and one layer at a time run again."""
    head: float
    """Log-probs over the vocabulary: exponentials or tiles, and copies of the head."""
    peak: float

    def to_json(self) -> dict[str, float]:
        """Each field in 10^9 bytes."""
        return {f"{name}_gb": round(value / 1e9, 3) for name, value in asdict(self).items()}


def plan_work(
    rows: Sequence[RowShape], *, batch_size: int, micro_batch_tokens: int, epochs: float, steps: int | None
) -> Work:
    """Updates of `batch_size` rows in the order given; a shuffled run has others together."""
    if not rows:
        raise TrainingError("no rows to estimate from; the files hold nothing to train on")
    order = DataOrder(len(rows), batch_size, Streams(0), is_shuffled=False)
    largest = labels = count = 0
    for step in range(order.steps_per_epoch):
        members = [rows[i] for i in order.batch(step)]
        plan = plan_micro_batches([row.tokens for row in members], micro_batch_tokens)
        count = max(count, len(plan))
        largest = max(largest, *(sum(members[i].tokens for i in part) for part in plan))
        labels = max(labels, *(sum(members[i].label_tokens for i in part) for part in plan))
    return Work(
        steps=steps or order.steps_for(epochs),
        tokens_per_step=sum(row.tokens for row in rows) / order.steps_per_epoch,
        largest_tokens=largest,
        largest_labels=labels,
        micro_batches=count,
    )


def measure_activations(body: PreTrainedModel, *, precision: Precision) -> ActivationCost:
    """What a forward of the body keeps, by running two short ones and counting each kept tensor once.

    Weights themselves are not counted. The line through the two lengths is exact where attention keeps
    nothing quadratic, as fused kernels do.
    """
    short, long = (float(_kept_bytes(body, tokens, precision)) for tokens in PROBE_TOKENS)
    per_token = max(0.0, (long - short) / (PROBE_TOKENS[1] - PROBE_TOKENS[0]))
    return ActivationCost(once=max(0.0, short - per_token * PROBE_TOKENS[0]), per_token=per_token)


def estimate_memory(
    module: nn.Module,
    body: PreTrainedModel,
    work: Work,
    *,
    precision: Precision,
    has_reference: bool,
    process_bytes: float,
    activations: ActivationCost | None = None,
    optimizer_state: Literal["fp32", "bf16", "int8"] = "fp32",
    is_recomputed: bool = False,
) -> MemoryEstimate:
    """The memory of training all of `module` that requires a gradient, on `work`.

    `is_recomputed`: layers keep their input only, so the peak has those activations.
    """
    cost = activations or measure_activations(body, precision=precision)
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    n_weights = sum(_size(weight) for weight in module.parameters())
    n_trained = sum(map(_size, trained))
    kept = cost.once + cost.per_token * work.largest_tokens
    layers, width = len(decoder_layers(body)), int(body.config.hidden_size)
    item = 2 if resolve_precision(precision, trained[0].device) == "bf16" else 4
    checkpointed = cost.once + work.largest_tokens * (layers * width * 4 + cost.per_token / max(1, layers))
    head = _head_bytes(body, work.largest_labels, item=item)
    reference = n_trained if has_reference else 0
    # Gradients grow while activations go, but seldom fit into the pieces that these leave: both are counted.
    optimizer = sum(
        state_bytes(weight.numel(), optimizer_state, item=weight.element_size()) for weight in trained
    )
    held = process_bytes + n_weights + reference + n_trained + optimizer
    peak = held + (checkpointed if is_recomputed else kept) + head
    return MemoryEstimate(
        process=process_bytes,
        weights=n_weights,
        reference=reference,
        gradients=n_trained,
        optimizer=optimizer,
        activations=kept,
        activations_checkpointed=checkpointed,
        head=head,
        peak=peak,
    )


def estimate_step_seconds(
    module: nn.Module, work: Work, *, precision: Precision, has_reference: bool, speed: float | None = None
) -> float:
    """Seconds of a step from its operations: 2 a weight and token forward, up to 4 back, 2 for a reference.

    `speed` is that of a bare matrix product in operations a second, measured here when not given. Rough,
    within a factor of two: a step on the real rows says more (`--measure`).
    """
    matrices = [weight for weight in module.parameters() if weight.ndim == 2]
    n_all = sum(weight.numel() for weight in matrices)
    n_trained = sum(weight.numel() for weight in matrices if weight.requires_grad)
    operations = work.tokens_per_step * (2 * n_all + 2 * n_all + 2 * n_trained)
    if has_reference:
        operations += work.tokens_per_step * 2 * n_all
    rate = speed or measure_matrix_speed(matrices[0].device, precision=precision)
    return operations / (MATRIX_SHARE * rate)


def measure_matrix_speed(device: torch.device, *, precision: Precision, size: int = 512) -> float:
    """Operations a second of a square matrix product in the precision of the run; the best of five."""
    dtype = torch.bfloat16 if resolve_precision(precision, device) == "bf16" else torch.float32
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in "ab")
    best = float("inf")
    for _ in range(6):
        started = time.perf_counter()
        (left @ right).sum().item()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def _kept_bytes(body: PreTrainedModel, tokens: int, precision: Precision) -> int:
    """Bytes of all storages that a forward of one segment keeps, the weights' own left out."""
    device = next(body.parameters()).device
    own = {weight.untyped_storage().data_ptr() for weight in body.parameters()}
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    batch = Ragged.pack([Segment([index % 7 + 1 for index in range(tokens)])]).to(device)
    was_training = body.training
    body.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast(precision, device):
        kept_alive = hidden_states(body, batch)  # freed storages would lend their address to others
        total = sum(storages.values())
    del kept_alive
    body.train(was_training)
    return total


def _head_bytes(body: PreTrainedModel, labels: int, *, item: int) -> float:
    """Exponentials that are kept or one tile of them, the head in the precision of products, directions."""
    if not labels:
        return 0.0
    vocabulary, width = int(body.config.vocab_size), int(body.config.hidden_size)
    kept = labels * vocabulary * item
    exponentials = kept if kept <= KEPT_BYTES else min(labels, DEFAULT_TILE) * vocabulary * item
    copies = vocabulary * width * item if item == 2 else 0
    return float(exponentials + copies + labels * width * (4 + 4 + item) + vocabulary * width * 4)


def _size(weight: Tensor) -> int:
    return weight.numel() * weight.element_size()
