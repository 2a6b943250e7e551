"""A run as its user sees it in a terminal: stages, bars, and what each stage bought."""

from collections.abc import Sequence
from datetime import timedelta

from accord.cli.render import format_duration, progress_note
from accord.training import Observer, ProgressBar


class TerminalNarrator:
    """Writes to stderr, so that results on stdout can be piped."""

    def __init__(self, total: int | None = 5) -> None:
        """`total` is the number of stages; None where it is not known beforehand."""
        self._total = total
        self._stage = 0
        self._last_share = -1

    def stage_begins(self, name: str, what: str) -> None:
        """A numbered line with what the stage will do."""
        self._stage += 1
        self._last_share = -1
        place = self._stage if self._total is None else f"{self._stage}/{self._total}"
        progress_note(f"\n[{place}] {name}: {what}")

    def stage_ends(self, name: str, seconds: float, lines: Sequence[str], *, was_done: bool) -> None:
        """What the stage bought and how long it took."""
        taken = "done before" if was_done else format_duration(timedelta(seconds=seconds))
        for line in lines:
            progress_note(f"      {line}")
        progress_note(f"      {name} {taken}")

    def progress(self, name: str, done: int, total: int) -> None:
        """A line at each quarter of the work."""
        share = 4 * done // max(total, 1)
        if share > self._last_share:
            self._last_share = share
            progress_note(f"      {done} of {total}")

    def observers(self) -> Sequence[Observer]:
        """A progress bar."""
        return (ProgressBar(),)
