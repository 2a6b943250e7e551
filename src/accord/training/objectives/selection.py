"""Which samples are good enough to imitate: the best of each group, the best of all, or all above a bar."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Keep = Literal["best", "top", "above"]


def select_completions(
    totals: Float[Tensor, "group sample"], *, keep: Keep, share: float = 0.25, threshold: float = 0.0
) -> Bool[Tensor, "group sample"]:
    """True where a sample is kept.

    best: one of each group, the first of equals, so that a group without spread still teaches one
    sample. top: round(share * all), at least one, the earlier of equals. above: totals of `threshold` or
    more, possibly none.
    """
    if keep == "above":
        return totals >= threshold
    is_kept = torch.zeros_like(totals, dtype=torch.bool)
    if keep == "best":
        return is_kept.scatter(-1, totals.argmax(-1, keepdim=True), True)
    count = max(1, round(share * totals.numel()))
    order = totals.flatten().argsort(descending=True, stable=True)
    is_kept.view(-1)[order[:count]] = True
    return is_kept
