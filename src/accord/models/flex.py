"""Attention over ragged segments by FlexAttention, for devices that have its kernel (CUDA with Triton).

The blocks of scores that no row may see are skipped, where a mask would have them computed and thrown away.
Eager, without `torch.compile`, it is the same function on any device, which is what tests compare; it has
been run on no GPU yet, and nothing here is timed. Leaves out fp64 and head sizes that are no power of two:
those take one masked call.
"""

import importlib.util
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

    from accord.models.attention import AttentionLayout

SMALLEST_HEAD = 16
"""Of Triton's matrix products."""


def has_flex(query: Tensor) -> bool:
    """Whether the compiled kernel takes these queries [1, H, T, d] on their device."""
    size = query.shape[-1]
    is_power = size >= SMALLEST_HEAD and size & (size - 1) == 0
    is_device = query.device.type == "cuda" and importlib.util.find_spec("triton") is not None
    return is_device and is_power and query.dtype != torch.float64


def flex_rows(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: "AttentionLayout",
    *,
    scale: float,
    is_compiled: bool = True,
) -> Tensor:
    """As `attention.ragged_attention`; eager, without `is_compiled`, forward only."""
    from torch.nn.attention.flex_attention import flex_attention

    run: Any = torch.compile(flex_attention, dynamic=True) if is_compiled else flex_attention
    with warnings.catch_warnings():
        if not is_compiled:  # it warns that it is slow, which is known
            warnings.simplefilter("ignore", UserWarning)
        output: Tensor = run(
            query.to(value.dtype),
            key.to(value.dtype),
            value,
            block_mask=block_mask(layout, query.shape[2], query.device),
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
    return output.transpose(1, 2)


def block_mask(layout: "AttentionLayout", n_rows: int, device: torch.device) -> "BlockMask":
    """Which keys each row sees; made once for a layout and device, and kept with it for all layers."""
    known: BlockMask | None = layout.masks.get(str(device))
    if known is None:
        from torch.nn.attention.flex_attention import create_block_mask

        segment, sees = segments_of(layout, n_rows)
        segment, sees = segment.to(device), sees.to(device)

        def is_seen(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
            own, other = segment[row], segment[column]
            return torch.where(own == other, column <= row, sees[own, other])

        known = create_block_mask(is_seen, None, None, n_rows, n_rows, device=str(device))
        layout.masks[str(device)] = known
    return known


def segments_of(layout: "AttentionLayout", n_rows: int) -> tuple[Tensor, Tensor]:
    """The segment of each row [T], and which segments [S, S] see which others in full."""
    causal = [part for part in layout.parts if part.is_causal]
    segment = torch.zeros(n_rows, dtype=torch.long)
    for index, part in enumerate(causal):
        segment[part.queries] = index
    sees = torch.zeros(len(causal), len(causal), dtype=torch.bool)
    for part in layout.parts:
        if not part.is_causal:
            sees[segment[part.queries].unique(), segment[part.keys.start]] = True
    return segment, sees
