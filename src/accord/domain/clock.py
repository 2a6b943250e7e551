"""What time it is, as an argument: the system's clock, and a counting one for tests."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time in UTC."""

    def now(self) -> datetime:
        """The time now, with time zone."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The time now, in UTC."""
        return datetime.now(UTC)


@dataclass
class CountingClock:
    """Advances by `tick` on every call, so that what is written down is known beforehand."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    tick: timedelta = timedelta(seconds=1)

    def now(self) -> datetime:
        """The time so far; the next call is one tick later."""
        time = self.time
        self.time += self.tick
        return time
