"""How far a policy may move from its reference: the KL of each step held against a budget."""

from accord.training.task import StopRun


class KlBudget:
    """Sums a step's KL from its micro-batches and ends the run before the step after one over the limit."""

    def __init__(self, limit: float | None, *, measured: float = 0.0):
        self.limit = limit
        self._finished = measured
        self._growing = 0.0
        self._parts_left = 0

    @property
    def measured(self) -> float:
        """KL of the last whole step, nats a completion; a step that failed half way is not in it."""
        return self._finished

    def check(self) -> None:
        """Raise StopRun when the last whole step was over the limit."""
        if self.limit is not None and self._finished > self.limit:
            raise StopRun(f"KL of {self._finished:.3f} nats a completion is over max_kl = {self.limit:g}")

    def open(self, n_parts: int) -> None:
        """Begin a step of `n_parts` micro-batches."""
        self._growing, self._parts_left = 0.0, n_parts

    def add(self, share: float) -> None:
        """One micro-batch's share of the step's KL."""
        self._growing += share
        self._parts_left -= 1
        if self._parts_left == 0:
            self._finished = self._growing
