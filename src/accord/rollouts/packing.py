"""Weights made ready for decoding: merged adapters, decoding precision, and the layout the CPU likes best.

oneDNN's own layout makes a CPU decode step 1.1 to 3 times as fast as torch's. What is packed
is a copy; `fingerprint` tells when the weights behind it have changed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

PROBES = 64
"""Entries of a tensor that go into its fingerprint as they are, beside the sum of all."""


def fingerprint(weights: Iterable[Tensor], *, state: str = "") -> str:
    """A hash of the sum and some entries of each tensor: quick, and another after any optimizer step.

    `state` is what else the weights stand for. An edit that leaves sum and entries as they were
    is not seen; a content hash sees it, at 20 times the cost.
    """
    digest = hashlib.sha256(state.encode())
    for weight in weights:
        flat = weight.detach().reshape(-1)
        probe = flat[:: max(1, flat.numel() // PROBES)][:PROBES].float().cpu()
        digest.update(probe.contiguous().numpy().tobytes())
        digest.update(flat.sum(dtype=torch.float32).cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def is_mergeable(linear: nn.Module) -> bool:
    """Whether `merged_weight` knows this layer: a plain Linear, or a plain LoRA on top of one."""
    if isinstance(linear, LoraLayer):
        adapters = list(linear.lora_A)
        is_plain = not any(linear.use_dora.get(name, False) for name in adapters)
        return is_plain and type(linear.get_base_layer()) is nn.Linear
    return type(linear) is nn.Linear


def merged_weight(linear: Any) -> Tensor:
    """The weight [out, in] that the layer works with, adapters included unless they are off."""
    if not _is_adapted(linear):
        return linear.weight  # type: ignore[no-any-return]
    weight: Tensor = linear.get_base_layer().weight
    if linear.disable_adapters or linear.merged:
        return weight
    for name in linear.active_adapters:
        if name in linear.lora_A:
            weight = weight + linear.get_delta_weight(name).to(weight.dtype)
    return weight


def adapter_state(linear: nn.Module) -> str:
    """Which adapters the layer works with now; switching them changes no tensor."""
    if not isinstance(linear, LoraLayer):
        return ""
    return f"{linear.disable_adapters}{linear.merged}{','.join(linear.active_adapters)}"


def bias_of(linear: Any) -> Tensor | None:
    """The layer's bias, wherever the adapter keeps it."""
    return linear.get_base_layer().bias if _is_adapted(linear) else linear.bias  # type: ignore[no-any-return]


def _is_adapted(linear: nn.Module) -> bool:
    return isinstance(linear, LoraLayer)


class PackedLinear:
    """x @ weight.T + bias with the weight in the layout that is quickest for few rows."""

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor | None], *, dtype: torch.dtype):
        """Stack the weights [out_i, in] to one matrix, so that one product does for all of them."""
        weight = torch.cat([part.detach().to(dtype) for part in weights])
        self.bias = _stack_biases(weights, biases, dtype)
        self.is_packed = weight.device.type == "cpu" and has_onednn_packing(dtype)
        self.weight = (
            torch.ops.mkldnn._reorder_linear_weight(weight, EXPECTED_ROWS) if self.is_packed else weight
        )

    def __call__(self, rows: Tensor) -> Tensor:
        """rows [n, in] to [n, out]."""
        if self.is_packed:
            return torch.ops.mkldnn._linear_pointwise(rows, self.weight, self.bias, "none", [], "")
        return nn.functional.linear(rows, self.weight, self.bias)

    def silu(self, rows: Tensor) -> Tensor:
        """SiLU of the product, within the same kernel where it is packed."""
        if self.is_packed:
            return torch.ops.mkldnn._linear_pointwise(rows, self.weight, self.bias, "swish", [], "")
        return nn.functional.silu(self(rows))

    def times(self, rows: Tensor, other: Tensor) -> Tensor:
        """The product times `other` [n, out], within the same kernel where it is packed."""
        if self.is_packed:
            return torch.ops.mkldnn._linear_pointwise.binary(rows, other, self.weight, self.bias, "mul")
        return self(rows).mul_(other)


EXPECTED_ROWS = 32
"""How many rows the packed layout is chosen for; any number may come."""


def has_onednn_packing(dtype: torch.dtype) -> bool:
    """Whether this build of torch can pack weights of this type for the CPU."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and has_fast_bf16(torch.device("cpu")))


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices faster than fp32 ones."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )


def _stack_biases(
    weights: Sequence[Tensor], biases: Sequence[Tensor | None], dtype: torch.dtype
) -> Tensor | None:
    if all(bias is None for bias in biases):
        return None
    parts = [
        weight.new_zeros(len(weight)) if bias is None else bias
        for weight, bias in zip(weights, biases, strict=True)
    ]
    return torch.cat([part.detach().to(dtype) for part in parts])
