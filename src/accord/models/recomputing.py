"""Activation checkpointing: layers keep their input only and run again in the backward pass, bit for bit.

Costs about one more forward pass and saves what a layer keeps. Works in training and in evaluation mode
(preference losses run without dropout), where transformers' own switch works in training mode alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def set_recompute(body: nn.Module, is_on: bool) -> None:
    """Let every decoder layer of `body` run again in the backward pass, or keep all it computes."""
    for layer in _layers(body):
        layer.gradient_checkpointing = is_on
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)


def recomputes(body: nn.Module) -> bool:
    """Whether the layers of `body` run again in the backward pass."""
    return any(getattr(layer, "gradient_checkpointing", False) for layer in _layers(body))


@contextmanager
def recomputing(body: nn.Module) -> Iterator[None]:
    """Inside, layers that recompute do so in evaluation mode too; what lies within them keeps its mode."""
    changed = [
        layer
        for layer in _layers(body)
        if torch.is_grad_enabled() and getattr(layer, "gradient_checkpointing", False) and not layer.training
    ]
    for layer in changed:
        layer.training = True
    try:
        yield
    finally:
        for layer in changed:
            layer.training = False


def _layers(body: nn.Module) -> list[Any]:
    """Every layer of every stack; none where a part of a model has no layers left."""
    return [layer for child in body.children() if isinstance(child, nn.ModuleList) for layer in child]
