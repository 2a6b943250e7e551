"""What the training tests stand on: demonstrations, pairs and a task small enough to compute by hand."""

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from accord.domain import Demonstration, Preference, Prompt
from accord.training import EvalReport, LossPart, RunStart, StepReport, Update


class QuadraticTask:
    """Weights w (a matrix [1, 2]) and b (a vector [1]); a number x costs |w - x|^2 + |b - x|^2.

    Update k learns from `data[k]`, one micro-batch for each inner list.
    """

    name = "sft"

    def __init__(self, data: list[list[list[float]]], *, model: str = "quadratic"):
        self.data = data
        self.model = None
        self.model_name = model
        self.weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
        self.bias = nn.Parameter(torch.tensor([0.5]))
        self.carried = torch.zeros(1)
        self.saved: list[Path] = []

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        return [("weight", self.weight), ("bias", self.bias)]

    def identity(self) -> dict[str, str]:
        return {"model": self.model_name}

    def next_update(self, step: int) -> Update:
        parts = self.data[step % len(self.data)]
        count = sum(len(part) for part in parts)
        self.carried += torch.rand(1)
        return Update([(part, count) for part in parts], tokens=count)

    def loss(self, micro_batch: tuple[list[float], int]) -> LossPart:
        numbers, count = micro_batch
        loss = sum((self.weight - x).square().sum() + (self.bias - x).square().sum() for x in numbers)
        return LossPart(torch.as_tensor(loss) / count, {"sft/tokens": float(len(numbers))})

    def evaluate(self, step: int) -> dict[str, float]:
        return {"sft/eval_loss": float(self.weight.square().sum())}

    def state_dict(self) -> dict[str, Any]:
        return {"carried": self.carried, "note": ["json", 1]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        assert state["note"] == ["json", 1]
        self.carried = state["carried"]

    def save_model(self, folder: Path) -> None:
        self.saved.append(folder)


@pytest.fixture
def make_task() -> Callable[..., QuadraticTask]:
    """A fresh quadratic task for each call; the default learns from 1, 2, 3 and then from 0, 1, -1."""

    def make(data: list[list[list[float]]] | None = None, **options: str) -> QuadraticTask:
        return QuadraticTask(data or [[[1.0, 2.0], [3.0]], [[0.0], [1.0, -1.0]]], **options)

    return make


class Probe:
    """An observer that calls a function with the number of each finished step."""

    def __init__(self, do: Callable[[int], None]):
        self.do = do

    def on_start(self, start: RunStart) -> None:
        pass

    def on_step(self, report: StepReport) -> None:
        self.do(report.step)

    def on_eval(self, report: EvalReport) -> None:
        pass

    def on_end(self, reason: str) -> None:
        pass


@pytest.fixture
def probe() -> type[Probe]:
    return Probe


@pytest.fixture
def press_ctrl_c_at() -> Callable[[int], Probe]:
    return lambda step: Probe(lambda now: signal.raise_signal(signal.SIGINT) if now == step else None)


@pytest.fixture
def curve() -> Callable[[Path], list[Any]]:
    """The rows of a run's metrics file without what a clock or the system says."""

    def read(run_dir: Path) -> list[Any]:
        rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
        for row in rows:
            for name in ("throughput/step_s", "throughput/tokens_per_s", "memory/rss_gb"):
                row["metrics"].pop(name, None)
        return rows

    return read


@pytest.fixture
def demonstrations() -> list[Demonstration]:
    """Ten rows of uneven length."""
    return [
        Demonstration(prompt=Prompt.from_text(f"say {'so ' * i}{i}"), completion="yes " * (1 + i % 4))
        for i in range(10)
    ]


@pytest.fixture
def preferences() -> list[Preference]:
    """Twelve pairs of uneven length with soft labels, weights and margins."""
    return [
        Preference(
            prompt=Prompt.from_text(f"what is {i}?"),
            chosen=f"it is {i}" + "!" * i,
            rejected="no idea" * (1 + i % 3),
            p_chosen=1.0 - 0.1 * (i % 4),
            weight=0.5 + 0.25 * (i % 3),
            margin=0.2 * (i % 2),
        )
        for i in range(12)
    ]
