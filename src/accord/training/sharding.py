"""FSDP2: the decoder layers that learn, each split over the ranks; gathered for a layer's own work only.

Weights, gradients and optimizer state of those layers take 1/ranks of their memory on each rank; embedding,
head, norms outside the layers and frozen layers stay whole. The optimizer works on each rank's own part,
checkpoints and models are written whole, so that they do not depend on the number of ranks. Every rank has
to run the same number of passes, which the loop sees to by idle rounds (`Ranks.idle_rounds`).
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard

from accord.domain import TrainingError
from accord.models.language_model import LanguageModel
from accord.models.layers import decoder_layers
from accord.models.ragged import body_of
from accord.models.reward import RewardModel


class ShardedLayers:
    """The layers of a model while they are split; `restore` puts the model together again."""

    def __init__(self, model: object):
        """Replace each layer that learns by a split copy, and empty the original's weights that learn."""
        self.layers = _layers(model)
        self.originals: dict[int, nn.Module] = {}
        self.sharded: dict[str, DTensor] = {}
        device = next(self.layers.parameters()).device
        self.mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
        for index, layer in enumerate(self.layers):
            learning = [weight for weight in layer.parameters() if weight.requires_grad]
            if not learning:
                continue
            split = _split_copy(layer)
            fully_shard(split, mesh=self.mesh, reshard_after_forward=True)
            self.layers[index], self.originals[index] = split, layer
            for weight in learning:
                weight.data = weight.data.new_empty(0)
        if not self.originals:
            raise TrainingError(
                "parallel = 'shard' splits decoder layers and none of them learns; use 'replicate'"
            )

    def local(self, named: Sequence[tuple[str, nn.Parameter]]) -> list[tuple[str, nn.Parameter]]:
        """The same weights as this rank holds them: its part of each split one, sharing the memory."""
        self.sharded = {name: weight for name, weight in named if isinstance(weight, DTensor)}
        return [
            (name, nn.Parameter(self.sharded[name].to_local().detach()) if name in self.sharded else weight)
            for name, weight in named
        ]

    def take_gradients(self, named: Sequence[tuple[str, nn.Parameter]]) -> None:
        """Give each local part the sum over ranks of its gradient, of which FSDP2 leaves the mean."""
        for name, part in named:
            weight = self.sharded.get(name)
            if weight is not None:
                mean = weight.grad
                part.grad = None if mean is None else mean.to_local().mul_(self.mesh.size())  # type: ignore[attr-defined]
                weight.grad = None

    def norm(self, named: Sequence[tuple[str, nn.Parameter]]) -> Tensor:
        """The norm of the whole gradient, the same on every rank."""
        device = self.mesh.device_type
        own, shared = torch.zeros((), device=device), torch.zeros((), device=device)
        for name, part in named:
            if part.grad is not None:
                (own if name in self.sharded else shared).add_(part.grad.norm().square())
        distributed.all_reduce(own)
        return (own + shared).sqrt()

    def whole(self, tensors: Mapping[str, Tensor], *, separator: str) -> dict[str, Tensor]:
        """Tensors of whole weights, on every rank; keys are names of weights, before a `separator`."""
        return {key: self._gather(key.partition(separator)[0], value) for key, value in tensors.items()}

    def part(self, name: str, tensor: Tensor) -> Tensor:
        """This rank's part of a tensor of a whole weight; anything else as it is."""
        weight = self.sharded.get(name)
        if weight is None or tensor.shape != weight.shape:
            return tensor
        pieces = tensor.chunk(self.mesh.size())
        rank = self.mesh.get_local_rank()
        return pieces[rank] if rank < len(pieces) else tensor[:0]

    def restore(self) -> None:
        """Put the original layers back, with the weights that were learned; every rank calls it."""
        for index, original in self.originals.items():
            split = dict(self.layers[index].named_parameters())
            for name, weight in original.named_parameters():
                if weight.requires_grad:
                    value = split[name]
                    assert isinstance(value, DTensor)
                    weight.data = value.full_tensor().detach()
            self.layers[index] = original
        self.originals = {}

    def _gather(self, name: str, tensor: Tensor) -> Tensor:
        weight = self.sharded.get(name)
        if weight is None or tensor.shape != weight.to_local().shape:
            return tensor
        split = DTensor.from_local(
            tensor, self.mesh, (Shard(0),), run_check=False, shape=weight.shape, stride=weight.stride()
        )
        whole: Tensor = split.full_tensor()  # type: ignore[attr-defined]
        return whole


def _split_copy(layer: nn.Module) -> nn.Module:
    """A copy that still reads the model's own config, where the kind of attention is chosen."""
    configs = [module.config for module in layer.modules() if "config" in vars(module)]
    return copy.deepcopy(layer, {id(config): config for config in configs})


def _layers(model: object) -> nn.ModuleList:
    if isinstance(model, LanguageModel):
        return decoder_layers(body_of(model))
    if isinstance(model, RewardModel):
        return decoder_layers(model.body)
    raise TrainingError(
        f"parallel = 'shard' needs a language or reward model, got {type(model).__name__}; use 'replicate'"
    )
