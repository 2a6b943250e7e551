"""Deterministic splits by hash of the prompt, so that no prompt stands on both sides."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from accord.domain.errors import DataError
from accord.domain.messages import Prompt


class HasPrompt(Protocol):
    """Any record that belongs to a prompt."""

    @property
    def prompt(self) -> Prompt:
        """The prompt it belongs to."""
        ...


Record = TypeVar("Record", bound=HasPrompt)


@dataclass(frozen=True)
class Split(Generic[Record]):
    """Records on the training side and on the held-out side; no prompt is on both."""

    train: list[Record]
    test: list[Record]


def hash_fraction(key: str, *, seed: int = 0) -> float:
    """A number in [0, 1) that depends only on `key` and `seed`."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_by_prompt(records: Sequence[Record], *, test_share: float = 0.1, seed: int = 0) -> Split[Record]:
    """Send each record to train or test by the hash of its prompt.

    `test_share` in (0, 1) is the expected share of PROMPTS held out; the share of
    records differs when prompts repeat. Order within each side is kept.
    """
    if not 0.0 < test_share < 1.0:
        raise DataError(f"test_share must be between 0 and 1, got {test_share}")
    train: list[Record] = []
    test: list[Record] = []
    for record in records:
        side = test if hash_fraction(record.prompt.id, seed=seed) < test_share else train
        side.append(record)
    return Split(train=train, test=test)
