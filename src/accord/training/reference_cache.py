"""Reference log-probs of whole answers, kept across epochs, checkpoints and runs, by a hash of their ids.

A file is bound to the reference's weights and the precision it was scored in: under another one it is
refused. Template and truncation are in the ids, so other ones find nothing and are scored anew.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from accord.domain import TrainingError
from accord.domain.files import write_bytes_atomic


class ReferenceCache:
    """Sums [answer] for each group of answers to one prompt, by the group's key."""

    def __init__(self, identity: Mapping[str, str], path: Path | None = None):
        """`identity` says what the sums belong to; with `path` what is there is read, if it fits."""
        self.identity = dict(identity)
        self.path = path
        self._sums: dict[str, Tensor] = {}
        if path is not None and path.exists():
            self._read(path)

    def __len__(self) -> int:
        return len(self._sums)

    def find(self, keys: Sequence[str]) -> Tensor | None:
        """The sums of these groups one after the other, or None unless all are known."""
        if not all(key in self._sums for key in keys):
            return None
        return torch.cat([self._sums[key] for key in keys])

    def keep(self, keys: Sequence[str], sums: Sequence[Tensor]) -> None:
        """Remember what was scored."""
        self._sums.update(zip(keys, sums, strict=True))

    def state(self) -> dict[str, Any]:
        """Everything known: names and counts as JSON, sums as one tensor; {} where nothing is."""
        if not self._sums:
            return {}
        return {
            "reference_keys": list(self._sums),
            "reference_counts": [len(sums) for sums in self._sums.values()],
            "reference_sums": torch.cat(list(self._sums.values())).cpu(),
        }

    def take_up(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Add what `state` holds."""
        if "reference_keys" in state:
            sums = state["reference_sums"].to(device).split(state["reference_counts"])
            self._sums.update(zip(state["reference_keys"], sums, strict=True))

    def write(self) -> None:
        """Write all of it to `path`, whole or not at all; nothing without a path."""
        state = self.state()
        if self.path is None or not state:
            return
        facts = {
            "identity": json.dumps(self.identity, sort_keys=True),
            "keys": json.dumps(state["reference_keys"]),
            "counts": json.dumps(state["reference_counts"]),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(
            self.path, safetensors.torch.save({"sums": state["reference_sums"]}, metadata=facts)
        )

    def _read(self, path: Path) -> None:
        try:
            with safe_open(path, framework="pt") as file:
                facts = file.metadata() or {}
                sums = file.get_tensor("sums")
            identity, keys, counts = (json.loads(facts[name]) for name in ("identity", "keys", "counts"))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise TrainingError(
                f"{path} is no readable cache of reference log-probs: {error}. Remove it or name another"
            ) from error
        if identity != self.identity:
            differing = [
                f"{key} was {identity.get(key, 'absent')}, is {self.identity.get(key, 'absent')}"
                for key in sorted({*identity, *self.identity})
                if identity.get(key) != self.identity.get(key)
            ]
            raise TrainingError(
                f"{path} holds log-probs of another reference: {'; '.join(differing)}. Training against them "
                f"would pull the policy to the wrong model; name another file, or remove this one"
            )
        self._sums = dict(zip(keys, sums.split(counts), strict=True))
