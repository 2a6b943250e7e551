"""Where matrix products run in bf16: autocast over fp32 weights, and what `auto` means on this machine."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

from accord.domain import TrainingError

Precision = Literal["fp32", "bf16", "auto"]


def has_fast_bf16(device: torch.device) -> bool:
    """True where bf16 products are quicker than fp32: CUDA since Ampere, a CPU with AVX512-BF16 or AMX.

    Elsewhere bf16 is emulated and slower than fp32, so `auto` stays with fp32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def resolve_precision(precision: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """`auto` as the one of the two that suits `device`; the others as they are."""
    if precision == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    if precision not in ("fp32", "bf16"):
        raise TrainingError(f"precision {precision!r} is unknown; expected fp32, bf16 or auto")
    return precision


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which forward passes run; a new one for each, since autocast caches its casts.

    Weights, gradients and optimizer state stay fp32; reductions that need it
    (softmax, losses) stay fp32 by torch's autocast rules and by the head itself.
    """
    is_bf16 = resolve_precision(precision, device) == "bf16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_bf16)
