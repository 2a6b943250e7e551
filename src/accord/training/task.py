"""What a training stage hands to the loop: updates, loss shares and a few facts; knows no optimizer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from accord.domain import AccordError


@dataclass(frozen=True)
class Update:
    """Everything one optimizer step learns from. All normalizers are known when it is made."""

    micro_batches: Sequence[Any]
    """Handed to `Task.loss` one by one; the way the update is split does not change its gradient."""
    tokens: int
    """Real tokens (no padding), a prompt counted once for each of its completions."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What is already known about the update (rewards, lengths, truncated rows)."""
    on_learned: Callable[[Mapping[str, float]], None] | None = None
    """Called after the weights changed with the update's metrics, summed over micro-batches and ranks."""


@dataclass(frozen=True)
class LossPart:
    """One micro-batch's share of the update's loss: the shares of an update sum to its loss."""

    loss: Tensor
    """Scalar. Divided by the UPDATE's count of tokens, pairs or sequences, never by the micro-batch's own."""
    metrics: Mapping[str, Tensor | float] = field(default_factory=dict)
    """Shares as well, summed over the update's micro-batches. Tensors may carry a graph; it is dropped."""


class StopRun(AccordError):
    """Raised by `Task.next_update`, or by an observer, to end the run before its last step, with the reason.

    The run then ends as a finished one does: evaluation, checkpoint, model. That a KL
    budget is spent is a result, so the loop catches it and nobody else sees it.
    """


class Task(Protocol):
    """One stage (SFT, reward model, policy optimization) as the loop sees it.

    `step` counts finished optimizer steps: the first update is `next_update(0)`, the
    evaluation after it `evaluate(1)`. Whatever a task draws at `step` comes from a
    stream named by `step`, so that a resumed run draws the same.
    """

    name: str
    """Prefix of the loss in the metrics: `sft` logs `sft/loss`."""

    @property
    def model(self) -> object:
        """The LanguageModel or RewardModel that trains, whose activations and shards the loop looks after."""
        ...

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Everything that is trained, under unique names; fp32 or fp64."""
        ...

    def identity(self) -> dict[str, str]:
        """What a checkpoint must agree on to be resumed: hashes of model, data and stage config by name."""
        ...

    def next_update(self, step: int) -> Update:
        """The update after `step` finished ones; called outside autocast. May raise StopRun."""
        ...

    def loss(self, micro_batch: Any) -> LossPart:
        """The share of one micro-batch; called under the run's autocast."""
        ...

    def evaluate(self, step: int) -> dict[str, float]:
        """Held-out metrics, {} when there is nothing held out; called under autocast, without gradients."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What finished steps left behind besides weights: each value a tensor or JSON.

        An update that raises leaves it as it was: the loop then saves the steps before.
        """
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where `state_dict` was called."""
        ...

    def save_model(self, folder: Path) -> None:
        """Write the trained model; called once, after the last step."""
        ...
