"""Fine-tunes the tiny model in a folder; with a number, kills itself in the middle of that step."""

import os
import signal
import sys
from pathlib import Path

from accord.domain import Demonstration, Prompt, Streams
from accord.models.tiny import tiny_model
from accord.training import OptimizationConfig, SftConfig
from accord.training.loop import optimize
from accord.training.sft import SftTask


class Killed(SftTask):
    """Dies between the first and the second micro-batch of a step, as for want of memory."""

    dies_in = 0
    _step = 0
    _parts = 0

    def next_update(self, step):
        self._step, self._parts = step + 1, 0
        return super().next_update(step)

    def loss(self, micro_batch):
        self._parts += 1
        if self._step == self.dies_in and self._parts == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(micro_batch)


def train(place: Path, dies_in: int = 0, *, resume: bool = False):
    """The model after six steps of two micro-batches each."""
    rows = [
        Demonstration(prompt=Prompt.from_text(f"say {'so ' * i}{i}"), completion="yes " * (1 + i % 4))
        for i in range(8)
    ]
    optimization = OptimizationConfig(
        steps=6, learning_rate=1e-3, precision="fp32", micro_batch_tokens=60, checkpoint_every=2
    )
    config = SftConfig(batch_size=4, optimization=optimization)
    model = tiny_model(dropout=0.1)
    task = Killed(model, rows, config, streams=Streams(7))
    task.dies_in = dies_in
    optimize(task, task.optimization, streams=task.streams, run_dir=place, resume=resume)
    return model


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]))
