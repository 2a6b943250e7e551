"""Gradient accumulation: the shares of an update's micro-batches, backward one by one, numbers summed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accord.domain import TrainingError
from accord.training.precision import Precision, autocast
from accord.training.task import LossPart, Task, Update


@dataclass(frozen=True)
class Accumulated:
    """An update's loss and metrics; its gradient lies in the parameters."""

    loss: float
    """Not finite when any share was not."""
    metrics: dict[str, float]


def accumulate(
    task: Task,
    update: Update,
    *,
    precision: Precision,
    device: torch.device,
    idle: Sequence[Any] = (),
    runs_alike: bool = False,
) -> Accumulated:
    """Run every micro-batch forward and backward; gradients add up to that of the whole update.

    A share without a graph (nothing in it counts) has no gradient. Numbers are read
    after the last backward, since reading waits for the device. `idle` micro-batches run after the
    others and count for nothing: with `runs_alike` other ranks wait for this one's passes, and a share
    without a graph is refused.
    """
    shares: list[LossPart] = []
    for micro_batch in update.micro_batches:
        with autocast(precision, device):
            part = task.loss(micro_batch)
        if part.loss.requires_grad:
            part.loss.backward()
        elif runs_alike:
            raise TrainingError(
                "a micro-batch has nothing to learn from, while ranks that share weights wait for its "
                "backward pass (parallel = 'shard'); use parallel = 'replicate' for such data"
            )
        shares.append(_detached(part))
    for micro_batch in idle:
        with autocast(precision, device):
            unused = task.loss(micro_batch).loss
        (torch.where(torch.isfinite(unused), unused, 0.0) * 0.0).backward()
    names = dict.fromkeys(name for share in shares for name in share.metrics)
    return Accumulated(
        loss=_total([share.loss for share in shares]),
        metrics={
            name: _total([share.metrics[name] for share in shares if name in share.metrics]) for name in names
        },
    )


def _detached(part: LossPart) -> LossPart:
    metrics = {
        key: value.detach() if isinstance(value, Tensor) else value for key, value in part.metrics.items()
    }
    return LossPart(part.loss.detach(), metrics)


def _total(values: Sequence[Tensor | float]) -> float:
    """Exact sum; NaN where any value is not finite, which `fsum` would refuse (inf - inf)."""
    numbers = [float(value) for value in values]
    return math.fsum(numbers) if all(math.isfinite(number) for number in numbers) else math.nan
