"""The decoder layers of a network, and training only the uppermost of them."""

from torch import nn
from transformers import PreTrainedModel

from accord.domain.errors import ModelError


def decoder_layers(body: nn.Module) -> nn.ModuleList:
    """The stack of decoder layers, lowest first: `layers` in a llama, `h` in GPT-2."""
    stacks = [child for child in body.children() if isinstance(child, nn.ModuleList) and len(child) > 0]
    if not stacks:
        raise ModelError(f"no stack of decoder layers in {type(body).__name__}; it is of no known kind.")
    return max(stacks, key=len)


def train_top_layers(network: PreTrainedModel, count: int) -> None:
    """Let only the `count` uppermost decoder layers and what follows them (the final norm) learn.

    Embeddings, head and lower layers are frozen; they need neither gradients nor optimizer
    state, and the lower part gives the same output for the same row in every step.
    """
    body = network.get_decoder()
    layers = decoder_layers(body)
    if not 1 <= count <= len(layers):
        raise ModelError(f"trainable_layers is {count}; expected 1 to {len(layers)} for this model.")
    network.requires_grad_(False)
    for layer in list(layers)[-count:]:
        layer.requires_grad_(True)
    children = list(body.children())
    for child in children[children.index(layers) + 1 :]:
        child.requires_grad_(True)
