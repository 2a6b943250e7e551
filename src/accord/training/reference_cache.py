"""Log-probs of whole answers under the reference, kept within a run and, in a folder, from run to run.

A number is found by the hash of the ids it is about (prompt and answers, as the template made them), in a
file that is named after the reference's weights and the precision it ran in. A file that says it belongs to
another reference is refused. Numbers are added as they are made; a line that a kill cut off is dropped.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from accord.domain import TrainingError
from accord.domain.files import is_disk_full
from accord.models.language_model import LanguageModel
from accord.training.optimizer import OptimizationConfig
from accord.training.parallel import Ranks
from accord.training.precision import resolve_precision
from accord.training.reference import Reference

FORMAT = 1


class ReferenceCache:
    """Lists of numbers by key; `folder` None keeps them for this run only."""

    def __init__(self, folder: str | Path | None, *, reference: str, precision: str, is_writer: bool = True):
        """`reference`: the hash of its weights; of several ranks only one is the writer."""
        self._known: dict[str, tuple[float, ...]] = {}
        self._header = {"format": FORMAT, "reference": reference, "precision": precision}
        self._is_writer = is_writer
        self.path = None if folder is None else Path(folder) / f"{reference}-{precision}.jsonl"
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def __len__(self) -> int:
        return len(self._known)

    def get(self, keys: Sequence[str]) -> list[tuple[float, ...]] | None:
        """The numbers of all keys, or None when any is not known."""
        if not all(key in self._known for key in keys):
            return None
        return [self._known[key] for key in keys]

    def add(self, items: Iterable[tuple[str, Sequence[float]]]) -> None:
        """Keep numbers by key; those already known stay as they are."""
        fresh = {key: tuple(values) for key, values in items if key not in self._known}
        self._known.update(fresh)
        if self.path is None or not fresh or not self._is_writer:
            return
        lines = [json.dumps([key, *values]) for key, values in fresh.items()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                lines.insert(0, json.dumps(self._header))
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
        except OSError as error:
            cause = "the disk is full" if is_disk_full(error) else str(error)
            raise TrainingError(
                f"reference log-probs could not be kept in {self.path}: {cause}. Free space, or leave "
                f"reference_cache out"
            ) from error

    def state(self) -> dict[str, Any]:
        """Everything known, for a checkpoint: keys and counts as JSON, numbers as one tensor; {} for nothing.

        A resumed run needs them bit for bit: scored anew, answers meet other neighbors and last bits differ.
        differ.
        """
        if not self._known:
            return {}
        values = [value for values in self._known.values() for value in values]
        return {
            "reference_keys": list(self._known),
            "reference_counts": [len(values) for values in self._known.values()],
            "reference_sums": torch.tensor(values, dtype=torch.float64),
        }

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Add what `state` returned."""
        if "reference_keys" in state:
            parts = state["reference_sums"].split(state["reference_counts"])
            self.add((key, part.tolist()) for key, part in zip(state["reference_keys"], parts, strict=True))

    def _read(self, path: Path) -> None:
        first, *rows = path.read_text(encoding="utf-8").splitlines() or [""]
        header = _parse(first)
        if header != self._header:
            raise TrainingError(
                f"{path} holds log-probs of {json.dumps(header)}, this run needs {json.dumps(self._header)}. "
                f"Remove the file or choose another reference_cache"
            )
        for row in map(_parse, rows):
            if isinstance(row, list) and row and all(map(_is_number, row[1:])):
                self._known[str(row[0])] = tuple(map(float, row[1:]))
        if not path.read_bytes().endswith(b"\n") and self._is_writer:
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")  # or the next line would be lost with the one that was cut off


def cache_for(
    reference: Reference | None, folder: str | None, config: OptimizationConfig, model: LanguageModel
) -> ReferenceCache:
    """The cache of a run; without a folder (or a reference) nothing is hashed."""
    if reference is None or folder is None:
        return ReferenceCache(None, reference="", precision="")
    precision = resolve_precision(config.precision, model.device)
    is_writer = Ranks.current().is_first
    return ReferenceCache(folder, reference=reference.version, precision=precision, is_writer=is_writer)


def _parse(line: str) -> object:
    try:
        parsed: object = json.loads(line)
    except ValueError:
        return None
    return parsed


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
