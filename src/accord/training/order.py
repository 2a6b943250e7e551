"""Which rows an update takes: a function of step and seed, so that a resumed run needs no cursor."""

from dataclasses import dataclass

import numpy as np

from accord.domain import DataError, Streams


@dataclass(frozen=True)
class DataOrder:
    """Passes over `n_rows` rows in batches; each pass sees each row once, its last batch may be short."""

    n_rows: int
    batch_size: int
    streams: Streams
    is_shuffled: bool = True
    """False: file order in every pass."""

    def __post_init__(self) -> None:
        if self.n_rows < 1 or self.batch_size < 1:
            raise DataError(f"{self.n_rows} rows in batches of {self.batch_size}: both must be 1 or more")

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass."""
        return -(-self.n_rows // self.batch_size)

    def steps_for(self, epochs: float) -> int:
        """Batches in `epochs` passes, at least 1; a part of a pass is rounded up to a batch."""
        return max(1, int(np.ceil(epochs * self.steps_per_epoch - 1e-9)))

    def batch(self, step: int) -> list[int]:
        """The rows of the update after `step` finished ones."""
        epoch, position = divmod(step, self.steps_per_epoch)
        rows = self._epoch(epoch)
        return rows[position * self.batch_size : (position + 1) * self.batch_size]

    def _epoch(self, epoch: int) -> list[int]:
        if not self.is_shuffled:
            return list(range(self.n_rows))
        generator = np.random.default_rng(self.streams.child("order", epoch).value)
        return [int(row) for row in generator.permutation(self.n_rows)]
