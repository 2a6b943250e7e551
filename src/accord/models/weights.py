"""The weights of a network as a whole: their hash, and whether a checkpoint gave all of them."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from accord.domain.errors import ModelError


def hash_weights(weights: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 of names, types, shapes and bytes in the order of the names, as 16 hex digits."""
    digest = hashlib.sha256()
    for name, weight in sorted(weights, key=lambda item: item[0]):
        digest.update(f"{name}:{weight.dtype}:{tuple(weight.shape)};".encode())
        digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def refuse_missing(place: str, kind: str, report: Mapping[str, Any]) -> None:
    """Raise when transformers' loading report names weights that the checkpoint did not give.

    transformers makes such weights up at random and goes on.
    """
    missing = sorted(map(str, [*report["missing_keys"], *report.get("mismatched_keys", [])]))
    if missing:
        raise ModelError(
            f"the weights at {place} are not those of a {kind}: {len(missing)} tensors are missing or of "
            f"another shape, first {missing[0]!r}. They would be random; is it a reward model?"
        )
