"""How a run tells its user where it is: an interface, and the silent form of it. Prints nothing."""

from collections.abc import Sequence
from typing import Protocol

from accord.training import Observer


class Narrator(Protocol):
    """Hears what a run does, stage by stage."""

    def stage_begins(self, name: str, what: str) -> None:
        """A stage starts: its name and, in a few words, what it will do."""
        ...

    def stage_ends(self, name: str, seconds: float, lines: Sequence[str], *, was_done: bool) -> None:
        """A stage is over: what it bought. `was_done` when an earlier run of it was taken up."""
        ...

    def progress(self, name: str, done: int, total: int) -> None:
        """Long work inside a stage that is not a training loop: `done` of `total` items."""
        ...

    def observers(self) -> Sequence[Observer]:
        """Observers for the next training loop; fresh ones at each call."""
        ...


class SilentNarrator:
    """Says nothing: for tests and for callers that only want the result."""

    def stage_begins(self, name: str, what: str) -> None:
        """Ignored."""

    def stage_ends(self, name: str, seconds: float, lines: Sequence[str], *, was_done: bool) -> None:
        """Ignored."""

    def progress(self, name: str, done: int, total: int) -> None:
        """Ignored."""

    def observers(self) -> Sequence[Observer]:
        """None."""
        return ()
