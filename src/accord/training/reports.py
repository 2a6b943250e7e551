"""What the loop tells its observers, and the interface of an observer; formats and prints nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class RunStart:
    """A run begins, or goes on."""

    name: str
    steps: int
    first_step: int
    """Steps already finished: 0 for a fresh run, the checkpoint's step for a resumed one."""
    run_dir: Path | None = None


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One finished optimizer step."""

    step: int
    """Steps finished, this one included: the first report says 1."""
    steps: int
    metrics: Mapping[str, float]
    """Registered names only, see `accord.training.metrics.METRICS`."""
    tokens: int
    seconds: float
    """From asking for the update to the changed weights; evaluation and checkpoints are not in it."""


@dataclass(frozen=True, kw_only=True)
class EvalReport:
    """Held-out metrics after `step` finished steps; 0 is the model as it came."""

    step: int
    steps: int
    metrics: Mapping[str, float]
    seconds: float


class Observer(Protocol):
    """Hears what happens in a run. `on_end` is called however the run ends."""

    def on_start(self, start: RunStart) -> None:
        """A run begins or is resumed."""
        ...

    def on_step(self, report: StepReport) -> None:
        """An optimizer step is done (or was skipped: `optim/skipped` is 1)."""
        ...

    def on_eval(self, report: EvalReport) -> None:
        """An evaluation is done."""
        ...

    def on_end(self, reason: str) -> None:
        """`reason` is finished, interrupted or failed."""
        ...
