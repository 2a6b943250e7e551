"""AdamW whose two moments take 4 or about 2 bytes a weight in place of 8: bf16, or 8-bit codes in blocks.

The update itself is computed in fp32 from what was kept, exactly as torch's AdamW computes it; only what is
kept for the next step is rounded, at random and without bias, because a second moment that changes by a
thousandth a step would never move under rounding to the nearest. Random numbers follow from the step and the
place of the weight, so that a resumed run draws the same. Leaves out amsgrad and foreach variants.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from accord.domain import TrainingError

StateFormat = Literal["bf16", "int8"]

BLOCK = 256
"""Numbers that share one scale, the largest magnitude among them."""

CHUNK = 512 * BLOCK
"""Numbers that are worked on together: temporaries of this size stay in the processor's cache."""

DRAWN_BITS = 16
"""Bits of fp32 that bf16 leaves out, and that rounding at random compares with a random number."""


@dataclass(frozen=True)
class Levels:
    """8-bit magnitudes from 1 down through `octaves` halvings in equal ratios, and 0; signed or not."""

    octaves: int
    is_signed: bool

    @property
    def count(self) -> int:
        """Magnitudes above 0."""
        return 127 if self.is_signed else 255

    @property
    def ratio(self) -> float:
        """From one magnitude to the next; a kept number is off by at most `ratio - 1` of itself."""
        return float(2 ** (self.octaves / self.count))

    def table(self, device: torch.device) -> Tensor:
        """[256] what each code stands for, in shares of the block's scale."""
        return _table(self, device)


FIRST = Levels(octaves=16, is_signed=True)
SECOND = Levels(octaves=32, is_signed=False)
"""Squares span twice the octaves."""


class CompactAdamW(torch.optim.Optimizer):
    """Loshchilov and Hutter 2019, algorithm 2, on moments kept in `state_format`."""

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        state_format: StateFormat,
    ):
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self.state_format = state_format

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change every weight that has a gradient."""
        if closure is not None:
            raise TrainingError("CompactAdamW takes no closure; compute gradients before step()")
        place = 0
        for group in self.param_groups:
            for weight in group["params"]:
                place += 1
                if weight.grad is not None:
                    self._step_weight(weight, group, place)

    def _step_weight(self, weight: Tensor, group: dict[str, Any], place: int) -> None:
        if not weight.is_contiguous():
            raise TrainingError(f"a weight of shape {tuple(weight.shape)} does not lie contiguous; clone it")
        state = self.state[weight]
        if not state:
            state.update(_empty_state(weight, self.state_format))
        state["step"] += 1
        count = int(state["step"])
        generator = torch.Generator(weight.device).manual_seed(1_000_003 * count + place)
        beta1, beta2 = group["betas"]
        flat, gradient = weight.view(-1), weight.grad.reshape(-1)  # type: ignore[union-attr]
        for start in range(0, flat.numel(), CHUNK):
            part = slice(start, start + CHUNK)
            values, slope = flat[part], gradient[part].float()
            first, second = _read(state, part, self.state_format)
            first.mul_(beta1).add_(slope, alpha=1 - beta1)
            second.mul_(beta2).addcmul_(slope, slope, value=1 - beta2)
            divisor = (second.sqrt() / math.sqrt(1 - beta2**count)).add_(group["eps"])
            values.mul_(1 - group["lr"] * group["weight_decay"])
            values.addcdiv_(
                first.to(values.dtype), divisor.to(values.dtype), value=-group["lr"] / (1 - beta1**count)
            )
            _write(state, part, first, second, self.state_format, generator)


def state_bytes(n_weights: float, state_format: Literal["fp32", "bf16", "int8"], *, item: int = 4) -> float:
    """What the moments of `n_weights` numbers take; `item` bytes each in torch's own AdamW."""
    each = {"fp32": 2.0 * item, "bf16": 4.0, "int8": 2.0 * (1 + 4 / BLOCK)}
    return n_weights * each[state_format]


def encode(values: Tensor, levels: Levels, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Codes [n] uint8 and scales [blocks] fp32 of fp32 values [n], rounded at random so that means are kept.

    A value below the smallest magnitude goes to 0 or that magnitude at random; unsigned, to that
    magnitude, for a second moment of 0 would make the next update huge.
    """
    blocks = _in_blocks(values)
    scales = blocks.abs().amax(-1)
    shares = blocks.abs().div_(scales.clamp_min(torch.finfo(torch.float32).tiny)[:, None]).clamp_(max=1.0)
    table = levels.table(values.device)
    low = (shares.log2() * (levels.count / levels.octaves)).add_(levels.count).floor_()
    low = low.clamp_(0, levels.count - 1).int()
    below, above = table[low], table[low + 1]
    drawn = torch.rand(shares.shape, generator=generator, device=values.device)
    codes = low + (drawn * (above - below) < shares - below)
    if levels.is_signed:
        codes += 128 * (blocks < 0)
    else:
        codes.clamp_(min=1).mul_(shares > 0)
    return codes.view(-1)[: values.numel()].to(torch.uint8), scales


def decode(codes: Tensor, scales: Tensor, levels: Levels) -> Tensor:
    """The values [n] fp32 that codes and scales stand for."""
    blocks = _in_blocks(levels.table(codes.device)[codes.int()])
    return (blocks * scales[:, None]).view(-1)[: codes.numel()]


def round_at_random(values: Tensor, generator: torch.Generator) -> Tensor:
    """Finite fp32 values in bf16, up or down with the probability that keeps the mean."""
    noise = torch.randint(
        0, 2**DRAWN_BITS, values.shape, generator=generator, device=values.device, dtype=torch.int32
    )
    bits = values.contiguous().view(torch.int32) + noise
    return (bits & -(2**DRAWN_BITS)).view(torch.float32).to(torch.bfloat16)


def _empty_state(weight: Tensor, state_format: StateFormat) -> dict[str, Tensor]:
    state = {"step": torch.zeros((), dtype=torch.int64)}
    for name in ("first", "second"):
        if state_format == "bf16":
            state[name] = torch.zeros(weight.numel(), dtype=torch.bfloat16, device=weight.device)
        else:
            n_blocks = -(-weight.numel() // BLOCK)
            state[f"{name}_codes"] = torch.zeros(weight.numel(), dtype=torch.uint8, device=weight.device)
            state[f"{name}_scales"] = torch.zeros(n_blocks, device=weight.device)
    return state


def _read(state: dict[str, Tensor], part: slice, state_format: StateFormat) -> tuple[Tensor, Tensor]:
    if state_format == "bf16":
        return state["first"][part].float(), state["second"][part].float()
    blocks = slice(part.start // BLOCK, part.stop // BLOCK)
    first, second = (
        decode(state[f"{name}_codes"][part], state[f"{name}_scales"][blocks], levels)
        for name, levels in (("first", FIRST), ("second", SECOND))
    )
    return first, second


def _write(
    state: dict[str, Tensor],
    part: slice,
    first: Tensor,
    second: Tensor,
    state_format: StateFormat,
    generator: torch.Generator,
) -> None:
    if state_format == "bf16":
        state["first"][part] = round_at_random(first, generator)
        state["second"][part] = round_at_random(second, generator)
        return
    blocks = slice(part.start // BLOCK, part.stop // BLOCK)
    for name, values, levels in (("first", first, FIRST), ("second", second, SECOND)):
        codes, scales = encode(values, levels, generator)
        state[f"{name}_codes"][part] = codes
        state[f"{name}_scales"][blocks] = scales


def _in_blocks(values: Tensor) -> Tensor:
    """[blocks, BLOCK], the last one filled up with zeros."""
    missing = -values.numel() % BLOCK
    return (torch.nn.functional.pad(values, (0, missing)) if missing else values).view(-1, BLOCK)


@cache
def _table(levels: Levels, device: torch.device) -> Tensor:
    steps = torch.arange(levels.count + 1, dtype=torch.float64)
    magnitudes = torch.exp2((steps - levels.count) * (levels.octaves / levels.count))
    magnitudes[0] = 0.0
    table = torch.cat([magnitudes, -magnitudes]) if levels.is_signed else magnitudes
    return table.float().to(device)
