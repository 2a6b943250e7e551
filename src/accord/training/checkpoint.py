"""Checkpoints: weights, optimizer, task state and step in one hash-checked folder of safetensors and JSON.

Not in it, because they are functions of step and seed: learning rate, data order
and random numbers. Not in it either: frozen weights; the identity names the model
they come from, and a checkpoint of another model is refused.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from accord.domain import TrainingError, WorkspaceError
from accord.domain.files import atomic_folder

FORMAT = 1
FOLDER_NAME = re.compile(r"step-(\d{8})")
SEPARATOR = "|"
"""Between a parameter's name and the name of its optimizer tensor; no module name holds it."""


@dataclass(kw_only=True)
class Progress:
    """How far a run has come: the only thing the loop itself changes from step to step."""

    step: int = 0
    skipped_in_a_row: int = 0
    evaluated_step: int = -1
    """Step of the newest evaluation."""
    stopped_reason: str = ""
    """Why the task ended the run before its last step; empty when it did not."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The newest finite value of every metric."""


def latest_checkpoint(root: Path) -> Path | None:
    """The checkpoint of the highest step under `root`, None when there is none."""
    found = _checkpoints(root)
    return found[-1] if found else None


def save_checkpoint(
    root: Path,
    *,
    identity: Mapping[str, str],
    progress: Progress,
    weights: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
    task_state: Mapping[str, Any],
    keep: int,
) -> Path:
    """Write `root/step-XXXXXXXX` whole or not at all, then remove all but the `keep` newest.

    `moments` as `optimizer_tensors` gives them. A full disk raises TrainingError; older checkpoints
    stay as they were.
    """
    target = root / f"step-{progress.step:08d}"
    state_tensors = {key: value for key, value in task_state.items() if isinstance(value, Tensor)}
    tensors = {
        "weights.safetensors": weights,
        "optimizer.safetensors": moments,
        "task.safetensors": state_tensors,
    }
    try:
        with atomic_folder(target) as folder:
            for file_name, content in tensors.items():
                contiguous = {key: value.contiguous() for key, value in content.items()}
                safetensors.torch.save_file(contiguous, folder / file_name)
            manifest = {
                "format": FORMAT,
                "progress": vars(progress),
                "identity": dict(identity),
                "task": {key: value for key, value in task_state.items() if key not in state_tensors},
                "files": {file_name: _sha256(folder / file_name) for file_name in tensors},
            }
            (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    except WorkspaceError as error:
        previous = latest_checkpoint(root)
        kept = "there is none before it" if previous is None else f"{previous} is unchanged"
        raise TrainingError(
            f"the checkpoint of step {progress.step} could not be saved ({kept}): {error}"
        ) from error
    for old in _checkpoints(root)[:-keep]:
        shutil.rmtree(old)
    return target


def load_checkpoint(
    folder: Path,
    *,
    identity: Mapping[str, str],
    named: list[tuple[str, nn.Parameter]],
    optimizer: torch.optim.Optimizer,
    part: Callable[[str, Tensor], Tensor] | None = None,
) -> tuple[Progress, dict[str, Any]]:
    """Put weights and optimizer back; return the progress and the task's state.

    `part` gives what this process holds of a tensor, by the name of its weight; all of it when left out.

    Raises TrainingError when a file is damaged, or when model, data or config are
    not those it was written under. Nothing is changed unless all of it fits.
    """
    manifest = _read_manifest(folder)
    _require_same_identity(folder, manifest["identity"], identity)
    tensors = {
        file_name: _read_tensors(folder / file_name, digest)
        for file_name, digest in manifest["files"].items()
    }
    if part is not None:
        tensors["weights.safetensors"] = {
            name: part(name, value) for name, value in tensors["weights.safetensors"].items()
        }
        tensors["optimizer.safetensors"] = {
            key: part(key.rpartition(SEPARATOR)[0], value)
            for key, value in tensors["optimizer.safetensors"].items()
        }
    weights = tensors["weights.safetensors"]
    shapes = {name: tuple(parameter.shape) for name, parameter in named}
    if {name: tuple(value.shape) for name, value in weights.items()} != shapes:
        raise TrainingError(
            f"{folder} holds {len(weights)} trained tensors that differ in name or shape from the "
            f"model's {len(shapes)}. Resume with the model, LoRA and trainable_layers it was started with."
        )
    moments = tensors["optimizer.safetensors"]
    with torch.no_grad():
        for name, parameter in named:
            parameter.copy_(weights[name])
            restored = {
                key.rpartition(SEPARATOR)[2]: value.to(parameter.device, copy=True)
                for key, value in moments.items()
                if key.rpartition(SEPARATOR)[0] == name
            }
            if restored:
                optimizer.state[parameter] = restored
    return Progress(**manifest["progress"]), {**manifest["task"], **tensors["task.safetensors"]}


def _checkpoints(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if FOLDER_NAME.fullmatch(path.name))


def optimizer_tensors(
    named: list[tuple[str, nn.Parameter]], optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """The optimizer's tensors by name of weight, `SEPARATOR` and name of state."""
    return {
        f"{name}{SEPARATOR}{key}": value
        for name, parameter in named
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        known = manifest["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(_damaged(path, "is missing or not readable")) from error
    if known != FORMAT:
        raise TrainingError(f"{path} has format {known}, this version of Accord reads format {FORMAT}.")
    return manifest


def _read_tensors(path: Path, digest: str) -> dict[str, Tensor]:
    try:
        if _sha256(path) != digest:
            raise TrainingError(_damaged(path, "does not match its hash"))
        return safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise TrainingError(_damaged(path, "is missing or not readable")) from error


def _damaged(path: Path, what: str) -> str:
    return f"{path} {what}: the checkpoint is damaged. Remove {path.parent} to resume from the one before it."


def _require_same_identity(folder: Path, saved: Mapping[str, str], now: Mapping[str, str]) -> None:
    differing = [
        f"{key} was {saved.get(key, 'absent')}, is {now.get(key, 'absent')}"
        for key in sorted({*saved, *now})
        if saved.get(key) != now.get(key)
    ]
    if differing:
        raise TrainingError(
            f"{folder} belongs to another run: {'; '.join(differing)}. "
            f"Resume with what it was started with, or choose another run folder."
        )
