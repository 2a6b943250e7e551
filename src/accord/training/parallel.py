"""Data parallel training: what the ranks of one run agree on, from gradients to who writes.

Every rank holds all weights, plans the same update and runs its own part of the micro-batches;
gradients are summed, not averaged, because shares are already divided by the count of the whole update. So
the loss does not depend on how many ranks there are. `sharding` splits weights on top of it. Leaves out
sampling in parts: an online run samples alike on every rank.
"""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from accord.domain import ConfigError, TrainingError
from accord.training.accumulation import Accumulated

BUCKET_ELEMENTS = 8_000_000
"""Gradients are summed in pieces of about this many numbers: few messages, little memory beside them."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone it is rank 0 of 1, and nothing is sent."""

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls) -> "Ranks":
        """The ranks of the process group that was joined; alone where none was."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def part(self, micro_batches: Sequence[Any]) -> Sequence[Any]:
        """The micro-batches that this rank runs; with fewer of them than ranks the last ranks run none."""
        return micro_batches if self.world == 1 else micro_batches[self.rank :: self.world]

    def idle_rounds(self, micro_batches: Sequence[Any]) -> int:
        """How many micro-batches fewer than the busiest rank this one runs."""
        return -(-len(micro_batches) // self.world) - len(self.part(micro_batches))

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Make each gradient the sum over ranks. A parameter that no rank has a gradient for keeps none."""
        if self.world == 1 or not parameters:
            return
        device = parameters[0].device
        has = torch.tensor([parameter.grad is not None for parameter in parameters], device=device).int()
        distributed.all_reduce(has, op=distributed.ReduceOp.MAX)
        learning = [parameter for parameter, flag in zip(parameters, has.tolist(), strict=True) if flag]
        for parameter in learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets([parameter.grad for parameter in learning if parameter.grad is not None]):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            distributed.all_reduce(flat)
            pieces = flat.split([gradient.numel() for gradient in bucket])
            for gradient, piece in zip(bucket, pieces, strict=True):
                gradient.copy_(piece.view_as(gradient))

    def sum_numbers(self, learned: Accumulated) -> Accumulated:
        """Loss and metrics of the update from those of the ranks' parts; NaN on one rank is NaN on all."""
        if self.world == 1:
            return learned
        each: list[Accumulated] = [learned] * self.world
        distributed.all_gather_object(each, learned)
        names = dict.fromkeys(name for part in each for name in part.metrics)
        return Accumulated(
            loss=_sum([part.loss for part in each]),
            metrics={
                name: _sum([part.metrics[name] for part in each if name in part.metrics]) for name in names
            },
        )

    def any_of(self, is_so: bool) -> bool:
        """True on all ranks when it is so on any."""
        if self.world == 1:
            return is_so
        each = [is_so] * self.world
        distributed.all_gather_object(each, is_so)
        return any(each)

    def from_first(self, value: Any) -> Any:
        """Rank 0's value on every rank."""
        if self.world == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    @contextmanager
    def first_writes(self) -> Iterator[bool]:
        """Inside, rank 0 is told to write; the others wait for it and fail when it failed.

        Use as `with ranks.first_writes() as is_writer: if is_writer: ...`.
        """
        problem = ""
        try:
            yield self.is_first
        except Exception as error:
            problem = str(error) or type(error).__name__
            raise
        finally:
            problem = self.from_first(problem)
        if problem and not self.is_first:
            raise TrainingError(f"rank 0 could not write: {problem}")


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the process group that `torchrun` described in the environment; alone where there is none.

    gloo on the CPU, nccl where there is CUDA. A group that is already joined is used and left alone.
    """
    if distributed.is_initialized() or int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        yield Ranks.current()
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ConfigError(
            "environment", [f"WORLD_SIZE is set and {', '.join(missing)} not; start by torchrun"]
        )
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Ranks.current()
    finally:
        distributed.destroy_process_group()


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbors of one type in pieces of about `BUCKET_ELEMENTS`."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        is_full = sum(each.numel() for each in bucket) + gradient.numel() > BUCKET_ELEMENTS
        if bucket and (is_full or bucket[0].dtype != gradient.dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket


def _sum(values: Sequence[float]) -> float:
    return math.fsum(values) if all(math.isfinite(value) for value in values) else math.nan
