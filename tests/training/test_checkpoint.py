"""A process that is killed outright, in the middle of a step: what it had finished is there, to the bit."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import torch

from accord.training.checkpoint import latest_checkpoint

WORKER = Path(__file__).parent / "killed_worker.py"


def load_worker():
    spec = importlib.util.spec_from_file_location("killed_worker", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_trap_46_a_process_killed_in_the_middle_of_a_step_resumes_to_the_uninterrupted_weights(tmp_path):
    settings = {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(WORKER), str(tmp_path / "run"), "4"],
        env={**os.environ, **settings},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    newest = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert newest is not None
    assert newest.name == "step-00000002"  # step 3 was finished, step 4 was not; the checkpoint is of step 2
    worker = load_worker()
    whole = worker.train(tmp_path / "whole")
    resumed = worker.train(tmp_path / "run", resume=True)
    for (name, weight), (_, other) in zip(
        whole.trainable_parameters(), resumed.trainable_parameters(), strict=True
    ):
        assert torch.equal(weight, other), name
